/**
 * A line between two routers' desks over datagrams that may be lost, doubled or overtaken: words come once, in order, or
 * the line begins anew and both sides hear of that.
 *
 * Each side has a life, a number that grows with each beginning. A packet says whose life it is of and for: what is for
 * an earlier life says nothing any more. So a line is open once the other side has answered to this life, which shows
 * that both directions work. A side whose peer begins anew begins anew itself, unless it has said and heard nothing yet.
 *
 * Packets with words are numbered, kept until they are acknowledged, and sent again after RESEND_MS, doubled each time;
 * what comes early is kept until what is before it has come. A packet without words is a sign of life, and due when
 * nothing else was said for a while.
 *
 * Limits: WINDOW packets on their way; `isFull` says that more wait than BODIES_MAX.
 */
import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/bytes.ts";
import { type DeskWord, HEAD_BYTES, readHead, readWords, WORD_BYTES_MAX, writeHead, writeWord } from "./desk-words.ts";

const WINDOW = 64;
const BODIES_MAX = 4096;
const RESEND_MS = 20;
const RESEND_MS_MAX = 160;
/** Of packets that are to be sent again, so many at a time. */
const RESENDS_MAX = 8;

interface Body {
  readonly seq: number;
  readonly bytes: Uint8Array;
  sentMs: number;
  waitMs: number;
}

/** What a packet came to. */
export interface Heard {
  readonly words: readonly DeskWord[];
  /** All that was said and heard before is void: the other side has begun anew, or said what can't be read. */
  readonly hasBegunAnew: boolean;
  /** It could not be read, or is of another version. */
  readonly isMalformed: boolean;
}

const NOTHING: Heard = { words: [], hasBegunAnew: false, isMalformed: false };
const MALFORMED: Heard = { ...NOTHING, isMalformed: true };

export class DeskLine {
  /** The other side has answered to this life. */
  isOpen = false;
  /** When it was heard last. */
  heardMs = -Infinity;
  /** It decides for models. */
  peerDecides = false;
  #life: number;
  #peerLife = 0;
  readonly #writer: ByteWriter;
  readonly #packet: ByteWriter;
  readonly #bodyBytesMax: number;
  /** Written, and not sent yet. */
  #bodies: Uint8Array[] = [];
  #unheard: Body[] = [];
  #seq = 0;
  /** All packets up to that one were heard. */
  #heard = 0;
  readonly #early = new Map<number, Uint8Array>();
  #owesSign = true;
  #saidMs = -Infinity;
  #isUsed = false;

  /** `life`: higher than of any line before it; not 0. */
  constructor(life: number, packetBytesMax: number) {
    assert(life > 0 && packetBytesMax >= HEAD_BYTES + WORD_BYTES_MAX, "a packet has room for a word");
    this.#life = life;
    this.#bodyBytesMax = packetBytesMax - HEAD_BYTES;
    this.#writer = new ByteWriter(this.#bodyBytesMax);
    this.#packet = new ByteWriter(packetBytesMax);
  }

  /** More waits to be said than is sensible. */
  get isFull(): boolean {
    return this.#bodies.length > BODIES_MAX;
  }

  /** Something was said that was not acknowledged. */
  get isUnheard(): boolean {
    return this.#unheard.length > 0 || this.#bodies.length > 0 || this.#writer.at > 0;
  }

  /** Everything is void; the other side will hear of that. */
  beginAnew(): void {
    this.#life = this.#life >= 2 ** 32 - 1 ? 1 : this.#life + 1;
    this.isOpen = false;
    this.#isUsed = false;
    this.#writer.at = 0;
    this.#bodies = [];
    this.#unheard = [];
    this.#seq = 0;
    this.#heard = 0;
    this.#early.clear();
    this.#owesSign = true;
  }

  /** Something is to be sent, though there may be nothing to say. */
  oweSign(): void {
    this.#owesSign = true;
  }

