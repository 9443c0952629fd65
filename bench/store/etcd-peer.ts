/**
 * etcd as the peer that the embedded store is measured beside: one or three members on loopback, with etcd's defaults
 * (fsync on), asked by the store's own client. Requests go to the leader, which is where etcd is fastest.
 *
 *     const etcd = await EtcdPeer.start(3);
 *     await etcd.puts(2000, 1); // one after the other
 *     await etcd.puts(10_000, 32); // 32 in flight
 *     await etcd.reads(2000, 1); // linearizable
 *     await etcd.failover(); // ms from kill -9 of the leader to the next acknowledged put
 *     await etcd.stop();
 */
import { EtcdClient } from "../../src/store/etcd-client.ts";
import { EtcdFailure, must } from "../../src/store/etcd-failure.ts";
import { EtcdCluster, type EtcdNode, WITHOUT_ETCD } from "../../tests/store/etcd-server.ts";

export interface Timed {
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TIMEOUT_MS = 10_000;
const VALUE_BYTES = 256;
const KEYS = 1000;
/** Between two puts that are tried while there is no leader. */
const TRY_EVERY_MS = 10;
const FAILOVER_MS_MAX = 30_000;

export class EtcdPeer {
  /** Why there is no etcd to measure beside; "" where there is one. */
  static readonly absence = WITHOUT_ETCD;
  readonly #cluster: EtcdCluster;
  readonly #clients: ReadonlyMap<EtcdNode, EtcdClient>;
  #puts = 0;

  private constructor(cluster: EtcdCluster) {
    this.#cluster = cluster;
    this.#clients = new Map(cluster.nodes.map((node) => [node, clientOf(node)]));
  }

  static async start(members: 1 | 3): Promise<EtcdPeer> {
    return new EtcdPeer(await EtcdCluster.start(members));
  }

  /** Of 256 B, over a thousand keys. */
  async puts(count: number, inFlight: number): Promise<Timed> {
    const client = this.#clients.get(await this.#leader())!;
    return timed(count, inFlight, async () => void must(await this.#put(client, TIMEOUT_MS)));
  }

  /** Linearizable, of one key of those that were put. */
  async reads(count: number, inFlight: number): Promise<Timed> {
    const client = this.#clients.get(await this.#leader())!;
    must(await this.#put(client, TIMEOUT_MS));
    let next = 0;
    return timed(count, inFlight, async () => {
      must(await client.range({ key: keyAt(next++ % Math.min(KEYS, this.#puts)) }, TIMEOUT_MS));
    });
  }

  /** Kills the leader and tries to put at the others until one of them takes it; the killed one is started again. */
  async failover(): Promise<number> {
    const leader = await this.#leader();
    const others = this.#cluster.nodes.filter((node) => node !== leader);
    const killedAtMs = performance.now();
    await leader.kill();
    const taken = Promise.withResolvers<number>();
    let tries = 0;
    const timer = setInterval(() => {
      if (performance.now() - killedAtMs > FAILOVER_MS_MAX) taken.reject(new Error("etcd has elected no leader"));
      const client = this.#clients.get(others[tries++ % others.length]!)!;
      void this.#put(client, 1000).then((reply) => {
        if (!(reply instanceof EtcdFailure)) taken.resolve(performance.now() - killedAtMs);
      });
    }, TRY_EVERY_MS);
    try {
      return await taken.promise;
    } finally {
      clearInterval(timer);
      await leader.restart();
    }
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    await this.#cluster.stop();
  }

  #put(client: EtcdClient, timeoutMs: number): ReturnType<EtcdClient["txn"]> {
    const key = keyAt(this.#puts++ % KEYS);
    // A transaction of nothing but one put is what a put is to etcd.
    return client.txn({ success: [{ requestPut: { key, value: VALUE } }] }, timeoutMs, false);
  }

  async #leader(): Promise<EtcdNode> {
    for (const [node, client] of this.#clients) {
      const [status] = await client.status(TIMEOUT_MS);
      if (status !== undefined && !(status instanceof EtcdFailure) && status.leader === status.member) return node;
    }
    throw new Error("etcd has no leader");
  }
}

const VALUE = new Uint8Array(VALUE_BYTES).fill(0x78);

function keyAt(index: number): Buffer {
  return Buffer.from(`/bench/${String(index).padStart(6, "0")}`);
}

function clientOf({ port }: EtcdNode): EtcdClient {
  const endpoints = [{ host: "127.0.0.1", port }];
  return new EtcdClient({ endpoints, tls: false, login: null, cluster: "" }, null);
}

export async function timed(count: number, inFlight: number, act: () => Promise<void>): Promise<Timed> {
  const times: number[] = [];
  let left = count;
  const startedAtMs = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const actedAtMs = performance.now();
        await act();
        times.push(performance.now() - actedAtMs);
      }
    }),
  );
  const tookMs = performance.now() - startedAtMs;
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { count: times.length, perSecond: (times.length * 1000) / tookMs, p50Ms: at(0.5), p99Ms: at(0.99) };
}
