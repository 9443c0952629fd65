/** A simulated router's second tries, for what is late: as the real one's, by flow/hedge.ts. */
import { defaultsOf } from "../base/settings-reading.ts";
import { Hedge } from "../flow/hedge.ts";
import { flowSettings } from "../flow/settings.ts";
import type { Sent } from "./sent.ts";

/** What is asked of the router. */
interface Hedging {
  later(atMs: number, happens: (nowMs: number) => void): void;
  /** Sends it to another node as well; null: there is none. */
  again(sent: Sent, nowMs: number): Sent | null;
  /** It is not wanted any more. */
  drop(sent: Sent, nowMs: number): void;
}

export class SimHedges {
  readonly #hedge = new Hedge(defaultsOf(flowSettings).hedge, 0);
  readonly #router: Hedging;

  constructor(router: Hedging) {
    this.#router = router;
  }

  /** It was sent for the first time. */
  plan(sent: Sent, nowMs: number): void {
    this.#hedge.request(nowMs, true);
    const delayMs = this.#hedge.delayMs();
    if (delayMs === Infinity) return;
    this.#router.later(nowMs + delayMs, (atMs) => {
      if (sent.isDecoding || sent.hasFailed || !this.#hedge.tryHedge(atMs)) return;
      const twin = this.#router.again(sent, atMs);
      if (twin === null) return;
      sent.twin = twin;
      twin.twin = sent;
    });
  }

  /** Its first token came: the other one, if there is one, is too late. */
  answered({ sentMs, twin }: Sent, nowMs: number): void {
    this.#hedge.observe(nowMs - Math.min(sentMs, twin?.sentMs ?? Infinity), nowMs);
    if (twin === null || twin.hasFailed) return;
    twin.isOver = true;
    this.#router.drop(twin, nowMs);
  }

  /** Whether one that failed may still be answered by its twin. */
  isElsewhere({ twin }: Sent): boolean {
    return twin !== null && !twin.hasFailed;
  }
}