  /** Only while it is open. */
  say(word: DeskWord): void {
    assert(this.isOpen, "the line is open");
    this.#isUsed = true;
    if (this.#writer.at + WORD_BYTES_MAX > this.#bodyBytesMax) this.#close();
    writeWord(this.#writer, word);
  }

  #close(): void {
    if (this.#writer.at > 0) this.#bodies.push(this.#writer.bytes());
    this.#writer.at = 0;
  }

  /** A packet came from the other side. */
  hear(packet: Uint8Array, nowMs: number): Heard {
    const head = readHead(packet);
    if (head === undefined) return MALFORMED;
    if (this.#peerLife !== 0 && ((head.life - this.#peerLife) | 0) < 0) return NOTHING;
    let hasBegunAnew = false;
    if (head.life !== this.#peerLife) {
      hasBegunAnew = this.#isUsed;
      if (this.#isUsed) this.beginAnew();
      this.#peerLife = head.life;
      this.isOpen = false;
      this.#owesSign = true;
    }
    this.heardMs = nowMs;
    this.peerDecides = head.decides;
    if (head.toLife !== this.#life) {
      this.#owesSign = true;
      return { ...NOTHING, hasBegunAnew };
    }
    this.isOpen = true;
    this.#unheard = this.#unheard.filter(({ seq }) => seq > head.ack);
    if (head.seq === 0) return { ...NOTHING, hasBegunAnew };
    this.#owesSign = true;
    if (head.seq > this.#heard && head.seq <= this.#heard + WINDOW) {
      this.#early.set(head.seq, packet.slice(HEAD_BYTES));
    }
    const words = this.#inOrder();
    if (words !== null) return { words, hasBegunAnew, isMalformed: false };
    this.beginAnew();
    return { words: [], hasBegunAnew: true, isMalformed: true };
  }

  /** The words of all packets whose turn it is; null: one can't be read. */
  #inOrder(): DeskWord[] | null {
    const all: DeskWord[] = [];
    for (let next = this.#early.get(this.#heard + 1); next !== undefined; next = this.#early.get(this.#heard + 1)) {
      const words = readWords(next, 0);
      if (words === undefined) return null;
      this.#isUsed = true;
      this.#heard += 1;
      this.#early.delete(this.#heard);
      all.push(...words);
    }
    return all;
  }

  /** Nobody has been there for long: its next life may be any. */
  forgetPeer(): void {
    this.#peerLife = 0;
    this.heardMs = -Infinity;
  }

  /** What is to be sent now; a sign at least, if nothing was for `everyMs`. */
  take(nowMs: number, decides: boolean, everyMs: number): Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (const body of this.#unheard.slice(0, RESENDS_MAX)) {
      if (body.sentMs + body.waitMs > nowMs) continue;
      body.sentMs = nowMs;
      body.waitMs = Math.min(RESEND_MS_MAX, body.waitMs * 2);
      packets.push(this.#pack(body.seq, body.bytes, decides));
    }
    if (this.#unheard.length + this.#bodies.length < WINDOW) this.#close();
    while (this.#bodies.length > 0 && this.#unheard.length < WINDOW) {
      const bytes = this.#bodies.shift()!;
      this.#seq += 1;
      this.#unheard.push({ seq: this.#seq, bytes, sentMs: nowMs, waitMs: RESEND_MS });
      packets.push(this.#pack(this.#seq, bytes, decides));
    }
    if (packets.length === 0 && (this.#owesSign || this.#saidMs + everyMs <= nowMs)) {
      packets.push(this.#pack(0, null, decides));
    }
    if (packets.length > 0) {
      this.#owesSign = false;
      this.#saidMs = nowMs;
    }
    return packets;
  }

  /** When `take` has something to give though nothing is said or heard. */
  wakeAtMs(nowMs: number, everyMs: number): number {
    const hasMore =
      this.#owesSign || (this.#unheard.length < WINDOW && (this.#bodies.length > 0 || this.#writer.at > 0));
    if (hasMore) return nowMs;
    let atMs = this.#saidMs + everyMs;
    for (const { sentMs, waitMs } of this.#unheard.slice(0, RESENDS_MAX)) atMs = Math.min(atMs, sentMs + waitMs);
    return atMs;
  }

  #pack(seq: number, body: Uint8Array | null, decides: boolean): Uint8Array {
    const packet = this.#packet;
    packet.at = 0;
    writeHead(packet, { decides, life: this.#life, toLife: this.#peerLife, seq, ack: this.#heard });
    if (body !== null) packet.copy(body);
    return packet.bytes();
  }
}
