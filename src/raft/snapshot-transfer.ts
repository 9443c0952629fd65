/**
 * A snapshot on its way to a follower, in pieces and in order. The follower tells how much it has without a gap; the
 * leader keeps a window on its way, halves what it does not know to arrive down to one piece when nothing moves, and
 * starts again from what the follower has.
 */
import { SNAPSHOT_BYTES_MAX } from "./codec.ts";
import type { Position, Snapshot } from "./entry.ts";
import type { SnapshotChunk } from "./message.ts";

export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class SnapshotSender {
  readonly snapshot: Snapshot;
  readonly #chunkBytes: number;
  readonly #windowBytesMax: number;
  #windowBytes: number;
  /** Sent up to here, -1 before the first piece (that of an empty snapshot has no bytes). */
  #sent = -1;
  #acknowledged = 0;
  /** What the follower said last; less than it had said before when it started again. */
  #reported = 0;
  #movedMs: number;

  constructor(snapshot: Snapshot, chunkBytes: number, windowBytes: number, nowMs: number) {
    this.snapshot = snapshot;
    this.#chunkBytes = chunkBytes;
    this.#windowBytesMax = windowBytes;
    this.#windowBytes = windowBytes;
    this.#movedMs = nowMs;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The next piece that may leave now. */
  next(): Piece | undefined {
    const { data } = this.snapshot;
    const offset = Math.max(this.#sent, 0);
    if (this.#sent >= data.length) return undefined;
    if (offset > this.#acknowledged && offset - this.#acknowledged + this.#chunkBytes > this.#windowBytes) {
      return undefined;
    }
    const bytes = data.subarray(offset, offset + this.#chunkBytes);
    this.#sent = offset + bytes.length;
    return { offset, bytes };
  }

  received(bytes: number, nowMs: number): void {
    if (bytes > this.snapshot.data.length) return;
    this.#reported = bytes;
    if (bytes <= this.#acknowledged) return;
    this.#acknowledged = bytes;
    this.#sent = Math.max(this.#sent, bytes);
    this.#windowBytes = Math.min(this.#windowBytes * 2, this.#windowBytesMax);
    this.#movedMs = nowMs;
  }

  /** Begins again from what the follower has, one piece at a time, if nothing moved for that long. */
  retry(nowMs: number, patienceMs: number): void {
    if (nowMs - this.#movedMs < patienceMs) return;
    const { data } = this.snapshot;
    // One that has all of it and does not say that it is stored has lost it, or that word got lost.
    const from = this.#reported < data.length ? this.#reported : 0;
    this.#acknowledged = from;
    this.#reported = from;
    this.#sent = from === 0 ? -1 : from;
    this.#windowBytes = this.#chunkBytes;
    this.#movedMs = nowMs;
  }
}

export class SnapshotReceiver {
  #first: SnapshotChunk | undefined;
  #pieces: Uint8Array[] = [];
  #received = 0;

  /** How much is there of the snapshot that the chunk belongs to. */
  receivedOf(chunk: SnapshotChunk): number {
    return this.#isSame(chunk) ? this.#received : 0;
  }

  /** The snapshot, once its last piece is there. Pieces out of turn are dropped; another snapshot begins anew. */
  accept(chunk: SnapshotChunk): Snapshot | undefined {
    if (!this.#isSame(chunk)) {
      if (chunk.offset !== 0) return undefined;
      this.drop();
      this.#first = chunk;
    }
    if (chunk.offset !== this.#received || chunk.totalBytes > SNAPSHOT_BYTES_MAX) return undefined;
    if (chunk.bytes.length > 0) this.#pieces.push(chunk.bytes);
    this.#received += chunk.bytes.length;
    if (this.#received < chunk.totalBytes) return undefined;
    const data = new Uint8Array(this.#received);
    let at = 0;
    for (const piece of this.#pieces) {
      data.set(piece, at);
      at += piece.length;
    }
    this.drop();
    return { index: chunk.at.index, term: chunk.at.term, configuration: chunk.configuration, data };
  }

  /** Forgets what came only in part. */
  drop(): void {
    this.#first = undefined;
    this.#pieces = [];
    this.#received = 0;
  }

  /** A leader has one snapshot of a position in its term; another leader's may have other bytes. */
  #isSame(chunk: SnapshotChunk): boolean {
    const first = this.#first;
    if (first === undefined || first.from !== chunk.from || first.term !== chunk.term) return false;
    return isSamePlace(first.at, chunk.at) && first.totalBytes === chunk.totalBytes;
  }
}

export function isSamePlace(one: Position, other: Position): boolean {
  return one.index === other.index && one.term === other.term;
}
