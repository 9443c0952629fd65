/**
 * A router's part in deciding for the whole mesh: one router decides for a model (desk-owner.ts), the others send it the
 * figures of what waits with them and get the place where each is to go. The desk itself, with its room and its claims, is
 * the host; here is who is asked, what is said (desk-words.ts), and what becomes of it when somebody does not answer.
 *
 * Whoever asks keeps all that it asks about, in its own room as well. So nothing is lost: when the line to the one that
 * decides breaks, which it does after `silenceMs` without a word while something is waited for, or when another router
 * decides from now on, the requests are home at once, to be bound here or asked about there. And nothing is bound twice:
 * what is said of a request that is home already says nothing any more, and the other side hears that it is over.
 *
 * A router either decides for a model itself or asks; so one that thinks that another decides declines what it is asked.
 * Who was declined, or heard nothing, decides for itself for ALONE_MS: routers that don't agree about who is there, or about
 * which places there are, stay apart for that model, and each counts what others have as ever.
 *
 * Routers that do not answer in this protocol are not part of it. Limits: PEERS_MAX routers, GUESTS_MAX requests of each.
 */
import { deskOwner } from "./desk-owner.ts";
import { type Asked, DeskPeer, type Guest } from "./desk-peer.ts";
import {
  type Declined,
  DECLINED,
  type DeskAsk,
  type DeskBound,
  type DeskFigures,
  type DeskWord,
  type PlaceHome,
  WORD,
} from "./desk-words.ts";

/** The desk of this router. Models and places are keys; `W` is a request that waits or is bound and has no first token. */
export interface DeskHost<W> {
  figures(waiter: W, nowMs: number): DeskFigures;
  homes(waiter: W): readonly PlaceHome[];
  /** Its own that wait for the model. */
  waiters(model: number): Iterable<W>;
  /** Of the model's places; below 0: it has none. */
  digest(model: number): number;
  /** One of its own is to go there, as that router says; false: it can't. */
  bound(waiter: W, bound: DeskBound, router: string, nowMs: number): boolean;
  /** A request of another router waits for the model from now on. */
  came(model: number, figures: DeskFigures, nowMs: number): W;
  rehomed(guest: W, homes: readonly PlaceHome[], nowMs: number): void;
  /** The guest, whether it waits or is bound, is over. */
  left(guest: W, nowMs: number): void;
  answered(guest: W, atMs: number): void;
  /** It can't be reached there from where it waits: it is over, and did not get what it was given. */
  unreached(guest: W, nowMs: number): void;
  /** Something has changed about it: who decides, or who waits. */
  touched(model: number): void;
}

export interface DeskFiguresNow {
  /** Others that take part now. */
  readonly routers: number;
  readonly asked: number;
  readonly guests: number;
  readonly boundThere: number;
  readonly boundHere: number;
  readonly declined: number;
  readonly broken: number;
  readonly malformed: number;
}

const PEERS_MAX = 256;
const GUESTS_MAX = 16_384;
const CROWDED_MAX = 4096;
const ALONE_MS = 1000;
const ALONE_MS_MAX = 30_000;
/** Requests whose homes are looked up anew at a time, of those that were asked about. */
const REFRESHES_MAX = 64;
/** Lines begin anew less often. */
const LIFE_MS = 10;
/** No router is called so: it is this one. */
const HERE = "";

type Ref<W> = { readonly peer: DeskPeer<W>; readonly id: number };

export class MeshDesk<W extends object> {
  readonly #self: string;
  readonly #config: { readonly silenceMs: number; readonly refreshMs: number };
  readonly #packetBytesMax: number;
  readonly #firstLife: number;
  readonly #host: DeskHost<W>;
  readonly #peers = new Map<string, DeskPeer<W>>();
  /** Its own that others decide about. */
  readonly #refs = new Map<W, Ref<W>>();
  readonly #guests = new Map<W, Guest<W>>();
  /** Who decides, of models that somebody asked about here. */
  readonly #owners = new Map<number, string>();
  readonly #alone = new Map<number, { untilMs: number; waitMs: number }>();
  readonly #crowded = new Set<number>();
  /** Who could decide now; the same for the owners that follow from it. */
  #able: readonly string[];
  readonly #ranked = new Map<number, string>();
  #decides = true;
  readonly #counts = { boundThere: 0, boundHere: 0, declined: 0, broken: 0, malformed: 0 };

