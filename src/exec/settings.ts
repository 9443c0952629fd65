/** How an agent runs its runtime: the command, what it sees, when it is ready, when it is started again, its log. */
import { type Making, make, refuse } from "../base/field.ts";
import { list, map } from "../base/settings-collections.ts";
import { bytes, choice, custom, duration, flag, type Infer, integer, section, text } from "../base/settings.ts";
import { commandWords } from "./words.ts";
import { INHERIT_PATTERN, INHERITED } from "./environment.ts";
import { gpuAssignment } from "./gpus.ts";

export type ReadyCheck =
  | { readonly kind: "http"; readonly url: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** What `--exec-ready` says: none for "", undefined for what it may not say. */
export function readyCheck(written: string): ReadyCheck | "none" | undefined {
  if (written === "") return "none";
  if (written.length > 500 || !URL.canParse(written)) return undefined;
  const url = new URL(written);
  if (url.protocol === "http:" || url.protocol === "https:") return { kind: "http", url: written };
  const isPlain = url.pathname === "" && url.search === "" && url.hash === "" && url.username === "";
  if (url.protocol !== "tcp:" || url.hostname === "" || url.port === "" || !isPlain) return undefined;
  return { kind: "tcp", host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) };
}

const COMMAND: Making<string> = {
  kind: "command",
  placeholder: "COMMAND",
  expected: "a command line as a shell takes it, of one command and without a shell's help",
  write: (value) => value,
  read(raw, at) {
    if (raw === "") return raw;
    if (typeof raw !== "string") return refuse(raw, at, this.expected);
    const read = commandWords(raw);
    // Of the rest nothing is shown: there may be keys in it.
    return "words" in read ? raw : refuse(`${raw.trimStart().split(/\s/, 1)[0]} ...`, at, this.expected, read.fault);
  },
};

export const execSettings = section(
  {
    command: make(COMMAND, "", {
      flag: "exec",
      emptyMeans: "none: what serves is started by somebody else",
      doc: 'Start this program and look after it, such as "vllm serve MODEL". It is split into words as a shell does, and run without one.',
    }),
    env: map(text({ lengthMax: 32_768 }), {
      default: {},
      flag: "exec-env",
      lengthMax: 256,
      secret: true,
      isWhole: true,
      doc: "Variables of its environment, beside those that are inherited. The flag may be given several times, with one variable each; values may have commas.",
    }),
    inherit: list(text({ pattern: INHERIT_PATTERN, expected: "a variable's name, which may end with *, or * alone" }), {
      default: INHERITED,
      lengthMax: 256,
      doc: "Variables of the agent's own environment that it gets: names, and beginnings of names with a *. Those of infermesh itself never pass.",
    }),
    directory: text({
      default: "",
      placeholder: "PATH",
      pattern: /^\/.{0,1000}$/,
      expected: "an absolute path",
      emptyMeans: "the agent's",
      doc: "The directory that it runs in.",
    }),
    gpus: custom<string>({
      default: "all",
      kind: "gpus",
      placeholder: "all|none|LIST",
      expected: "all, none, indices such as 0,1, or UUIDs such as GPU-8f6b6a2c-...",
      parse: (raw) => (typeof raw === "string" && gpuAssignment(raw) !== undefined ? raw : undefined),
      write: (value) => value,
      doc: "The GPUs that it may see, by CUDA_VISIBLE_DEVICES (NVIDIA) or ROCR_VISIBLE_DEVICES (AMD). all sets neither.",
    }),
    detach: flag({
      default: false,
      doc: "Let it run on when the agent ends, however that comes; the next agent with the same --id and --data-dir takes it over. Else it ends with the agent.",
    }),
    ready: custom<string>({
      default: "",
      kind: "url",
      placeholder: "URL",
      expected:
        "http://HOST:PORT/PATH, which answers 2xx when it is ready, or tcp://HOST:PORT, which takes connections then",
      emptyMeans: "it is ready once it runs",
      parse: (raw) => (typeof raw === "string" && readyCheck(raw) !== undefined ? raw : undefined),
      write: (value) => value,
      doc: "What tells that it is ready, and stays so.",
    }),
    readyTimeoutMs: duration({
      default: "15m",
      min: "100ms",
      max: "24h",
      doc: "For it to become ready after its start; then it is ended and counts as failed. Large models take minutes to load.",
    }),
    checkIntervalMs: duration({ default: "1s", min: "50ms", max: "1m", doc: "Time between two checks of readiness." }),
    checkTimeoutMs: duration({
      default: "5s",
      min: "50ms",
      max: "1m",
      doc: "For the answer of one check. The next one waits for it.",
    }),
    failuresMax: integer({
      default: 3,
      min: 1,
      max: 1000,
      doc: "As many checks in a row that fail make a ready one a failing one: requests go elsewhere.",
    }),
    failingMaxMs: duration({
      default: "5m",
      max: "24h",
      doc: "One that fails for this long hangs: it is ended and started again. 0 never does so.",
    }),
    restart: choice(["always", "on-failure", "never"], {
      default: "always",
      doc: "Whether it is started again when it ended by itself. on-failure: not after code 0.",
    }),
    pauseMinMs: duration({
      default: "1s",
      min: "10ms",
      max: "1h",
      doc: "Pause before it is started again. It doubles with each failure, and varies by a quarter, so that nodes that failed together do not come back in step.",
    }),
    pauseMaxMs: duration({ default: "1m", min: "10ms", max: "24h", doc: "The longest of these pauses." }),
    wellMs: duration({
      default: "5m",
      max: "24h",
      doc: "One that was ready for this long was well: pauses begin at the shortest again.",
    }),
    crashesMax: integer({
      default: 5,
      min: 1,
      max: 1000,
      doc: "As many failures within the window are a crash loop: it stays down.",
    }),
    crashWindowMs: duration({
      default: "15m",
      min: "1s",
      max: "24h",
      doc: "The window in which failures are counted.",
    }),
    crashPauseMs: duration({
      default: "30m",
      max: "7d",
      doc: "How long one in a crash loop stays down before it is tried again. 0: until it is told to start by hand.",
    }),
    stopTimeoutMs: duration({
      default: "30s",
      max: "1h",
      doc: "Between SIGTERM and SIGKILL when it is to end. All of its processes get both.",
    }),
    logSizeBytesMax: bytes({
      default: "16MiB",
      min: "4KiB",
      max: "1GiB",
      doc: "Size of one file of its log; then another one is begun.",
    }),
    logFilesMax: integer({
      default: 8,
      min: 1,
      max: 1000,
      doc: "Files of its log that are kept, the current one among them; older ones are compressed, then removed.",
    }),
  },
  {
    doc: "The runtime as a process of the agent's; nothing of it matters without a command.",
    check: ({ pauseMinMs, pauseMaxMs }) =>
      pauseMaxMs >= pauseMinMs
        ? []
        : [{ path: "exec.pauseMax", found: `${pauseMaxMs}ms`, expected: "at least exec.pauseMin" }],
  },
);

export type ExecConfig = Infer<typeof execSettings>;
