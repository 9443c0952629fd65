/**
 * An HTTP/2 connection (RFC 9113) without its socket, in either role: bytes of the peer go in by `receive`, frames for
 * the peer pile up in `output`, and streams tell their owners what happens.
 *
 * Flow control goes both ways. What is received is granted anew only when its owner has consumed it, so a slow reader
 * on the other side of a relay slows its sender down and nobody else. A client's streams share its connection's window;
 * a server's answers are for many clients, so there the connection's is granted anew at once, and each stream's limits.
 * What is sent waits in its stream while a window is closed or `output` is full, and `writable` tells when it is gone.
 *
 * Faults of one stream reset it; faults of framing, compression or the connection's window end the connection with
 * GOAWAY. Priorities are ignored, pushes are neither made nor taken, and no field we send is ever indexed (hpack.ts).
 *
 * Limits: concurrent streams, windows, list and block sizes by Http2Options; frames of 16 KiB; 16 CONTINUATION frames a
 * block; two budgets (http2-budget.ts), one for resets and one for frames that do no work; as many ids of streams that
 * we reset (http2-ids.ts) as there may be streams.
 *
 * There is no recovery within a connection: after `failed` it only has what is left in `output`.
 */
import { BLOCK_ROLE, type HeaderBlock } from "./header-block.ts";
import { BLOCK_START, HpackDecoder } from "./hpack.ts";
import { Http2Budget } from "./http2-budget.ts";
import {
  FLAG,
  FRAME,
  FRAME_BYTES,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  H2_ERROR,
  PREFACE,
  SETTING,
  STREAM_ID_MAX,
  WINDOW_BYTES,
  WINDOW_BYTES_MAX,
} from "./http2-frames.ts";
import { ClosedIds } from "./http2-ids.ts";
import { FrameOutput } from "./http2-output.ts";
import { Http2Stream, type StreamOwner } from "./http2-stream.ts";
import { copyOf } from "./octets.ts";

export interface Http2Options {
  /** Streams that the peer may have open at once. */
  readonly streamsMax: number;
  /** Bytes of one stream that the peer may send ahead; at least 65,535, which it may before it knows. */
  readonly streamWindowBytes: number;
  /** The same, of all streams together. */
  readonly connectionWindowBytes: number;
  /** A decoded list of fields; its block may be twice as long. */
  readonly listBytesMax: number;
  /** Once so much waits in `output`, bodies wait in their streams. */
  readonly outputBytesMax: number;
}

/** Who a connection is for. */
export interface Http2Listener {
  /** A request came: answers who its stream is for. In the server's role only. */
  requested(stream: Http2Stream, block: HeaderBlock, ended: boolean): void;
  /** The peer takes no new streams, or will open none. */
  goingAway(): void;
  /** The peer's settings changed: more streams may be possible. */
  settled(): void;
  /** The connection is over, with this code and why; what `output` holds is to be sent before the socket closes. */
  failed(code: number, reason: string): void;
}

const AWAIT_PREFACE = 0;
const AWAIT_SETTINGS = 1;
const OPEN = 2;
const CLOSED = 3;

/** How many streams a server takes is not known before its settings; most take this many. */
const STREAMS_ASSUMED = 100;
const CONTINUATIONS_MAX = 16;
const RESETS_MAX = 500;
const RESETS_PER_SECOND = 100;
const IDLE_FRAMES_MAX = 1000;
const IDLE_FRAMES_PER_SECOND = 100;
/** What a frame that carries something earns: peers answer it by window updates. */
const EARNED = 3;
const SETTINGS_PER_TOKEN = 16;
/** Answers to the peer's control frames that may wait beyond the bodies. */
const CONTROL_BYTES_MAX = 1_048_576;
const PRIORITY_BYTES = 5;
const SETTING_BYTES = 6;
const PING_BYTES = 8;
const WORD_BYTES = 4;
const NOTHING = new Uint8Array(0);
const NO_PING = new Uint8Array(PING_BYTES);

export class Http2Connection {
  readonly output = new FrameOutput();
  readonly #isServer: boolean;
  readonly #options: Http2Options;
  readonly #listener: Http2Listener;
  readonly #decoder: HpackDecoder;
  readonly #streams = new Map<number, Http2Stream>();
  /** Streams with something in their queue; the first in line is the first to send. */
  readonly #blocked = new Set<Http2Stream>();
  readonly #resets = new Http2Budget(RESETS_MAX, RESETS_PER_SECOND);
  readonly #idleFrames = new Http2Budget(IDLE_FRAMES_MAX, IDLE_FRAMES_PER_SECOND);
  readonly #closed: ClosedIds;
  #phase: number;
  #nowMs = 0;
  /** When the peer last sent a frame, and one that says more than that it is there. */
  heardMs = 0;
  workedMs = 0;
  /** Streams that we have reset: peers count them. */
  resetsSent = 0;

