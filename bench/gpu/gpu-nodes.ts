/** Agents whose GPUs are those of a double of libnvidia-ml, and what they and their probes cost. */
import { readdirSync, readFileSync } from "node:fs";
import { Double } from "../../tests/gpu/double.ts";
import { sourceOf } from "../../tests/process/gpu-source.ts";
import { Bench, EXECUTABLE, type Started, until } from "../../tests/process/harness.ts";
import { commandLine, descendants, memory } from "../../tests/process/proc.ts";

/** The scenario's GPUs have some wear; these have none. */
export const WELL = ["gpu*.ecc_uncorrected = 0", "gpu*.reasons = 0"];
/** Looking at the scenario's time at each call is none of a driver's cost. */
export const CALM = ["recheck_ms = 1000"];
const READY_MS = 30_000;

export class GpuNodes {
  readonly bench = new Bench();

  /** One that plays this scenario, with lines that change it. */
  double(scenario: string, ...more: readonly string[]): Double {
    const double = new Double();
    double.play(scenario, ...WELL, ...more);
    return double;
  }

  /** That reads the double by a probe; without one it has no GPUs. It is ready when all groups are read. */
  async agent(id: string, double: Double | null, ...args: readonly string[]): Promise<Started> {
    const gpu =
      double === null
        ? ["--gpu", "none"]
        : ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", double.root];
    const agent = await this.bench.agent(id, null, "--join", "127.0.0.1:1", "--swim-profile", "local", ...gpu, ...args);
    if (double !== null) await until(async () => (await sourceOf(agent)).state === "ok", READY_MS);
    return agent;
  }

  async end(): Promise<void> {
    await this.bench.end();
  }
}

/** The agent's own and its probe's. */
export function pidsOf({ process }: Started): number[] {
  const probes = descendants(process.pid).filter((child) => commandLine(child).includes("gpu-probe"));
  return [process.pid, ...probes.map(({ pid }) => pid)];
}

/** Of all threads, so far; those of threads that have ended by then are not in it. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    }
  }
  return nanoseconds / 1e9;
}

/** Their shares of the memory that they have, in MB. */
export function shareMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const { resident, proportional } = memory(pid);
    return sum + (proportional ?? resident) / 1e6;
  }, 0);
}

/** Ends the quarantine of all GPUs of a node, as an operator does. */
export async function uncordon(agent: Started, id: string): Promise<void> {
  const args = ["ctl", "uncordon", id, "--gpu", "all", "--endpoint", `http://${agent.address("api")}`];
  const child = Bun.spawn([EXECUTABLE, ...args], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const code = await child.exited;
  if (code !== 0) throw new Error(`uncordon ended with ${code}: ${await child.stderr.text()}`);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
