/** Scoring for gateways: what is admitted is counted, once, until its outcome or its lease's end. */
import { afterEach, expect, test } from "bun:test";
import { type ScoredPlace, type Scorer, ScoringService } from "../../src/admin/scoring-service.ts";
import { MeshError } from "../../src/base/errors.ts";
import { Beds, unary } from "./api-bed.ts";
import { eventually } from "./raw-client.ts";

const SCORING = "infermesh.scoring.v1.Scoring";
const beds = new Beds();
afterEach(() => beds.close());

/** Two places, each with room for so many. */
class Places implements Scorer {
  readonly begun = [0, 0];
  readonly tokens = [0, 0];
  readonly ejected: number[] = [];
  room = 2;

  score(model: string, _promptTokens: number, excluded: readonly string[]): ScoredPlace[] {
    if (model !== "m") throw new MeshError("model_not_found", `no node serves the model "${model}"`);
    return ["a", "b"].map((node, row) => {
      const reason = excluded.includes(node) ? "excluded by who asks" : this.begun[row]! >= this.room ? "full" : "";
      return { node, address: `${node}:8000`, seconds: row + 1, eligible: reason === "", reason, row };
    });
  }
  begin(row: number, promptTokens: number): boolean {
    this.begun[row]! += 1;
    this.tokens[row]! += promptTokens;
    return true;
  }
  endPrompt(row: number, promptTokens: number): void {
    this.tokens[row]! -= promptTokens;
  }
  end(row: number): void {
    this.begun[row]! -= 1;
  }
  eject(row: number): void {
    this.ejected.push(row);
  }
  obstacle(): string {
    return "";
  }
}

function open() {
  const places = new Places();
  const service = new ScoringService(places);
  const bed = beds.open({ implementations: { [SCORING]: service } });
  const client = bed.client();
  const call = (method: string, request: object) => unary(client, `/${SCORING}/${method}`, request as never);
  return { places, service, call };
}

test("scores only look", async () => {
  const { places, call } = open();
  expect(await call("ScoreTargets", { model: "m", exclude: ["a"] })).toMatchObject({
    targets: [
      { node: "a", eligible: false, reason: "excluded by who asks" },
      { node: "b", address: "b:8000", seconds: 2, eligible: true },
    ],
  });
  expect(places.begun).toEqual([0, 0]);
  expect(await call("ScoreTargets", { model: "x" }).catch((error: unknown) => error)).toMatchObject({ code: 5 });
  expect(await call("ScoreTargets", {}).catch((error: unknown) => error)).toMatchObject({ code: 3 });
});

test("what is admitted counts until its outcome", async () => {
  const { places, call } = open();
  const first = await call("Admit", { model: "m", promptTokens: 100 });
  expect(first).toMatchObject({ node: "a", address: "a:8000", seconds: 1 });
  await call("Admit", { model: "m" });
  expect((await call("Admit", { model: "m" }))["node"]).toBe("b");
  expect([places.begun, places.tokens]).toEqual([
    [2, 1],
    [612, 512],
  ]);
  const { ticket } = first;
  expect(await call("ReportOutcome", { ticket, firstToken: true })).toEqual({ known: true });
  expect(await call("ReportOutcome", { ticket, firstToken: true, outcome: "success" })).toEqual({ known: true });
  expect(await call("ReportOutcome", { ticket, outcome: "success" })).toEqual({ known: false });
  expect([places.begun, places.tokens]).toEqual([
    [1, 1],
    [512, 512],
  ]);
  expect(await call("ReportOutcome", { ticket, outcome: "fine" }).catch((error: unknown) => error)).toMatchObject({
    code: 3,
  });
});

test("when all are full it is said so, and that some may be tried later", async () => {
  const { places, call } = open();
  places.room = 0;
  expect(await call("Admit", { model: "m" }).catch((error: unknown) => error)).toMatchObject({
    code: 8,
    details: "every node of m is full",
  });
  expect(await call("HealthCheck", { model: "m" })).toMatchObject({ serving: false, reason: "a: full; b: full" });
  expect(await call("HealthCheck", {})).toMatchObject({ serving: true });
  places.room = 1;
  expect(await call("Admit", { model: "m", exclude: ["a", "b"] }).catch((error: unknown) => error)).toMatchObject({
    code: 14,
  });
});

test("a lease ends by itself; three failures in a row eject", async () => {
  const { places, service, call } = open();
  await call("Admit", { model: "m", leaseMs: 5 });
  await eventually(() => places.begun[0] === 0 && places.tokens[0] === 0);
  expect(await call("Admit", { model: "m", leaseMs: 4_000_000 }).catch((error: unknown) => error)).toMatchObject({
    code: 3,
  });
  for (const outcome of ["failure", "failure", "success", "failure", "failure", "cancelled", "failure"]) {
    const { ticket } = await call("Admit", { model: "m" });
    await call("ReportOutcome", { ticket, outcome });
  }
  expect(places.ejected).toEqual([0]);
  await call("Admit", { model: "m" });
  service.stop();
  expect(places.begun).toEqual([0, 0]);
});
