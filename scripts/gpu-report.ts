/** The report of gpu-check.ts, as docs/gpu-check.md has it. */
import type { BenchOutcome } from "../src/gpu/bench-run.ts";
import type { GpuReading, GpuStack } from "../src/health/reading.ts";
import type { Comparison, Difference } from "./gpu-compare.ts";

export interface Latency {
  readonly name: string;
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface CheckReport {
  readonly date: Date;
  readonly stack: GpuStack;
  /** As nvidia-smi says. */
  readonly driver: string;
  readonly gpus: readonly GpuReading[];
  readonly comparison: Comparison;
  readonly latencies: readonly Latency[];
  readonly memory: { readonly looks: number; readonly growthBytes: number; readonly seconds: number };
  readonly bench: readonly BenchOutcome[];
  /** What was seen of each GPU at work. */
  readonly work: readonly string[];
  /** All that does not fit, of whatever kind. */
  readonly faults: readonly Difference[];
}

/** As the formatter writes tables. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, at) => Math.max(3, ...cells.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |`;
  const [first = [], ...others] = cells;
  return [line(first), line(widths.map((width) => "-".repeat(width))), ...others.map(line)].join("\n");
}

const differences = (all: readonly Difference[], theirs: string): string =>
  table(
    ["GPU", "figure", "ours", theirs],
    all.map(({ uuid, figure, ours, smi }) => [uuid, figure, ours, smi]),
  );

export function reportText(report: CheckReport): string {
  const { stack, comparison, memory, faults } = report;
  const rate = (figure: number | undefined, scale: number): string =>
    figure === undefined ? "-" : (figure / scale).toFixed(1);
  const parts = [
    "# The GPU plane on a real GPU",
    "Written by `bun scripts/gpu-check.ts`, which compares what infermesh reads with `nvidia-smi -q -x`, times it, watches its memory, and runs the benchmark of GPUs. The newest report stands here. nvidia-smi's document has no energy, no compute capability, no state of NVLinks and no rates by which to judge ours: those are not compared.",
    table(
      ["", ""],
      [
        ["date", report.date.toISOString().slice(0, 10)],
        [
          "driver",
          `${stack.driverVersion ?? report.driver} (NVML ${stack.libraryVersion ?? "-"}, CUDA ${stack.cudaVersion ?? "-"})`,
        ],
        ["library", stack.source],
        ...report.gpus.map(({ uuid, identity }) => [`GPU ${identity.index}`, `${identity.name}, ${uuid}`]),
        ["figures compared", String(comparison.compared)],
        ["do not fit", String(faults.length)],
      ],
    ),
    "## What does not fit",
    faults.length === 0 ? "Nothing." : differences(faults, "expected"),
    "## What only infermesh tells",
    comparison.onlyOurs.length === 0 ? "Nothing." : differences(comparison.onlyOurs, "nvidia-smi"),
    "## Time of a look at all GPUs, microseconds",
    table(
      ["group", "looks", "p50", "p99"],
      report.latencies.map(({ name, count, p50Us, p99Us }) => [
        name,
        String(count),
        p50Us.toFixed(0),
        p99Us.toFixed(0),
      ]),
    ),
    "## Memory",
    `${memory.looks} looks at the load in ${memory.seconds.toFixed(0)} s: resident memory grew by ${(memory.growthBytes / 2 ** 20).toFixed(1)} MiB.`,
    "## Benchmark",
    table(
      ["GPU", "state", "copy GB/s", "triad GB/s", "FP16 matrix TFLOP/s", "FP32 TFLOP/s"],
      report.bench.map(({ index, state, figures }) => [
        String(index),
        state,
        rate(figures?.copyBytesPerSecond, 1e9),
        rate(figures?.triadBytesPerSecond, 1e9),
        rate(figures?.tensorFlops, 1e12),
        rate(figures?.fp32Flops, 1e12),
      ]),
    ),
    "## At work",
    report.work.length === 0 ? "No GPU was put to work." : report.work.map((fact) => `- ${fact}`).join("\n"),
  ];
  return `${parts.join("\n\n")}\n`;
}
