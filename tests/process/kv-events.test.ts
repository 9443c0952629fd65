/**
 * KV cache events end to end: a publisher by libzmq, a real agent that hears it, a real router that is told. This process is
 * a router of the mesh too, which compares every block; what the real one says is compared by its figures.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { blockHearingSettings } from "../../src/kv/settings.ts";
import { BlockReceiver } from "../../src/mesh/block-receiver.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { joinMesh } from "../../src/mesh/node-membership.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { bareMeta } from "../../src/swim/meta.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { Engine, storedEvent } from "../kv/engine.ts";
import { endFakes, startFake } from "../telemetry/fake-runtime.ts";
import { batchOf, isZmqMissing, LibzmqEngine } from "../telemetry/libzmq-engine.ts";
import { freePort } from "../ports.ts";
import { Bench, EXECUTABLE, nodes, ownEnvironment, type Started, until } from "./harness.ts";

const bench = new Bench();
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await endFakes();
});
afterEach(() => bench.clear());
afterAll(() => bench.end());

interface EngineShown {
  readonly engine: string;
  readonly runtime: string;
  readonly blocks: number;
  readonly whole: boolean;
  readonly current: boolean;
  readonly heard: boolean;
  readonly subscribed: boolean;
  readonly restarts: number;
  readonly replayed: number;
}

async function kvCacheAt(of: Started, path: string): Promise<readonly EngineShown[]> {
  const answer = await fetch(`http://${of.address("api")}${path}`);
  return answer.ok ? ((await answer.json()) as { kvCache: readonly EngineShown[] }).kvCache : [];
}

/** A publisher with an engine's truth. */
class Publisher {
  truth: Engine;
  socket: LibzmqEngine;

  constructor(socket: LibzmqEngine, seed: number) {
    this.socket = socket;
    this.truth = new Engine(seed);
  }

  /** Batches of what the engine does; one in six is lost on its way. */
  work(batches: number): void {
    for (let left = batches; left > 0; left -= 1) {
      const events = [this.truth.next(), this.truth.next()];
      this.socket.do(left % 6 === 0 ? "lose" : "publish", batchOf(events));
    }
  }

  async restart(seed: number): Promise<void> {
    const { endpoints } = this.socket;
    await this.socket.kill();
    this.socket = await LibzmqEngine.start("kv@", 10_000, endpoints);
    this.truth = new Engine(seed);
  }
}

async function publisher(seed: number): Promise<Publisher> {
  const made = new Publisher(await LibzmqEngine.start("kv@"), seed);
  ends.push(() => made.socket.kill());
  return made;
}

const FREE = "127.0.0.1:0";

function agent(gossip: string, join_: string, runtime: string): Promise<Started> {
  const ports = ["--api", FREE, "--metrics", FREE, "--gossip", gossip, "--advertise", "127.0.0.1"];
  const kept = ["--data-dir", bench.dataDir, "--register", "none", "--join", join_];
  return bench.start("agent", "--id", "gpu-1", ...ports, ...kept, "--runtime", runtime);
}

async function observer(join_: string): Promise<BlockReceiver> {
  const node = await joinMesh({
    id: "observer",
    identity: 0,
    incarnation: 1,
    gossip: { host: "127.0.0.1", port: 0 },
    advertise: "",
    join: [join_],
    mesh: defaultsOf(gossipSettings),
    swim: defaultsOf(swimSettings),
    meta: bareMeta("router"),
    journal: new Journal(Date.now()),
    log: { info() {}, warn() {} },
    onEvent: ({ kind, id }) => {
      if (kind === "failed" || kind === "left") receiver?.forget(id);
    },
  });
  const receiver = new BlockReceiver({ node, config: defaultsOf(blockHearingSettings) });
  ends.push(async () => {
    receiver.stop();
    await node.leave(500);
  });
  return receiver;
}

/** Every block of the truth, at this process, and as many at the router. */
async function untilSame(known: BlockReceiver, { truth }: Publisher, router: Started, isWhole = true): Promise<void> {
  await until(() => {
    const [index, ...others] = known.engines("gpu-1");
    if (index === undefined || others.length > 0 || !index.isCurrent || index.size !== truth.held.size) return false;
    return (
      index.isPartial === !isWhole && [...truth.held.values()].every(({ key, media }) => index.media(key) === media)
    );
  });
  await until(async () => {
    const [engine] = await kvCacheAt(router, "/nodes/gpu-1");
    return engine?.blocks === truth.held.size && engine.current && engine.heard && engine.whole === isWhole;
  });
}

