/**
 * A simulated router's part in letting one of them decide for all: the code that routers run (flow/mesh-desk.ts), over
 * packets that take their time. What is asked stays in the router's own room, as there.
 *
 * A request that comes while nobody waits, here or as the one that decides says, is bound at once where its router knows a
 * target that is open; nobody is asked about it.
 */
import type { DeskBound, DeskFigures, PlaceHome } from "../flow/desk-words.ts";
import { BINDING_KINDS, type Home, type LateRoom, type LateWaiter } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { LentLoad } from "../flow/lent-load.ts";
import { type DeskHost, MeshDesk } from "../flow/mesh-desk.ts";
import type { Computing, TargetPace } from "../flow/target-pace.ts";
import { Held } from "./held.ts";

/** A request that waits at another router, as the one that decides knows it. */
export class Guest implements LateWaiter {
  readonly promptTokens: number;
  readonly priority: number;
  readonly cameMs: number;
  readonly wantedMs: number;
  told: readonly Home[];
  homes: readonly Home[] = [];
  homesMs = 0;
  leastTokens = 0;
  slackMs = 0;
  at: { readonly target: number; readonly computing: Computing } | null = null;

  constructor({ tokens, priority, ageMs, wantedInMs, homes }: DeskFigures, nowMs: number) {
    this.promptTokens = tokens;
    this.priority = priority;
    this.cameMs = nowMs - ageMs;
    this.wantedMs = nowMs + wantedInMs;
    this.told = homesOf(homes);
  }
}

export type Waiting = Held | Guest;

/** The router that it is of. */
export interface DeskHands {
  readonly place: number;
  readonly room: LateRoom<Waiting>;
  readonly paces: readonly TargetPace[];
  readonly lent: readonly LentLoad[];
  homes(held: Held): readonly Home[];
  mayGo(target: number): boolean;
  othersTokens(target: number): number;
  /** Sends it there. */
  bind(held: Held, target: number, freshTokens: number, nowMs: number): void;
  tell(router: number, packet: Uint8Array, nowMs: number): void;
}

/** There is one model, and all routers know the same targets. */
const MODEL = 1;
const DIGEST = 0;
const PACKET_BYTES = 1400;

export class SimDesk implements DeskHost<Waiting> {
  readonly #hands: DeskHands;
  readonly #mesh: MeshDesk<Waiting>;
  readonly #own = new Set<Held>();
  /** Bound by another's word, without a first token. */
  readonly #elsewhere = new Map<number, Held>();
  #nowMs = 0;

