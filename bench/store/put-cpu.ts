/**
 * What one sequential put costs three control nodes in CPU, by thread: wall time tells little on a machine that others
 * use, CPU time does. Executables are measured in turns, so that what disturbs one disturbs all.
 *
 *     npm run bench -- put-cpu [--rounds N] [--puts N] [EXECUTABLE...]
 *
 * From each thread's `/proc/PID/task/TID/schedstat`, less what the same processes use while nobody asks them anything.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Client, credentials } from "@grpc/grpc-js";
import { SCHEMA } from "../../src/gen/services.js";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { ProtoTypes } from "../../src/wire/proto-schema.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "../../tests/process/harness.ts";
import { report } from "../report.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "25" }, puts: { type: "string", default: "400" } },
});
const ROUNDS = Number(values.rounds);
const PUTS = Number(values.puts);
/** Until the engine has compiled what is hot. */
const WARM_PUTS = 25_000;
const KEYS = 1000;
const IDLE_MS = 2000;
const SHARES = ["total", "leader main", "followers main", "leader Worker", "followers Worker"];
const TIMEOUT_MS = 10_000;
const REASON = "x".repeat(256 - '{"reason":""}'.length);

const types = new ProtoTypes(SCHEMA);
const type = (name: string): ReturnType<typeof types.message> => types.message(`infermesh.control.v1.${name}`);

/** CPU time by "leader" or "follower" and the kind of thread, in microseconds. */
type Costs = Record<string, number>;

class Cluster {
  readonly #bench = new Bench();
  readonly #nodes: { readonly started: Started; readonly client: Client }[] = [];
  #puts = 0;
  #leader = 0;

  readonly executable: string;

  constructor(executable: string) {
    this.executable = executable;
  }

  async start(): Promise<void> {
    for (const [at, id] of ["c1", "c2", "c3"].entries()) {
      const free = ["serve", "api", "metrics", "gossip", "control-listen"].flatMap((name) => [
        `--${name}`,
        "127.0.0.1:0",
      ]);
      const { dataDir } = this.#bench;
      const dirs = ["--data-dir", dataDir, "--control-dir", join(dataDir, "control")];
      const seeds = this.#nodes.flatMap(({ started }) => ["--join", String(started.ready["gossip"])]);
      const mode = ["--register=none", `--control=${at === 0 ? "bootstrap" : "join"}`];
      const started = await this.#bench.launch(["agent", "--mock", "--id", id, ...free, ...dirs, ...seeds, ...mode], {
        executable: this.executable,
        env: { ...ownEnvironment(), XDG_STATE_HOME: dataDir },
      });
      this.#nodes.push({ started, client: new Client(started.address("api"), credentials.createInsecure()) });
    }
    await until(async () => {
      const { members, changing, leader } = await this.#ask(0, "GetStoreStatus", {}, "GetStoreStatusResponse");
      this.#leader = ["c1", "c2", "c3"].indexOf(String(leader));
      const voters = (members as { readonly role: string }[]).filter(({ role }) => role !== "learner");
      return voters.length === 3 && changing !== true && this.#leader >= 0;
    });
  }

  async puts(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      const name = `bench-${String(this.#puts++ % KEYS).padStart(6, "0")}`;
      const reason = REASON.slice(8) + String(this.#puts).padStart(8, "0");
      await this.#ask(this.#leader, "SetPolicy", { name, node: { reason } }, "WriteResponse");
    }
  }

  costs(): Costs {
    const costs: Costs = {};
    for (const [at, { started }] of this.#nodes.entries()) {
      const { pid } = started.process;
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const read = (file: string): string => readFileSync(`/proc/${pid}/task/${task}/${file}`, "utf8").trim();
        const kind = Number(task) === pid ? "main" : read("comm");
        const key = `${at === this.#leader ? "leader" : "followers"} ${kind}`;
        costs[key] = (costs[key] ?? 0) + Number(read("schedstat").split(" ")[0]) / 1000;
      }
    }
    return costs;
  }

  stop(): Promise<void> {
    for (const { client } of this.#nodes) client.close();
    return this.#bench.end();
  }

  #ask(node: number, method: string, request: object, output: string): Promise<Record<string, unknown>> {
    const { promise, resolve: done, reject } = Promise.withResolvers<Record<string, unknown>>();
    this.#nodes[node]!.client.makeUnaryRequest(
      `/infermesh.control.v1.ControlPlane/${method}`,
      (value: Buffer) => value,
      (value: Buffer) => value,
      Buffer.from(encodeMessage(type(`${method}Request`), request)),
      { deadline: Date.now() + TIMEOUT_MS },
      (error, answer) => {
        if (error !== null) return reject(error);
        const read = decodeMessage(type(output), answer ?? new Uint8Array(0));
        if ("bad" in read) reject(new Error(read.bad));
        else done(read.message);
      },
    );
    return promise;
  }
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1] ?? Number.NaN;

/** What was used between two readings, divided by `by`. */
function between(before: Costs, after: Costs, by: number): Costs {
  return Object.fromEntries(Object.entries(after).map(([key, value]) => [key, (value - (before[key] ?? 0)) / by]));
}

const clusters = (positionals.length === 0 ? [EXECUTABLE] : positionals).map((path) => new Cluster(resolve(path)));
try {
  for (const cluster of clusters) await cluster.start();
  for (const cluster of clusters) await cluster.puts(WARM_PUTS);
  const idle: Costs[] = [];
  for (const cluster of clusters) {
    const before = cluster.costs();
    const beganMs = performance.now();
    await Bun.sleep(IDLE_MS);
    idle.push(between(before, cluster.costs(), performance.now() - beganMs));
  }
  const rounds: Costs[][] = clusters.map(() => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [at, cluster] of clusters.entries()) {
      const before = cluster.costs();
      const beganMs = performance.now();
      await cluster.puts(PUTS);
      const tookMs = performance.now() - beganMs;
      const used = between(before, cluster.costs(), PUTS);
      for (const key of Object.keys(used)) used[key]! -= ((idle[at]?.[key] ?? 0) * tookMs) / PUTS;
      used["total"] = Object.values(used).reduce((sum, one) => sum + one, 0);
      rounds[at]!.push(used);
    }
  }
  const figures = clusters.map(({ executable }, at) => {
    const keys = Object.keys(rounds[at]![0]!);
    const of = (key: string): number => median(rounds[at]!.map((one) => one[key] ?? 0));
    const us = Object.fromEntries(keys.map((key) => [key, Math.round(of(key))]).filter(([, value]) => value !== 0));
    // Of the first one's, round by round: what slows a round slows both.
    const share = (key: string): number =>
      Number(median(rounds[at]!.map((one, round) => (one[key] ?? 0) / (rounds[0]![round]![key] ?? 1))).toFixed(3));
    return { executable, us, "of the first": Object.fromEntries(SHARES.map((key) => [key, share(key)])) };
  });
  await report("put-cpu", { rounds: ROUNDS, puts: PUTS, figures });
} finally {
  for (const cluster of clusters) await cluster.stop();
}
process.exit(0);
