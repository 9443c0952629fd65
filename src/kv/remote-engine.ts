/**
 * One engine as a router follows it: the index by the node's word, and what of that word waits or is missing.
 *
 * Updates that are not the next of their life wait, `WAITING_MAX` of them, for what is between. A snapshot takes the place
 * of all that was known when its last part is here. A life that begins with nothing needs none. What was half read, since
 * it was malformed, is worth nothing until a snapshot comes, but stays: most of it is still so.
 */
import { RemoteIndex, type RoomForBlocks } from "./remote-index.ts";
import { type Ask, HELD, type Stand } from "./talk.ts";
import { type Head, open, type Parts, readGone, readNumber, readRuns } from "./wire.ts";

export type UpdateHead = Omit<Head, "slot">;

export interface ReceiverStats {
  updates: number;
  snapshots: number;
  /** Updates that came before those in front of them. */
  gaps: number;
  malformed: number;
  /** Blocks that there was no room for. */
  refused: number;
}

/** A snapshot of which parts are here. */
interface Coming {
  readonly life: number;
  readonly number: number;
  readonly parts: number;
  readonly here: Set<number>;
  readonly index: RemoteIndex;
}

const WAITING_MAX = 256;

export class RemoteEngine {
  index: RemoteIndex;
  /** When it was asked for what is missing, and how long after that it is again. */
  askedAtMs = -Infinity;
  askPauseMs = 0;
  readonly #room: RoomForBlocks;
  readonly #stats: ReceiverStats;
  #coming: Coming | undefined;
  /** Of one life, by their numbers. */
  readonly #waiting = new Map<number, Uint8Array>();
  #waitingLife = 0;
  /** The newest update that is known of. */
  #told: { life: number; number: number } | undefined;
  #isDamaged = false;

  constructor(slot: number, room: RoomForBlocks, stats: ReceiverStats) {
    this.#room = room;
    this.#stats = stats;
    this.index = new RemoteIndex({ runtime: "", engine: "", slot }, 0, room);
  }

  /** `message` is what `head` was read of; the rest of it is yet to be read. False where it is malformed. */
  update(head: UpdateHead, message: Uint8Array): boolean {
    const { index } = this;
    const { life, number } = head;
    const isSame = index.isKnown && index.life === life;
    if (isSame && !this.#isDamaged && number === index.number + 1) return this.#next(head) && this.#catchUp();
    if (isSame && number <= index.number) return true;
    // Lives of one start of a node follow each other; one before is of a message that came late.
    if (head.isFresh && index.isKnown && (life - index.life) >>> 0 < 2 ** 31) {
      this.#replace(new RemoteIndex(index, life, this.#room), 0);
      this.#room.watcher?.emptied(this.index);
      return this.#next(head) && this.#catchUp();
    }
    this.#stats.gaps += 1;
    this.#hear(life, number);
    if (this.#waitingLife !== life) this.#waiting.clear();
    this.#waitingLife = life;
    if (this.#waiting.size < WAITING_MAX) this.#waiting.set(number, Uint8Array.from(message));
    return true;
  }

  /** `told` stands before the runs, which are yet to be read. False where they are malformed. */
  snapshot(head: UpdateHead, told: Parts): boolean {
    const { index } = this;
    const { life, number } = head;
    const { part, parts } = told;
    // One that says no more than what is known.
    if (index.isKnown && !this.#isDamaged && index.life === life && number <= index.number) return true;
    let coming = this.#coming;
    if (coming?.life !== life || coming.number !== number || coming.parts !== parts) {
      coming?.index.clear();
      const fresh = new RemoteIndex({ ...told, slot: index.slot }, life, this.#room);
      coming = { life, number, parts, here: new Set(), index: fresh };
      this.#coming = coming;
    }
    if (coming.here.has(part)) return true;
    const fresh = coming.index;
    fresh.isTold = !head.isPartial;
    fresh.isHeard = head.isHeard;
    if (!readRuns((key, _parent, depth, tokens, media) => fresh.set(key, depth, tokens, media))) {
      fresh.clear();
      this.#coming = undefined;
      return false;
    }
    coming.here.add(part);
    if (coming.here.size < parts) return true;
    this.#stats.snapshots += 1;
    this.#coming = undefined;
    this.#replace(fresh, number);
    this.#hear(life, number);
    return this.#catchUp();
  }

  /** What was read in part is not what the node holds. */
  damaged(): void {
    this.#isDamaged = true;
  }

  /** The node's newest update; `isSure` where it can't be an earlier one that came late. */
  told({ life, number }: Stand, isSure: boolean): void {
    if (isSure) this.#told = { life, number };
    else this.#hear(life, number);
  }

  /** Whether nothing is missing, as far as is known. */
  get isWhole(): boolean {
    const { index } = this;
    if (!index.isKnown || this.#isDamaged) return false;
    return this.#told === undefined || (this.#told.life === index.life && this.#told.number <= index.number);
  }

  /** Updates known to be missing, of the life that is followed. */
  get behind(): number {
    const told = this.#told;
    return told === undefined || told.life !== this.index.life ? 0 : Math.max(0, told.number - this.index.number);
  }

  /** For what is missing. */
  ask(): Ask {
    const { slot, life, number, isKnown } = this.index;
    const coming = this.#coming;
    if (coming !== undefined) {
      let part = 0;
      while (coming.here.has(part)) part += 1;
      return { slot, held: HELD.parts, life: coming.life, number: coming.number, part };
    }
    if (!isKnown || this.#isDamaged) return { slot, held: HELD.nothing, life: 0, number: 0, part: 0 };
    return { slot, held: HELD.update, life, number, part: 0 };
  }

  /** The snapshot of which parts are here is to be had no more. */
  abandon(): void {
    this.#coming?.index.clear();
    this.#coming = undefined;
  }

  clear(): void {
    this.#room.watcher?.ended(this.index);
    this.index.clear();
    this.abandon();
  }

  #hear(life: number, number: number): void {
    if (this.#told?.life !== life) this.#told = { life, number };
    else this.#told.number = Math.max(this.#told.number, number);
  }

  #replace(fresh: RemoteIndex, number: number): void {
    const before = this.index;
    this.index = fresh;
    this.#isDamaged = false;
    fresh.begin(number);
    this.#room.watcher?.replaced(before, fresh);
    before.clear();
  }

  /** False where it is malformed, and then half of it may be in the index. */
  #next(head: UpdateHead): boolean {
    const { index } = this;
    readGone((key) => index.remove(key));
    if (!readRuns((key, _parent, depth, tokens, media) => index.set(key, depth, tokens, media))) {
      this.#isDamaged = true;
      return false;
    }
    this.#stats.updates += 1;
    index.number = head.number;
    index.isTold = !head.isPartial;
    index.isHeard = head.isHeard;
    this.#hear(head.life, head.number);
    return true;
  }

  /** What waited for what is here now. */
  #catchUp(): boolean {
    const { index } = this;
    if (this.#waitingLife !== index.life) return true;
    for (const number of this.#waiting.keys()) if (number <= index.number) this.#waiting.delete(number);
    for (;;) {
      const message = this.#waiting.get(index.number + 1);
      if (message === undefined) return true;
      this.#waiting.delete(index.number + 1);
      const opened = open(message);
      const read = readNumber();
      if (opened === undefined || read === undefined || !this.#next({ life: opened.life, ...read })) return false;
    }
  }
}