  // ---- what the peer allows
  #peerWindowBytes = WINDOW_BYTES;
  #peerFrameBytes = FRAME_BYTES;
  #peerStreamsMax = STREAMS_ASSUMED;
  /** The longest list of fields that the peer takes. */
  peerListBytesMax = Number.POSITIVE_INFINITY;
  #sendWindow = WINDOW_BYTES;

  // ---- what the peer may send
  #receiveWindow = WINDOW_BYTES;
  #ungranted = 0;

  #lastPeerId = 0;
  #nextId = 1;
  /** The last stream that we take, once we have told the peer. */
  #lastTakenId = STREAM_ID_MAX;
  #isDraining = false;
  #peerIsLeaving = false;
  #blockSent = false;

  // ---- what came in part
  /** A frame, or the preface, of which bytes [0, stashEnd) are here. */
  #stash: Uint8Array = NOTHING;
  #stashEnd = 0;
  #prefaceAt = 0;
  /** The stream whose header block goes on in CONTINUATION frames, or 0. */
  #blockId = 0;
  #blockFlags = 0;
  #block: Uint8Array = NOTHING;
  #blockEnd = 0;
  #continuations = 0;

  constructor(isServer: boolean, options: Http2Options, listener: Http2Listener) {
    this.#isServer = isServer;
    this.#options = options;
    this.#listener = listener;
    this.#decoder = new HpackDecoder(options.listBytesMax);
    this.#closed = new ClosedIds(Math.max(STREAMS_ASSUMED, options.streamsMax));
    this.#phase = isServer ? AWAIT_PREFACE : AWAIT_SETTINGS;
    this.#greet();
  }

