/** What `infermesh agent bench-gpu` says of itself, and may be told. */
import type { Help } from "../base/help.ts";
import { choice, custom, duration, flag, type Infer, section, text } from "../base/settings.ts";
import { gpuSettings, libraryPath } from "./settings.ts";

const NAMED = /^(?:\d{1,3}|GPU-[0-9A-Fa-f-]{36})$/;

export const benchSettings = section({
  gpu: section(
    {
      only: custom<string>({
        default: "",
        flag: "gpu",
        kind: "gpu",
        placeholder: "INDEX|UUID",
        expected: 'a GPU\'s index, as nvidia-smi counts, or its UUID ("GPU-...")',
        emptyMeans: "all",
        // INFERMESH_GPU may be there for agents, as the source of their figures.
        parse: (raw) =>
          typeof raw !== "string"
            ? undefined
            : ["", "auto", "nvml"].includes(raw)
              ? ""
              : NAMED.test(raw)
                ? raw
                : undefined,
        write: (value) => value,
        doc: "Which GPU is measured.",
      }),
      nvmlLibrary: gpuSettings.fields.nvmlLibrary,
      cudaLibrary: libraryPath("libcuda.so.1"),
      root: gpuSettings.fields.root,
    },
    { doc: "Which GPUs, and where the driver's libraries are." },
  ),
  force: flag({
    default: false,
    doc: "Measure also what is in use. The figures are lower then, and whoever uses it is held up.",
  }),
  limitMs: duration({
    default: "30s",
    min: "1s",
    max: "10m",
    doc: "What is not measured by then counts as hung: its process is ended.",
  }),
  output: choice(["table", "json", "yaml"], {
    default: "table",
    short: "o",
    doc: "How the figures are printed. table is for people, json and yaml hold all of them.",
  }),
  dataDir: text({
    default: "",
    placeholder: "DIR",
    lengthMax: 4096,
    emptyMeans: "where agents keep their state by default",
    doc: "The --data-dir of the agent: the figures are kept there, in gpu-bench.json, and it reads them when it starts.",
  }),
});
export type BenchConfig = Infer<typeof benchSettings>;

export const benchHelp: Help = {
  command: "infermesh agent bench-gpu",
  summary: "measure the memory bandwidth and the matrix throughput of this machine's NVIDIA GPUs, in a few seconds",
  usage: ["[flags]"],
  examples: [
    ["infermesh agent bench-gpu", "All GPUs, at the same time; each must be idle."],
    ["infermesh agent bench-gpu --gpu 0 -o json", "One of them, for programs."],
  ],
  notes: [
    [
      "What it is for",
      "An agent that starts afterwards tells routers rates by these figures, for a model whose size is in its name and whose runtime tells no rates itself; see docs/gpu-bench.md.",
    ],
    [
      "Exit codes",
      "0 measured\n1 not measured: a driver that hangs or fails, a wrong result, too little memory\n2 wrong command line, or no such GPU\n3 no NVIDIA GPU, or no driver\n4 a GPU is in use",
    ],
  ],
};
