/** Agents whose GPUs are those of a double of libnvidia-ml, and what they and their probes cost. */
import { dlopen, ptr } from "bun:ffi";
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

const LIBC = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
/** The last bits of a clock's number: of a process, by the scheduler's count (CPUCLOCK_SCHED). */
const OF_PROCESS = 2;

/** Of all threads that they have or had. */
export function cpuSeconds(pids: readonly number[]): number {
  const time = new BigInt64Array(2);
  let seconds = 0;
  for (const pid of pids) {
    // clock_getcpuclockid's answer; a process that isn't there any more has no such clock.
    if (LIBC.symbols.clock_gettime((~pid << 3) | OF_PROCESS, ptr(time)) !== 0) throw new Error(`no process ${pid}`);
    seconds += Number(time[0]) + Number(time[1]) / 1e9;
  }
  return seconds;
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