  constructor(hands: DeskHands, config: LateConfig, routers: number) {
    this.#hands = hands;
    this.#mesh = new MeshDesk<Waiting>(nameOf(hands.place), config, PACKET_BYTES, 1, this);
    this.#mesh.present(
      Array.from({ length: routers }, (_, router) => nameOf(router)),
      0,
    );
  }

  /** When to call `serve` though nothing came. */
  get wakeAtMs(): number {
    const opensMs = this.#mesh.isElsewhere(MODEL) ? Infinity : this.#hands.room.wakeAtMs;
    return Math.min(opensMs, this.#mesh.wakeAtMs(this.#nowMs));
  }

  take(held: Held, nowMs: number): void {
    const { room } = this.#hands;
    this.#own.add(held);
    room.offer(held, nowMs);
    const isQuiet = room.waiting === 1 && !this.#mesh.isCrowdedElsewhere(MODEL, nowMs);
    if (!isQuiet || !this.#bindNext(nowMs)) this.#mesh.ask(held, MODEL, nowMs);
    this.serve(nowMs);
  }

  heard(router: number, packet: Uint8Array, nowMs: number): void {
    this.#mesh.receive(nameOf(router), packet, nowMs);
    this.serve(nowMs);
  }

  /** Its first token was seen, on its way back for so long. */
  firstToken(id: number, wayMs: number): void {
    const held = this.#elsewhere.get(id);
    if (held === undefined) return;
    this.#elsewhere.delete(id);
    this.#mesh.answered(held, wayMs);
  }

  /** It failed before that. */
  failed(id: number): void {
    const held = this.#elsewhere.get(id);
    if (held === undefined) return;
    this.#elsewhere.delete(id);
    this.#mesh.over(held);
  }

  serve(nowMs: number): void {
    this.#nowMs = nowMs;
    const mesh = this.#mesh;
    const isDue = mesh.wakeAtMs(nowMs) <= nowMs;
    if (isDue) mesh.wake(nowMs);
    while (!mesh.isElsewhere(MODEL) && this.#bindNext(nowMs));
    mesh.crowd(MODEL, this.#hands.room.waiting > 0 && !mesh.isElsewhere(MODEL));
    if (!isDue) return;
    for (const { to, packet } of mesh.take(nowMs)) this.#hands.tell(placeOf(to), packet, nowMs);
  }

  #bindNext(nowMs: number): boolean {
    const hands = this.#hands;
    const { room, paces, lent } = hands;
    const bound = room.next(nowMs);
    if (bound === null) return false;
    const { waiter, target, freshTokens: tokens, aheadMs, workMs, kind } = bound;
    if (waiter instanceof Held) {
      this.#own.delete(waiter);
      hands.bind(waiter, target, tokens, nowMs);
      return true;
    }
    const computing = { tokens, sentMs: nowMs, othersTokens: hands.othersTokens(target) };
    waiter.at = { target, computing };
    paces[target]!.sent(computing);
    lent[target]!.bound(tokens, nowMs);
    const why = { waiting: room.waiting + 1, aheadMs, workMs, kind: BINDING_KINDS.indexOf(kind) };
    this.#mesh.grant(waiter, { place: target, tokens, ...why });
    return true;
  }

  // ---- where requests may not go

  isPicky(waiter: Waiting): boolean {
    return waiter instanceof Guest && this.#mesh.isPicky(waiter);
  }

  mayGo(waiter: Waiting, target: number, nowMs: number): boolean {
    return this.#mesh.mayGo(waiter, target, nowMs);
  }

  // ---- what its part in the mesh asks of it

  figures(waiter: Waiting, nowMs: number): DeskFigures {
    const { promptTokens: tokens, priority, cameMs } = waiter;
    const nobodys = { tenant: 0, weight: 1, isSilent: false, session: null };
    return { tokens, priority, ageMs: nowMs - cameMs, wantedInMs: Infinity, ...nobodys, homes: this.homes(waiter) };
  }

  homes(waiter: Waiting): readonly PlaceHome[] {
    const homes = waiter instanceof Held ? this.#hands.homes(waiter) : waiter.told;
    return homes.map(({ target, tokens }) => ({ place: target, tokens }));
  }

  waiters(): Iterable<Waiting> {
    return this.#own;
  }

  digest(): number {
    return DIGEST;
  }

  bound(waiter: Waiting, { place, tokens }: DeskBound, _router: string, nowMs: number): boolean {
    if (!(waiter instanceof Held) || !this.#hands.mayGo(place)) return false;
    this.#own.delete(waiter);
    this.#hands.room.remove(waiter);
    this.#elsewhere.set(waiter.id, waiter);
    this.#hands.bind(waiter, place, tokens, nowMs);
    return true;
  }

  came(_model: number, figures: DeskFigures, nowMs: number): Guest {
    const guest = new Guest(figures, nowMs);
    this.#hands.room.offer(guest, nowMs);
    return guest;
  }

  rehomed(waiter: Waiting, homes: readonly PlaceHome[]): void {
    if (!(waiter instanceof Guest)) return;
    waiter.told = homesOf(homes);
    waiter.homesMs = -Infinity;
  }

  left(waiter: Waiting, nowMs: number): void {
    if (!(waiter instanceof Guest)) return;
    if (waiter.at === null) this.#hands.room.remove(waiter);
    else {
      const { target, computing } = waiter.at;
      this.#hands.paces[target]!.dropped(computing, nowMs);
      this.#hands.lent[target]!.done(computing.tokens, nowMs);
    }
  }

  answered(waiter: Waiting, atMs: number): void {
    if (!(waiter instanceof Guest) || waiter.at === null) return;
    const { target, computing } = waiter.at;
    this.#hands.paces[target]!.answered(computing, atMs);
    this.#hands.lent[target]!.done(computing.tokens, atMs);
  }

  unreached(waiter: Waiting, nowMs: number): void {
    if (waiter instanceof Guest && waiter.at !== null) {
      this.#hands.room.returned(waiter, waiter.at.computing.tokens);
    }
    this.left(waiter, nowMs);
  }

  touched(): void {
    // Whatever happens, all of it is looked at.
  }
}

function homesOf(homes: readonly PlaceHome[]): readonly Home[] {
  return homes.map(({ place, tokens }) => ({ target: place, tokens }));
}

function nameOf(router: number): string {
  return `router-${router}`;
}

function placeOf(name: string): number {
  return Number(name.slice("router-".length));
}
