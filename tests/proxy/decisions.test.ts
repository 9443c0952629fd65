/** What workers remember of their choices, and what the main thread makes of it: through the relay, by the request's id. */
import { describe, expect, test } from "bun:test";
import { DECISIONS_MAX, Decisions } from "../../src/proxy/decisions.ts";
import { Explainer } from "../../src/proxy/explain.ts";
import { Inquiries } from "../../src/proxy/inquiries.ts";
import type { HeldFor } from "../../src/proxy/late-news.ts";
import type { Placement } from "../../src/proxy/placement.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { PLAIN } from "../score/rows.ts";
import { by, fixtures } from "./harness.ts";
import { echo, framed, http2Fixtures } from "./http2-bed.ts";

const { relay } = fixtures();
const { target, client } = http2Fixtures();
const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

function bed() {
  const table = ScoreTable.create({ targetsMax: 256, modelsMax: 4, workersMax: 2 });
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const rows = [0.001, 0.002].map((penaltySeconds) => {
    const row = writer.addRow(model);
    writer.write(row, { ...PLAIN, penaltySeconds });
    return row;
  });
  const decisions = new Decisions(table);
  const record = (row: number, id: string, tokens = 100, held: HeldFor | null = null): void => {
    table.tryBegin(0, row, tokens);
    const pick = new PickRequest();
    pick.cachedTokens = held === null ? 0 : 40;
    const at = decisions.record(model, row, tokens, false, 1_795_000_000_000 + tokens, pick, held);
    decisions.name(at, ascii(`xx${id}xx`), 2, 2 + id.length);
  };
  const find = (id: string) =>
    decisions.find(
      id,
      (row) => `n${rows.indexOf(row)}`,
      () => "m",
    );
  const explainer = new Explainer({
    table,
    placement: {
      models: () => [{ id: model, name: "m", protocol: "http", created: 0 }],
      places: () =>
        rows.map((row, at) => ({
          target: `n${at}`,
          model: "m",
          row,
          modelId: model,
          weight: 1,
          revision: "",
          isRouted: true,
        })),
    } as unknown as Placement,
    target: () => undefined,
  });
  return { table, writer, model, rows, decisions, record, find, explainer };
}

describe("a worker's memory", () => {
  test("finds a choice by its id, the last one first, as it was then", () => {
    const { table, rows, record, find, explainer } = bed();
    record(rows[0]!, "a");
    record(rows[1]!, "a", 200);
    record(rows[0]!, "bb");
    for (let count = 0; count < 3; count++) table.tryBegin(0, rows[0]!, 1000);
    expect(find("b")).toBeNull();
    const first = explainer.past(find("bb")!);
    expect(first).toMatchObject({ requestId: "bb", model: "m", promptTokens: 100, winner: "n0" });
    expect(
      first.candidates.map(({ node, activeRequests, queuedTokens, chosen }) => [
        node,
        activeRequests,
        queuedTokens,
        chosen,
      ]),
    ).toEqual(
      expect.arrayContaining([
        ["n0", 1, 100, true],
        ["n1", 1, 200, false],
      ]),
    );
    const retried = explainer.past(find("a")!);
    expect(retried).toMatchObject({ promptTokens: 200, winner: "n1", atMs: 1_795_000_000_200 });
    expect(retried.candidates.find(({ chosen }) => chosen)?.node).toBe("n1");
  });

  test("tells of what was held for how long, and why it was bound there", () => {
    const { rows, record, find, explainer } = bed();
    const why = { desk: "", waitedMs: 412.4, waiting: 7, aheadMs: 23, workMs: 51, kind: "inTime" } as const;
    record(rows[1]!, "held", 100, why);
    record(rows[1]!, "overdue", 100, { ...why, waitedMs: 20_010, waiting: 1, aheadMs: 0, kind: "overdue" });
    record(rows[1]!, "late", 100, { ...why, kind: "late" });
    record(rows[1]!, "elsewhere", 100, { ...why, desk: "router-b" });
    record(rows[0]!, "at-once");
    expect(find("held")).toMatchObject({ held: { ...why, waitedMs: Math.fround(412.4) } });
    expect(find("held")!.places.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 40]);
    const reasonOf = (id: string): string => explainer.past(find(id)!).reason;
    expect(reasonOf("held")).toBe(
      "it was held for 412 ms, until n1 was to be free in 23 ms; its own prompt takes 51 ms there, and it was its turn, by work, age, priority and tenant, of 7 that waited",
    );
    expect(find("elsewhere")).toMatchObject({ held: { desk: "router-b" } });
    expect(reasonOf("elsewhere")).toStartWith(
      "it was held for 412 ms, by the word of router-b, which decides for the model, until n1 was to be free in 23 ms;",
    );
    expect(reasonOf("overdue")).toBe(
      "it was held for 20010 ms, until n1 had nothing left to compute; its own prompt takes 51 ms there, and it had waited longest",
    );
    expect(reasonOf("late")).toContain("it could not be in time any more, and came behind those who could");
    expect(find("at-once")!.held).toBeNull();
    expect(reasonOf("at-once")).not.toContain("held");
  });

  test("forgets what is old, and keeps the first places of many", () => {
    const { writer, model, rows, record, find } = bed();
    for (let count = 0; count < 30; count++) writer.write(writer.addRow(model), PLAIN);
    record(rows[0]!, "old");
    const kept = find("old");
    expect([kept?.places.length, kept?.isCut]).toEqual([16, true]);
    for (let count = 0; count < DECISIONS_MAX; count++) record(rows[0]!, `id-${count}`, 1);
    expect(find("old")).toBeNull();
    expect(find("id-0")).not.toBeNull();
  });
});