function describeNode(at: Started): string {
  const env = {
    ...ownEnvironment(),
    INFERMESH_ENDPOINT: `http://${at.address("api")}`,
    INFERMESH_CTL_CONFIG: join(bench.dataDir, "profiles.yaml"),
  };
  const ran = Bun.spawnSync([EXECUTABLE, "ctl", "describe-node", "gpu-1"], { env });
  return `${ran.stdout.toString()}${ran.stderr.toString()}`;
}

const gossipOf = (of: Started): string => String(of.ready["gossip"]);

describe.skipIf(isZmqMissing())("KV cache events, from a publisher to a router", () => {
  test("draw prompts of token ids to who holds their beginning, until it does not any more", async () => {
    const fake = await startFake();
    const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => Response.json({ choices: [] }) });
    ends.push(() => other.stop(true));
    const engine = await publisher(1);
    const [endpoint, replay] = engine.socket.endpoints;
    const runtime = `vllm=http://127.0.0.1:${fake.port},kv-events=${endpoint},kv-replay=${replay},kv-topic=kv@`;
    const router = await bench.router("--upstream", `base-model=http://127.0.0.1:${other.port}`);
    await agent(FREE, gossipOf(router), runtime);
    const ids = (seed: number, count: number): number[] =>
      Array.from({ length: count }, (_, at) => (at * 7919 + seed) % 100_000);
    const stored = (seed: number) =>
      storedEvent({
        hashes: Array.from({ length: 640 }, (_, at) => `${seed}-${at}`),
        tokens: Uint32Array.from(ids(seed, 10_240)),
        blockTokens: 16,
      });
    engine.socket.do("publish", batchOf([1, 2, 3].map(stored)));
    await until(async () => (await kvCacheAt(router, "/nodes/gpu-1"))[0]?.blocks === 3 * 640);
    const metric = async (name: string): Promise<number> => {
      const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((answer) => answer.text());
      return Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${name} `))
          ?.split(" ")[1],
      );
    };
    await until(async () => (await metric("infermesh_prefix_followed_engines")) === 1);
    await until(async () => (await metric("infermesh_prefix_index_blocks")) >= (3 * 10_240) / 256);
    const ask = async (prompt: number[]): Promise<string> => {
      const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ model: "base-model", prompt }),
      });
      expect(answer.status).toBe(200);
      await answer.text();
      return answer.headers.get("x-infermesh-node") ?? "";
    };
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 2);
    for (const seed of [1, 2, 3]) expect(await ask([...ids(seed, 10_240), seed])).toBe("gpu-1");
    const expected = await metric("infermesh_prefix_expected_tokens_total");
    expect(expected).toBeGreaterThan((await metric("infermesh_prefix_prompt_tokens_total")) * 0.9);

    // It clears its cache: what was told is not there any more, nor is what was sent.
    engine.socket.do("publish", batchOf([{ kind: "cleared" }]));
    await until(async () => (await kvCacheAt(router, "/nodes/gpu-1"))[0]?.blocks === 0);
    const first = await ask([...ids(1, 10_240), 7]);
    expect(await metric("infermesh_prefix_expected_tokens_total")).toBe(expected);
    // And what is sent from then on is believed as ever.
    expect(await ask([...ids(1, 10_240), 8])).toBe(first);
    expect(await metric("infermesh_prefix_expected_tokens_total")).toBeGreaterThan(expected + 5000);
  });

  test("are its truth, whatever is lost and whoever starts again", async () => {
    const fake = await startFake();
    const engine = await publisher(1);
    engine.work(40);
    const [endpoint, replay] = engine.socket.endpoints;
    const runtime = `vllm=http://127.0.0.1:${fake.port},kv-events=${endpoint},kv-replay=${replay},kv-topic=kv@`;
    const first = await bench.router();
    const node = await agent(`127.0.0.1:${freePort()}`, gossipOf(first), runtime);
    const known = await observer(gossipOf(node));
    // What it told before the agent came is replayed.
    await untilSame(known, engine, first);
    expect(await kvCacheAt(first, "/nodes/gpu-1")).toMatchObject([{ runtime: "vllm", engine: endpoint.slice(6) }]);

    // Gaps are filled by replays.
    for (let round = 0; round < 20; round += 1) {
      engine.work(10);
      await Bun.sleep(20);
    }
    engine.socket.do("publish", batchOf([]));
    await untilSame(known, engine, first);
    const [status] = await kvCacheAt(node, "/status");
    expect(status).toMatchObject({ subscribed: true, whole: true, runtime: "vllm" });
    expect(status!.replayed).toBeGreaterThan(0);

    // Another life of the engine; between the two nobody hears it.
    await engine.socket.kill();
    await until(async () => (await kvCacheAt(first, "/nodes/gpu-1"))[0]?.heard === false);
    await engine.restart(2);
    engine.work(30);
    engine.socket.do("publish", batchOf([]));
    await untilSame(known, engine, first);
    expect((await kvCacheAt(node, "/status"))[0]!.restarts).toBe(1);

    // A router that comes later, while the first one is gone.
    await first.kill();
    const second = await bench.router("--join", gossipOf(node));
    await untilSame(known, engine, second);

    // The agent starts again, at the same place.
    await node.kill();
    engine.work(5);
    const again = await agent(gossipOf(node), gossipOf(second), runtime);
    engine.work(5);
    engine.socket.do("publish", batchOf([]));
    await untilSame(known, engine, second);

    expect(describeNode(second)).toMatch(
      new RegExp(`KV cache\\n.*LAG\\n.*${endpoint.slice(6)} +vllm +${engine.truth.held.size} +whole +4 +none`),
    );
    expect(describeNode(again)).toMatch(/KV cache\n.*EVENTS.*\n.*vllm +\d+ +whole +heard/);
    const events = await fetch(`http://${again.address("api")}/events?type=runtime`).then((answer) => answer.text());
    expect(events).toContain('"runtime.kv-heard"');
    const metrics = async (of: Started): Promise<string> =>
      (await fetch(`http://${of.address("metrics")}/telemetry`)).text();
    expect(await metrics(again)).toContain(
      `infermesh_kv_blocks{runtime="vllm",engine="${endpoint.slice(6)}"} ${engine.truth.held.size}`,
    );
    expect(await metrics(second)).toContain(`infermesh_kv_known_blocks ${engine.truth.held.size}`);

    // A node that leaves is forgotten, with all that was known of it.
    expect(await again.stop()).toBe(0);
    await until(() => known.engines("gpu-1").length === 0);
    await until(async () => (await metrics(second)).includes("infermesh_kv_known_blocks 0"));
    expect(await second.stop()).toBe(0);
  }, 120_000);

  test("that are published nowhere yet are waited for, and a router says that it knows nothing", async () => {
    const fake = await startFake();
    const path = join(tmpdir(), `infermesh-kv-${process.pid}-${Date.now()}`);
    const router = await bench.router();
    const runtime = `vllm=http://127.0.0.1:${fake.port},kv-events=ipc://${path}-a`;
    const node = await agent(FREE, gossipOf(router), runtime);
    await until(async () => (await kvCacheAt(node, "/status"))[0]?.subscribed === false);
    await until(async () => (await kvCacheAt(router, "/nodes/gpu-1")).length === 1);
    expect(await kvCacheAt(router, "/nodes/gpu-1")).toMatchObject([{ blocks: 0, whole: false, heard: false }]);
    // There is no replay socket: what was told before is not known, and that is said.
    const engine = new Publisher(await LibzmqEngine.start("kv@", 10, [`ipc://${path}-a`, `ipc://${path}-b`]), 3);
    ends.push(() => engine.socket.kill());
    await until(async () => (await kvCacheAt(node, "/status"))[0]?.subscribed === true);
    for (let left = 40; left > 0; left -= 1) {
      engine.socket.do("publish", batchOf([engine.truth.next()]));
      await Bun.sleep(10);
    }
    await until(async () => ((await kvCacheAt(router, "/nodes/gpu-1"))[0]?.blocks ?? 0) > 0);
    expect(await node.stop()).toBe(0);
    expect(await router.stop()).toBe(0);
  }, 60_000);
});

test("a wrong endpoint is refused, with what is expected", () => {
  const args = ["agent", "--runtime", "vllm=http://127.0.0.1:1,kv-events=http://127.0.0.1:5557"];
  const refused = Bun.spawnSync([EXECUTABLE, ...args], { env: { ...process.env, XDG_STATE_HOME: bench.dataDir } });
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr.toString()).toMatch(/kvEvents.*http:\/\/127.0.0.1:5557.*a ZeroMQ endpoint: tcp:\/\/HOST:PORT/);
});
