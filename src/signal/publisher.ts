/**
 * A node's side of the state channel: its newest sample to every router, soon and cheaply.
 *
 *     const publisher = new Publisher(config, { id, incarnation }, prng, overheadBytes);
 *     publisher.addRouter(to);                         // and removeRouter(to)
 *     publisher.offer(sample, place, nowMs);           // at each look at the node, with its network coordinate
 *     publisher.asked(from);                           // a router misses something
 *     const { sends, wakeAtMs } = publisher.take(nowMs);     // after each of these, and at wakeAtMs
 *
 * A state goes to all routers every `intervalMs`, and at once when the node or a GPU is well or not any more, or when its
 * load changes by more than its columns say, as far as `bytesPerSecond` allows. What was sent at once is sent
 * again shortly after, so that a lost packet delays nothing. Every `keyframeIntervalMs`, and when the
 * description changes, a state holds every figure. A router that is new or that asks gets a snapshot: description and
 * keyframe, then the newest state.
 *
 * Limits: `ROUTERS_MAX` routers; those beyond are told by none. A router is answered `ASKED_PAUSE_MS` apart.
 */
import type { Prng } from "../base/prng.ts";
import type { GpuSample, NodeSample } from "../score/sample.ts";
import { type Description, describe, describeGpus, isSameLayout, isSameReach, type OfGpus } from "./description.ts";
import type { SignalConfig } from "./settings.ts";
import { type Codes, codesOf, differs, pressure } from "./state.ts";
import { writeKeyframe, writeSnapshot, writeState } from "./wire.ts";

/** One message; a long one goes over TCP. */
export interface Send {
  readonly to: string;
  readonly packet: Uint8Array;
}

export const ROUTERS_MAX = 256;
const ASKED_PAUSE_MS = 30;
/** Between two states at once, whatever changes. */
const AT_ONCE_MS = 50;
/** Long enough that what lost the first one is over, short enough that the second is not late. */
const ECHO_MS = 60;
/** How often what was sent at once is sent again. */
const ECHOES = { load: 1, vital: 2 } as const;
/** Between two descriptions. */
const LAYOUT_PAUSE_MS = 500;
/** The same, where requests can be sent to a runtime that they could not be sent to before, or the other way round. */
const REACH_PAUSE_MS = 100;
/** Between two descriptions for the sake of a runtime's message alone. */
const MESSAGE_PAUSE_MS = 5000;
/** States that may be sent at once in a row before the budget counts. */
const BURST_SECONDS = 3;

interface Keyframe {
  readonly description: Description;
  readonly layout: number;
  readonly seq: number;
  readonly codes: Codes;
  readonly atMs: number;
  readonly sampledAtMs: number;
}

interface Router {
  snapshotAtMs: number;
  wantsSnapshot: boolean;
}

export class Publisher {
  readonly #config: SignalConfig;
  readonly #self: { readonly id: string; readonly incarnation: number };
  readonly #prng: Prng;
  /** Of one packet: headers, addresses, encryption. */
  readonly #overheadBytes: number;
  readonly #routers = new Map<string, Router>();
  #description: Description | undefined;
  /** As they were offered last; a source makes others where a figure is another one. */
  #gpus: readonly GpuSample[] | undefined;
  #ofGpus: OfGpus = { words: [], reasons: [], gpus: [] };
  #layout: number;
  #layoutAtMs = -Infinity;
  #uptimeSeconds = 0;
  #codes: Codes = new Uint32Array(0);
  #place: ArrayLike<number> = [];
  #sampledAtMs = 0;
  #keyframe: Keyframe | undefined;
  /** The codes that routers hold when nothing got lost, and when they were read. */
  #held: Codes = new Uint32Array(0);
  #heldAtMs = 0;
  #seq = 0;
  #sentAtMs = -Infinity;
  #regularAtMs = 0;
  #echoAtMs = Infinity;
  #echoes = 0;
  #dueAtMs = Infinity;
  #budgetBytes = 0;
  #budgetAtMs = -Infinity;
  #lastBytes = 0;

