/** How a runtime's process ended, in words that tell an operator where to look. */

export interface RuntimeExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Processes of its cgroup that the kernel ended for lack of memory while it ran; undefined where that is not told. */
  readonly oomKills?: number | undefined;
  /** The end of what it wrote, oldest line first. */
  readonly lastLines: readonly string[];
}

/** Why it ended, as counters have it. */
export const EXIT_REASONS = [
  "asked",
  "unwell",
  "not_started",
  "out_of_memory",
  "signal",
  "failed",
  "finished",
  "unseen",
] as const;
export type ExitReason = (typeof EXIT_REASONS)[number];

/** Of one that ended by itself. */
export function exitReason({ code, signal, oomKills = 0 }: RuntimeExit): ExitReason {
  if (oomKills > 0) return "out_of_memory";
  if (signal !== null) return "signal";
  if (code === null) return "unseen";
  return code === 0 ? "finished" : "failed";
}

/** What shells make of a process that a signal ended: 128 and the signal's number. */
const CODE_KILLED = 137;
const CODE_SEGV = 139;
const CODE_TERM = 143;
const NO_MEMORY = "lack of memory";

/** Nobody saw how it ended: what watched it was gone first. */
export const UNSEEN: RuntimeExit = { code: null, signal: null, lastLines: [] };

/** It was ended by an agent on purpose where `isAsked`: then a SIGKILL is the agent's own. */
export function exitWords({ code, signal, oomKills = 0 }: RuntimeExit, isAsked: boolean): string {
  const isKilled = (signal === "SIGKILL" || code === CODE_KILLED) && !isAsked;
  if (signal === "SIGKILL" && oomKills > 0 && !isAsked)
    return `killed by the kernel for ${NO_MEMORY} (SIGKILL, oom_kill)`;
  const how = plainWords(code, signal);
  if (oomKills > 0) return `${how}, after the kernel had killed a process of it for ${NO_MEMORY} (oom_kill)`;
  return isKilled ? `${how}, which nobody here asked for: perhaps by the kernel, for ${NO_MEMORY}` : how;
}

function plainWords(code: number | null, signal: string | null): string {
  if (signal !== null) return `ended by ${signal}`;
  if (code === null) return "ended, nobody saw how";
  if (code === 127) return "ended with code 127, which says that a program was not found";
  if (code === 126) return "ended with code 126, which says that a program could not be run";
  if (code === CODE_KILLED) return "ended with code 137, as after SIGKILL";
  if (code === CODE_SEGV) return "ended with code 139, as after SIGSEGV";
  if (code === CODE_TERM) return "ended with code 143, as after SIGTERM";
  return `ended with code ${code}`;
}
