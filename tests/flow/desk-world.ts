/** Some routers whose desks decide for one another, over a network that may lose, delay and part; with a clock of its own. */
import { Prng } from "../../src/base/prng.ts";
import { type DeskHost, MeshDesk } from "../../src/flow/mesh-desk.ts";
import type { DeskBound, DeskFigures, PlaceHome } from "../../src/flow/desk-words.ts";

const PACKET_BYTES = 1400;
export const SILENCE_MS = 250;
const PROMPT_MS = 20;
/** Requests that a desk gives to a place at a time. */
const WINDOW = 2;

/** A request, at the router that it came to; or what another router knows of it. */
export class Ask {
  readonly model: number;
  readonly cameMs: number;
  readonly isGuest: boolean;
  homes: readonly PlaceHome[] = [];
  place = -1;
  /** Who decided, and when. */
  by = "";
  boundMs = -1;
  doneMs = Infinity;
  hasLeft = false;

  constructor(model: number, cameMs: number, isGuest: boolean) {
    this.model = model;
    this.cameMs = cameMs;
    this.isGuest = isGuest;
  }
}

export class Router implements DeskHost<Ask> {
  readonly id: string;
  readonly world: DeskWorld;
  readonly desk: MeshDesk<Ask>;
  readonly waiting = new Set<Ask>();
  readonly asked: Ask[] = [];
  /** Given to each place by this desk. */
  readonly given = new Map<number, number>();
  readonly unreachable = new Set<number>();
  places: readonly number[];
  isDead = false;
  isHung = false;
  guestsSeen = 0;

  constructor(world: DeskWorld, id: string, life: number) {
    this.world = world;
    this.id = id;
    this.places = world.places;
    const config = { silenceMs: SILENCE_MS, refreshMs: 100 };
    this.desk = new MeshDesk<Ask>(id, config, PACKET_BYTES, life, this);
  }

  send(model: number): Ask {
    const ask = new Ask(model, this.world.nowMs, false);
    this.asked.push(ask);
    this.waiting.add(ask);
    this.desk.ask(ask, model, this.world.nowMs);
    this.serve();
    return ask;
  }

  leave(ask: Ask): void {
    ask.hasLeft = true;
    this.waiting.delete(ask);
    if (ask.place >= 0 && !this.desk.isAsked(ask)) this.#give(ask.place, -1);
    ask.doneMs = Infinity;
    this.desk.over(ask);
  }

  serve(): void {
    const { nowMs } = this.world;
    for (const ask of this.waiting) {
      if (this.desk.isElsewhere(ask.model)) continue;
      const place = this.places.find((one) => {
        const isOpen = (this.given.get(one) ?? 0) < WINDOW;
        return isOpen && (ask.isGuest ? this.desk.mayGo(ask, one, nowMs) : !this.unreachable.has(one));
      });
      if (place === undefined) continue;
      this.waiting.delete(ask);
      this.#give(place, 1);
      ask.place = place;
      const why = { tokens: 1, waiting: this.waiting.size + 1, aheadMs: 0, workMs: PROMPT_MS, kind: 1 };
      if (ask.isGuest) this.desk.grant(ask, { place, ...why });
      else this.#begin(ask, this.id);
    }
    for (const model of this.world.models) {
      const isCrowded = [...this.waiting].some((ask) => ask.model === model);
      this.desk.crowd(model, isCrowded && !this.desk.isElsewhere(model));
    }
  }

  step(): void {
    const { nowMs } = this.world;
    for (const ask of this.asked) {
      if (ask.doneMs > nowMs) continue;
      ask.doneMs = Infinity;
      if (this.desk.isAsked(ask)) this.desk.answered(ask, 0);
      else if (ask.by === this.id) this.#give(ask.place, -1);
    }
    if (this.desk.wakeAtMs(nowMs) <= nowMs) this.desk.wake(nowMs);
    this.serve();
    for (const { to, packet } of this.desk.take(nowMs)) this.world.carry(this.id, to, packet);
  }

