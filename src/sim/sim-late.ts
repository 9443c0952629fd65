/** How a simulated router binds late: its room, what it thinks of its targets, and, where routers let one of them decide, its desk. */
import { type Home, LateRoom } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { LentLoad } from "../flow/lent-load.ts";
import { type Computing, TargetPace } from "../flow/target-pace.ts";
import { defaultsOf } from "../base/settings-reading.ts";
import { costSettings, KV_USAGE_MAX } from "../score/cost.ts";
import type { TargetView } from "../score/view.ts";
import { Held } from "./held.ts";
import type { Network } from "./network.ts";
import type { KnownPrefixes } from "./prefixes.ts";
import type { Sent } from "./sent.ts";
import { SimDesk, type Waiting } from "./sim-desk.ts";

/** What the router that it is of knows, a column a figure. */
export interface LateKnowledge {
  readonly view: TargetView;
  /** One way to each of the targets. */
  readonly waysMs: Float64Array;
  /** What others have there, and when that was so. */
  readonly othersTokens: Float64Array;
  readonly othersMs: Float64Array;
  readonly prefixes: KnownPrefixes;
  readonly network: Network;
  /** Of each target, what it takes its prefill rate for. */
  readonly rates: readonly number[];
  /** Of each, whether another router prefers it. */
  readonly areOthers: readonly boolean[];
  /** How old what it knows of others may be. */
  readonly toldMs: number;
}

const OTHER_SHARE_MS = defaultsOf(costSettings).otherShareSeconds * 1000;

export type Bind = (held: Held, target: number, freshTokens: number, nowMs: number) => void;

export class SimLate {
  readonly #knows: LateKnowledge;
  readonly #bind: Bind;
  readonly #paces: readonly TargetPace[];
  /** Of other routers' prompts; none where each decides alone. */
  readonly #lent: readonly LentLoad[];
  readonly #room: LateRoom<Waiting>;
  readonly #desk: SimDesk | null;
  #nowMs = 0;

  constructor(config: LateConfig, knows: LateKnowledge, bind: Bind) {
    const { rates, network, toldMs } = knows;
    const isShared = network.deciding > 1;
    this.#knows = knows;
    this.#bind = bind;
    this.#paces = rates.map((rate) => new TargetPace(1000 / rate));
    this.#lent = isShared ? rates.map(() => new LentLoad(toldMs)) : [];
    this.#room = this.#roomOf(config);
    this.#desk = isShared ? this.#deskOf(config) : null;
  }

  #roomOf(config: LateConfig): LateRoom<Waiting> {
    const { view, waysMs, othersMs, areOthers } = this.#knows;
    const { count, routable, kvUsage, active } = view;
    const paces = this.#paces;
    const targets = {
      count,
      pace: (target: number) => paces[target]!,
      hasRoom: (target: number) => routable[target] === 1 && kvUsage[target]! < KV_USAGE_MAX,
      networkMs: (target: number) => waysMs[target]!,
      active: (target: number) => active[target]! + (this.#lent[target]?.untold(this.#nowMs) ?? 0),
      othersTokens: (target: number) => this.othersTokens(target),
      othersMs: (target: number) => othersMs[target]!,
      // Whose share it is in matters only to who is bound at once.
      delayMs: (target: number) => (areOthers[target] === true && this.#room.waiting < 2 ? OTHER_SHARE_MS : 0),
    };
    return new LateRoom(config, targets, (waiter) => this.#homes(waiter), {
      isPicky: (waiter) => this.#desk?.isPicky(waiter) === true,
      mayGo: (waiter, target, nowMs) => this.#desk?.mayGo(waiter, target, nowMs) !== false,
    });
  }

  #deskOf(config: LateConfig): SimDesk {
    const { network, view } = this.#knows;
    const hands = {
      place: network.place,
      room: this.#room,
      paces: this.#paces,
      lent: this.#lent,
      homes: (held: Held) => this.#homes(held),
      mayGo: (target: number) => view.routable[target] === 1,
      othersTokens: (target: number) => this.othersTokens(target),
      bind: this.#bind,
      tell: (router: number, packet: Uint8Array, nowMs: number) => network.tell(router, packet, nowMs),
    };
    return new SimDesk(hands, config, network.deciding);
  }

  #homes(waiter: Waiting): readonly Home[] {
    return waiter instanceof Held ? this.#knows.prefixes.homes(waiter.arrival.hashes) : waiter.told;
  }

  /** Tokens that others have there, but for such as this desk has bound for them. */
  othersTokens(target: number): number {
    const tokens = this.#knows.othersTokens[target]!;
    return this.#lent[target]?.unknown(tokens, this.#nowMs) ?? tokens;
  }

  /** Requests that wait here, its own and others'. */
  get waiting(): number {
    return this.#room.waiting;
  }

  /** When to call `serve` though nothing came. */
  get wakeAtMs(): number {
    return this.#desk?.wakeAtMs ?? this.#room.wakeAtMs;
  }

  take(held: Held, nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#desk !== null) {
      this.#desk.take(held, nowMs);
      return;
    }
    this.#room.offer(held, nowMs);
    this.serve(nowMs);
  }

  /** Another router has said something. */
  heard(router: number, packet: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#desk?.heard(router, packet, nowMs);
  }

  /** Binds what may go now. */
  serve(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#desk !== null) {
      this.#desk.serve(nowMs);
      return;
    }
    for (let bound = this.#room.next(nowMs); bound !== null; bound = this.#room.next(nowMs)) {
      const { waiter, target, freshTokens } = bound;
      // Nobody else's waits here.
      if (waiter instanceof Held) this.#bind(waiter, target, freshTokens, nowMs);
    }
  }

  /** A prompt goes there. */
  sent(target: number, tokens: number, nowMs: number): Computing {
    const sentMs = nowMs + this.#knows.waysMs[target]!;
    const computing = { tokens, sentMs, othersTokens: this.othersTokens(target) };
    this.#paces[target]!.sent(computing);
    return computing;
  }

  firstToken({ id, target, computing }: Sent, nowMs: number): void {
    if (computing === null) return;
    const wayMs = this.#knows.waysMs[target]!;
    this.#paces[target]!.answered(computing, nowMs - wayMs);
    this.#desk?.firstToken(id, wayMs);
    this.serve(nowMs);
  }

  /** It has failed before that. */
  failed({ id, target, computing }: Sent, nowMs: number): void {
    if (computing === null) return;
    this.#paces[target]!.dropped(computing, nowMs);
    this.#desk?.failed(id);
  }

  assume(target: number, msPerToken: number, nowMs: number): void {
    this.#paces[target]!.assume(msPerToken, nowMs);
  }
}
