/**
 * One connection to a ZeroMQ socket: ZMTP (../wire/zmtp.ts) over TCP or a unix socket. It is made once; whoever wants
 * it again after `closed` makes another.
 */
import { Dialer } from "../net/dialer.ts";
import { BunTransport } from "../net/bun-streams.ts";
import { Outbox } from "../net/outbox.ts";
import type { IpPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { ZmtpClient, type ZmtpOptions } from "../wire/zmtp.ts";

export interface LinkEvents {
  /** The handshake is done. */
  ready(): void;
  message(frames: readonly Uint8Array[]): void;
  /** It is over, and why. Comes once, and never after `close`. */
  closed(reason: string): void;
}

export class ZmqLink {
  readonly #client: ZmtpClient;
  readonly #events: LinkEvents;
  readonly #outbox = new Outbox();
  readonly #giveUp: () => void;
  #stream: Stream<ZmqLink> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wasReady = false;
  #isOver = false;

  constructor(place: IpPlace, options: ZmtpOptions, events: LinkEvents) {
    this.#client = new ZmtpClient(options, performance.now());
    this.#events = events;
    const dialer = new Dialer(new BunTransport(), { verify: true });
    this.#giveUp = dialer.connect({ ...place, tls: false }, this, handlers, () => {});
    this.#work();
  }

  /** False before the handshake is done, and after the end. */
  send(frames: readonly Uint8Array[]): boolean {
    if (this.#isOver || !this.#client.send(frames)) return false;
    this.#work();
    return true;
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#outbox.clear();
    this.#giveUp();
    // At once: a peer that hangs would hold a half-closed connection open.
    this.#stream?.terminate();
  }

  // ---- the stream's events

  opened(stream: Stream<ZmqLink>): void {
    this.#stream = stream;
    if (this.#isOver) stream.terminate();
    else this.#outbox.flush(stream);
  }

  received(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isOver) return;
    this.#client.push(bytes, start, end, performance.now());
    this.#work();
  }

  drained(stream: Stream<ZmqLink>): void {
    this.#outbox.flush(stream);
  }

  gone(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#events.closed(reason);
  }

  #work(): void {
    const { bytes, messages, fault, wakeAtMs } = this.#client.take();
    for (const part of bytes) {
      if (this.#stream === undefined) this.#outbox.queue(part, 0, part.length);
      else this.#outbox.write(this.#stream, part, 0, part.length);
    }
    if (!this.#wasReady && this.#client.isReady) {
      this.#wasReady = true;
      this.#events.ready();
    }
    for (const frames of messages) if (!this.#isOver) this.#events.message(frames);
    if (fault !== undefined) this.gone(fault);
    else if (!this.#isOver) this.#setTimer(wakeAtMs);
  }

  #setTimer(wakeAtMs: number): void {
    clearTimeout(this.#timer);
    if (wakeAtMs === Infinity) return;
    const wake = (): void => {
      this.#client.wake(performance.now());
      this.#work();
    };
    this.#timer = setTimeout(wake, Math.max(1, wakeAtMs - performance.now()));
    this.#timer.unref();
  }
}

const handlers: StreamHandlers<ZmqLink> = {
  open: (stream) => stream.data.opened(stream),
  data: (stream, buffer, start, end) => stream.data.received(buffer, start, end),
  drain: (stream) => stream.data.drained(stream),
  end: (stream) => stream.data.gone("the other side closed the connection"),
  close: (stream) => stream.data.gone("the connection was lost"),
  connectError: (stream, error) => stream.data.gone(`can't connect: ${error.message}`),
};
