/** Requests split among revisions, and their copies for one in the shadow, from clients to targets. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import type { BalanceSpec } from "../../src/policy/spec.ts";
import { PolicyViews } from "../../src/policy/policy-views.ts";
import { Explainer } from "../../src/proxy/explain.ts";
import { placementPolicies } from "../../src/proxy/placement-policies.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { SHADOWS_MAX } from "../../src/proxy/shadows.ts";
import { costSettings } from "../../src/score/cost.ts";
import { COLUMN, rowWord } from "../../src/score/layout.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";
import { answer, by, CHAT, Client, CLOSE, FLOW, post, type Relay, type Serves, statusOf, until } from "./harness.ts";
import { echo, framed, grpcFixtures, proto, UNARY } from "./http2-bed.ts";

const { relay, upstream, target, client } = grpcFixtures();

const OK = answer('{"choices":[]}');
const of = (revision: string, port: number): Serves => ({ ...by("http", port), revision });
const quick = () => upstream((socket) => socket.write(OK));

function obey(relayed: Relay, more: Partial<BalanceSpec>): Relay {
  return relayed.obey({ kind: "balance", name: "m", spec: { strategy: "ttft", ...more } });
}

async function ask(port: number, headers = "", body = CHAT): Promise<string> {
  return (await Client.open(port)).send(post(body, headers + CLOSE)).end();
}

function close(relayed: Relay, row: number): void {
  relayed.table.floats[relayed.table.blocksWord + rowWord(row) + COLUMN.capacity] = 0;
}

describe("a split", () => {
  test.each(["ttft", "random", "late"] as const)("gives revisions their shares by %s", async (strategy) => {
    const ups = [quick(), quick(), quick()] as const;
    const late = { flow: { ...FLOW, late: { ...defaultsOf(lateSettings), enabled: true } } };
    const relayed = relay([ups[0].port, of("v2", ups[1].port), of("v3", ups[2].port)], late);
    obey(relayed, { strategy, split: { v2: 0.3, v3: 0.1 } });
    for (let count = 0; count < 300; count += 1) expect(statusOf(await ask(relayed.port))).toBe(200);
    const [rest = 0, second = 0, third = 0] = ups.map(({ requests }) => requests.length);
    expect(rest + second + third).toBe(300);
    // Four deviations.
    expect(Math.abs(second - 90)).toBeLessThan(32);
    expect(Math.abs(third - 30)).toBeLessThan(21);
    await until(() => relayed.inFlight === 0);
  });

  test("goes to the others where a revision has nobody, and to the revision where nobody else is", async () => {
    const ups = [quick(), quick()] as const;
    const relayed = relay([ups[0].port, of("v2", ups[1].port)]);
    obey(relayed, { split: { v2: 1 } });
    await ask(relayed.port);
    expect(ups[1].requests).toHaveLength(1);
    close(relayed, relayed.rows[1]!);
    expect(statusOf(await ask(relayed.port))).toBe(200);
    expect(ups[0].requests).toHaveLength(1);
    const other = relay([ups[0].port, of("v2", ups[1].port)]);
    obey(other, { split: { v2: 0.0001 } });
    close(other, other.rows[0]!);
    expect(statusOf(await ask(other.port))).toBe(200);
    expect(ups[1].requests).toHaveLength(2);
  });

  test("what fails at a revision is tried again at the rest", async () => {
    const bad = upstream((socket) => socket.write(answer("{}", "", "503 Service Unavailable")));
    const good = quick();
    const relayed = relay([good.port, of("v2", bad.port)]);
    obey(relayed, { split: { v2: 1 } });
    expect(statusOf(await ask(relayed.port))).toBe(200);
    expect([bad.requests.length, good.requests.length]).toEqual([1, 1]);
    await until(() => relayed.inFlight === 0);
  });

  test("counts for calls of gRPC", async () => {
    const ups = [target(echo), target(echo)];
    const relayed = relay([by("grpc", ups[0]!.port), { ...by("grpc", ups[1]!.port), revision: "v2" }]);
    obey(relayed, { split: { v2: 1 } });
    const one = await client(relayed.port);
    const send = async () => {
      const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed(proto({ 1: "m" })), true);
      return (await call.over()).status;
    };
    expect(await send()).toBe(0);
    expect(ups.map(({ calls }) => calls.length)).toEqual([0, 1]);
    close(relayed, relayed.rows[1]!);
    expect(await send()).toBe(0);
    expect(ups.map(({ calls }) => calls.length)).toEqual([1, 1]);
  });

  test("models are listed once, and looked up as ever", async () => {
    const relayed = relay([quick().port, of("v2", quick().port)]);
    const text = await (
      await Client.open(relayed.port)
    )
      .send(`GET /v1/models HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`)
      .end();
    expect(text.match(/"id":"m"/g)).toHaveLength(1);
    // Without a policy that says so, a revision's targets get nothing by this worker's snapshot, and lack nothing.
    expect(statusOf(await ask(relayed.port))).toBe(200);
  });
});

describe("a shadow", () => {
  test("gets the same bytes, and clients get the other one's answers", async () => {
    const real = upstream((socket) => socket.write(answer('{"real":1}')));
    const shadow = upstream((socket) => socket.write(answer('{"shadow":1}')));
    const relayed = relay([real.port, of("v2", shadow.port)]);
    obey(relayed, { shadow: { revision: "v2", share: 1 } });
    for (let count = 0; count < 5; count += 1) expect(await ask(relayed.port)).toContain('{"real":1}');
    await until(() => shadow.requests.length === 5 && relayed.inFlight === 0);
    expect(real.requests).toHaveLength(5);
    expect(shadow.requests.toSorted()).toEqual(real.requests.toSorted());
    const { stats, context } = relayed;
    expect([stats.count("shadowsSent"), stats.count("shadowsSkipped"), stats.count("shadowsFailed")]).toEqual([
      5, 0, 0,
    ]);
    expect([context.shadows.size, context.heldBytes]).toEqual([0, 0]);
    expect(stats.picks(relayed.rows[1]!).get("shadow")).toBe(5);
  });

  test("its share is that of requests", async () => {
    const shadow = quick();
    const relayed = relay([quick().port, of("v2", shadow.port)]);
    obey(relayed, { shadow: { revision: "v2", share: 0.25 } });
    for (let count = 0; count < 200; count += 1) await ask(relayed.port);
    await until(() => relayed.inFlight === 0);
    expect(Math.abs(shadow.requests.length - 50)).toBeLessThan(25);
  });

  test("that stands still holds nobody back, and copies are bounded", async () => {
    const shadow = upstream(() => {});
    const relayed = relay([quick().port, of("v2", shadow.port)]);
    obey(relayed, { shadow: { revision: "v2", share: 1 } });
    for (let count = 0; count < SHADOWS_MAX + 6; count += 1) expect(statusOf(await ask(relayed.port))).toBe(200);
    expect(relayed.context.shadows.size).toBe(SHADOWS_MAX);
    expect(relayed.stats.count("shadowsSkipped")).toBe(6);
    expect(relayed.context.heldBytes).toBeGreaterThan(0);
    // In the end they are given up.
    relayed.context.shadows.expire(Infinity);
    expect([relayed.context.shadows.size, relayed.context.heldBytes, relayed.inFlight]).toEqual([0, 0, 0]);
    await until(() => shadow.open === 0);
  });

  test.each([
    ["fails", answer("{}", "", "500 Internal Server Error")],
    ["breaks off", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"],
    ["talks nonsense", "what?\r\n\r\n"],
  ])("that %s is counted, and no client notices", async (_what, bytes) => {
    const shadow = upstream((socket) => {
      socket.write(bytes);
      if (!bytes.startsWith("HTTP/1.1 500")) socket.end();
    });
    const relayed = relay([quick().port, of("v2", shadow.port)]);
    obey(relayed, { shadow: { revision: "v2", share: 1 } });
    expect(statusOf(await ask(relayed.port))).toBe(200);
    await until(() => relayed.stats.count("shadowsFailed") === 1 && relayed.inFlight === 0);
    expect([relayed.context.shadows.size, relayed.context.heldBytes]).toEqual([0, 0]);
  });

  test("that is gone is skipped; what may not be repeated is not copied", async () => {
    const shadow = quick();
    const relayed = relay([quick().port, of("v2", shadow.port)]);
    obey(relayed, { shadow: { revision: "v2", share: 1 } });
    const files = "POST /v1/files HTTP/1.1\r\nhost: x\r\nx-infermesh-model: m\r\ncontent-length: 2\r\n";
    await (await Client.open(relayed.port)).send(`${files}${CLOSE}\r\n{}`).end();
    close(relayed, relayed.rows[1]!);
    expect(statusOf(await ask(relayed.port))).toBe(200);
    expect(shadow.requests).toHaveLength(0);
    expect(relayed.stats.count("shadowsSkipped")).toBe(1);
  });
});

describe("placement", () => {
  const READY = { metricsPort: 9090, lastSample: nodeSample({ models: [modelSample()] }), sampledAtMs: 0 };
  const node = (id: string, revision?: string): Target =>
    targetOf(id, { ...READY, labels: revision === undefined ? {} : { revision } });

  function bed(targets: readonly Target[]) {
    const table = ScoreTable.create({ targetsMax: 256, modelsMax: 8, workersMax: 1 });
    const placement = new Placement(table, { resetRow() {}, resetModel() {} }, defaultsOf(costSettings));
    const find = (id: string): Target | undefined => targets.find((one) => one.id === id);
    const routes = placement.sync(
      targets.map(({ id }) => id),
      find,
      0,
      1,
    );
    placement.routed(routes!.version, targets, 0);
    const views = new PolicyViews();
    const policy = (spec: BalanceSpec | null) => {
      const item = {
        kind: "balance",
        name: "m",
        spec: spec!,
        revision: 1,
        createdRevision: 1,
        updatedAtMs: 0,
      } as const;
      const items = spec === null ? [] : [item];
      views.reset(items, 1);
      const changed = placement.setRules(placementPolicies(items, views), targets, 0);
      if (changed !== null) placement.routed(changed.version, targets, 0);
      return changed;
    };
    const explainer = new Explainer({ table, placement, target: find, targets: () => targets, views: () => views });
    return { table, placement, policy, explainer };
  }

  const parts = ({ placement }: ReturnType<typeof bed>): string[] =>
    [...placement.places()].map(({ target: id, modelId, revision }) => `${id} ${modelId} ${revision}`).toSorted();

  test("gives revisions rows of their own while a policy names them, and back", () => {
    const one = bed([node("a"), node("b", "v2"), node("c", "v3")]);
    expect(parts(one)).toEqual(["a 0 ", "b 0 ", "c 0 "]);
    expect(one.policy({ strategy: "ttft", split: { v2: 0.1 }, shadow: { revision: "v3", share: 1 } })).not.toBeNull();
    expect(parts(one)).toEqual(["a 0 ", "b 1 v2", "c 2 v3"]);
    expect(one.policy({ strategy: "random", split: { v2: 0.5 }, shadow: { revision: "v3", share: 1 } })).toBeNull();
    expect(one.explainer.explain("m")).toMatchObject({
      winner: "a",
      candidates: [
        { node: "a", eligible: true },
        { node: "b", reason: "of the revision v2, of whose targets 50.0 % of requests are chosen apart" },
        { node: "c", reason: "of the revision v3, which gets copies of requests alone" },
      ],
    });
    one.policy(null);
    expect(parts(one)).toEqual(["a 0 ", "b 0 ", "c 0 "]);
  });

  test("a model is there while all of its targets are of a revision", () => {
    const one = bed([node("b", "v2")]);
    const changed = one.policy({ strategy: "ttft", split: { v2: 0.1 } })!;
    expect(changed.models.map(({ id, name, pool }) => [id, name, pool])).toEqual([
      [0, "m", undefined],
      [1, "m", "@v2"],
    ]);
    expect(parts(one)).toEqual(["b 1 v2"]);
    expect(one.placement.expireModels(1e9)).toBeNull();
  });
});
