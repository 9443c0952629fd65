/**
 * The control plane beside etcd: three nodes each on this machine, fsync on, values of 256 B, in rounds that take turns.
 *
 *     npm run bench -- control [rounds [failovers]]
 *
 * Both are asked over gRPC by @grpc/grpc-js, at their leader: `ControlPlane/SetPolicy` and `GetPolicy` (which is
 * linearizable) beside etcd's `Txn` of one put and `Range`. The nodes are whole agents with their mock runtime, gossip and
 * metrics; etcd's members do nothing else. A failover is kill -9 of the leader to the next write that is acknowledged.
 */
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { SCHEMA } from "../../src/gen/services.js";
import { ProtoTypes } from "../../src/wire/proto-schema.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { Bench, type Started, until } from "../../tests/process/harness.ts";
import { report } from "../report.ts";
import { EtcdPeer, type Timed, timed } from "./etcd-peer.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const FAILOVERS = Number(process.argv[3] ?? 10);
const NAMES = ["c1", "c2", "c3"];
const SEQUENTIAL = 1000;
const PARALLEL = 5000;
const IN_FLIGHT = 32;
const KEYS = 1000;
const VALUE_BYTES = 256;
const TIMEOUT_MS = 10_000;
/** Between two writes that are tried while there is no leader. */
const TRY_EVERY_MS = 10;
const FAILOVER_MS_MAX = 30_000;

const types = new ProtoTypes(SCHEMA);
const METHODS = "/infermesh.control.v1.ControlPlane/";
/** A policy of about 256 B as JSON, in the store and in the log. */
const REASON = "x".repeat(VALUE_BYTES - '{"reason":""}'.length);

type Ask = (node: string, method: string, request: object, timeoutMs: number) => Promise<Record<string, unknown>>;

/** The control plane of three agents. */
class OwnPeer {
  readonly #bench = new Bench();
  readonly #nodes = new Map<string, Started>();
  readonly #clients = new Map<string, Client>();
  #puts = 0;

  static async start(): Promise<OwnPeer> {
    const peer = new OwnPeer();
    for (const [at, name] of NAMES.entries()) await peer.#start(name, at === 0 ? "bootstrap" : "join");
    await until(async () => {
      const { members, changing } = await peer.#status("c1");
      const voters = (members as { readonly role: string }[]).filter(({ role }) => role !== "learner");
      return voters.length === NAMES.length && changing !== true;
    });
    return peer;
  }

