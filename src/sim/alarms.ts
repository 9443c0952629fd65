/** When simulated routers are to look at what they hold, as entries in the queue of events. None where nothing is held. */
import { NO_ENTRY } from "./event-queue.ts";
import type { SimRouter } from "./sim-router.ts";

type Happens = (nowMs: number) => void;

/** The queue of events. */
interface Queue {
  at(atMs: number, happens: Happens): number;
  remove(entry: number): void;
}

export class Alarms {
  readonly #queue: Queue;
  readonly #alarms: { atMs: number; entry: number; readonly router: SimRouter; readonly serve: Happens }[];

  constructor(routers: readonly SimRouter[], queue: Queue) {
    this.#queue = queue;
    this.#alarms = routers.map((router, at) => ({
      atMs: Infinity,
      entry: NO_ENTRY,
      router,
      serve: (nowMs) => {
        this.#alarms[at]!.entry = NO_ENTRY;
        router.serve(nowMs);
      },
    }));
  }

  /** Brings them in line with what routers want now. */
  set(nowMs: number): void {
    for (const alarm of this.#alarms) {
      const { wakeAtMs } = alarm.router;
      if (alarm.atMs === wakeAtMs && (alarm.entry !== NO_ENTRY || wakeAtMs === Infinity)) continue;
      if (alarm.entry !== NO_ENTRY) this.#queue.remove(alarm.entry);
      alarm.atMs = Math.max(nowMs, wakeAtMs);
      alarm.entry = wakeAtMs < Infinity ? this.#queue.at(alarm.atMs, alarm.serve) : NO_ENTRY;
    }
  }
}
