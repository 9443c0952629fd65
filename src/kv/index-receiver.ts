/**
 * A router's side: the blocks of each engine of each node, by the messages of wire.ts and talk.ts.
 *
 *     receiver.receive(from, message, nowMs);      // a datagram of a node came
 *     receiver.answered(from, answer, nowMs);      // what an ask of ours got; whether to ask again at once
 *     receiver.forget(from);                       // the node is gone
 *     receiver.wake(nowMs);                        // now and then: asks again where no answer came
 *     const { asks, follows, changed } = receiver.take();   // after each of these
 *     receiver.engines(from)                       // what is known: engines, each with `matched(keys)`
 *
 * A node says now and then which engines it has and how far each is; we answer that we want to be told of changes
 * (`follows`, again and again, since the node forgets). An update that is not the next of its life, or a standing beyond
 * what is known, makes us ask: at once, then seldomer while nothing comes. Until then what was known stays, since most of it
 * is still so, and `isCurrent` says that it is behind. So does it when nothing is heard of the node for `SILENT_MS`; after
 * `GONE_MS` it has no engines any more. What is malformed is counted, and makes us ask too.
 *
 * Limits: `blocksMax` an engine and `blocksTotalMax` in all, beyond which blocks are not taken and the engine is
 * partial; `SLOTS_MAX` engines a node, `ENGINES_MAX` in all. Whoever hands messages over lets only members through.
 */
import { RemoteEngine, type ReceiverStats } from "./remote-engine.ts";
import type { BlockWatcher, RemoteIndex, RoomForBlocks } from "./remote-index.ts";
import { readAnswer, readStanding, writeAsk } from "./talk.ts";
import { MESSAGE, open, readNumber, readParts } from "./wire.ts";

export interface ReceiverLimits {
  readonly blocksMax: number;
  readonly blocksTotalMax: number;
}

export interface WantedAsk {
  readonly to: string;
  readonly slot: number;
}

const ENGINES_MAX = 16_384;
const ASK_PAUSE_MS = 40;
const ASK_PAUSE_MS_MAX = 5000;
const FOLLOW_MS = 4000;
export const SILENT_MS = 20_000;
export const GONE_MS = 120_000;
export const RECEIVER_LIMITS: ReceiverLimits = { blocksMax: 262_144, blocksTotalMax: 4_194_304 };

interface RemoteNode {
  readonly engines: Map<number, RemoteEngine>;
  heardAtMs: number;
  followedAtMs: number;
}

export class IndexReceiver {
  readonly stats: ReceiverStats = { updates: 0, snapshots: 0, gaps: 0, malformed: 0, refused: 0 };
  readonly #room: RoomForBlocks;
  readonly #nodes = new Map<string, RemoteNode>();
  #engines = 0;
  #asks: WantedAsk[] = [];
  #follows: string[] = [];
  #changed = new Set<string>();
  /** Engines of which something was asked for and is not here. */
  readonly #wanting = new Map<RemoteEngine, string>();

  /** `watcher` hears of each block. */
  constructor(limits: ReceiverLimits = RECEIVER_LIMITS, watcher?: BlockWatcher) {
    this.#room = { ...limits, taken: 0, refused: () => (this.stats.refused += 1), watcher };
  }

  /** Blocks held in all. */
  get size(): number {
    return this.#room.taken;
  }

