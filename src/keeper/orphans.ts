/**
 * Processes that lose their parent while they descend from a keeper: engines in sessions of their own, daemons. The kernel
 * gives them to the keeper rather than to init, so that all that comes of a runtime can be found below it; and the keeper
 * waits for those that end, as init would, or each would keep its number for as long as the runtime runs.
 */
import { openLibc } from "../net/libc.ts";
import { endedChildren } from "./proc.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;
/** Many that end at once are looked for once. */
const LOOK_MS = 50;

/** From now on; no kernel since 3.4 refuses it. */
export function adoptOrphans(): void {
  openLibc()?.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/** Waits for each child that ends, but for the one that Bun waits for. */
export function buryOthers(own: number): void {
  const libc = openLibc();
  if (libc === null) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (): void => {
    timer = undefined;
    for (const pid of endedChildren()) if (pid !== own) libc.waitpid(pid, null, WNOHANG);
  };
  const soon = (): void => {
    if (timer === undefined) timer = setTimeout(look, LOOK_MS).unref();
  };
  process.on("SIGCHLD", soon);
  soon();
}