  /**
   * `self`: its name in the mesh. `firstLife`: of a process under that name, a hundred for each second that it begins after
   * another. `config` may change in place.
   */
  constructor(
    self: string,
    config: { readonly silenceMs: number; readonly refreshMs: number },
    packetBytesMax: number,
    firstLife: number,
    host: DeskHost<W>,
  ) {
    this.#self = self;
    this.#config = config;
    this.#packetBytesMax = packetBytesMax;
    this.#firstLife = firstLife;
    this.#host = host;
    this.#able = [self];
  }

  // ---- who decides

  /** Another router decides for the model now. */
  isElsewhere(model: number): boolean {
    return (this.#owners.get(model) ?? HERE) !== HERE;
  }

  /** Somebody waits for it at the router that decides, as that one says. */
  isCrowdedElsewhere(model: number, nowMs: number): boolean {
    const owner = this.#ownerOf(model, nowMs);
    return owner !== HERE && this.#peers.get(owner)?.crowded.has(model) === true;
  }

  /** Whose desk would decide now; "" for this one. */
  deciderOf(model: number, nowMs: number): string {
    return this.#ownerOf(model, nowMs);
  }

  /** Whether it decides for others: one that is about to end does not. All hear of it at once. */
  offer(decides: boolean, nowMs: number): void {
    if (decides === this.#decides) return;
    this.#decides = decides;
    for (const { line } of this.#peers.values()) line.oweSign();
    this.#review(nowMs);
  }

  #ownerOf(model: number, nowMs: number): string {
    const alone = this.#alone.get(model);
    if (alone !== undefined && alone.untilMs > nowMs) return HERE;
    let owner = this.#ranked.get(model);
    if (owner === undefined) this.#ranked.set(model, (owner = deskOwner(this.#able, model)));
    return owner === this.#self ? HERE : owner;
  }

  /** Looks anew at who takes part. */
  #review(nowMs: number): void {
    const able = [...this.#peers.values()].filter(({ decides }) => decides).map(({ id }) => id);
    if (this.#decides) able.push(this.#self);
    if (able.join("\n") !== this.#able.join("\n")) {
      this.#able = able;
      this.#ranked.clear();
    }
    for (const model of this.#owners.keys()) this.#settle(model, nowMs);
  }

  /** Asks the one that decides for the model now about all that waits here for it, and nobody else. */
  #settle(model: number, nowMs: number): void {
    const owner = this.#ownerOf(model, nowMs);
    const before = this.#owners.get(model) ?? HERE;
    this.#owners.set(model, owner);
    if (owner === before) return;
    const peer = this.#peers.get(before);
    for (const [id, { waiter, model: its }] of peer?.asked ?? []) if (its === model) this.#home(peer!, id, waiter);
    if (owner !== HERE) {
      if (before === HERE) this.#declineAll(model, nowMs);
      for (const waiter of this.#host.waiters(model)) this.#say(waiter, model, nowMs);
    }
    this.#host.touched(model);
  }

  #home(peer: DeskPeer<W>, id: number, waiter: W): void {
    peer.asked.delete(id);
    this.#refs.delete(waiter);
    peer.say({ word: WORD.over, id });
  }

  #declineAll(model: number, nowMs: number): void {
    for (const peer of this.#peers.values()) {
      const guests = [...peer.guests.values()].filter((guest) => guest.model === model && guest.place < 0);
      if (guests.length === 0) continue;
      for (const { id, waiter } of guests) {
        peer.guests.delete(id);
        this.#guests.delete(waiter);
        this.#host.left(waiter, nowMs);
      }
      peer.say({ word: WORD.declined, model, why: DECLINED.notMine });
    }
  }

  // ---- its own requests

  /** One that waits in its room; if another router decides, that one is asked. */
  ask(waiter: W, model: number, nowMs: number): void {
    this.#settle(model, nowMs);
    this.#say(waiter, model, nowMs);
  }

  #say(waiter: W, model: number, nowMs: number): void {
    const peer = this.#peers.get(this.#owners.get(model) ?? HERE);
    if (peer === undefined || !peer.line.isOpen || this.#refs.has(waiter)) return;
    const id = peer.nextId();
    const figures = this.#host.figures(waiter, nowMs);
    this.#refs.set(waiter, { peer, id });
    peer.asked.set(id, { waiter, model, homes: JSON.stringify(figures.homes), homesMs: nowMs });
    peer.say({ word: WORD.ask, id, model, digest: this.#host.digest(model), ...figures });
  }

  /** It waits no more, or has ended without a first token. */
  over(waiter: W): void {
    const ref = this.#take(waiter);
    ref?.peer.say({ word: WORD.over, id: ref.id });
  }

  /** Its first token came, so long ago. */
  answered(waiter: W, agoMs: number): void {
    const ref = this.#take(waiter);
    ref?.peer.say({ word: WORD.answered, id: ref.id, agoMs });
  }

  /** Nobody can be reached from here where it was bound. */
  unreached(waiter: W): void {
    const ref = this.#take(waiter);
    ref?.peer.say({ word: WORD.unreached, id: ref.id });
  }

  /** Whether another router has decided, or is to decide, about it. */
  isAsked(waiter: W): boolean {
    return this.#refs.has(waiter);
  }

  #take(waiter: W): Ref<W> | undefined {
    const ref = this.#refs.get(waiter);
    if (ref === undefined) return undefined;
    this.#refs.delete(waiter);
    ref.peer.asked.delete(ref.id);
    ref.peer.bound.delete(ref.id);
    return ref;
  }

  // ---- those of others

  isGuest(waiter: W): boolean {
    return this.#guests.has(waiter);
  }

  /** The guest is to go there. */
  grant(waiter: W, bound: DeskBound): void {
    const guest = this.#guests.get(waiter);
    if (guest === undefined) return;
    guest.place = bound.place;
    this.#counts.boundHere += 1;
    guest.peer.say({ word: WORD.bound, id: guest.id, ...bound });
  }

  /** There are places where it can't go. */
  isPicky(waiter: W): boolean {
    return this.#guests.get(waiter)?.peer.shuns === true;
  }

  mayGo(waiter: W, place: number, nowMs: number): boolean {
    return this.#guests.get(waiter)?.peer.isShunned(place, nowMs) !== true;
  }

  /** Whether somebody waits here for a model that this router decides for. */
  crowd(model: number, isCrowded: boolean): void {
    if (this.#crowded.has(model) === isCrowded) return;
    if (isCrowded) this.#crowded.add(model);
    else this.#crowded.delete(model);
    for (const peer of this.#peers.values()) peer.tellCrowd(model, isCrowded);
  }

  // ---- the mesh

  /** The other routers that are present now. */
  present(ids: Iterable<string>, nowMs: number): void {
    const present = new Set(ids);
    present.delete(this.#self);
    for (const [id, peer] of this.#peers) {
      if (present.has(id)) continue;
      this.#peers.delete(id);
      this.#forget(peer, nowMs);
    }
    for (const id of present) {
      if (this.#peers.has(id) || this.#peers.size >= PEERS_MAX) continue;
      // Higher than of a line to the same one before, which may have begun anew many times.
      const life = (this.#firstLife + Math.trunc(nowMs / LIFE_MS)) % 2 ** 32 || 1;
      this.#peers.set(id, new DeskPeer(id, life, this.#packetBytesMax));
    }
    this.#review(nowMs);
  }

  receive(from: string, packet: Uint8Array, nowMs: number): void {
    const peer = this.#peers.get(from);
    if (peer === undefined) return;
    const { line } = peer;
    const [wasOpen, decided] = [line.isOpen, peer.decides];
    const { words, hasBegunAnew, isMalformed } = line.hear(packet, nowMs);
    if (isMalformed) this.#counts.malformed += 1;
    if (hasBegunAnew) this.#forget(peer, nowMs);
    if (line.isOpen && (!wasOpen || hasBegunAnew)) {
      for (const model of this.#crowded) peer.tellCrowd(model, true);
    }
    if (decided !== peer.decides || hasBegunAnew) this.#review(nowMs);
    for (const word of words) this.#hear(peer, word, nowMs);
  }

  /** Time has passed. */
  wake(nowMs: number): void {
    for (const peer of this.#peers.values()) {
      if (peer.isSilent(this.#config.silenceMs, nowMs) || peer.line.isFull) this.#break(peer, nowMs);
      peer.forgetIfGone(nowMs);
      if (peer.asked.size > 0) this.#refresh(peer, nowMs);
    }
    this.#review(nowMs);
  }

  /** What is to be sent now. */
  take(nowMs: number): { readonly to: string; readonly packet: Uint8Array }[] {
    return [...this.#peers.values()].flatMap((peer) => {
      const packets = peer.line.take(nowMs, this.#decides, peer.everyMs);
      return packets.map((packet) => ({ to: peer.id, packet }));
    });
  }

  /** When to call `wake` and `take`, though nothing happens before. */
  wakeAtMs(nowMs: number): number {
    let atMs = Infinity;
    for (const { line, everyMs } of this.#peers.values()) atMs = Math.min(atMs, line.wakeAtMs(nowMs, everyMs));
    return atMs;
  }

  figures(): DeskFiguresNow {
    const peers = [...this.#peers.values()];
    const sum = (of: (peer: DeskPeer<W>) => number): number => peers.reduce((all, peer) => all + of(peer), 0);
    const routers = sum(({ decides }) => (decides ? 1 : 0));
    return { routers, asked: sum(({ asked }) => asked.size), guests: this.#guests.size, ...this.#counts };
  }

  /** It can't be told from one that is gone: what was asked there is decided here, for a while. */
  #break(peer: DeskPeer<W>, nowMs: number): void {
    this.#counts.broken += 1;
    for (const [model, owner] of this.#owners) if (owner === peer.id) this.#beAlone(model, ALONE_MS, nowMs);
    peer.line.beginAnew();
    this.#forget(peer, nowMs);
  }

  #beAlone(model: number, waitMs: number, nowMs: number): void {
    this.#alone.set(model, { untilMs: nowMs + waitMs, waitMs });
  }

  /** All that was between the two is void. */
  #forget(peer: DeskPeer<W>, nowMs: number): void {
    const guests = [...peer.guests.values()];
    for (const { waiter } of [...peer.asked.values(), ...peer.bound.values()]) this.#refs.delete(waiter);
    for (const { waiter } of guests) this.#guests.delete(waiter);
    const models = new Set([...peer.crowded, ...guests.map(({ model }) => model)]);
    for (const { model } of peer.asked.values()) models.add(model);
    peer.clear();
    for (const { waiter } of guests) this.#host.left(waiter, nowMs);
    for (const model of models) {
      // Whoever it is that decides now has not been asked yet.
      if (this.#owners.get(model) === peer.id) this.#owners.set(model, HERE);
      this.#host.touched(model);
    }
  }

  #refresh({ asked, line }: DeskPeer<W>, nowMs: number): void {
    let left = REFRESHES_MAX;
    for (const [id, one] of asked) {
      if (left === 0) return;
      if (nowMs - one.homesMs < this.#config.refreshMs) continue;
      left -= 1;
      one.homesMs = nowMs;
      const homes = this.#host.homes(one.waiter);
      const text = JSON.stringify(homes);
      if (text === one.homes) continue;
      one.homes = text;
      line.say({ word: WORD.homes, id, homes });
    }
  }

  #hear(peer: DeskPeer<W>, word: DeskWord, nowMs: number): void {
    switch (word.word) {
      case WORD.ask:
        this.#came(peer, word, nowMs);
        break;
      case WORD.homes: {
        const guest = peer.guests.get(word.id);
        if (guest !== undefined && guest.place < 0) this.#host.rehomed(guest.waiter, word.homes, nowMs);
        break;
      }
      case WORD.bound:
        this.#bound(peer, word.id, word, nowMs);
        break;
      case WORD.declined:
        this.#declined(peer, word.model, word.why, nowMs);
        break;
      case WORD.crowd:
        if (!word.isCrowded) peer.crowded.delete(word.model);
        else if (peer.crowded.size < CROWDED_MAX) peer.crowded.add(word.model);
        this.#host.touched(word.model);
        break;
      default:
        this.#ended(peer, word, nowMs);
    }
  }

  #came(peer: DeskPeer<W>, ask: DeskAsk, nowMs: number): void {
    const { id, model, digest } = ask;
    const own = this.#host.digest(model);
    if (own >= 0) this.#settle(model, nowMs);
    const isFull = peer.guests.size >= GUESTS_MAX || peer.guests.has(id);
    const isOther = this.isElsewhere(model);
    if (own !== digest || own < 0 || isOther || isFull) {
      const why = isOther ? DECLINED.notMine : isFull ? DECLINED.full : DECLINED.differs;
      peer.say({ word: WORD.declined, model, why });
      return;
    }
    const waiter = this.#host.came(model, ask, nowMs);
    const guest = { peer, id, waiter, model, place: -1 };
    peer.guests.set(id, guest);
    this.#guests.set(waiter, guest);
    this.#host.touched(model);
  }

  #ended(peer: DeskPeer<W>, word: Extract<DeskWord, { readonly id: number }>, nowMs: number): void {
    const guest = peer.guests.get(word.id);
    if (guest === undefined) return;
    const { waiter, model, place } = guest;
    peer.guests.delete(word.id);
    this.#guests.delete(waiter);
    if (place < 0 || word.word === WORD.over) this.#host.left(waiter, nowMs);
    else if (word.word === WORD.answered) {
      peer.reached(place, true, nowMs);
      this.#host.answered(waiter, nowMs - word.agoMs);
    } else {
      peer.reached(place, false, nowMs);
      this.#host.unreached(waiter, nowMs);
    }
    this.#host.touched(model);
  }

  #bound(peer: DeskPeer<W>, id: number, bound: DeskBound, nowMs: number): void {
    const asked: Asked<W> | undefined = peer.asked.get(id);
    // It went home meanwhile, as the other side will hear.
    if (asked === undefined) return;
    const { waiter, model } = asked;
    peer.asked.delete(id);
    if (this.#host.bound(waiter, bound, peer.id, nowMs)) {
      peer.bound.set(id, asked);
      this.#counts.boundThere += 1;
      this.#alone.delete(model);
      this.#host.touched(model);
      return;
    }
    this.#refs.delete(waiter);
    peer.say({ word: WORD.unreached, id });
    this.#say(waiter, model, nowMs);
  }

  #declined(peer: DeskPeer<W>, model: number, why: Declined, nowMs: number): void {
    if (this.#owners.get(model) !== peer.id) return;
    this.#counts.declined += 1;
    const { waitMs = ALONE_MS / 2 } = this.#alone.get(model) ?? {};
    this.#beAlone(model, why === DECLINED.differs ? Math.min(ALONE_MS_MAX, waitMs * 2) : ALONE_MS, nowMs);
    this.#settle(model, nowMs);
  }
}