  /** Nodes that have engines. */
  nodes(): string[] {
    return [...this.#nodes.keys()];
  }

  receive(from: string, message: Uint8Array, nowMs: number): void {
    if (message[0] === MESSAGE.standing) this.#standing(from, message, nowMs);
    else if (this.#message(from, message, nowMs) === "malformed") this.stats.malformed += 1;
  }

  /** Whether another ask gets more at once. */
  answered(from: string, bytes: Uint8Array, nowMs: number): boolean {
    const answer = readAnswer(bytes);
    if (answer === undefined) {
      this.stats.malformed += 1;
      return false;
    }
    const { slot, isKnown, more, messages } = answer;
    const node = this.#nodes.get(from);
    const engine = node?.engines.get(slot);
    if (node === undefined || engine === undefined) return false;
    node.heardAtMs = nowMs;
    if (!isKnown) {
      this.#drop(from, slot);
      return false;
    }
    engine.told(answer, true);
    let isGood = true;
    for (const message of messages) {
      const kind = open(message)?.kind;
      const isOf = message[1] === slot && (kind === MESSAGE.update || kind === MESSAGE.snapshot);
      if (!isOf || this.#message(from, message, nowMs) === "malformed") isGood = false;
    }
    if (!isGood) this.stats.malformed += 1;
    // Of what was to come there is nothing: all is asked for from the beginning, in a while.
    if (messages.length === 0) engine.abandon();
    this.#look(from, engine, nowMs);
    return isGood && more && messages.length > 0 && this.#wanting.has(engine);
  }

  forget(from: string): void {
    for (const slot of this.#nodes.get(from)?.engines.keys() ?? []) this.#drop(from, slot);
    this.#nodes.delete(from);
  }

  wake(nowMs: number): void {
    for (const [from, { heardAtMs, engines }] of this.#nodes) {
      if (nowMs - heardAtMs > GONE_MS) this.forget(from);
      else if (nowMs - heardAtMs > SILENT_MS) for (const engine of engines.values()) this.#want(from, engine, nowMs);
    }
    for (const [engine, from] of this.#wanting) this.#want(from, engine, nowMs);
  }

  /** What is known of a node's engines; those without a first snapshot are not among them. */
  engines(from: string): RemoteIndex[] {
    const known: RemoteIndex[] = [];
    for (const { index } of this.#nodes.get(from)?.engines.values() ?? []) if (index.isKnown) known.push(index);
    return known;
  }

  /** What to ask for by `ask`, whom to follow, and the nodes of which something changed. */
  take(): {
    readonly asks: readonly WantedAsk[];
    readonly follows: readonly string[];
    readonly changed: readonly string[];
  } {
    const taken = { asks: this.#asks, follows: this.#follows, changed: [...this.#changed] };
    if (this.#asks.length > 0) this.#asks = [];
    if (this.#follows.length > 0) this.#follows = [];
    this.#changed.clear();
    return taken;
  }

  /** For what is missing of an engine now; undefined where nothing is. */
  ask({ to, slot }: WantedAsk): Uint8Array | undefined {
    const engine = this.#nodes.get(to)?.engines.get(slot);
    return engine === undefined || !this.#wanting.has(engine) ? undefined : writeAsk(engine.ask());
  }

  #standing(from: string, message: Uint8Array, nowMs: number): void {
    const read = readStanding(message);
    if (read === undefined) {
      this.stats.malformed += 1;
      return;
    }
    const { fromSlot, toSlot, stands } = read;
    const there = new Set(stands.map(({ slot }) => slot));
    for (const slot of this.#nodes.get(from)?.engines.keys() ?? []) {
      if (slot >= fromSlot && slot <= toSlot && !there.has(slot)) this.#drop(from, slot);
    }
    for (const stand of stands) {
      const engine = this.#engine(from, stand.slot, nowMs);
      if (engine === undefined) continue;
      engine.told(stand, false);
      this.#look(from, engine, nowMs);
    }
    const node = this.#nodes.get(from);
    if (node === undefined) return;
    node.heardAtMs = nowMs;
    if (nowMs - node.followedAtMs < FOLLOW_MS) return;
    node.followedAtMs = nowMs;
    this.#follows.push(from);
  }

  #message(from: string, message: Uint8Array, nowMs: number): "read" | "malformed" {
    const opened = open(message);
    if (opened === undefined) return "malformed";
    const { kind, slot, life } = opened;
    const engine = this.#engine(from, slot, nowMs);
    if (engine === undefined) return "read";
    const read = readNumber();
    const told = kind === MESSAGE.snapshot && read !== undefined ? readParts() : undefined;
    let isGood = false;
    if (read !== undefined && kind === MESSAGE.update) isGood = engine.update({ life, ...read }, message);
    else if (read !== undefined && told !== undefined) isGood = engine.snapshot({ life, ...read }, told);
    if (!isGood) engine.damaged();
    this.#changed.add(from);
    this.#look(from, engine, nowMs);
    return isGood ? "read" : "malformed";
  }

  /** Asks where something is missing, and no more where nothing is. */
  #look(from: string, engine: RemoteEngine, nowMs: number): void {
    if (!engine.isWhole) {
      this.#want(from, engine, nowMs);
      return;
    }
    const { index } = engine;
    if (!index.isCurrent) this.#changed.add(from);
    index.isCurrent = true;
    index.behindSinceMs = undefined;
    index.behind = 0;
    this.#wanting.delete(engine);
    engine.askPauseMs = ASK_PAUSE_MS;
    engine.askedAtMs = -Infinity;
  }

  #want(from: string, engine: RemoteEngine, nowMs: number): void {
    const { index } = engine;
    if (index.isCurrent) this.#changed.add(from);
    index.isCurrent = false;
    index.behindSinceMs ??= nowMs;
    index.behind = engine.behind;
    this.#wanting.set(engine, from);
    if (nowMs < engine.askedAtMs + engine.askPauseMs) return;
    if (engine.askedAtMs !== -Infinity) engine.askPauseMs = Math.min(ASK_PAUSE_MS_MAX, engine.askPauseMs * 2);
    engine.askedAtMs = nowMs;
    this.#asks.push({ to: from, slot: index.slot });
  }

  #drop(from: string, slot: number): void {
    const node = this.#nodes.get(from);
    const engine = node?.engines.get(slot);
    if (node === undefined || engine === undefined) return;
    engine.clear();
    this.#wanting.delete(engine);
    node.engines.delete(slot);
    if (node.engines.size === 0) this.#nodes.delete(from);
    this.#engines -= 1;
    this.#changed.add(from);
  }

  #engine(from: string, slot: number, nowMs: number): RemoteEngine | undefined {
    const node = this.#nodes.get(from);
    const known = node?.engines.get(slot);
    if (known !== undefined || this.#engines >= ENGINES_MAX) return known;
    const engine = new RemoteEngine(slot, this.#room, this.stats);
    engine.askPauseMs = ASK_PAUSE_MS;
    if (node !== undefined) node.engines.set(slot, engine);
    else this.#nodes.set(from, { engines: new Map([[slot, engine]]), heardAtMs: nowMs, followedAtMs: -Infinity });
    this.#engines += 1;
    return engine;
  }
}