  get isClosed(): boolean {
    return this.#phase === CLOSED;
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** The peer has told its settings: it speaks HTTP/2. */
  get isReady(): boolean {
    return this.#phase === OPEN;
  }

  /** Streams that may be opened besides those that are. */
  get capacity(): number {
    if (this.#phase === CLOSED || this.#peerIsLeaving || this.#isDraining || this.#nextId > STREAM_ID_MAX) return 0;
    return this.#peerStreamsMax - this.#streams.size;
  }

  // ---- sending

  /**
   * Opens a stream with a request whose encoded fields are bytes [start, end); null when the peer takes no more. In the
   * client's role only.
   */
  open(owner: StreamOwner, bytes: Uint8Array, start: number, end: number, ended: boolean): Http2Stream | null {
    if (this.capacity <= 0) return null;
    const { streamWindowBytes } = this.#options;
    const stream = new Http2Stream(this.#nextId, owner, this.#peerWindowBytes, streamWindowBytes);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.sendHead(stream, bytes, start, end, ended);
    return stream;
  }

  /** Sends encoded fields as a head, or behind all that waits as trailers. */
  sendHead(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (stream.gone || stream.localEnded) return;
    if (stream.queue !== null) {
      stream.enqueue(bytes, start, end, ended, true);
      return;
    }
    this.#writeHead(stream.id, bytes, start, end, ended);
    if (ended) this.#endLocal(stream);
  }

  /** Sends a piece of a body; false when some of it has to wait (its bytes are copied) until `writable`. */
  sendBody(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): boolean {
    if (stream.gone || stream.localEnded) return true;
    let at = start;
    if (stream.queue === null) {
      if (start === end && !ended) return true;
      at = this.#writeBody(stream, bytes, start, end, ended);
      if (at === end && stream.localEnded === ended) return true;
      this.#blocked.add(stream);
    }
    stream.enqueue(bytes, at, end, ended, false);
    return false;
  }

  /** The owner has done with so many bytes of the stream's body: the peer may send as many more. */
  consume(stream: Http2Stream, bytes: number): void {
    const some = Math.min(bytes, stream.unconsumed);
    if (some === 0) return;
    stream.unconsumed -= some;
    if (this.#isServer) this.#grant(some);
    if (stream.remoteEnded || stream.gone) return;
    stream.ungranted += some;
    if (stream.ungranted < this.#options.streamWindowBytes / 2) return;
    stream.receiveWindow += stream.ungranted;
    this.#writeWord(FRAME.windowUpdate, stream.id, stream.ungranted);
    stream.ungranted = 0;
  }

  /** The owner is through with a stream that ended in order: what it has not consumed it never will. */
  release(stream: Http2Stream): void {
    this.consume(stream, stream.unconsumed);
  }

  /** Ends a stream at once; its owner is not told. One that has ended on both sides needs no word to the peer. */
  reset(stream: Http2Stream, code: number): void {
    if (stream.gone) return;
    if (stream.localEnded && stream.remoteEnded) {
      this.#settle(stream);
      return;
    }
    this.#writeReset(stream.id, code);
    this.#forget(stream);
  }

  /** The peer made its stream's owner throw away what was done for it: that counts like a reset of the peer's own. */
  blame(): void {
    this.#countReset();
  }

  /**
   * Takes no new streams. The first call only announces it, so that requests on their way are still taken; the second
   * says which one was the last.
   */
  drain(): void {
    if (this.#phase === CLOSED) return;
    const isSecond = this.#isDraining;
    this.#isDraining = true;
    if (isSecond && this.#lastTakenId === STREAM_ID_MAX) {
      this.#lastTakenId = this.#lastPeerId;
      this.#writeGoAway(H2_ERROR.none, "");
    } else if (!isSecond) {
      this.#writeGoAway(H2_ERROR.none, "");
    }
  }

  /** More of `output` was sent: bodies that waited for it go on. */
  drained(): void {
    if (this.#blocked.size > 0 && !this.#isFull()) this.#pump();
  }

  /** The socket is gone; `untouched`: it never was there. */
  lose(untouched: boolean): void {
    if (this.#phase === CLOSED) return;
    this.#phase = CLOSED;
    this.output.clear();
    this.#loseStreams(H2_ERROR.internal, untouched);
  }

  /** Asks the peer for a sign of life. */
  ping(): void {
    if (this.#phase !== CLOSED) this.output.ping(NO_PING, 0, 0);
  }

  /** Lets the owners end what takes too long; call it now and then. */
  wake(nowMs: number): void {
    for (const stream of this.#streams.values()) stream.owner.wake?.(nowMs);
  }

  /** Ends the connection, as its peer's fault or by our own will. */
  end(code: number, reason: string): void {
    this.#fail(code, reason);
  }

  // ---- receiving

  /** Takes bytes [start, end) of the peer; the buffer is free again afterwards. */
  receive(bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    if (this.#phase === CLOSED) return;
    this.#nowMs = nowMs;
    let at = start;
    if (this.#phase === AWAIT_PREFACE) at = this.#readPreface(bytes, start, end);
    if (this.#stashEnd > 0) at = this.#completeStash(bytes, at, end);
    while (this.#phase !== CLOSED) {
      if (end - at < FRAME_HEAD_BYTES) break;
      const length = lengthAt(bytes, at);
      if (length > FRAME_BYTES) {
        this.#fail(H2_ERROR.frameSize, "a frame larger than announced");
        return;
      }
      if (end - at < FRAME_HEAD_BYTES + length) break;
      this.#frame(bytes, at, length);
      at += FRAME_HEAD_BYTES + length;
    }
    if (this.#phase !== CLOSED && at < end) this.#keep(bytes, at, end);
  }

  #readPreface(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && this.#prefaceAt < PREFACE.length) {
      if (bytes[at++] !== PREFACE[this.#prefaceAt++]) {
        this.#fail(H2_ERROR.protocol, "no HTTP/2 preface");
        return end;
      }
    }
    if (this.#prefaceAt === PREFACE.length) this.#phase = AWAIT_SETTINGS;
    return at;
  }

  /** Keeps part of a frame; there is room for all of it as soon as its length is known. */
  #keep(bytes: Uint8Array, start: number, end: number): void {
    const known = end - start >= FRAME_HEAD_BYTES;
    this.#stash = new Uint8Array(FRAME_HEAD_BYTES + (known ? lengthAt(bytes, start) : 0));
    this.#stash.set(bytes.subarray(start, end));
    this.#stashEnd = end - start;
  }

  /** Adds to the frame that came in part; answers where the next one begins. */
  #completeStash(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.#stashEnd < FRAME_HEAD_BYTES) {
      while (at < end && this.#stashEnd < FRAME_HEAD_BYTES) this.#stash[this.#stashEnd++] = bytes[at++]!;
      if (this.#stashEnd < FRAME_HEAD_BYTES) return end;
      const length = lengthAt(this.#stash, 0);
      if (length > FRAME_BYTES) {
        this.#fail(H2_ERROR.frameSize, "a frame larger than announced");
        return end;
      }
      const whole = new Uint8Array(FRAME_HEAD_BYTES + length);
      whole.set(this.#stash);
      this.#stash = whole;
    }
    const take = Math.min(end - at, this.#stash.length - this.#stashEnd);
    this.#stash.set(bytes.subarray(at, at + take), this.#stashEnd);
    this.#stashEnd += take;
    at += take;
    if (this.#stashEnd < this.#stash.length) return end;
    const frame = this.#stash;
    this.#stash = NOTHING;
    this.#stashEnd = 0;
    this.#frame(frame, 0, frame.length - FRAME_HEAD_BYTES);
    return at;
  }

  #frame(bytes: Uint8Array, head: number, length: number): void {
    const type = bytes[head + 3]!;
    const flags = bytes[head + 4]!;
    const id = wordAt(bytes, head + 5) & STREAM_ID_MAX;
    const at = head + FRAME_HEAD_BYTES;
    this.heardMs = this.#nowMs;
    if (type !== FRAME.ping) this.workedMs = this.#nowMs;
    if (this.#phase === AWAIT_SETTINGS) {
      if (type !== FRAME.settings || (flags & FLAG.ack) !== 0) {
        this.#fail(H2_ERROR.protocol, "the first frame is no SETTINGS");
        return;
      }
      this.#phase = OPEN;
    }
    if (this.#blockId !== 0 && (type !== FRAME.continuation || id !== this.#blockId)) {
      this.#fail(H2_ERROR.protocol, "a frame inside a header block");
      return;
    }
    switch (type) {
      case FRAME.data:
        this.#data(bytes, at, length, flags, id);
        break;
      case FRAME.headers:
        this.#headers(bytes, at, length, flags, id);
        break;
      case FRAME.continuation:
        this.#continuation(bytes, at, length, flags, id);
        break;
      case FRAME.windowUpdate:
        this.#windowUpdate(bytes, at, length, id);
        break;
      case FRAME.resetStream:
        this.#resetStream(bytes, at, length, id);
        break;
      case FRAME.settings:
        this.#settings(bytes, at, length, flags, id);
        break;
      case FRAME.ping:
        this.#ping(bytes, at, length, flags, id);
        break;
      case FRAME.goAway:
        this.#goAway(bytes, at, length, id);
        break;
      case FRAME.priority:
        this.#priority(bytes, at, length, id);
        break;
      case FRAME.pushPromise:
        this.#fail(H2_ERROR.protocol, "PUSH_PROMISE, which was switched off");
        break;
      default:
        // Of an extension that was not agreed on (RFC 9113 section 5.5).
        this.#countIdle(1);
    }
    if (this.output.pending > this.#options.outputBytesMax + CONTROL_BYTES_MAX && this.#phase !== CLOSED) {
      this.#fail(H2_ERROR.enhanceYourCalm, "answers to control frames are not read");
    }
  }

  #data(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id === 0) {
      this.#fail(H2_ERROR.protocol, "DATA without a stream");
      return;
    }
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      this.#fail(H2_ERROR.flowControl, "more DATA than the connection's window");
      return;
    }
    let at = start;
    let end = start + length;
    if ((flags & FLAG.padded) !== 0) {
      const padding = length > 0 ? bytes[start]! : 0;
      if (padding >= length) {
        this.#fail(H2_ERROR.protocol, "more padding than payload");
        return;
      }
      at++;
      end -= padding;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#grant(length);
      this.#strayData(id);
      return;
    }
    stream.unconsumed += length;
    if (!this.#isServer) this.#grant(length);
    if (stream.remoteEnded) {
      this.#spoil(stream, H2_ERROR.streamClosed);
      return;
    }
    if (!this.#isServer && !stream.isAnswered) {
      this.#spoil(stream, H2_ERROR.protocol);
      return;
    }
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.#spoil(stream, H2_ERROR.flowControl);
      return;
    }
    const ended = (flags & FLAG.endStream) !== 0;
    if (!ended && at === end) {
      if (!this.#countIdle(1)) return;
    } else {
      this.#idleFrames.earn(EARNED);
    }
    if (stream.contentLeft >= 0) {
      stream.contentLeft -= end - at;
      if (stream.contentLeft < 0 || (ended && stream.contentLeft > 0)) {
        this.#spoil(stream, H2_ERROR.protocol);
        return;
      }
    }
    if (ended) stream.remoteEnded = true;
    // Padding is for the windows only.
    if (end - at < length) this.consume(stream, length - (end - at));
    if (at < end || ended) stream.owner.body(stream, bytes, at, end, ended);
    if (ended) this.#settle(stream);
  }

  /** DATA on a stream that is not open. */
  #strayData(id: number): void {
    if (this.#isIdle(id)) {
      this.#fail(H2_ERROR.protocol, "DATA on an idle stream");
      return;
    }
    const wasReset = this.#closed.wasReset(id);
    // What a target had sent before it knew is no flood, however many calls ended at once.
    if (wasReset && !this.#isServer) return;
    if (this.#countIdle(1) && !wasReset) this.#refuse(id, H2_ERROR.streamClosed);
  }

  /** Whether a stream was never opened. */
  #isIdle(id: number): boolean {
    const isPeers = (id & 1) === (this.#isServer ? 1 : 0);
    return isPeers ? id > this.#lastPeerId : id >= this.#nextId;
  }

  #headers(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id === 0) {
      this.#fail(H2_ERROR.protocol, "HEADERS without a stream");
      return;
    }
    let at = start;
    let end = start + length;
    if ((flags & FLAG.padded) !== 0) {
      end -= length > 0 ? bytes[at]! : 1;
      at++;
    }
    let ownParent = false;
    if ((flags & FLAG.priority) !== 0) {
      ownParent = end - at >= PRIORITY_BYTES && (wordAt(bytes, at) & STREAM_ID_MAX) === id;
      at += PRIORITY_BYTES;
    }
    if (at > end) {
      this.#fail(H2_ERROR.protocol, "HEADERS shorter than their padding or priority");
      return;
    }
    if (ownParent) {
      this.#fail(H2_ERROR.protocol, "a stream that depends on itself");
      return;
    }
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#fields(bytes, at, end, id, (flags & FLAG.endStream) !== 0);
      return;
    }
    this.#blockId = id;
    this.#blockFlags = flags;
    this.#block = copyOf(bytes, at, end);
    this.#blockEnd = end - at;
    this.#continuations = 0;
  }

  #continuation(bytes: Uint8Array, at: number, length: number, flags: number, id: number): void {
    if (this.#blockId === 0) {
      this.#fail(H2_ERROR.protocol, "CONTINUATION of nothing");
      return;
    }
    this.#continuations++;
    const end = this.#blockEnd + length;
    if (this.#continuations > CONTINUATIONS_MAX || end > 2 * this.#options.listBytesMax) {
      this.#fail(H2_ERROR.enhanceYourCalm, "a header block without an end");
      return;
    }
    if (end > this.#block.length) {
      const wider = new Uint8Array(Math.max(end, this.#block.length * 2));
      wider.set(this.#block.subarray(0, this.#blockEnd));
      this.#block = wider;
    }
    this.#block.set(bytes.subarray(at, at + length), this.#blockEnd);
    this.#blockEnd = end;
    if ((flags & FLAG.endHeaders) === 0) return;
    const block = this.#block;
    this.#block = NOTHING;
    this.#blockId = 0;
    this.#fields(block, 0, end, id, (this.#blockFlags & FLAG.endStream) !== 0);
  }

  /** A whole header block. */
  #fields(bytes: Uint8Array, start: number, end: number, id: number, ended: boolean): void {
    const block = this.#decoder.decode(bytes, start, end);
    if (block === null) {
      this.#fail(H2_ERROR.compression, "a header block that can't be decoded");
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (this.#isServer && (id & 1) === 1 && id > this.#lastPeerId) this.#request(block, id, ended);
      else this.#strayFields(id);
      return;
    }
    if (stream.remoteEnded) {
      this.#spoil(stream, H2_ERROR.streamClosed);
    } else if (this.#isServer || stream.isAnswered) {
      this.#trailers(stream, block, ended);
    } else {
      this.#answer(stream, block, ended);
    }
  }

  #request(block: HeaderBlock, id: number, ended: boolean): void {
    this.#closed.skip(this.#lastPeerId === 0 ? 1 : this.#lastPeerId + 2, id - 2);
    this.#lastPeerId = id;
    if (id > this.#lastTakenId || this.#streams.size >= this.#options.streamsMax) {
      if (this.#countReset()) this.#refuse(id, H2_ERROR.refusedStream);
      return;
    }
    const length = block.fault(BLOCK_ROLE.request) === "" ? block.contentLength : -2;
    if (length < -1 || (ended && length > 0)) {
      if (this.#countReset()) this.#refuse(id, H2_ERROR.protocol);
      return;
    }
    this.#idleFrames.earn(EARNED);
    const stream = new Http2Stream(id, NOBODY, this.#peerWindowBytes, this.#options.streamWindowBytes);
    stream.contentLeft = length;
    stream.remoteEnded = ended;
    this.#streams.set(id, stream);
    this.#listener.requested(stream, block, ended);
  }

  #refuse(id: number, code: number): void {
    this.#writeReset(id, code);
    this.#closed.remember(id);
  }

  /** A header block on a stream that is not open, and can't be opened. */
  #strayFields(id: number): void {
    if (this.#closed.wasReset(id)) {
      this.#countIdle(1);
      return;
    }
    const isClosed = !this.#isIdle(id) && !this.#closed.wasSkipped(id) && (id & 1) === 1;
    this.#fail(isClosed ? H2_ERROR.streamClosed : H2_ERROR.protocol, "HEADERS on a stream that can't be opened");
  }

  #answer(stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    if (block.tooLarge || block.fault(BLOCK_ROLE.answer) !== "") {
      this.#spoil(stream, H2_ERROR.protocol);
      return;
    }
    if (block.status < 200) {
      // Nothing is asked for that an informational answer could be about, and no protocol is switched here.
      if (ended || block.status === 101) this.#spoil(stream, H2_ERROR.protocol);
      else this.#countIdle(1);
      return;
    }
    this.#idleFrames.earn(EARNED);
    stream.isAnswered = true;
    if (!ended && block.status !== 204 && block.status !== 304) stream.contentLeft = block.contentLength;
    stream.remoteEnded = ended;
    stream.owner.answered(stream, block, ended);
    if (ended) this.#settle(stream);
  }

  #trailers(stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    if (!ended || block.tooLarge || block.fault(BLOCK_ROLE.trailers) !== "" || stream.contentLeft > 0) {
      this.#spoil(stream, H2_ERROR.protocol);
      return;
    }
    stream.remoteEnded = true;
    stream.owner.trailers(stream, block);
    this.#settle(stream);
  }

  #windowUpdate(bytes: Uint8Array, at: number, length: number, id: number): void {
    if (length !== WORD_BYTES) {
      this.#fail(H2_ERROR.frameSize, "a WINDOW_UPDATE of a wrong length");
      return;
    }
    const increment = wordAt(bytes, at) & WINDOW_BYTES_MAX;
    if (!this.#countIdle(1)) return;
    if (id === 0) {
      if (increment === 0 || this.#sendWindow + increment > WINDOW_BYTES_MAX) {
        const code = increment === 0 ? H2_ERROR.protocol : H2_ERROR.flowControl;
        this.#fail(code, "a WINDOW_UPDATE of nothing, or too much");
        return;
      }
      this.#sendWindow += increment;
      if (this.#blocked.size > 0) this.#pump();
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) this.#fail(H2_ERROR.protocol, "a WINDOW_UPDATE on an idle stream");
      return;
    }
    if (increment === 0 || stream.sendWindow + increment > WINDOW_BYTES_MAX) {
      this.#spoil(stream, increment === 0 ? H2_ERROR.protocol : H2_ERROR.flowControl);
      return;
    }
    stream.sendWindow += increment;
    if (stream.queue !== null) this.#pumpStream(stream);
  }

  #resetStream(bytes: Uint8Array, at: number, length: number, id: number): void {
    if (length !== WORD_BYTES) {
      this.#fail(H2_ERROR.frameSize, "a RST_STREAM of a wrong length");
      return;
    }
    if (id === 0 || this.#isIdle(id)) {
      this.#fail(H2_ERROR.protocol, "a RST_STREAM without an open stream");
      return;
    }
    if (!this.#countReset()) return;
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const code = wordAt(bytes, at) >>> 0;
    this.#forget(stream, false);
    stream.owner.lost(stream, code, code === H2_ERROR.refusedStream);
  }

  #settings(bytes: Uint8Array, start: number, length: number, flags: number, id: number): void {
    if (id !== 0) {
      this.#fail(H2_ERROR.protocol, "SETTINGS on a stream");
      return;
    }
    if ((flags & FLAG.ack) !== 0) {
      if (length !== 0) this.#fail(H2_ERROR.frameSize, "an acknowledgement with settings");
      else this.#countIdle(1);
      return;
    }
    if (length % SETTING_BYTES !== 0) {
      this.#fail(H2_ERROR.frameSize, "SETTINGS of a wrong length");
      return;
    }
    if (!this.#countIdle(1 + length / SETTING_BYTES / SETTINGS_PER_TOKEN)) return;
    for (let at = start; at < start + length; at += SETTING_BYTES) {
      const code = this.#setting((bytes[at]! << 8) | bytes[at + 1]!, wordAt(bytes, at + 2) >>> 0);
      if (code !== H2_ERROR.none) {
        this.#fail(code, "a setting that may not be");
        return;
      }
    }
    this.output.settings(null);
    if (this.#blocked.size > 0) this.#pump();
    this.#listener.settled();
  }

  /** Takes one setting; answers an error code. */
  #setting(which: number, value: number): number {
    switch (which) {
      case SETTING.enablePush:
        return value > 1 || (value === 1 && !this.#isServer) ? H2_ERROR.protocol : H2_ERROR.none;
      case SETTING.maxConcurrentStreams:
        this.#peerStreamsMax = value;
        return H2_ERROR.none;
      case SETTING.initialWindowSize: {
        if (value > WINDOW_BYTES_MAX) return H2_ERROR.flowControl;
        const change = value - this.#peerWindowBytes;
        this.#peerWindowBytes = value;
        for (const stream of this.#streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > WINDOW_BYTES_MAX) return H2_ERROR.flowControl;
        }
        return H2_ERROR.none;
      }
      case SETTING.maxFrameSize:
        if (value < FRAME_BYTES || value > FRAME_BYTES_MAX) return H2_ERROR.protocol;
        this.#peerFrameBytes = value;
        return H2_ERROR.none;
      case SETTING.maxHeaderListSize:
        this.peerListBytesMax = value;
        return H2_ERROR.none;
      default:
        // The table's size too: nothing of ours ever stands in it.
        return H2_ERROR.none;
    }
  }

  #ping(bytes: Uint8Array, at: number, length: number, flags: number, id: number): void {
    if (id !== 0 || length !== PING_BYTES) {
      const code = length === PING_BYTES ? H2_ERROR.protocol : H2_ERROR.frameSize;
      this.#fail(code, "a PING on a stream, or of a wrong length");
      return;
    }
    if (!this.#countIdle(1) || (flags & FLAG.ack) !== 0) return;
    this.output.ping(bytes, at, FLAG.ack);
  }

  #goAway(bytes: Uint8Array, at: number, length: number, id: number): void {
    if (id !== 0 || length < 2 * WORD_BYTES) {
      this.#fail(id !== 0 ? H2_ERROR.protocol : H2_ERROR.frameSize, "a GOAWAY on a stream, or of a wrong length");
      return;
    }
    if (!this.#countIdle(1)) return;
    this.#peerIsLeaving = true;
    const last = wordAt(bytes, at) & STREAM_ID_MAX;
    if (!this.#isServer) {
      for (const stream of this.#streams.values()) {
        if (stream.id <= last) continue;
        this.#forget(stream);
        stream.owner.lost(stream, H2_ERROR.refusedStream, true);
      }
    }
    this.#listener.goingAway();
  }

  #priority(bytes: Uint8Array, at: number, length: number, id: number): void {
    if (id === 0) {
      this.#fail(H2_ERROR.protocol, "PRIORITY without a stream");
    } else if (length !== PRIORITY_BYTES) {
      this.#fail(H2_ERROR.frameSize, "a PRIORITY of a wrong length");
    } else if ((wordAt(bytes, at) & STREAM_ID_MAX) === id) {
      this.#fail(H2_ERROR.protocol, "a stream that depends on itself");
    } else {
      this.#countIdle(1);
    }
  }

  /** Counts a frame that does no work; false when there were too many. */
  #countIdle(tokens: number): boolean {
    if (this.#idleFrames.spend(tokens, this.#nowMs)) return true;
    this.#fail(H2_ERROR.enhanceYourCalm, "too many frames that do no work");
    return false;
  }

  /** Counts a stream that was for nothing. */
  #countReset(): boolean {
    if (this.#resets.spend(1, this.#nowMs)) return true;
    this.#fail(H2_ERROR.enhanceYourCalm, "too many streams that were for nothing");
    return false;
  }

  // ---- the ends of streams

  #endLocal(stream: Http2Stream): void {
    stream.localEnded = true;
    this.#settle(stream);
  }

  /** Forgets a stream that is over on both sides. */
  #settle(stream: Http2Stream): void {
    if (!stream.localEnded || !stream.remoteEnded || stream.gone) return;
    this.#resets.earn(1);
    stream.gone = true;
    this.#streams.delete(stream.id);
  }

  /** Forgets a stream before its time; `isLate`: the peer may go on with it until it knows. */
  #forget(stream: Http2Stream, isLate = true): void {
    stream.gone = true;
    stream.queue = null;
    this.#blocked.delete(stream);
    this.#streams.delete(stream.id);
    if (isLate) this.#closed.remember(stream.id);
    this.release(stream);
  }

  /** A fault of the peer in one stream. */
  #spoil(stream: Http2Stream, code: number): void {
    this.reset(stream, code);
    stream.owner.lost(stream, code, false);
    this.#countReset();
  }

  #fail(code: number, reason: string): void {
    if (this.#phase === CLOSED) return;
    this.#lastTakenId = Math.min(this.#lastTakenId, this.#lastPeerId);
    this.#writeGoAway(code, reason);
    this.#phase = CLOSED;
    this.#loseStreams(code, false);
    this.#listener.failed(code, reason);
  }

  #loseStreams(code: number, untouched: boolean): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#blocked.clear();
    for (const stream of streams) {
      if (stream.gone) continue;
      stream.gone = true;
      stream.queue = null;
      stream.owner.lost(stream, code, untouched);
    }
  }

  // ---- windows

  /** Gives window back to the peer, half of it at a time. */
  #grant(bytes: number): void {
    this.#ungranted += bytes;
    if (this.#ungranted < this.#options.connectionWindowBytes / 2 || this.#phase === CLOSED) return;
    this.#receiveWindow += this.#ungranted;
    this.#writeWord(FRAME.windowUpdate, 0, this.#ungranted);
    this.#ungranted = 0;
  }

  #isFull(): boolean {
    return this.output.pending >= this.#options.outputBytesMax;
  }

  /** Lets every stream that waits send what it may, those that came last first in line the next time. */
  #pump(): void {
    // One that still has to wait comes up again at the end of the line.
    let left = this.#blocked.size;
    for (const stream of this.#blocked) {
      if (left-- === 0 || this.#isFull()) return;
      if (stream.gone || stream.queue === null) continue;
      if (this.#sendWindow > 0) {
        this.#blocked.delete(stream);
        this.#blocked.add(stream);
      }
      this.#pumpStream(stream);
    }
  }

  #pumpStream(stream: Http2Stream): void {
    while (stream.queue !== null) {
      const piece = stream.queue[0];
      if (piece === undefined || stream.localEnded) {
        stream.queue = null;
        this.#blocked.delete(stream);
        stream.owner.writable(stream);
        return;
      }
      const { bytes, start, end, ended, isHead } = piece;
      if (isHead) {
        this.#writeHead(stream.id, bytes, start, end, ended);
        if (ended) this.#endLocal(stream);
      } else {
        piece.start = this.#writeBody(stream, bytes, start, end, ended);
        if (piece.start < end || (ended && !stream.localEnded)) return;
      }
      stream.queue.shift();
    }
  }

  // ---- frames

  /** Sends as much of [start, end) as windows and output allow; answers where it stopped. */
  #writeBody(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): number {
    const { output } = this;
    let at = start;
    while (at < end || (ended && !stream.localEnded)) {
      // A window that the peer made smaller may be below zero; the end of a stream needs none.
      const room = Math.max(0, Math.min(this.#sendWindow, stream.sendWindow));
      const take = Math.min(end - at, room, this.#peerFrameBytes, FRAME_BYTES);
      if (this.#isFull() || (take <= 0 && at < end)) break;
      const last = ended && at + take === end;
      output.reserve(FRAME_HEAD_BYTES + take);
      output.head(take, FRAME.data, last ? FLAG.endStream : 0, stream.id);
      output.copy(bytes, at, at + take);
      this.#sendWindow -= take;
      stream.sendWindow -= take;
      this.#idleFrames.earn(EARNED);
      at += take;
      if (last) this.#endLocal(stream);
    }
    return at;
  }

  #writeHead(id: number, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const { output } = this;
    const limit = Math.min(this.#peerFrameBytes, FRAME_BYTES);
    const extra = this.#blockSent ? 0 : 1;
    let at = Math.min(end, start + limit - extra);
    const flags = (ended ? FLAG.endStream : 0) | (at === end ? FLAG.endHeaders : 0);
    output.reserve(FRAME_HEAD_BYTES + extra + at - start);
    output.head(extra + at - start, FRAME.headers, flags, id);
    if (extra > 0) output.bytes[output.end++] = BLOCK_START;
    this.#blockSent = true;
    output.copy(bytes, start, at);
    while (at < end) {
      const to = Math.min(end, at + limit);
      output.reserve(FRAME_HEAD_BYTES + to - at);
      output.head(to - at, FRAME.continuation, to === end ? FLAG.endHeaders : 0, id);
      output.copy(bytes, at, to);
      at = to;
    }
  }

  #writeReset(id: number, code: number): void {
    this.resetsSent++;
    this.#writeWord(FRAME.resetStream, id, code);
  }

  #writeWord(type: number, id: number, value: number): void {
    if (this.#phase !== CLOSED) this.output.word(type, id, value);
  }

  #writeGoAway(code: number, reason: string): void {
    this.output.goAway(this.#isServer ? this.#lastTakenId : 0, code, reason);
  }

  /** The first frames of our side, behind the preface in the client's role. */
  #greet(): void {
    const { streamsMax, streamWindowBytes, connectionWindowBytes, listBytesMax } = this.#options;
    const { output } = this;
    const settings: readonly (readonly [number, number])[] = [
      this.#isServer ? [SETTING.maxConcurrentStreams, streamsMax] : [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, streamWindowBytes],
      [SETTING.maxHeaderListSize, listBytesMax],
    ];
    if (!this.#isServer) {
      output.reserve(PREFACE.length);
      output.copy(PREFACE, 0, PREFACE.length);
    }
    output.settings(settings);
    const more = connectionWindowBytes - WINDOW_BYTES;
    if (more > 0) {
      this.#receiveWindow += more;
      this.#writeWord(FRAME.windowUpdate, 0, more);
    }
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** The owner of a stream in the moment before somebody takes it. */
const NOBODY: StreamOwner = { answered: ignore, body: ignore, trailers: ignore, writable: ignore, lost: ignore };

function ignore(): void {
  // Nobody is there to be told.
}
