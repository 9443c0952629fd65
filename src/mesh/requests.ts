/**
 * The transport's requests: one question over TCP, sealed, with one answer that is bound to it. `ask` ends in an answer
 * or in one MeshError, within its time; `serve` answers what others ask. Both are counted.
 */
import { MeshError } from "../base/errors.ts";
import type { Addresses } from "./addresses.ts";
import { type Channel, channelOf, type DropReason, type Envelope, KIND } from "./envelope.ts";
import type { TcpClient } from "./tcp-client.ts";
import type { TransportStats } from "./transport-stats.ts";

type Answer = Uint8Array | undefined;

/** What is done with what comes in on a channel. */
export interface Listener {
  readonly onPacket?: (from: string, bytes: Uint8Array) => void;
  /** The answer; undefined for none (the connection is closed). What it throws is reported, and there is no answer. */
  readonly onRequest?: (from: string, bytes: Uint8Array) => Answer | Promise<Answer>;
}

export interface RequestsOptions {
  readonly envelope: Envelope;
  readonly client: TcpClient;
  readonly addresses: Addresses;
  readonly stats: TransportStats;
  readonly frameBytesMax: number;
  readonly listener: (channel: Channel, payload: Uint8Array) => Listener | undefined;
  /** What another member asked did not open. */
  readonly onDrop: (reason: DropReason, from: string, packet: Uint8Array) => void;
  readonly onError: (error: unknown) => void;
}

export class Requests {
  readonly #options: RequestsOptions;
  #stopped = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** What is under way is rejected by its client; nothing new begins. */
  stop(): void {
    this.#stopped = true;
    this.#options.client.stop();
  }

  /** The answer of whoever listens on that channel at "host:port". */
  async ask(to: string, payload: Uint8Array, timeoutMs: number, channel: Channel): Promise<Uint8Array> {
    const { stats } = this.#options;
    stats.requests++;
    try {
      return await this.#ask(to, payload, timeoutMs, channel);
    } catch (error) {
      stats.requestsFailed++;
      throw error;
    }
  }

  /** The packet that answers a request's packet; undefined for none. Never rejects. */
  async serve(from: string, packet: Uint8Array): Promise<Answer> {
    const { envelope, stats, frameBytesMax, listener, onDrop, onError } = this.#options;
    const payload = envelope.open(KIND.request, packet);
    if (typeof payload === "string") {
      onDrop(payload, from, packet);
      return undefined;
    }
    try {
      const answer = await listener(channelOf(packet), payload)?.onRequest?.(from, payload);
      if (answer === undefined) return undefined;
      if (answer.length > frameBytesMax) {
        throw new MeshError("internal", `an answer of ${answer.length} bytes is longer than a frame may be`);
      }
      stats.requestsServed++;
      return envelope.seal(KIND.response, answer, packet);
    } catch (error) {
      onError(error);
      return undefined;
    }
  }

  async #ask(to: string, payload: Uint8Array, timeoutMs: number, channel: Channel): Promise<Uint8Array> {
    const { envelope, client, addresses, stats, frameBytesMax } = this.#options;
    if (this.#stopped) throw stopped();
    if (payload.length > frameBytesMax) {
      throw new MeshError("payload_too_large", `a request of ${payload.length} bytes, at most ${frameBytesMax}`);
    }
    const startedAtMs = performance.now();
    const endpoint = await addresses.resolve(to, timeoutMs);
    if (endpoint === "bad") throw new MeshError("upstream_failed", `${to} is no address that can be reached from here`);
    if (this.#stopped) throw stopped();
    const leftMs = Math.max(1, Math.round(timeoutMs - (performance.now() - startedAtMs)));
    const request = envelope.seal(KIND.request, payload, undefined, channel);
    const response = await client.ask(endpoint, request, leftMs);
    const answer = envelope.open(KIND.response, response, request);
    if (typeof answer !== "string") return answer;
    stats.dropped[answer]++;
    throw new MeshError("upstream_failed", `the answer from ${to} was dropped: ${answer}`);
  }
}

function stopped(): MeshError {
  return new MeshError("draining", "the transport is stopped");
}
