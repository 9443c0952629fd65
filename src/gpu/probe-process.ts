/** The probe as a process: its command line, its pipes and its end. */
import { writeSync } from "node:fs";
import { openLibc } from "../net/libc.ts";
import { driverMark } from "./driver-mark.ts";
import { type Openers, runProbe } from "./probe.ts";
import { ProbeOutput } from "./probe-output.ts";
import { readProbeSpec } from "./probe-spec.ts";

const STDOUT = 1;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const EXIT_USAGE = 2;

/** Runs until it is to end, and ends the process. */
export async function probeProcess(args: readonly string[], openers: Openers): Promise<never> {
  const spec = args.length === 1 ? readProbeSpec(args[0]!) : undefined;
  if (spec === undefined) {
    process.stderr.write("infermesh gpu-probe: agents start it by themselves, with a text that says what to read\n");
    process.exit(EXIT_USAGE);
  }
  let isEnding = false;
  let wake = (): void => {};
  const end = (): void => {
    isEnding = true;
    wake();
  };
  process.on("SIGTERM", end);
  // Ctrl-C at a terminal reaches the agent as well, which ends this process when it wants to.
  process.on("SIGINT", () => {});
  process.on("SIGHUP", () => {});
  dieWithParent();
  process.stdin.on("end", end).on("close", end).on("error", end);
  process.stdin.resume();
  const code = await runProbe(spec, {
    output: new ProbeOutput((bytes) => writeSync(STDOUT, bytes)),
    openers,
    driverMark: () => driverMark(spec.root, spec.vendors),
    nowMs: () => performance.now(),
    sleep(ms) {
      if (isEnding) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      return promise;
    },
    isEnding: () => isEnding,
  });
  process.exit(code);
}

/** A call that hangs hears of no end; the kernel ends the process even so. Where it can't, the call has to come back first. */
export function dieWithParent(): void {
  const parent = process.ppid;
  openLibc()?.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // It went before it could be asked for.
  if (process.ppid !== parent) process.exit(0);
}
