/**
 * A router's side of the state channel: from the messages of nodes to samples.
 *
 *     subscriber.receive(from, packet, nowMs);           // a message of a node came
 *     subscriber.forget(from);                            // the node is gone
 *     const { reports, asks } = subscriber.take();        // after each of these
 *
 * A state that can't be read, since its description or keyframe is not here, makes us ask its sender for a snapshot:
 * at once, then seldomer while it does not come. An older state than the one read last is dropped. What is malformed
 * is counted, and changes nothing.
 *
 * Limits: `SOURCES_MAX` senders; whoever hands messages over lets only members through.
 */
import type { NodeSample } from "../score/sample.ts";
import type { Description } from "./description.ts";
import { type Codes, sampleOf } from "./state.ts";
import { MESSAGE, open, readCodes, readHead, readKeyframe, readSnapshot } from "./wire.ts";

/** What a node said of itself. */
export interface Report {
  readonly from: string;
  readonly id: string;
  readonly incarnation: number;
  readonly sample: NodeSample;
  /** When the figures were read, on the caller's clock, as far as delays are known. */
  readonly observedAtMs: number;
  /** Where the node is by network coordinates, when it told. */
  readonly place: Float32Array | undefined;
}

export interface SubscriberStats {
  states: number;
  snapshots: number;
  /** States that could not be read before a snapshot. */
  gaps: number;
  /** States older than the newest. */
  late: number;
  malformed: number;
}

const SOURCES_MAX = 16_384;
const ASK_PAUSE_MS = 40;
const ASK_PAUSE_MS_MAX = 5000;
/** One that was silent for so long may come with any life: its clock may have been set back. */
const LIFE_MS = 10_000;

interface Source {
  description: Description | undefined;
  describedAtMs: number;
  layout: number;
  keyframe: Codes;
  keyframeSeq: number;
  /** Of the newest state read, and when that was. */
  seq: number;
  heardAtMs: number;
  askedAtMs: number;
  askPauseMs: number;
}

export class Subscriber {
  readonly stats: SubscriberStats = { states: 0, snapshots: 0, gaps: 0, late: 0, malformed: 0 };
  readonly #sources = new Map<string, Source>();
  #reports: Report[] = [];
  #asks: string[] = [];

  /** Senders known. */
  get size(): number {
    return this.#sources.size;
  }

  receive(from: string, packet: Uint8Array, nowMs: number): void {
    const opened = open(packet);
    if (opened?.kind === MESSAGE.snapshot) this.#snapshot(from, opened.layout, nowMs);
    else if (opened?.kind === MESSAGE.state) this.#state(from, opened.layout, nowMs);
    else this.stats.malformed += 1;
  }

  forget(from: string): void {
    this.#sources.delete(from);
  }

  take(): { readonly reports: readonly Report[]; readonly asks: readonly string[] } {
    const taken = { reports: this.#reports, asks: this.#asks };
    if (this.#reports.length > 0) this.#reports = [];
    if (this.#asks.length > 0) this.#asks = [];
    return taken;
  }

  #snapshot(from: string, layout: number, nowMs: number): void {
    const description = readSnapshot();
    const head = description === undefined ? undefined : readHead();
    const keyframe = description === undefined || head === undefined ? undefined : readKeyframe(description);
    if (description === undefined || head === undefined || keyframe === undefined || head.back !== 0) {
      this.stats.malformed += 1;
      return;
    }
    const source = this.#source(from);
    if (source === undefined) return;
    const isNew = source.description === undefined || source.layout !== layout;
    // A doubled or late one says nothing new; nor does one of an earlier life, or from before the description changed.
    const isOlder = isNew
      ? isOlderLayout(source, description.incarnation, layout, nowMs)
      : head.seq < source.keyframeSeq;
    if (isOlder) {
      this.stats.late += 1;
      return;
    }
    this.stats.snapshots += 1;
    source.description = description;
    source.describedAtMs = nowMs;
    source.layout = layout;
    source.keyframe = keyframe.codes;
    source.keyframeSeq = head.seq;
    source.askPauseMs = ASK_PAUSE_MS;
    if (!isNew && head.seq <= source.seq) return;
    source.seq = head.seq;
    this.#report(from, source, description, keyframe.codes, keyframe.place, nowMs - head.ageMs);
  }

  #state(from: string, layout: number, nowMs: number): void {
    const head = readHead();
    if (head === undefined) {
      this.stats.malformed += 1;
      return;
    }
    const source = this.#source(from);
    if (source === undefined) return;
    const { description } = source;
    const isKeyframe = head.back === 0;
    if (description === undefined || source.layout !== layout) {
      this.#ask(from, source, nowMs);
      return;
    }
    if (head.seq <= source.seq) {
      this.stats.late += 1;
      return;
    }
    if (!isKeyframe && head.seq - head.back !== source.keyframeSeq) {
      this.#ask(from, source, nowMs);
      return;
    }
    const keyframe = isKeyframe ? readKeyframe(description) : undefined;
    const codes = isKeyframe ? keyframe?.codes : readCodes(source.keyframe);
    if (codes === undefined) {
      this.stats.malformed += 1;
      return;
    }
    this.stats.states += 1;
    source.seq = head.seq;
    source.askPauseMs = ASK_PAUSE_MS;
    if (isKeyframe) {
      source.keyframe = codes;
      source.keyframeSeq = head.seq;
    }
    this.#report(from, source, description, codes, keyframe?.place, nowMs - head.ageMs);
  }

  #report(
    from: string,
    source: Source,
    description: Description,
    codes: Codes,
    place: Float32Array | undefined,
    observedAtMs: number,
  ): void {
    const { id, incarnation } = description;
    source.heardAtMs = Math.max(source.heardAtMs, observedAtMs);
    const sample = sampleOf(description, codes, Math.max(0, observedAtMs - source.describedAtMs));
    this.#reports.push({ from, id, incarnation, sample, observedAtMs, place });
  }

  #ask(from: string, source: Source, nowMs: number): void {
    this.stats.gaps += 1;
    if (nowMs < source.askedAtMs + source.askPauseMs) return;
    if (source.askedAtMs !== -Infinity) source.askPauseMs = Math.min(ASK_PAUSE_MS_MAX, source.askPauseMs * 2);
    source.askedAtMs = nowMs;
    this.#asks.push(from);
  }

  #source(from: string): Source | undefined {
    const known = this.#sources.get(from);
    if (known !== undefined || this.#sources.size >= SOURCES_MAX) return known;
    const source: Source = {
      description: undefined,
      describedAtMs: 0,
      layout: 0,
      keyframe: new Uint32Array(0),
      keyframeSeq: -1,
      seq: -1,
      heardAtMs: -Infinity,
      askedAtMs: -Infinity,
      askPauseMs: ASK_PAUSE_MS,
    };
    this.#sources.set(from, source);
    return source;
  }
}

/** Layouts of one life are numbered upwards. */
function isOlderLayout(source: Source, incarnation: number, layout: number, nowMs: number): boolean {
  if (source.description === undefined || nowMs - source.heardAtMs > LIFE_MS) return false;
  const known = source.description.incarnation;
  return incarnation === known ? ((layout - source.layout) | 0) < 0 : incarnation < known;
}