  #give(place: number, count: number): void {
    this.given.set(place, (this.given.get(place) ?? 0) + count);
  }

  #begin(ask: Ask, by: string): void {
    if (ask.boundMs >= 0) throw new Error(`a request of ${this.id} is bound twice`);
    ask.boundMs = this.world.nowMs;
    ask.by = by;
    ask.doneMs = this.world.compute(ask.place);
  }

  // ---- what its part in the mesh asks of it

  figures(ask: Ask, nowMs: number): DeskFigures {
    const homes = this.homes(ask);
    const [ageMs, session] = [nowMs - ask.cameMs, null];
    const usual = { tokens: 10, priority: 1, wantedInMs: Infinity, tenant: 0, weight: 1, isSilent: false };
    return { ...usual, ageMs, session, homes };
  }

  homes({ homes }: Ask): readonly PlaceHome[] {
    return homes;
  }

  *waiters(model: number): Iterable<Ask> {
    for (const ask of this.waiting) if (ask.model === model && !ask.isGuest) yield ask;
  }

  digest(model: number): number {
    return this.world.models.includes(model) ? this.places.reduce((sum, place) => sum + place, 0) : -1;
  }

  bound(ask: Ask, { place }: DeskBound, router: string): boolean {
    if (this.unreachable.has(place)) return false;
    if (!this.waiting.delete(ask)) throw new Error("what is bound waits");
    ask.place = place;
    this.#begin(ask, router);
    return true;
  }

  came(model: number, { homes, ageMs }: DeskFigures, nowMs: number): Ask {
    const guest = new Ask(model, nowMs - ageMs, true);
    guest.homes = homes;
    this.waiting.add(guest);
    this.guestsSeen += 1;
    return guest;
  }

  rehomed(guest: Ask, homes: readonly PlaceHome[]): void {
    guest.homes = homes;
  }

  left(guest: Ask): void {
    this.waiting.delete(guest);
    if (guest.place >= 0) this.#give(guest.place, -1);
  }

  answered(guest: Ask): void {
    this.left(guest);
  }

  unreached(guest: Ask): void {
    this.left(guest);
  }

  touched(): void {
    // It looks at all of them at each step.
  }
}

interface Carried {
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly packet: Uint8Array;
}

export class DeskWorld {
  readonly places: readonly number[];
  readonly models: readonly number[];
  readonly routers = new Map<string, Router>();
  readonly prng: Prng;
  loss = 0;
  nowMs = 0;
  /** Who hears nobody, and is heard by nobody. */
  readonly parted = new Set<string>();
  /** Pairs that don't hear each other. */
  readonly cut: (readonly [string, string])[] = [];
  readonly #freeMs = new Map<number, number>();
  #way: Carried[] = [];

  constructor(seed: number, places: number, models = 1) {
    this.prng = new Prng(seed);
    this.places = Array.from({ length: places }, (_, at) => at + 1);
    this.models = Array.from({ length: models }, (_, at) => 1000 + at * 7919);
  }

  join(...ids: readonly string[]): void {
    for (const id of ids) this.routers.set(id, new Router(this, id, 1 + Math.trunc(this.nowMs / 10)));
    this.gossip();
  }

  /** All hear who is a member now. */
  gossip(): void {
    const present = [...this.routers.values()].filter(({ isDead }) => !isDead).map(({ id }) => id);
    for (const { desk, isDead } of this.routers.values()) if (!isDead) desk.present(present, this.nowMs);
  }

  at(id: string): Router {
    return this.routers.get(id)!;
  }

  /** The router that decides for the model, if all agree. */
  owner(model = this.models[0]!): Router {
    const owners = new Set<string>();
    for (const { desk, id, isDead } of this.routers.values()) {
      if (!isDead) owners.add(desk.deciderOf(model, this.nowMs) || id);
    }
    if (owners.size !== 1) throw new Error(`they don't agree: ${[...owners].join(", ")}`);
    return this.at([...owners][0]!);
  }

  others(router: Router): Router[] {
    return [...this.routers.values()].filter((other) => other !== router);
  }

  compute(place: number): number {
    const doneMs = Math.max(this.nowMs, this.#freeMs.get(place) ?? 0) + PROMPT_MS;
    this.#freeMs.set(place, doneMs);
    return doneMs;
  }

  carry(from: string, to: string, packet: Uint8Array): void {
    if (this.parted.has(from) || this.parted.has(to) || this.prng.next() < this.loss) return;
    if (this.cut.some((pair) => pair.includes(from) && pair.includes(to))) return;
    this.#way.push({ atMs: this.nowMs + 1 + this.prng.int(3), from, to, packet });
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 1) {
      const due = this.#way.filter(({ atMs }) => atMs <= this.nowMs);
      this.#way = this.#way.filter(({ atMs }) => atMs > this.nowMs);
      for (const { from, to, packet } of due) {
        const router = this.at(to);
        if (router.isHung) this.#way.push({ atMs: this.nowMs + 1, from, to, packet });
        else if (!router.isDead) router.desk.receive(from, packet, this.nowMs);
      }
      for (const router of this.routers.values()) if (!router.isDead && !router.isHung) router.step();
    }
  }

  /** All that came to routers that are alive, and did not leave. */
  *asks(): Iterable<Ask> {
    for (const { asked, isDead } of this.routers.values()) {
      if (!isDead) for (const ask of asked) if (!ask.hasLeft) yield ask;
    }
  }
}
