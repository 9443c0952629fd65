/** GetGpu and ClearGpu: who answers, wherever they are asked for, and what is told where nobody can. */
import { describe, expect, test } from "bun:test";
import { MeshError } from "../src/base/errors.ts";
import type { Target } from "../src/fleet/target.ts";
import { type GpuCallsOptions, gpuCalls, servedGpuCalls } from "../src/gpu-calls.ts";
import { gpuSamples, healthWords } from "../src/gpu/sample.ts";
import { GpuWatch } from "../src/gpu/watch.ts";
import type { GpuListener, GpuSource } from "../src/gpu/source.ts";
import type { GpuReading } from "../src/health/reading.ts";
import type { SourceState } from "../src/health/source-state.ts";
import type { News } from "../src/mesh/journal.ts";
import type { MeshNode } from "../src/mesh/node-membership.ts";
import { serveNodeCalls } from "../src/node-calls.ts";
import { bareMeta, encodeMeta } from "../src/swim/meta.ts";
import { DEFAULTS, gpu } from "./health/gpu-bed.ts";

const call = { signal: new AbortController().signal, deadlineMs: Infinity, remoteAddress: "" };
const ask = (gpuName: string, node = "") => ({ gpu: gpuName, node });

class FakeSource implements GpuSource {
  state: SourceState = { state: "ok", message: "", sinceMs: 1 };
  listener: GpuListener | undefined;
  readings: readonly GpuReading[];

  constructor(readings: readonly GpuReading[]) {
    this.readings = readings;
  }

  watch(listener: GpuListener): void {
    this.listener = listener;
  }
  async stop(): Promise<void> {}
}

type Handler = (path: string, bytes: Uint8Array) => Promise<Uint8Array>;

/** Members that reach one another. */
class FakeMesh {
  readonly handlers = new Map<string, Handler>();
  readonly asked: string[] = [];
  readonly timeoutsMs: number[] = [];
  /** Alive as far as the mesh knows, and saying nothing. */
  readonly hung = new Set<string>();
  readonly #roles = new Map<string, "agent" | "router">();

  node(id: string, role: "agent" | "router"): MeshNode {
    this.#roles.set(id, role);
    const members = () =>
      [...this.#roles].map(([member, of]) => ({
        id: member,
        status: "alive",
        meta: encodeMeta({ ...bareMeta(of), version: "", controlAddress: "", isControlNode: false }, 512),
      }));
    return {
      membership: { id, members, member: (wanted: string) => members().find((one) => one.id === wanted) },
      calls: {
        serve: (handler: Handler) => void this.handlers.set(id, handler),
        ask: async (to: string, path: string, bytes: Uint8Array, timeoutMs: number) => {
          this.asked.push(`${id}>${to}`);
          this.timeoutsMs.push(timeoutMs);
          const handler = this.handlers.get(to);
          if (handler === undefined) throw new MeshError("upstream_timeout", `${to}: no answer within 5000 ms`);
          const { promise, reject } = Promise.withResolvers<never>();
          const timer = setTimeout(() => reject(new MeshError("upstream_timeout", `${to}: no answer`)), timeoutMs);
          // No answer comes within the millisecond that is left when all time is used up.
          const answer = this.hung.has(to) ? promise : Bun.sleep(10).then(() => handler(path, bytes));
          return Promise.race([answer, promise]).finally(() => clearTimeout(timer));
        },
      },
    } as unknown as MeshNode;
  }
}

interface Agent {
  readonly options: GpuCallsOptions;
  readonly source: FakeSource;
  readonly watch: GpuWatch;
  readonly told: News[];
}

function agent(mesh: FakeMesh, id: string, readings: readonly GpuReading[]): Agent {
  const source = new FakeSource(readings);
  const runtimes = [{ name: "vllm", models: ["m"], processes: undefined }];
  const watch = new GpuWatch({ health: DEFAULTS, runtimes: () => runtimes, changed() {} });
  watch.add(source);
  const node = mesh.node(id, "agent");
  const told: News[] = [];
  const options = { id: () => id, node: () => node, gpus: watch, tell: (news: News) => void told.push(news) };
  serveNodeCalls(node, servedGpuCalls(options));
  return { options, source, watch, told };
}