  async puts(count: number, inFlight: number): Promise<Timed> {
    const leader = await this.#leader();
    return timed(count, inFlight, async () => void (await this.#put(leader, TIMEOUT_MS)));
  }

  async reads(count: number, inFlight: number): Promise<Timed> {
    const leader = await this.#leader();
    await this.#put(leader, TIMEOUT_MS);
    let next = 0;
    return timed(count, inFlight, async () => {
      const name = keyAt(next++ % Math.min(KEYS, this.#puts));
      await this.#ask(leader, "GetPolicy", { kind: "node", name }, TIMEOUT_MS);
    });
  }

  async failover(): Promise<number> {
    const leader = await this.#leader();
    const others = NAMES.filter((name) => name !== leader);
    const killedAtMs = performance.now();
    await this.#nodes.get(leader)!.kill();
    const taken = Promise.withResolvers<number>();
    let tries = 0;
    const timer = setInterval(() => {
      if (performance.now() - killedAtMs > FAILOVER_MS_MAX) taken.reject(new Error("no leader was elected"));
      this.#put(others[tries++ % others.length]!, 1000).then(
        () => taken.resolve(performance.now() - killedAtMs),
        () => {},
      );
    }, TRY_EVERY_MS);
    try {
      return await taken.promise;
    } finally {
      clearInterval(timer);
      await this.#start(leader, "auto");
      await until(async () => (await this.#status(leader))["writable"] === true);
    }
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    await this.#bench.end();
  }

  async #start(name: string, mode: string): Promise<void> {
    const seeds = [...this.#nodes].filter(([other]) => other !== name).map(([, { ready }]) => String(ready["gossip"]));
    const started = await this.#bench.agent(
      name,
      null,
      ...seeds.flatMap((seed) => ["--join", seed]),
      "--register=none",
      `--control=${mode}`,
      "--control-listen=127.0.0.1:0",
      "--control-dir",
      join(this.#bench.dataDir, "control"),
    );
    this.#nodes.set(name, started);
    this.#clients.get(name)?.close();
    this.#clients.set(name, new Client(started.address("api"), credentials.createInsecure()));
  }

  async #leader(): Promise<string> {
    let leader = "";
    await until(async () => {
      for (const name of NAMES) {
        const told = (await this.#status(name).catch(() => ({ leader: "" })))["leader"];
        if (typeof told === "string" && told !== "") leader = told;
      }
      return NAMES.includes(leader);
    });
    return leader;
  }

  #status(name: string): Promise<Record<string, unknown>> {
    return this.#ask(name, "GetStoreStatus", {}, TIMEOUT_MS);
  }

  #put(node: string, timeoutMs: number): Promise<unknown> {
    const name = keyAt(this.#puts++ % KEYS);
    // Another value each time, or the store would have nothing to do.
    const reason = REASON.slice(8) + String(this.#puts).padStart(8, "0");
    return this.#ask(node, "SetPolicy", { name, node: { reason } }, timeoutMs);
  }

  readonly #ask: Ask = (node, method, request, timeoutMs) => {
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    const { input, output } = methodOf(method);
    const bytes = Buffer.from(encodeMessage(input, request));
    const deadline = Date.now() + timeoutMs;
    this.#clients.get(node)!.makeUnaryRequest(
      `${METHODS}${method}`,
      (value: Buffer) => value,
      (value: Buffer) => value,
      bytes,
      { deadline },
      (error, answer) => {
        if (error !== null) return reject(error);
        const read = decodeMessage(output, answer ?? new Uint8Array(0));
        if ("bad" in read) reject(new Error(read.bad));
        else resolve(read.message);
      },
    );
    return promise;
  };
}

function methodOf(name: string): { input: ReturnType<typeof types.message>; output: ReturnType<typeof types.message> } {
  return {
    input: types.message(`infermesh.control.v1.${name}Request`),
    output: types.message(`infermesh.control.v1.${name === "SetPolicy" ? "Write" : name}Response`),
  };
}

function keyAt(index: number): string {
  return `bench-${String(index).padStart(6, "0")}`;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
const round = (value: number): number => Number(value.toPrecision(4));

interface Peer {
  puts(count: number, inFlight: number): Promise<Timed>;
  reads(count: number, inFlight: number): Promise<Timed>;
  failover(): Promise<number>;
  stop(): Promise<void>;
}

const WORKS: readonly (readonly [string, (peer: Peer) => Promise<Timed>])[] = [
  ["put, one after the other", (peer) => peer.puts(SEQUENTIAL, 1)],
  ["put, 32 in flight", (peer) => peer.puts(PARALLEL, IN_FLIGHT)],
  ["linearizable read, one after the other", (peer) => peer.reads(SEQUENTIAL, 1)],
  ["linearizable read, 32 in flight", (peer) => peer.reads(PARALLEL, IN_FLIGHT)],
];

const peers = new Map<string, Peer>([["infermesh", await OwnPeer.start()]]);
if (EtcdPeer.absence === "") peers.set("etcd", await EtcdPeer.start(3));
else console.log(`without etcd: ${EtcdPeer.absence}`);
const results = new Map<string, Timed[]>();
try {
  for (let turn = 0; turn <= ROUNDS; turn += 1) {
    for (const [work, act] of WORKS) {
      for (const [name, peer] of peers) {
        const result = await act(peer);
        // The first round warms up.
        if (turn === 0) continue;
        const key = `${work}: ${name}`;
        results.set(key, [...(results.get(key) ?? []), result]);
      }
    }
    console.log(`round ${turn} of ${ROUNDS}`);
  }
  const failovers = new Map<string, number[]>([...peers.keys()].map((name) => [name, []]));
  for (let turn = 0; turn < FAILOVERS; turn += 1) {
    for (const [name, peer] of peers) failovers.get(name)!.push(await peer.failover());
  }
  const figure = (key: string): Record<string, number> => {
    const all = results.get(key) ?? [];
    return {
      p50Ms: round(median(all.map(({ p50Ms }) => p50Ms))),
      p99Ms: round(median(all.map(({ p99Ms }) => p99Ms))),
      perSecond: Math.round(median(all.map(({ perSecond }) => perSecond))),
    };
  };
  const rows = WORKS.flatMap(([work]) => [...peers.keys()].map((name) => `${work}: ${name}`));
  const ratios = Object.fromEntries(
    WORKS.map(([work]) => {
      const own = results.get(`${work}: infermesh`) ?? [];
      const other = results.get(`${work}: etcd`) ?? [];
      const of = (pick: (timed: Timed) => number): number =>
        round(median(own.map((timedOwn, at) => pick(timedOwn) / pick(other[at] ?? timedOwn))));
      return [
        work,
        { p50: of(({ p50Ms }) => p50Ms), p99: of(({ p99Ms }) => p99Ms), perSecond: of((one) => one.perSecond) },
      ];
    }),
  );
  await report("control", {
    rounds: ROUNDS,
    figures: Object.fromEntries(rows.map((key) => [key, figure(key)])),
    "of etcd's, by rounds": peers.has("etcd") ? ratios : {},
    "failover, ms": Object.fromEntries(
      [...failovers].map(([name, all]) => [
        name,
        {
          times: all.length,
          p50: Math.round(median(all)),
          p99: Math.round(quantile(all, 0.99)),
          most: Math.round(Math.max(...all)),
        },
      ]),
    ),
  });
} finally {
  for (const peer of peers.values()) await peer.stop();
}
process.exit(0);