  constructor(
    config: SignalConfig,
    self: { readonly id: string; readonly incarnation: number },
    prng: Prng,
    overheadBytes: number,
  ) {
    this.#config = config;
    this.#self = self;
    this.#prng = prng;
    this.#overheadBytes = overheadBytes;
    this.#layout = prng.nextU32();
  }

  /** Routers that are told. */
  get routers(): number {
    return this.#routers.size;
  }

  /** False when there is no place for one more. */
  addRouter(to: string): boolean {
    if (this.#routers.has(to)) return true;
    if (this.#routers.size >= ROUTERS_MAX) return false;
    this.#routers.set(to, { snapshotAtMs: -Infinity, wantsSnapshot: true });
    return true;
  }

  removeRouter(to: string): void {
    this.#routers.delete(to);
  }

  /** A router asks for a snapshot. */
  asked(from: string): void {
    const router = this.#routers.get(from);
    if (router !== undefined) router.wantsSnapshot = true;
  }

  /** The node as it is now. */
  offer(sample: NodeSample, place: ArrayLike<number>, nowMs: number): void {
    this.#place = place;
    const before = this.#description;
    const isSameGpus = before !== undefined && sample.gpus === this.#gpus;
    if (!isSameGpus) this.#ofGpus = describeGpus(sample.gpus, this.#ofGpus.reasons);
    // Messages may hold figures that change at each look.
    const keep = nowMs - this.#layoutAtMs < MESSAGE_PAUSE_MS ? before?.runtimes : undefined;
    const description = describe(this.#self, sample, this.#ofGpus, keep);
    const isNew = before === undefined || !isSameLayout(before, description);
    if (isNew) {
      this.#description = description;
      if (before === undefined) this.#regularAtMs = nowMs + this.#prng.next() * this.#config.intervalMs;
      else this.#layout = (this.#layout + 1) >>> 0;
    }
    const codesBefore = isSameGpus && !isNew ? this.#codes : undefined;
    this.#codes = codesOf(sample, this.#description ?? description, codesBefore);
    this.#gpus = sample.gpus;
    this.#sampledAtMs = nowMs;
    this.#uptimeSeconds = sample.uptimeSeconds;
    if (!isNew) {
      this.#press(nowMs);
      return;
    }
    const pauseMs = before === undefined || isSameReach(before, description) ? LAYOUT_PAUSE_MS : REACH_PAUSE_MS;
    this.#sendBy(Math.max(nowMs, this.#layoutAtMs + pauseMs), ECHOES.vital);
    this.#layoutAtMs = this.#dueAtMs;
  }

  /** What to send now, and when to ask again: Infinity before the first sample. */
  take(nowMs: number): { readonly sends: Send[]; readonly wakeAtMs: number } {
    const sends: Send[] = [];
    if (this.#description === undefined || this.#routers.size === 0) return { sends, wakeAtMs: Infinity };
    // Who comes after a time without routers gets no state of that time.
    const isStale = this.#sampledAtMs > this.#heldAtMs && this.#greetAtMs() <= nowMs;
    const isAtOnce = nowMs >= this.#dueAtMs;
    if (nowMs >= this.#regularAtMs || isAtOnce || isStale || nowMs >= this.#echoAtMs) {
      this.#regularAtMs = nowMs + this.#config.intervalMs * (0.95 + 0.1 * this.#prng.next());
      if (!isAtOnce) this.#echoes = Math.max(0, this.#echoes - 1);
      this.#echoAtMs = this.#echoes > 0 ? nowMs + ECHO_MS : Infinity;
      this.#dueAtMs = Infinity;
      this.#send(this.#description, nowMs, sends);
    }
    for (const [to, router] of this.#routers) {
      if (!router.wantsSnapshot || nowMs < router.snapshotAtMs + ASKED_PAUSE_MS) continue;
      router.wantsSnapshot = false;
      router.snapshotAtMs = nowMs;
      for (const packet of this.newest(nowMs)) sends.push({ to, packet });
    }
    return { sends, wakeAtMs: Math.min(this.#regularAtMs, this.#echoAtMs, this.#dueAtMs, this.#greetAtMs()) };
  }

  /** Whether the news should be told before the next regular state. */
  #press(nowMs: number): void {
    if (this.#description === undefined) return;
    const kind = pressure(this.#description, this.#held, this.#codes);
    if (kind === "none") return;
    // A state that is on its way out takes the load with it.
    if (kind === "load" && (this.#dueAtMs !== Infinity || !this.#spend(nowMs))) return;
    this.#sendBy(Math.max(nowMs, this.#sentAtMs + AT_ONCE_MS), ECHOES[kind]);
  }

  #sendBy(atMs: number, echoes: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, atMs);
    this.#echoes = Math.max(this.#echoes, echoes);
  }

  /** Whether two states more are within what may be spent besides the regular ones. */
  #spend(nowMs: number): boolean {
    const { bytesPerSecond, intervalMs } = this.#config;
    const perState = this.#overheadBytes + this.#lastBytes;
    const perSecond = Math.max(0, bytesPerSecond - (perState * 1000) / intervalMs);
    const most = Math.max(perSecond * BURST_SECONDS, 2 * perState);
    const elapsedMs = Math.min(1e6, nowMs - this.#budgetAtMs);
    this.#budgetBytes = Math.min(most, this.#budgetBytes + (perSecond * elapsedMs) / 1000);
    this.#budgetAtMs = nowMs;
    if (this.#budgetBytes < 2 * perState) return false;
    this.#budgetBytes -= 2 * perState;
    return true;
  }

  #send(description: Description, nowMs: number, sends: Send[]): void {
    const packet = this.#nextState(description, nowMs);
    if (this.#keyframe?.seq !== this.#seq) this.#lastBytes = packet.length;
    for (const [to, router] of this.#routers) {
      // It could not read a state before its snapshot.
      if (router.wantsSnapshot) continue;
      sends.push({ to, packet });
    }
  }

  #nextState(description: Description, nowMs: number): Uint8Array {
    const keyframe = this.#keyframe;
    this.#seq += 1;
    this.#sentAtMs = nowMs;
    this.#heldAtMs = this.#sampledAtMs;
    const head = { layout: this.#layout, seq: this.#seq, ageMs: nowMs - this.#sampledAtMs };
    const codes = this.#codes;
    const isOld = keyframe === undefined || nowMs - keyframe.atMs >= this.#config.keyframeIntervalMs;
    if (isOld || keyframe.layout !== this.#layout) {
      const isFirst = keyframe?.layout !== this.#layout;
      const sampledAtMs = this.#sampledAtMs;
      this.#keyframe = { description, layout: this.#layout, seq: this.#seq, codes, atMs: nowMs, sampledAtMs };
      this.#held = codes;
      if (isFirst) return writeSnapshot(head, this.#described(description), codes, this.#place);
      return writeKeyframe(head, codes, this.#place);
    }
    const held = keyframe.codes.slice();
    const isTold = (at: number): boolean => differs(description, at, keyframe.codes[at]!, codes[at]!);
    for (let at = 0; at < held.length; at += 1) if (isTold(at)) held[at] = codes[at]!;
    this.#held = held;
    return writeState({ ...head, back: this.#seq - keyframe.seq }, codes, isTold);
  }

  /** A snapshot, and the newest state behind it: all that a router needs. Nothing before the first sample. */
  newest(nowMs: number): Uint8Array[] {
    const keyframe = this.#keyframe;
    if (keyframe === undefined) return [];
    const { layout, seq, description, codes, sampledAtMs } = keyframe;
    const head = { layout, seq, ageMs: nowMs - sampledAtMs };
    const snapshot = writeSnapshot(head, this.#described(description), codes, this.#place);
    if (seq === this.#seq) return [snapshot];
    const newest = { layout, seq: this.#seq, back: this.#seq - seq, ageMs: nowMs - this.#heldAtMs };
    return [snapshot, writeState(newest, this.#held, (at) => this.#held[at] !== codes[at])];
  }

  #described(description: Description): Description {
    return { ...description, uptimeSeconds: Math.round(this.#uptimeSeconds) };
  }

  #greetAtMs(): number {
    let atMs = Infinity;
    for (const router of this.#routers.values()) {
      if (router.wantsSnapshot) atMs = Math.min(atMs, router.snapshotAtMs + ASKED_PAUSE_MS);
    }
    return atMs;
  }
}
