/**
 * How a mesh that fell apart grows together. Failed members are tried again, by the mesh as a whole about once an
 * interval each, however many members it has. When one of them answers, a partition may be over: then all failed ones
 * are tried fast. A try tells its target that it is held for dead, and so it refutes. Whom another member holds for
 * dead and we do not is doubted: we probe it, and tell it by that.
 */
import type { Prng } from "../base/prng.ts";
import { type Members, STATUS } from "./members.ts";
import type { SwimConfig } from "./settings.ts";
import { PROBE } from "./timer.ts";

const TRIES_A_TICK = 8;
/** After a failed member answered, the others are tried fast for this long. */
const HEALING_MS = 15_000;

export class Healing {
  readonly #members: Members;
  readonly #config: SwimConfig;
  readonly #prng: Prng;
  readonly #probe: (kind: number, member: number) => void;
  readonly #doubted: number[] = [];
  /** When a member was last told of something. */
  readonly #toldAtMs = new Map<number, number>();
  #untilMs = -Infinity;
  #cursor = 0;
  #hurriedAtMs = -Infinity;

  constructor(members: Members, config: SwimConfig, prng: Prng, probe: (kind: number, member: number) => void) {
    this.#members = members;
    this.#config = config;
    this.#prng = prng;
    this.#probe = probe;
  }

  /** Others hold the member for dead, and we do not. */
  doubt(member: number): void {
    if (this.#doubted.includes(member) || this.#doubted.length >= this.#config.rumoursMax) return;
    this.#doubted.push(member);
  }

  /** A tick: tries whom it is time to try; when the next one is due. */
  wake(nowMs: number): number {
    const members = this.#members;
    const isHealing = nowMs < this.#untilMs;
    for (let count = 0; count < TRIES_A_TICK; count += 1) {
      const member = this.#doubted.pop();
      if (member === undefined) break;
      if (members.present(member)) this.#probe(PROBE.witness, member);
    }
    const lost = members.lost.length;
    if (isHealing) {
      for (let count = Math.min(TRIES_A_TICK, lost); count > 0; count -= 1) {
        this.#cursor = (this.#cursor + 1) % lost;
        this.#try(members.lost[this.#cursor]!);
      }
    } else if (lost > 0 && this.#prng.next() * (members.presentCount + 1) < lost) {
      this.#try(members.lost[this.#prng.int(lost)]!);
    }
    const { gossipIntervalMs, reconnectIntervalMs } = this.#config;
    const isBusy = isHealing || this.#doubted.length > 0;
    return nowMs + (isBusy ? gossipIntervalMs : reconnectIntervalMs) * (0.9 + 0.2 * this.#prng.next());
  }

  /** A failed member answered; whether it is the first for a while. */
  answered(nowMs: number): boolean {
    const isFirst = nowMs >= this.#untilMs;
    this.#untilMs = nowMs + HEALING_MS;
    return isFirst;
  }

  /** A failed member speaks: it must learn what we hold, so that it refutes. */
  tell(member: number, nowMs: number): void {
    if (this.mayTell(member, nowMs, this.#config.probeIntervalMs)) this.#try(member);
  }

  /** Whether the member was told nothing for that long; it is now. */
  mayTell(member: number, nowMs: number, pauseMs: number): boolean {
    if (nowMs - (this.#toldAtMs.get(member) ?? -Infinity) < pauseMs) return false;
    this.#toldAtMs.set(member, nowMs);
    return true;
  }

  /**
   * A failed member is back. While others are not, a partition may be over, and some of much news gets lost: when to
   * compare everything with another member, or Infinity.
   */
  hurry(nowMs: number): number {
    if (this.#members.lost.length === 0 || nowMs < this.#hurriedAtMs + HEALING_MS) return Infinity;
    this.#hurriedAtMs = nowMs;
    return nowMs + HEALING_MS * (0.4 + 0.6 * this.#prng.next());
  }

  forget(member: number): void {
    this.#toldAtMs.delete(member);
  }

  #try(member: number): void {
    if (this.#members.status[member] === STATUS.failed) this.#probe(PROBE.reconnect, member);
  }
}