function router(mesh: FakeMesh, id: string, agents: readonly Agent[]): GpuCallsOptions {
  const targets = () =>
    agents.map(({ options, watch }) => {
      return { id: options.id(), node: options.id(), lastSample: { gpus: watch.samples() } } as unknown as Target;
    });
  const node = mesh.node(id, "router");
  const options = { id: () => id, node: () => node, targets };
  serveNodeCalls(node, servedGpuCalls(options));
  return options;
}

const refusal = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "",
    (error: unknown) => (error instanceof MeshError ? `${error.code}: ${error.message}` : `stranger: ${String(error)}`),
  );

function bed() {
  const mesh = new FakeMesh();
  const sliced = { load: { slices: [{ uuid: "MIG-77", profile: "1g.10gb", gpuInstance: 1 }] } };
  const one = agent(mesh, "n1", [
    gpu({ uuid: "GPU-aaaa" }),
    gpu({ uuid: "GPU-bbbb", identity: { index: 1 }, ...sliced }),
  ]);
  const two = agent(mesh, "n2", [gpu({ uuid: "GPU-cccc" })]);
  const alone = router(mesh, "r1", [one, two]);
  return { mesh, one, two, router: alone };
}

describe("a GPU is told of", () => {
  test("by its own agent, whoever is asked and however it is named", async () => {
    const { mesh, one, router: asked } = bed();
    const expected = {
      uuid: "GPU-cccc",
      node: "n2",
      isFresh: true,
      load: { utilization: 0.9 },
      wear: { eccCorrected: 5 },
    };
    for (const [from, name, node] of [
      [one.options, "0@n2", ""],
      [one.options, "GPU-cccc", "n2"],
      [one.options, "ccc", ""],
      [asked, "0@n2", ""],
      [asked, "cccc", ""],
    ] as const) {
      const answer = await gpuCalls(from).get(ask(name, node), call);
      expect([answer.node, answer.partial ?? ""]).toEqual(["n2", ""]);
      expect(JSON.parse(answer.gpu ?? "")).toMatchObject(expected);
    }
    // Through a router where the agent doesn't know whose it is.
    expect(mesh.asked).toEqual(["n1>n2", "n1>n2", "n1>r1", "r1>n2", "r1>n2", "r1>n2"]);
    const own = await gpuCalls(one.options).get(ask("MIG-77"), call);
    expect(JSON.parse(own.gpu ?? "")).toMatchObject({ uuid: "GPU-bbbb", node: "n1", index: 1 });
    expect(mesh.asked).toHaveLength(6);
  });

  test("as the router that is asked knows it where the agent does not answer", async () => {
    const { mesh, one, router: asked } = bed();
    one.source.listener?.faulted([{ uuid: "GPU-aaaa", xid: 79 }]);
    mesh.handlers.delete("n1");
    const answer = await gpuCalls(asked).get(ask("GPU-aaaa"), call);
    expect(answer.partial).toBe("only what r1 knows of it: n1: no answer within 5000 ms");
    const known = JSON.parse(answer.gpu ?? "") as Record<string, unknown>;
    expect(known).toMatchObject({
      uuid: "GPU-aaaa",
      node: "n1",
      health: "quarantined",
      isFresh: false,
      reasons: [{ text: "XID 79: the GPU has fallen off the bus", severity: "quarantined" }],
      load: { utilization: 0.9, memoryUsedBytes: 90 },
    });
    expect(known["load"]).not.toHaveProperty("powerWatts");
    expect(known).not.toHaveProperty("wear");
  });

  test("not where there is none of that name, or several: the answer says which there are", async () => {
    const { one, two, router: asked } = bed();
    const of = (from: GpuCallsOptions, name: string, node = "") => refusal(gpuCalls(from).get(ask(name, node), call));
    expect(await of(asked, "0")).toBe('bad_request: "0" may be 0@n1, 0@n2; say which');
    expect(await of(asked, "gpu")).toBe('bad_request: "gpu" may be 0@n1, 1@n1, 0@n2; say which');
    expect(await of(asked, "GPU-aaab")).toBe('not_found: there is no GPU "GPU-aaab" here; did you mean GPU-aaaa?');
    expect(await of(asked, "9@n2")).toBe('not_found: there is no GPU "9" at n2; there are 0 (GPU-cccc)');
    expect(await of(one.options, "9")).toBe('not_found: there is no GPU "9" here; there are 0@n1, 1@n1, 0@n2');
    expect(await of(two.options, "0@n22")).toBe('not_found: there is no node "n22" in the mesh; did you mean n2?');
    expect(await of(asked, "0@r1")).toBe("not_supported: r1 is a router, which has no GPUs; name a node (node: ID)");
    expect(await of(one.options, "0@r1")).toBe(
      "not_supported: r1 is a router, which has no GPUs; name a node (node: ID)",
    );
    expect(await of(asked, "")).toStartWith("bad_request: gpu is missing");
    for (const word of ["@n1", "0@", "@"]) {
      const answer = `bad_request: gpu is "${word}"; expected INDEX@NODE with both`;
      expect(await of(asked, word)).toBe(answer);
      expect(await refusal(gpuCalls(asked).clear({ node: "", gpu: word, dryRun: false }, call))).toBe(answer);
    }
    expect(await of(asked, "0@n1", "n2")).toBe("bad_request: gpu is of n1, and node says n2; say one of them");
    expect(await of(asked, "x".repeat(257))).toStartWith("bad_request: gpu has 257 characters");
  });

  test("not by an agent alone that does not have it", async () => {
    const mesh = new FakeMesh();
    const { options } = agent(mesh, "n1", []);
    expect(await refusal(gpuCalls(options).get(ask("GPU-x"), call))).toBe(
      'not_found: there is no GPU "GPU-x" at n1, and no router in the mesh that knows those of other nodes; say INDEX@NODE',
    );
    expect(await refusal(gpuCalls({ ...options, node: () => null }).get(ask("0@n1"), call))).toBe(
      'not_found: there is no GPU "0" at n1; there is none',
    );
    expect(await refusal(gpuCalls({ ...options, node: () => null }).get(ask("0@n2"), call))).toStartWith("starting:");
  });

  test("by its agent where the routers don't answer, can't, or have not heard of it", async () => {
    const refusals = [
      new MeshError("upstream_timeout", "r1: no answer within 5000 ms"),
      new MeshError("not_supported", "/infermesh.control.v1.ControlPlane/GetGpu is not served to members"),
      new MeshError("not_found", 'there is no GPU "cccc" here; there is none'),
    ];
    for (const error of refusals) {
      const { mesh, one } = bed();
      mesh.handlers.set("r1", () => Promise.reject(error));
      expect(await gpuCalls(one.options).get(ask("cccc"), call)).toMatchObject({ node: "n2" });
      expect(mesh.asked).toEqual(["n1>r1", "n1>n2"]);
      // The second router knows it where the first one does not.
      const far = bed();
      far.mesh.handlers.set("r1", () => Promise.reject(error));
      router(far.mesh, "r2", [far.two]);
      expect(await gpuCalls(far.one.options).get(ask("cccc"), call)).toMatchObject({ node: "n2" });
      expect(far.mesh.asked).toEqual(["n1>r1", "n1>r2", "r2>n2"]);
    }
  });

  test("by its agent where the router that is asked has not heard of it, which asks nobody on a member's behalf", async () => {
    const { mesh, one, two } = bed();
    const late = router(mesh, "r2", [one]);
    mesh.handlers.delete("r1");
    expect(await gpuCalls(late).get(ask("cccc"), call)).toMatchObject({ node: "n2" });
    // Not the one whose GPUs it has looked through.
    expect(mesh.asked).toEqual(["r2>r1", "r2>n2"]);
    mesh.asked.length = 0;
    expect(await refusal(gpuCalls(late).get(ask("GPU-zz"), call))).toStartWith(
      'not_found: there is no GPU "GPU-zz" here; there are 0@n1, 1@n1',
    );
    expect(mesh.asked).toEqual(["r2>r1", "r2>n2"]);
    mesh.asked.length = 0;
    expect(await refusal(gpuCalls(two.options).get(ask("GPU-zz"), call))).toStartWith("not_found: ");
    expect(mesh.asked).toEqual(["n2>r1", "n2>r2", "n2>n1"]);
    // Several agents that no router has heard of have one of that name.
    const alone = new FakeMesh();
    const asker = agent(alone, "n0", []);
    for (const id of ["n1", "n2"]) agent(alone, id, [gpu({ uuid: `GPU-${id}` })]);
    expect(await refusal(gpuCalls(asker.options).get(ask("0"), call))).toBe(
      'bad_request: "0" may be of n1, n2; say which',
    );
  });

  test("by its agent also where a router hangs, which leaves time to ask others", async () => {
    const { mesh, one } = bed();
    mesh.hung.add("r1");
    const deadlineMs = performance.now() + 2000;
    const found = await gpuCalls(one.options).get(ask("GPU-cccc"), { ...call, deadlineMs });
    expect(found).toMatchObject({ node: "n2" });
    expect(mesh.asked).toEqual(["n1>r1", "n1>n2"]);
  });

  test("as a router knows it where its agent hangs, also to an agent that asked that router", async () => {
    const { mesh, one, router: asked } = bed();
    mesh.hung.add("n2");
    const found = await gpuCalls(one.options).get(ask("GPU-cccc"), call);
    expect(found.node).toBe("n2");
    expect(found.partial).toContain("only what r1 knows of it");
    // A caller who waits as long as is usual hears of it in his time.
    mesh.timeoutsMs.length = 0;
    const deadlineMs = performance.now() + 1000;
    const told = await gpuCalls(asked).get(ask("0@n2"), { ...call, deadlineMs });
    expect(told.partial).toContain("only what r1 knows of it");
    expect(mesh.timeoutsMs).toHaveLength(1);
    expect(mesh.timeoutsMs[0]).toBeLessThanOrEqual(800);
    // Meanwhile it failed by gossip, and left the fleet.
    let targets = asked.targets!();
    const soonGone = gpuCalls({ ...asked, targets: () => targets }).get(ask("0@n2"), {
      ...call,
      deadlineMs: performance.now() + 200,
    });
    targets = [];
    expect((await soonGone).partial).toContain("only what r1 knows of it");
  });

  test("not by routers and agents that do not answer: why is said", async () => {
    const { mesh, one } = bed();
    mesh.handlers.delete("r1");
    mesh.handlers.delete("n2");
    expect(await refusal(gpuCalls(one.options).get(ask("cccc"), call))).toBe(
      "upstream_timeout: r1: no answer within 5000 ms",
    );
  });
});

