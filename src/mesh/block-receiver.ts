/**
 * A router's ear for the blocks of nodes' KV caches (kv/index-receiver.ts): datagrams of members, each about itself, and
 * over TCP what is missing, from the address by which the mesh knows the member. One ask at a time for each node, and
 * `FETCHES_MAX` in all.
 */
import { IndexReceiver } from "../kv/index-receiver.ts";
import type { WantedAsk } from "../kv/index-receiver.ts";
import type { ReceiverStats } from "../kv/remote-engine.ts";
import type { BlockWatcher, RemoteIndex } from "../kv/remote-index.ts";
import type { BlockHearingConfig } from "../kv/settings.ts";
import { FOLLOW, MESSAGE } from "../kv/wire.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface BlockReceiverOptions {
  readonly node: MeshNode;
  readonly config: Pick<BlockHearingConfig, "blocksMax" | "blocksTotalMax">;
  /** Hears of each block. */
  readonly watcher?: BlockWatcher | undefined;
}

export interface HeardBlocks extends ReceiverStats {
  readonly blocks: number;
  readonly engines: number;
  /** Engines of which something is missing. */
  readonly behind: number;
  readonly asks: number;
  readonly asksFailed: number;
  /** Messages of senders that are no members. */
  readonly strangers: number;
}

const WAKE_MS = 100;
const FETCH_TIMEOUT_MS = 5000;
const FETCHES_MAX = 8;
/** Of one fetch; what is missing after that is asked for in a while. */
const ROUNDS_MAX = 64;

export class BlockReceiver {
  readonly #node: MeshNode;
  readonly #receiver: IndexReceiver;
  readonly #timer: ReturnType<typeof setInterval>;
  /** To be asked, the first of each node's slots. */
  readonly #wanted = new Map<string, WantedAsk>();
  readonly #busy = new Set<string>();
  #asks = 0;
  #asksFailed = 0;
  #strangers = 0;
  #isStopped = false;

  constructor({ node, config, watcher }: BlockReceiverOptions) {
    this.#node = node;
    this.#receiver = new IndexReceiver(config, watcher);
    const firsts = [MESSAGE.update, MESSAGE.snapshot, MESSAGE.standing];
    node.transport.listen(CHANNEL.state, { onPacket: (from, packet) => this.#heard(from, packet) }, firsts);
    this.#timer = setInterval(() => {
      this.#receiver.wake(performance.now());
      this.#step();
    }, WAKE_MS);
  }

  /** Of a member's engines; those of which nothing is known yet are not among them. */
  engines(id: string): RemoteIndex[] {
    return this.#receiver.engines(id);
  }

  /** A member is gone. */
  forget(id: string): void {
    this.#receiver.forget(id);
  }

  stats(): HeardBlocks {
    const { stats, size } = this.#receiver;
    const engines = this.#receiver.nodes().flatMap((id) => this.#receiver.engines(id));
    return {
      ...stats,
      blocks: size,
      engines: engines.length,
      behind: engines.filter(({ isCurrent }) => !isCurrent).length,
      asks: this.#asks,
      asksFailed: this.#asksFailed,
      strangers: this.#strangers,
    };
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  #heard(from: string, packet: Uint8Array): void {
    const id = this.#node.roster.idAt(from);
    if (id === undefined) {
      this.#strangers += 1;
      return;
    }
    this.#receiver.receive(id, packet, performance.now());
    this.#step();
  }

  #step(): void {
    const { asks, follows } = this.#receiver.take();
    for (const id of follows) {
      const to = this.#addressOf(id);
      if (to !== undefined) this.#node.transport.send(to, FOLLOW, CHANNEL.state);
    }
    for (const ask of asks) this.#wanted.set(`${ask.slot} ${ask.to}`, ask);
    this.#pump();
  }

  #pump(): void {
    for (const [key, wanted] of this.#wanted) {
      if (this.#busy.size >= FETCHES_MAX || this.#isStopped) return;
      if (this.#busy.has(wanted.to)) continue;
      this.#wanted.delete(key);
      void this.#fetch(wanted);
    }
  }

  async #fetch(wanted: WantedAsk): Promise<void> {
    const { to: id } = wanted;
    this.#busy.add(id);
    try {
      for (let left = ROUNDS_MAX; left > 0 && !this.#isStopped; left -= 1) {
        const ask = this.#receiver.ask(wanted);
        const address = this.#addressOf(id);
        if (ask === undefined || address === undefined) break;
        this.#asks += 1;
        const answer = await this.#node.transport.request(address, ask, FETCH_TIMEOUT_MS, CHANNEL.state);
        if (this.#addressOf(id) !== address || !this.#receiver.answered(id, answer, performance.now())) break;
      }
    } catch {
      // It is asked for again in a while, as long as the member is there.
      this.#asksFailed += 1;
    } finally {
      this.#busy.delete(id);
      this.#step();
    }
  }

  #addressOf(id: string): string | undefined {
    const member = this.#node.membership.member(id);
    return member?.status === "alive" || member?.status === "suspect" ? member.address : undefined;
  }
}
