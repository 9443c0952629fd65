/** What becomes of a node whose simulated GPU fails, seen by a router: the same rules decide as on a real machine. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { Bench, type Started, nodes, until } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

interface Gpu {
  readonly health: string;
  readonly healthReason: string | undefined;
}

function faults(agent: Started | undefined, method: string, body?: object): Promise<Response> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  return fetch(`http://${agent?.address("api")}/mock/faults`, init);
}

async function gpusOf(router: Started, id: string): Promise<readonly Gpu[]> {
  const all = (await nodes(router)) as unknown as readonly { id: string; sample: { gpus: readonly Gpu[] } | null }[];
  return all.find((node) => node.id === id)?.sample?.gpus ?? [];
}

/** Which nodes answer when many requests come at once. */
async function serving(router: Started): Promise<string[]> {
  const model = (await nodes(router))[0]?.models[0];
  const body = JSON.stringify({ model, max_tokens: 1, messages: [{ role: "user", content: "hi" }] });
  const asked = Array.from({ length: 36 }, async () => {
    const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
    await response.text();
    expect(response.status).toBe(200);
    return response.headers.get("x-infermesh-node") ?? "";
  });
  return [...new Set(await Promise.all(asked))].sort();
}

describe("three mock nodes behind a router", () => {
  test("an XID 79 takes one of them out of routing, until more than the fault has ended", async () => {
    const { router, agents } = await bench.mesh(3, [], ["--mock-speed", "20"]);
    await until(async () => (await serving(router)).length === 3);
    const set = await faults(agents[1], "POST", { gpu: 0, xid: 79 });
    expect([set.status, await set.json()]).toMatchObject([200, { gpus: {} }]);
    // By chance a node is left out also before that is known.
    await until(async () => (await gpusOf(router, "node2"))[0]?.health === "quarantined");
    await until(async () => (await serving(router)).join() === "node1,node3");
    expect(await gpusOf(router, "node2")).toMatchObject([
      { health: "quarantined", healthReason: "XID 79: the GPU has fallen off the bus" },
    ]);
    expect((await gpusOf(router, "node1")).map(({ health }) => health)).toEqual(["healthy"]);
    const told = (await (await fetch(`http://${agents[1]?.address("api")}/events`)).json()) as {
      events: readonly { type: string; cause: string }[];
    };
    const kinds = told.events.filter(({ type }) => type.startsWith("gpu.")).map(({ type }) => type);
    expect(kinds).toEqual(["gpu.xid", "gpu.quarantined"]);
    // What has happened is not undone by ending the faults that last.
    expect((await faults(agents[1], "DELETE")).status).toBe(200);
    await until(async () => (await gpusOf(router, "node2"))[0]?.health === "quarantined");
    expect(await serving(router)).toEqual(["node1", "node3"]);
  }, 60_000);

  test("a GPU that is lost takes its node out, and one that is back brings it back", async () => {
    const quick = ["--gpu-health-gpu-lost-hold", "100ms", "--gpu-health-gpu-lost-clear", "200ms"];
    const { router, agents } = await bench.mesh(2, [], ["--mock-speed", "20", ...quick]);
    await until(async () => (await serving(router)).length === 2);
    await faults(agents[0], "POST", { lost: true });
    // By chance, and on a busy machine, a node is left out also before that is known.
    const reason = async (): Promise<string | undefined> => (await gpusOf(router, "node1"))[0]?.healthReason;
    await until(async () => (await reason()) === "the GPU was there and is not any more");
    await until(async () => (await serving(router)).join() === "node2");
    await faults(agents[0], "POST", { lost: null });
    await until(async () => (await serving(router)).join() === "node1,node2");
  }, 60_000);

  test("a fault that is none is refused with what was expected", async () => {
    const agent = await bench.agent("alone", null);
    const refused = await faults(agent, "POST", { gpu: 7, xid: 79 });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: { param: "gpu", message: "gpu: expected the index of one of 1 GPUs, 0 to 0, got 7" },
    });
  }, 30_000);
});
