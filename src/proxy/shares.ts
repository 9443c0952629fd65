/**
 * A worker's shares of quotas (policy/share-spender.ts), with a timer that asks for them: the main thread puts the wants
 * of all workers together and asks the store. Nothing is asked while no quota is spent.
 */
import type { QuotaSpec } from "../policy/spec.ts";
import { ShareSpender } from "../policy/share-spender.ts";
import type { Grant, Want } from "../policy/want.ts";
import { nowMs, tick } from "./clock.ts";

/** Asks of one turn go together, and a burst of refusals makes no burst of messages. */
const ASK_MS_MIN = 10;

/** Sends what is wanted, and how many requests each quota refused since it was last told. */
export type Ask = (wants: readonly Want[], refused: readonly (readonly [quota: string, requests: number])[]) => void;

export class Shares {
  readonly #spender: ShareSpender;
  readonly #ask: Ask;
  /** Told when the timer is due, so that the transport wakes for it. */
  readonly #wakeAt: (atMs: number) => void;
  readonly #refused = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;

  constructor(holder: string, holders: number, wakeAt: (atMs: number) => void, ask: Ask) {
    this.#spender = new ShareSpender(holder, holders);
    this.#wakeAt = wakeAt;
    this.#ask = ask;
  }

  put(quota: string, spec: QuotaSpec): void {
    this.#spender.put(quota, spec);
  }

  delete(quota: string): void {
    this.#spender.delete(quota);
    this.#refused.delete(quota);
  }

  /** 0: the request may go on, and is counted in each quota. Else after how many milliseconds it may come again. */
  spend(quotas: readonly string[], tokens: number): number {
    const waitMs = this.#spender.spend(quotas, tokens, nowMs());
    if (waitMs > 0) {
      const { refusing } = this.#spender;
      this.#refused.set(refusing, (this.#refused.get(refusing) ?? 0) + 1);
    }
    this.#schedule();
    return waitMs;
  }

  /** The quota for which the last request was refused. */
  get refusing(): string {
    return this.#spender.refusing;
  }

  /** A request that went on is over; it took so many tokens more than it was counted with, or fewer. */
  end(quotas: readonly string[], tokens: number): void {
    if (tokens !== 0) this.#spender.settle(quotas, tokens, nowMs());
    this.#spender.end(quotas);
  }

  /** How many workers all routers have. */
  set holders(count: number) {
    this.#spender.holders = count;
  }

  granted(grants: readonly Grant[], holders: number): void {
    this.#spender.holders = holders;
    this.#spender.granted(grants);
    this.#schedule();
  }

  #schedule(): void {
    const atMs = Math.max(this.#spender.wakeAtMs, nowMs() + ASK_MS_MIN);
    if (atMs >= this.#timerAtMs || atMs === Infinity) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#wakeAt(atMs);
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, atMs - performance.now()));
  }

  #wake(): void {
    const now = tick();
    this.#timerAtMs = Infinity;
    this.#wakeAt(Infinity);
    const wants = this.#spender.wants(now);
    const refused = [...this.#refused];
    this.#refused.clear();
    if (wants.length + refused.length > 0) this.#ask(wants, refused);
    this.#schedule();
  }
}
