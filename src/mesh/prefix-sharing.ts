/** A router's telling the others which blocks of prompts it sent where, and its hearing that of them. Only routers are heard. */
import type { PrefixSharingFigures } from "../obs/prefix-metrics.ts";
import { type HeardPrefix, PREFIXES, PrefixTeller, readPrefixes } from "../signal/prefix-news.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface PrefixSharingOptions {
  readonly node: MeshNode;
  readonly bytesPerSecond: number;
  readonly heard: (prefix: HeardPrefix) => void;
  /** How many routers there are beside this one: where there is none, nothing need be told. */
  readonly peers: (count: number) => void;
}

/** What is told together: the next turn of a conversation is further away. */
const TELL_EVERY_MS = 100;

export class PrefixSharing {
  readonly #options: PrefixSharingOptions;
  readonly #teller: PrefixTeller;
  readonly #timer: ReturnType<typeof setInterval>;
  #sentBytes = 0;
  #heardBlocks = 0;
  #malformed = 0;
  #strangers = 0;

  constructor(options: PrefixSharingOptions) {
    this.#options = options;
    const { transport } = options.node;
    this.#teller = new PrefixTeller({
      packetBytesMax: transport.payloadBytesMax,
      bytesPerSecond: options.bytesPerSecond,
    });
    transport.listen(CHANNEL.state, { onPacket: (from, packet) => this.#heard(from, packet) }, [PREFIXES]);
    this.#timer = setInterval(() => this.#send(), TELL_EVERY_MS);
    this.#send();
  }

  /** A prompt went to the place: its hashes, two words each, of which the last `fresh` are new there. */
  tell(key: number, hashes: Int32Array, fresh: number): void {
    this.#teller.offer(key, hashes, fresh, performance.now());
  }

  stats(): PrefixSharingFigures {
    return {
      toldBlocks: this.#teller.toldBlocks,
      droppedBlocks: this.#teller.droppedBlocks,
      sentBytes: this.#sentBytes,
      heardBlocks: this.#heardBlocks,
      malformed: this.#malformed,
      strangers: this.#strangers,
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#options.peers(0);
  }

  #send(): void {
    const { node, peers } = this.#options;
    const routers = node.roster.routers();
    peers(routers.length);
    for (const packet of this.#teller.take()) {
      for (const to of routers) node.transport.send(to, packet, CHANNEL.state);
      this.#sentBytes += packet.length * routers.length;
    }
  }

  #heard(from: string, packet: Uint8Array): void {
    const { roster } = this.#options.node;
    const id = roster.idAt(from);
    if (id === undefined || !roster.isRouter(id)) {
      this.#strangers += 1;
      return;
    }
    const heard = readPrefixes(packet);
    if (heard === undefined) this.#malformed += 1;
    for (const prefix of heard ?? []) {
      this.#heardBlocks += prefix.blocks;
      this.#options.heard(prefix);
    }
  }
}