describe("a choice now", () => {
  test("goes to the cheapest, by the term that makes it so; excluded and unroutable ones say why", () => {
    const { table, rows, explainer } = bed();
    const now = explainer.explain("m", { promptTokens: 100 });
    expect([now.winner, now.candidates.map(({ node }) => node)]).toEqual(["n0", ["n0", "n1"]]);
    expect(now.reason).toContain("1.00 ms less than n1; it is ahead by 1.00 ms in the term penalty");
    expect(explainer.explain("m", { promptTokens: 100, excluded: ["n0"] })).toMatchObject({
      winner: "n1",
      reason: "n1 is the only one that can be chosen",
    });
    for (const row of rows) table.eject(row, table.nowDeciseconds(Date.now()) + 100);
    expect(explainer.explain("m").reason).toContain("all that have room are ejected");
    expect(() => explainer.explain("mm")).toThrow('no node serves the model "mm"; did you mean m?');
  });
});

test("the relay remembers requests of both lanes by the ids that clients see", async () => {
  const up = target(echo);
  const router = relay([by("grpc", up.port)]);
  const call = await (
    await client(router.port)
  )
    .call("/a.B/C", { "x-infermesh-model": "m" })
    .send(framed("x"), true)
    .over();
  const id = call.head["x-request-id"] ?? "";
  const decision = router.context.decisions.find(
    id,
    (row) => String(row),
    () => "m",
  );
  expect(decision).toMatchObject({ requestId: id, row: router.rows[0], isRetry: false });
});

test("an inquiry takes the newest answer, and ends when all have answered", async () => {
  const inquiries = new Inquiries();
  const asked: number[] = [];
  const worker = { send: (message: { kind: string; ask?: number }) => void asked.push(message.ask ?? 0) };
  const answer = inquiries.ask([worker, worker, worker] as never, "id");
  const decision = (atMs: number) => ({ atMs }) as never;
  for (const [at, told] of [decision(5), null, decision(3)].entries()) inquiries.answered(asked[at] ?? 0, told);
  expect(await answer).toMatchObject({ atMs: 5 });
  inquiries.answered(asked[0]!, decision(9));
  expect(await inquiries.ask([], "id")).toBeNull();
});
