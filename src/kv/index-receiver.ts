/**
 * A router's side: the blocks of each engine of each node, by the messages of wire.ts.
 *
 *     receiver.receive(from, message, nowMs);      // a message of a node came
 *     receiver.forget(from);                       // the node is gone
 *     receiver.wake(nowMs);                        // now and then: asks again where no answer came
 *     const { asks, changed } = receiver.take();   // after each of these
 *     receiver.engines(from)                       // what is known: engines, each with `matched(keys)`
 *
 * An update that is not the next of its life makes us ask for a snapshot: at once, then seldomer while it does not come.
 * Until then what was known stays, since most of it is still so, and `isCurrent` says that it is behind. Updates that
 * come while a snapshot is on its way wait for it, `WAITING_MAX` of them. A life that begins with nothing needs none. A snapshot takes the place of all that was
 * known when its last part is here. What is malformed is counted, and makes us ask too.
 *
 * Limits: `blocksMax` an engine and `blocksTotalMax` in all, beyond which blocks are not taken and the engine is
 * partial; `SLOTS_MAX` engines a node, `ENGINES_MAX` in all. Whoever hands messages over lets only members through.
 */
import { RemoteIndex, type RoomForBlocks } from "./remote-index.ts";
import { type Head, MESSAGE, open, readGone, readNumber, readParts, readRuns, writeAsk } from "./wire.ts";

export interface ReceiverLimits {
  readonly blocksMax: number;
  readonly blocksTotalMax: number;
}

export interface ReceiverStats {
  updates: number;
  snapshots: number;
  /** Updates that could not be used before a snapshot. */
  gaps: number;
  malformed: number;
  /** Blocks that there was no room for. */
  refused: number;
}

export interface Ask {
  readonly to: string;
  readonly message: Uint8Array;
}

const ENGINES_MAX = 16_384;
const WAITING_MAX = 64;
const ASK_PAUSE_MS = 40;
const ASK_PAUSE_MS_MAX = 5000;
export const RECEIVER_LIMITS: ReceiverLimits = { blocksMax: 262_144, blocksTotalMax: 4_194_304 };

/** A snapshot of which parts are here. */
interface Coming {
  readonly life: number;
  readonly number: number;
  readonly parts: number;
  readonly here: Set<number>;
  readonly index: RemoteIndex;
}

interface Engine {
  index: RemoteIndex;
  coming: Coming | undefined;
  /** Updates of one life beyond what is known, for when a snapshot is here. */
  waiting: Uint8Array[];
  waitingLife: number;
  askedAtMs: number;
  askPauseMs: number;
}

export class IndexReceiver {
  readonly stats: ReceiverStats = { updates: 0, snapshots: 0, gaps: 0, malformed: 0, refused: 0 };
  readonly #room: RoomForBlocks;
  readonly #nodes = new Map<string, Map<number, Engine>>();
  #engines = 0;
  #asks: Ask[] = [];
  #changed = new Set<string>();
  /** Engines whose snapshot was asked for and is not here. */
  readonly #wanting = new Map<Engine, { readonly from: string; readonly slot: number }>();

  constructor(limits: ReceiverLimits = RECEIVER_LIMITS) {
    this.#room = { ...limits, taken: 0, refused: () => (this.stats.refused += 1) };
  }

  /** Blocks held in all. */
  get size(): number {
    return this.#room.taken;
  }

  receive(from: string, message: Uint8Array, nowMs: number): void {
    const opened = open(message);
    if (opened === undefined) {
      this.stats.malformed += 1;
      return;
    }
    const { kind, slot, life } = opened;
    if (kind === MESSAGE.ended) {
      this.#end(from, slot, life);
      return;
    }
    const engine = this.#engine(from, slot);
    if (engine === undefined) return;
    const read = readNumber();
    if (read === undefined) this.#malformed(from, slot, engine, nowMs);
    else if (kind === MESSAGE.snapshot) this.#snapshot(from, slot, engine, { life, ...read }, nowMs);
    else this.#update(from, slot, engine, { life, ...read }, message, nowMs);
  }

  forget(from: string): void {
    const slots = this.#nodes.get(from);
    for (const slot of slots?.keys() ?? []) this.#drop(from, slot);
  }