describe("quarantines are ended by hand", () => {
  const clear = (from: GpuCallsOptions, node: string, name = "", dryRun = false) =>
    gpuCalls(from).clear({ node, gpu: name, dryRun }, call);

  test("at the node that is meant, from anywhere, and that is an event", async () => {
    const { one, two, router: asked } = bed();
    one.source.listener?.faulted([
      { uuid: "GPU-aaaa", xid: 79 },
      { uuid: "GPU-bbbb", xid: 79 },
    ]);
    const [sample] = gpuSamples(gpu(), true, healthWords(one.watch.all[0]!.verdict, undefined, Number), { models: [] });
    expect(sample?.health).toBe("quarantined");
    const ended = { ended: ["XID 79: the GPU has fallen off the bus"], health: "healthy", remaining: [] };
    const dry = await clear(asked, "n1", "0", true);
    expect(dry).toMatchObject({ node: "n1", changed: true, dryRun: true, gpus: [{ uuid: "GPU-aaaa", ...ended }] });
    expect([one.watch.all[0]?.verdict.health, one.told]).toEqual(["quarantined", []]);
    expect(await clear(two.options, "n1", "0")).toMatchObject({
      changed: true,
      gpus: [{ uuid: "GPU-aaaa", ...ended }],
    });
    expect(one.watch.all.map(({ verdict }) => verdict.health)).toEqual(["healthy", "quarantined"]);
    expect(one.told).toEqual([
      {
        type: "gpu.cleared",
        id: "GPU-aaaa",
        cause: "ended by hand: XID 79: the GPU has fallen off the bus",
        labels: { node: "n1", gpu: "GPU-aaaa" },
      },
    ]);
    expect(await clear(one.options, "")).toMatchObject({ gpus: [{ uuid: "GPU-bbbb", index: 1, ...ended }] });
    expect(await clear(one.options, "")).toEqual({ node: "n1", gpus: [], changed: false, dryRun: false });
  });

  test("and what the readings still say stays, and is told", async () => {
    const { one } = bed();
    const failed = gpu({ uuid: "GPU-aaaa", wear: { remapFailed: true } });
    one.source.readings = [failed];
    for (let turn = 0; turn < 2; turn += 1) one.source.listener?.changed();
    one.source.listener?.faulted([{ uuid: "GPU-aaaa", xid: 79 }]);
    const [worst, ...rest] = one.watch.all[0]?.verdict.reasons ?? [];
    expect(rest.length > 0 && worst !== undefined).toBe(true);
    for (const dryRun of [true, false]) {
      const { gpus = [] } = await clear(one.options, "n1", "GPU-aaaa", dryRun);
      expect(gpus[0]).toMatchObject({ ended: ["XID 79: the GPU has fallen off the bus"], health: "quarantined" });
      expect(gpus[0]?.remaining).toHaveLength(1);
    }
  });

  test.each(["ok", "absent", "broken", "unresponsive", "lost", "denied"] as const)(
    "as the dry run says, where the source is %s",
    async (state) => {
      const { one } = bed();
      one.source.listener?.faulted([
        { uuid: "GPU-aaaa", xid: 79 },
        // Ends by itself, in ten minutes.
        { uuid: "GPU-aaaa", xid: 61 },
        { uuid: "GPU-bbbb", xid: 61 },
      ]);
      one.source.state = { state, message: "so it is", sinceMs: 1 };
      one.source.listener?.changed();
      const foreseen = await clear(one.options, "n1", "", true);
      expect(foreseen.gpus?.length).toBeGreaterThan(0);
      expect(await clear(one.options, "n1")).toEqual({ ...foreseen, dryRun: false });
    },
  );

  test("and one that was taken out is not looked for any more", async () => {
    const { one } = bed();
    one.source.readings = one.source.readings.slice(0, 1);
    one.source.listener?.changed();
    expect((await clear(one.options, "n1", "1", true)).gpus).toMatchObject([{ uuid: "GPU-bbbb", forgotten: true }]);
    expect(one.watch.all).toHaveLength(2);
    expect((await clear(one.options, "n1", "1")).gpus).toMatchObject([{ forgotten: true, health: "healthy" }]);
    expect(one.watch.all).toHaveLength(1);
    expect(one.told[0]?.cause).toBe("ended by hand: it was lost, and is not looked for any more");
  });

  test("not at a router, at a node that nobody knows, or of a GPU that is not there", async () => {
    const { one, router: asked } = bed();
    expect(await refusal(clear(asked, ""))).toBe(
      "not_supported: r1 is a router, which has no GPUs; name a node (node: ID)",
    );
    expect(await refusal(clear(one.options, "r1"))).toStartWith("not_supported: r1 is a router");
    expect(await refusal(clear(asked, "n3"))).toBe('not_found: there is no node "n3" in the mesh; did you mean n1?');
    expect(await refusal(clear(asked, "n1", "GPU-zz"))).toStartWith(
      'not_found: there is no GPU "GPU-zz" at n1; there are 0 (',
    );
  });
});
