/**
 * The late desk's part in the mesh (flow/mesh-desk.ts): what waits here for a model that another router decides for, and
 * what waits elsewhere for those that this one does, between the keys that routers speak of and the rows that it has.
 */
import { BINDING_KINDS } from "../flow/late-room.ts";
import type { DeskBound, DeskFigures, PlaceHome } from "../flow/desk-words.ts";
import { type DeskFiguresNow, type DeskHost, MeshDesk } from "../flow/mesh-desk.ts";
import type { PrefixHome } from "../score/prefix-lookup.ts";
import { Held } from "./late-model.ts";
import type { HeldFor } from "./late-news.ts";
import type { PlaceKeys } from "./place-keys.ts";

/** The desk, as far as others have to do with it. */
export interface LendingDesk {
  /** Its own that wait for the model. */
  waiters(model: number): Iterable<Held>;
  cached(held: Held): readonly PrefixHome[];
  /** One of its own goes to that row, by another router's word; false: it can't. */
  granted(held: Held, row: number, tokens: number, why: HeldFor, nowMs: number): boolean;
  /** A guest waits. */
  offer(guest: Held, nowMs: number): void;
  /** It is told anew who has its prompt cached. */
  rehomed(guest: Held, told: readonly PrefixHome[], nowMs: number): void;
  left(guest: Held, nowMs: number): void;
  answered(guest: Held, atMs: number): void;
  unreached(guest: Held, nowMs: number): void;
  touched(model: number): void;
}

/** Who this router is in the mesh. */
export interface DeskLink {
  readonly self: string;
  readonly packetBytesMax: number;
  /** Of this process, a hundred for each second that it began after another (flow/mesh-desk.ts). */
  readonly firstLife: number;
}

export class LateMesh implements DeskHost<Held> {
  readonly mesh: MeshDesk<Held>;
  readonly #desk: LendingDesk;
  readonly #keys: PlaceKeys;

  /** `config` may change in place. */
  constructor(
    desk: LendingDesk,
    keys: PlaceKeys,
    config: { readonly silenceMs: number; readonly refreshMs: number },
    { self, packetBytesMax, firstLife }: DeskLink,
  ) {
    this.#desk = desk;
    this.#keys = keys;
    this.mesh = new MeshDesk<Held>(self, config, packetBytesMax, firstLife, this);
  }

  // ---- what the desk asks it; models and rows are this router's numbers

  isElsewhere(model: number): boolean {
    const key = this.#keys.modelKey(model);
    return key >= 0 && this.mesh.isElsewhere(key);
  }

  isCrowdedElsewhere(model: number, nowMs: number): boolean {
    const key = this.#keys.modelKey(model);
    return key >= 0 && this.mesh.isCrowdedElsewhere(key, nowMs);
  }

  deciderOf(model: number, nowMs: number): string {
    const key = this.#keys.modelKey(model);
    return key < 0 ? "" : this.mesh.deciderOf(key, nowMs);
  }

  /** One of its own waits. */
  asks(held: Held, nowMs: number): void {
    const key = this.#keys.modelKey(held.model);
    if (key >= 0) this.mesh.ask(held, key, nowMs);
  }

  crowd(model: number, isCrowded: boolean): void {
    const key = this.#keys.modelKey(model);
    if (key >= 0) this.mesh.crowd(key, isCrowded);
  }

  mayGo(held: Held, row: number, nowMs: number): boolean {
    return this.mesh.mayGo(held, this.#keys.key(row), nowMs);
  }

  /** The guest is to go to that row. */
  grant(guest: Held, row: number, tokens: number, why: HeldFor): void {
    const { waiting, aheadMs, workMs, kind } = why;
    const place = this.#keys.key(row);
    this.mesh.grant(guest, { place, tokens, waiting, aheadMs, workMs, kind: BINDING_KINDS.indexOf(kind) });
  }

  figuresNow(): DeskFiguresNow {
    return this.mesh.figures();
  }

  // ---- what its part in the mesh asks of it; models and places are keys

  figures(held: Held, nowMs: number): DeskFigures {
    const { promptTokens: tokens, priority, cameMs, wantedMs, tenant, weight, isSilent } = held;
    const [ageMs, wantedInMs, homes] = [nowMs - cameMs, wantedMs - nowMs, this.homes(held)];
    const session = this.#sessionOf(held);
    return { tokens, priority, ageMs, wantedInMs, tenant: Number(tenant), weight, isSilent, session, homes };
  }

  #sessionOf({ session }: Held): DeskFigures["session"] {
    const place = session === null ? -1 : this.#keys.key(session.row);
    return session === null || place < 0 ? null : { place, slackMs: session.slackMs };
  }

  homes(held: Held): readonly PlaceHome[] {
    return this.#desk.cached(held).flatMap(({ row, tokens }) => {
      const place = this.#keys.key(row);
      return place < 0 ? [] : [{ place, tokens }];
    });
  }

  *waiters(key: number): Iterable<Held> {
    const model = this.#keys.model(key);
    if (model >= 0) yield* this.#desk.waiters(model);
  }

  digest(key: number): number {
    const model = this.#keys.model(key);
    return model < 0 ? -1 : this.#keys.digest(model);
  }

  bound(held: Held, bound: DeskBound, router: string, nowMs: number): boolean {
    const { place, tokens, waiting, aheadMs, workMs } = bound;
    const row = this.#keys.row(held.model, place);
    const kind = BINDING_KINDS[bound.kind];
    if (row < 0 || kind === undefined) return false;
    const why = { desk: router, waitedMs: nowMs - held.cameMs, waiting, aheadMs, workMs, kind };
    return this.#desk.granted(held, row, Math.min(tokens, held.promptTokens), why, nowMs);
  }

  came(key: number, figures: DeskFigures, nowMs: number): Held {
    const model = this.#keys.model(key);
    const { session } = figures;
    const row = session === null ? -1 : this.#keys.row(model, session.place);
    const guest = Held.guest(model, figures, session === null || row < 0 ? null : { ...session, row }, nowMs);
    guest.told = this.#rowsOf(guest, figures.homes);
    this.#desk.offer(guest, nowMs);
    return guest;
  }

  rehomed(guest: Held, homes: readonly PlaceHome[], nowMs: number): void {
    this.#desk.rehomed(guest, this.#rowsOf(guest, homes), nowMs);
  }

  #rowsOf({ model }: Held, homes: readonly PlaceHome[]): PrefixHome[] {
    return homes.flatMap(({ place, tokens }) => {
      const row = this.#keys.row(model, place);
      return row < 0 ? [] : [{ row, tokens }];
    });
  }

  left(guest: Held, nowMs: number): void {
    this.#desk.left(guest, nowMs);
  }

  answered(guest: Held, atMs: number): void {
    this.#desk.answered(guest, atMs);
  }

  unreached(guest: Held, nowMs: number): void {
    this.#desk.unreached(guest, nowMs);
  }

  touched(key: number): void {
    const model = this.#keys.model(key);
    if (model >= 0) this.#desk.touched(model);
  }
}
