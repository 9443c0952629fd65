/** States that adapters report: what is full, what is different, what is forgotten, and what is asked of them. */
import { afterEach, describe, expect, test } from "bun:test";
import { ReportedStates, type Delta } from "../../src/admin/state-reports.ts";
import { StateService } from "../../src/admin/state-service.ts";
import type { Message } from "../../src/wire/proto-schema.ts";
import { Beds, bidi, types, unary } from "./api-bed.ts";

const STATE = "infermesh.state.v1.StatePlane";
const beds = new Beds();
afterEach(() => beds.close());

describe("one stream's word", () => {
  const states = (): ReportedStates =>
    new ReportedStates("n1", types.message("infermesh.state.v1.ModelState"), ({ labels }) => labels?.model ?? "");
  const report = (sequence: number, full: boolean, ...deltas: object[]) => ({
    node: "n1",
    sequence,
    full,
    deltas: deltas.map((delta) => ({ removed: false, unknown: [], ...delta })) as unknown as Delta[],
    observedAtMs: 5,
    ttlMs: 2000,
  });
  const m = { labels: { model: "m" } };

  test("is kept, changed, and replaced by what is full", () => {
    const one = states();
    expect(one.take(report(1, true, { ...m, runningRequests: 3, kvUsage: 0.5 }), 0)).toMatchObject({ applied: true });
    one.take(report(2, false, { ...m, waitingRequests: 2, unknown: ["kv_usage"] }), 10);
    expect(one.states(20)).toMatchObject([
      { labels: { model: "m", node: "n1" }, runningRequests: 3, waitingRequests: 2 },
    ]);
    expect(one.states(20)[0]).not.toHaveProperty("kvUsage");
    one.take(report(3, false, { ...m, removed: true }, { labels: { model: "o" } }), 30);
    expect(one.states(40)).toMatchObject([{ labels: { model: "o" } }]);
    one.take(report(9, true), 50);
    expect(one.states(60)).toEqual([]);
  });

  test("after a gap, or when it was forgotten, a full one is wanted", () => {
    const one = states();
    const refused = { applied: false, fullWanted: true };
    expect(one.take(report(1, false, m), 0)).toMatchObject(refused);
    one.take(report(1, true, m), 0);
    expect(one.take(report(3, false, m), 10)).toMatchObject(refused);
    expect(one.take(report(4, false, m), 10)).toMatchObject(refused);
    one.take(report(5, true, m), 20);
    expect([one.states(2019).length, one.states(2020).length]).toEqual([1, 0]);
    expect(one.take(report(6, false, m), 2020)).toMatchObject(refused);
  });

  test("what can't be is left out, and said", () => {
    const one = states();
    const { faults } = one.take(
      report(
        1,
        true,
        { ...m, kvUsage: 1.5, decodeTokensPerSecond: Number.NaN, runningRequests: 1, unknown: ["zz"] },
        {},
      ),
      0,
    );
    expect(faults).toEqual([
      "[0].unknown: zz can't be unknown",
      "[0].kvUsage is 1.5; expected a fraction from 0 to 1",
      "[0].decodeTokensPerSecond is NaN; expected a number",
      "[1] does not say what it is of",
    ]);
    expect(one.states(1)).toMatchObject([{ runningRequests: 1 }]);
    const many = Array.from({ length: 300 }, (_, at) => ({ labels: { model: String(at) } }));
    expect(one.take(report(2, true, ...many), 1).faults[0]).toContain("one more than the 256");
  });
});

test("what adapters say is bounded: each state, and all of them together, until they are silent", () => {
  const kept = { bytes: 0 };
  const type = types.message("infermesh.state.v1.ModelState");
  const stream = (node: string) => new ReportedStates(node, type, ({ labels }) => labels?.model ?? "", kept);
  const full = (count: number, chars: number) => ({
    node: "n",
    sequence: 1,
    full: true,
    deltas: Array.from({ length: count }, (_, at) => ({
      labels: { model: `${at}`.padEnd(chars, "x") },
      removed: false,
      unknown: [],
    })) as unknown as Delta[],
    observedAtMs: 1,
    ttlMs: 1000,
  });
  const one = stream("n");
  expect(one.take(full(1, 20_000), 0).faults[0]).toContain("bytes; expected at most 16384");
  expect([one.states(1), kept.bytes]).toEqual([[], 0]);
  one.take(full(256, 10_000), 0);
  const { bytes } = kept;
  one.take(full(256, 10_000), 0);
  expect(kept.bytes).toBe(bytes);
  const others = Array.from({ length: 30 }, (_, at) => stream(`n${at}`));
  const faults = others.flatMap((other) => other.take(full(256, 10_000), 0).faults);
  expect(faults[0]).toContain("more than is kept here of all adapters together");
  expect(kept.bytes).toBeLessThanOrEqual(64 * 1024 * 1024);
  for (const each of [one, ...others]) each.clear();
  expect(kept.bytes).toBe(0);
});

test("the service acknowledges reports, tells what it knows, and hands it on", async () => {
  const handed: unknown[] = [];
  const service = new StateService(types, {
    states: () => [{ id: "own", models: [{ labels: { model: "m", node: "own" } }], gpus: [{ name: "H100" }] }],
    reported: (state) => void handed.push(state),
  });
  const client = beds.open({ implementations: { [STATE]: service } }).client();
  const acks: Message[] = [];
  const models = bidi(client, `/${STATE}/ReportModelState`);
  const answered = new Promise((resolve, reject) => models.on("end", resolve).on("error", reject));
  models.on("data", (ack: Message) => acks.push(ack));
  const delta = { labels: { model: "m" }, status: "MODEL_STATUS_READY", runningRequests: 4 };
  models.write({ node: "tgi-1", sequence: 1, full: true, models: [delta] });
  models.write({ node: "tgi-1", sequence: 3, models: [delta] });
  models.end();
  await answered;
  expect(acks).toMatchObject([
    { sequence: 1, applied: true, fullWanted: false },
    { sequence: 3, applied: false, fullWanted: true },
  ]);
  expect(handed).toMatchObject([{ id: "tgi-1", ready: true, models: [{ runningRequests: 4 }] }]);
  const gpus = bidi(client, `/${STATE}/ReportGpuState`);
  gpus.write({
    node: "tgi-1",
    sequence: 1,
    full: true,
    gpus: [{ labels: { gpuUuid: "GPU-1" }, health: "GPU_HEALTH_HEALTHY" }],
  });
  await new Promise((resolve) => gpus.once("data", resolve));
  const ask = (method: string, request: object) => unary(client, `/${STATE}/${method}`, request as Message);
  expect((await ask("GetModelStates", { model: "m" }))["states"]).toHaveLength(2);
  expect((await ask("GetModelStates", { node: "own" }))["states"]).toHaveLength(1);
  expect((await ask("GetGpuStates", { node: "tgi-1" }))["states"]).toMatchObject([{ health: "GPU_HEALTH_HEALTHY" }]);
  expect(((await ask("ListNodeStates", {}))["nodes"] as Message[]).map(({ id }) => id)).toEqual(["own", "tgi-1"]);
  const failed = new Promise<{ code: number }>((resolve) => gpus.on("error", (error) => resolve(error as never)));
  gpus.write({ node: "other", sequence: 2 });
  expect((await failed).code).toBe(3);
});
