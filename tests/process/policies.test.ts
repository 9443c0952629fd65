/**
 * Policies, from a call of the API to what clients see: an agent that keeps them, a second one, and a router, all of them
 * processes of their own. Nothing is started anew for a policy to count.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bench, type Started, until } from "./harness.ts";

const bench = new Bench();
let router: Started;
let agents: Started[];

beforeAll(async () => {
  const first = await bench.agent("node1", null);
  const join = ["--join", gossipOf(first)];
  agents = [first, await bench.agent("node2", null, ...join)];
  // By turns, whichever of them is nearer: who may serve is what is asked here.
  router = await bench.router("--workers", "2", "--strategy", "round-robin", ...join);
  await until(async () => (await serving()).size === 2);
}, 30_000);
afterAll(() => bench.end());

function gossipOf({ ready }: Started): string {
  return String(ready["gossip"]);
}

async function call(method: string, body: object): Promise<Record<string, unknown>> {
  const url = `http://${router.address("api")}/infermesh.control.v1.ControlPlane/${method}`;
  const headers = { "content-type": "application/json" };
  for (;;) {
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    const told = (await answer.json()) as Record<string, unknown>;
    if (answer.ok) return told;
    // A control plane that was just begun, or whose way here was just found, may ask for another try.
    if (told["code"] !== "unavailable") throw new Error(`${method}: ${answer.status} ${JSON.stringify(told)}`);
    await Bun.sleep(50);
  }
}

function chat(headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 1 }),
  });
}

let model = "";

/** The nodes that answer one of twelve requests. */
async function serving(): Promise<Set<string>> {
  const listed = await fetch(`http://${router.address("listen")}/v1/models`);
  model = ((await listed.json()) as { data: { id: string }[] }).data[0]?.id ?? "";
  if (model === "") return new Set();
  const answers = await Promise.all(Array.from({ length: 12 }, () => chat()));
  for (const answer of answers) await answer.text();
  return new Set(answers.map(({ headers }) => headers.get("x-infermesh-node") ?? "nobody"));
}

describe("a policy counts as soon as it is written", () => {
  test("an access rule", async () => {
    const acme = { "x-infermesh-tenant": "acme" };
    expect((await chat(acme)).status).toBe(200);
    await call("SetPolicy", { name: `tenant:acme/${model}/*`, acl: { effect: "deny", reason: "not paid" } });
    await until(async () => (await chat(acme)).status === 403);
    const denied = await chat(acme);
    expect(((await denied.json()) as { error: { message: string } }).error.message).toContain("not paid");
    expect((await chat()).status).toBe(200);
    await call("DeletePolicy", { kind: "acl", name: `tenant:acme/${model}/*` });
    await until(async () => (await chat(acme)).status === 200);
  });

  test("a quota", async () => {
    await call("SetPolicy", { name: `bulk/${model}`, quota: { requestsPerSecond: 2 } });
    const bulk = { "x-infermesh-tenant": "bulk" };
    await until(async () =>
      (await Promise.all(Array.from({ length: 8 }, () => chat(bulk)))).some(({ status }) => status === 429),
    );
    const metrics = await fetch(`http://${router.address("metrics")}/telemetry`).then((answer) => answer.text());
    expect(metrics).toMatch(/infermesh_policy_revision [1-9]/);
    await call("DeletePolicy", { kind: "quota", name: `bulk/${model}` });
  });

  test("a pin", async () => {
    await call("PinModel", { model, nodes: ["node2"] });
    await until(async () => [...(await serving())].join() === "node2");
    await call("UnpinModel", { model });
    await until(async () => (await serving()).size === 2);
  });

  test("draining, of which the node itself tells as well", async () => {
    await call("DrainNode", { id: "node1", reason: "new fans" });
    await until(async () => [...(await serving())].join() === "node2");
    const health = (): Promise<number> =>
      fetch(`http://${agents[0]!.address("api")}/health`).then(({ status }) => status);
    await until(async () => (await health()) === 503);
    await call("UndrainNode", { id: "node1" });
    await until(async () => (await health()) === 200 && (await serving()).size === 2);
  });
});

test("what is known counts from the first request of a router that starts again, though nobody keeps policies any more", async () => {
  await call("SetPolicy", { name: `tenant:late/${model}/*`, acl: { effect: "deny" } });
  const late = { "x-infermesh-tenant": "late" };
  await until(async () => (await chat(late)).status === 403);
  const again = ["--id", "router-9", "--data-dir", `${bench.dataDir}/again`, "--workers", "1"];
  const first = await bench.router(...again, "--join", gossipOf(agents[0]!));
  router = first;
  // One that never knew of any waits for them, but not for ever, as on a busy machine.
  await until(async () => (await chat(late)).status === 403);
  await first.stop();
  await agents[0]!.kill();
  router = await bench.router(...again, "--upstream", `${model}=http://${agents[1]!.address("serve")}`);
  // 404 while it knows of no node, 503 while it has not heard that it is well.
  let status = 404;
  await until(async () => ![404, 503].includes((status = (await chat(late)).status)));
  expect(status).toBe(403);
  expect((await chat()).status).toBe(200);
});
