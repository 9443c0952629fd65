/** The sockets of a load generator, and the one alarm that wakes it: by the epoll lane where there is one, else by Bun's. */
import { BunTransport } from "../net/bun-streams.ts";
import { EpollTransport } from "../net/epoll.ts";
import type { Transport } from "../net/stream.ts";

export class Lane {
  readonly transport: Transport;
  readonly #tell: () => void;
  #atMs = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(tell: () => void) {
    this.#tell = tell;
    // The lane's turns end in time for the alarm: there it needs no timer, which would be a millisecond late.
    const lane = EpollTransport.open((isTurn) => {
      if (!isTurn && performance.now() >= this.#atMs) this.#ring();
    });
    this.transport = "reason" in lane ? new BunTransport() : lane;
  }

  /** Tells at that time of performance.now(), in place of the one that was set before. Never from within this call. */
  wakeAt(atMs: number): void {
    this.#atMs = atMs;
    this.transport.wakeAt(atMs);
    if (this.transport.kind === "epoll") return;
    clearTimeout(this.#timer);
    if (atMs < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.#ring(), Math.max(0, atMs - performance.now()));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#atMs = Number.POSITIVE_INFINITY;
    this.transport.destroy();
  }

  #ring(): void {
    this.#atMs = Number.POSITIVE_INFINITY;
    this.#tell();
  }
}
