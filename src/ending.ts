/**
 * How a router ends: first, for `drainDelay`, it only says that it will, so that nobody is sent here by the time that its
 * port closes; then what is in flight ends, or what is left after `drainTimeout` is cut. One that a successor has taken
 * over from lets its connections end in their own time.
 */
import type { RouterConfig } from "./config.ts";
import type { Control } from "./control.ts";
import type { Journal } from "./mesh/journal.ts";
import { supervisor } from "./net/supervisor.ts";
import type { Stopped } from "./process.ts";
import type { Crew } from "./proxy/crew.ts";
import type { Standing } from "./standing.ts";
import type { Handover } from "./succession.ts";
import type { Targets } from "./targets.ts";

/** For telling the mesh that this router leaves. */
const LEAVE_MS = 1000;

export interface Parts {
  readonly crew: Crew;
  readonly handover: Handover;
  readonly standing: Standing;
  readonly control: Control;
  readonly targets: Targets;
  readonly journal: Journal;
  readonly stopped: Stopped;
}

/** Resolves when nothing is in flight any more; with false if something was cut, as all is where the router has failed. */
export async function runDry(parts: Parts, config: RouterConfig, hasFailed: boolean): Promise<boolean> {
  const { crew, handover, standing, control, targets, journal, stopped } = parts;
  const { drainDelayMs, handoverTimeoutMs } = config;
  const drainTimeoutMs = hasFailed ? 0 : config.drainTimeoutMs;
  if (handover.isDone) {
    // The successor serves these ports now; a signal hastens what is left to do here.
    supervisor.retire();
    targets.drain();
    journal.end();
    const retired = crew.retire(handoverTimeoutMs);
    const hastened = stopped.signalled.then(() => crew.drain(drainTimeoutMs));
    const [clean] = await Promise.all([Promise.race([retired, hastened]), control.stop()]);
    return clean;
  }
  supervisor.stopping(drainDelayMs + drainTimeoutMs);
  if (drainDelayMs > 0 && !hasFailed) {
    crew.ebb();
    await Bun.sleep(drainDelayMs);
  }
  targets.drain();
  const clean = await crew.drain(drainTimeoutMs);
  // Until its last request ends, the other routers must know of its load.
  await standing.leave(LEAVE_MS);
  return clean;
}