  wake(nowMs: number): void {
    for (const [engine, { from, slot }] of this.#wanting) this.#ask(from, slot, engine, nowMs);
  }

  /** What is known of a node's engines; those without a first snapshot are not among them. */
  engines(from: string): RemoteIndex[] {
    const known: RemoteIndex[] = [];
    for (const { index } of this.#nodes.get(from)?.values() ?? []) if (index.isKnown) known.push(index);
    return known;
  }

  /** Messages to send, and the nodes of which something changed. */
  take(): { readonly asks: readonly Ask[]; readonly changed: readonly string[] } {
    const taken = { asks: this.#asks, changed: [...this.#changed] };
    if (this.#asks.length > 0) this.#asks = [];
    this.#changed.clear();
    return taken;
  }

  #update(from: string, slot: number, engine: Engine, head: UpdateHead, message: Uint8Array, nowMs: number): void {
    const { index } = engine;
    const isSame = index.isKnown && index.life === head.life;
    if (isSame && head.number <= index.number) return;
    if (isSame && head.number === index.number + 1) {
      if (!this.#apply(index, head)) this.#malformed(from, slot, engine, nowMs);
      this.#changed.add(from);
      return;
    }
    if (head.isFresh && index.isKnown) {
      index.clear();
      engine.index = new RemoteIndex(index, head.life, this.#room);
      engine.index.begin(0);
      this.#update(from, slot, engine, head, message, nowMs);
      return;
    }
    this.stats.gaps += 1;
    index.isCurrent = false;
    if (engine.waitingLife !== head.life) engine.waiting = [];
    engine.waitingLife = head.life;
    if (engine.waiting.length < WAITING_MAX) engine.waiting.push(Uint8Array.from(message));
    this.#ask(from, slot, engine, nowMs);
  }

  #apply(index: RemoteIndex, head: UpdateHead): boolean {
    readGone((key) => index.remove(key));
    const isGood = readRuns((key, _parent, depth, tokens, media) => index.set(key, depth, tokens, media));
    if (!isGood) {
      index.isCurrent = false;
      return false;
    }
    this.stats.updates += 1;
    index.number = head.number;
    index.isTold = !head.isPartial;
    return true;
  }

  #snapshot(from: string, slot: number, engine: Engine, head: UpdateHead, nowMs: number): void {
    const told = readParts();
    if (told === undefined) {
      this.#malformed(from, slot, engine, nowMs);
      return;
    }
    const { index } = engine;
    const { life, number } = head;
    const { part, parts, model, engine: name } = told;
    // One that says no more than what is known.
    if (index.isKnown && index.isCurrent && index.life === life && number <= index.number) return;
    let { coming } = engine;
    if (coming?.life !== life || coming.number !== number || coming.parts !== parts) {
      coming?.index.clear();
      const fresh = new RemoteIndex({ model, engine: name, slot }, life, this.#room);
      coming = { life, number, parts, here: new Set(), index: fresh };
      engine.coming = coming;
    }
    if (coming.here.has(part)) return;
    coming.here.add(part);
    const fresh = coming.index;
    fresh.isTold = !head.isPartial;
    if (!readRuns((key, _parent, depth, tokens, media) => fresh.set(key, depth, tokens, media))) {
      fresh.clear();
      engine.coming = undefined;
      this.#malformed(from, slot, engine, nowMs);
    } else if (coming.here.size === parts) this.#arrived(from, slot, engine, coming, nowMs);
  }

  #arrived(from: string, slot: number, engine: Engine, coming: Coming, nowMs: number): void {
    this.stats.snapshots += 1;
    engine.index.clear();
    engine.index = coming.index;
    engine.index.begin(coming.number);
    engine.coming = undefined;
    this.#wanting.delete(engine);
    engine.askPauseMs = ASK_PAUSE_MS;
    engine.askedAtMs = -Infinity;
    this.#changed.add(from);
    const { waiting } = engine;
    engine.waiting = [];
    for (const message of waiting) {
      const opened = open(message);
      const read = readNumber();
      // Those of another life were of the one before.
      if (opened?.life !== coming.life || read === undefined) continue;
      this.#update(from, slot, engine, { life: coming.life, ...read }, message, nowMs);
    }
  }

  #malformed(from: string, slot: number, engine: Engine, nowMs: number): void {
    this.stats.malformed += 1;
    engine.index.isCurrent = false;
    this.#ask(from, slot, engine, nowMs);
  }

  #ask(from: string, slot: number, engine: Engine, nowMs: number): void {
    this.#wanting.set(engine, { from, slot });
    if (nowMs < engine.askedAtMs + engine.askPauseMs) return;
    if (engine.askedAtMs !== -Infinity) engine.askPauseMs = Math.min(ASK_PAUSE_MS_MAX, engine.askPauseMs * 2);
    engine.askedAtMs = nowMs;
    this.#asks.push({ to: from, message: writeAsk(slot) });
  }

  #end(from: string, slot: number, life: number): void {
    const engine = this.#nodes.get(from)?.get(slot);
    // A late word on the life before says nothing of this one.
    if (engine === undefined || (engine.index.isKnown && engine.index.life !== life)) return;
    this.#drop(from, slot);
  }

  #drop(from: string, slot: number): void {
    const slots = this.#nodes.get(from);
    const engine = slots?.get(slot);
    if (slots === undefined || engine === undefined) return;
    engine.index.clear();
    engine.coming?.index.clear();
    this.#wanting.delete(engine);
    slots.delete(slot);
    if (slots.size === 0) this.#nodes.delete(from);
    this.#engines -= 1;
    this.#changed.add(from);
  }

  #engine(from: string, slot: number): Engine | undefined {
    const slots = this.#nodes.get(from);
    const known = slots?.get(slot);
    if (known !== undefined || this.#engines >= ENGINES_MAX) return known;
    const index = new RemoteIndex({ model: "", engine: "", slot }, 0, this.#room);
    const engine: Engine = {
      index,
      coming: undefined,
      waiting: [],
      waitingLife: 0,
      askedAtMs: -Infinity,
      askPauseMs: ASK_PAUSE_MS,
    };
    if (slots === undefined) this.#nodes.set(from, new Map([[slot, engine]]));
    else slots.set(slot, engine);
    this.#engines += 1;
    return engine;
  }
}

type UpdateHead = Omit<Head, "slot">;
