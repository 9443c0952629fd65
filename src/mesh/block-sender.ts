/**
 * The blocks of a node's KV caches on their way to routers (kv/index-publisher.ts), over the mesh's transport: what changed
 * by datagrams, what is asked for by TCP. Only routers of the mesh are told.
 */
import type { IndexFeed } from "../kv/index-feed.ts";
import { IndexPublisher, type PublisherStats } from "../kv/index-publisher.ts";
import type { BlockSendingConfig } from "../kv/settings.ts";
import { readAsk } from "../kv/talk.ts";
import { MESSAGE } from "../kv/wire.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface BlockSenderOptions {
  readonly node: MeshNode;
  readonly config: Pick<BlockSendingConfig, "intervalMs" | "bytesPerSecond">;
}

/** One answer; what is more is asked for again. A router reads it in some 10 ms, and has other things to do. */
const ANSWER_BYTES_MAX = 128 * 1024;

export class BlockSender {
  readonly #node: MeshNode;
  readonly #intervalMs: number;
  readonly #publisher: IndexPublisher;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isStopped = false;

  constructor({ node, config }: BlockSenderOptions) {
    this.#node = node;
    this.#intervalMs = config.intervalMs;
    const { transport } = node;
    this.#publisher = new IndexPublisher({
      bytesPerSecond: config.bytesPerSecond,
      datagramBytesMax: transport.payloadBytesMax,
      answerBytesMax: Math.min(ANSWER_BYTES_MAX, transport.frameBytesMax),
    });
    const listener = {
      onPacket: (from: string, packet: Uint8Array): void => this.#heard(from, packet),
      onRequest: (_from: string, packet: Uint8Array): Uint8Array | undefined => {
        const ask = readAsk(packet);
        return ask === undefined ? undefined : this.#publisher.asked(ask, performance.now());
      },
    };
    transport.listen(CHANNEL.state, listener, [MESSAGE.follow, MESSAGE.ask]);
    this.membersChanged();
  }

  add(feed: IndexFeed): void {
    if (this.#isStopped) return;
    this.#publisher.add(feed);
    this.#timer ??= setInterval(() => this.#step(), this.#intervalMs);
  }

  remove(feed: IndexFeed): void {
    this.#publisher.remove(feed);
  }

  /** Routers came or went. */
  membersChanged(): void {
    this.#publisher.present(this.#node.roster.routers());
  }

  stats(): PublisherStats & { readonly followers: number } {
    return { ...this.#publisher.stats, followers: this.#publisher.followers(performance.now()) };
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  #heard(from: string, packet: Uint8Array): void {
    const { roster } = this.#node;
    const id = roster.idAt(from);
    if (packet.length === 1 && packet[0] === MESSAGE.follow && id !== undefined && roster.isRouter(id)) {
      this.#publisher.followed(from, performance.now());
    }
  }

  #step(): void {
    const { transport } = this.#node;
    for (const { to, packet } of this.#publisher.take(performance.now())) transport.send(to, packet, CHANNEL.state);
  }
}
