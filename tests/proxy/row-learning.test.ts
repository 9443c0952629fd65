/** What a router learns of its rows' rates, by what workers note, in the rows that placement writes. */
import { describe, expect, test } from "bun:test";
import { liveCopy, overwrite } from "../../src/base/live.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { Explainer } from "../../src/proxy/explain.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { RowLearning } from "../../src/proxy/row-learning.ts";
import { costSettings } from "../../src/score/cost.ts";
import { COLUMN, rowWord } from "../../src/score/layout.ts";
import { learningSettings } from "../../src/score/learning-settings.ts";
import { RowSides } from "../../src/score/row-sides.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { NO_LOAD } from "../../src/signal/flights.ts";
import { gpuSample, modelSample, nodeSample, targetOf } from "../fleet/samples.ts";

const stats = { resetRow() {}, resetModel() {} };
const TOLD = 20_000;

interface Told {
  readonly version?: string;
  readonly gpus?: number;
}

function target(id: string, { version = "", gpus = 0 }: Told = {}): Target {
  const runtime = {
    name: "main",
    kind: "vllm",
    version,
    ready: true,
    draining: false,
    state: "ready",
    message: "",
    sinceMs: 0,
    endpoints: [],
  } as const;
  const models = [modelSample({ runtime: "main", prefillTokensPerSecond: TOLD })];
  const lastSample = nodeSample({
    runtimes: [runtime],
    models,
    gpus: Array.from({ length: gpus }, (_, index) => gpuSample({ index, models: [models[0]!.model] })),
  });
  return targetOf(id, { metricsPort: 9090, lastSample, sampledAtMs: 0 });
}

function mesh(ids: readonly string[] = ["a"]) {
  const table = ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: 2 });
  const cost = defaultsOf(costSettings);
  const config = liveCopy(defaultsOf(learningSettings));
  const learning = new RowLearning(config, cost, table);
  const placement = new Placement(table, stats, cost, () => NO_LOAD, null, learning);
  let targets = ids.map((id) => target(id));
  const find = (id: string): Target | undefined => targets.find((one) => one.id === id);
  const synced = placement.sync(ids, find, 0, 1);
  placement.routed(synced?.version ?? 0, targets, 0);
  const rowOf = (id: string): number => [...placement.places()].find((place) => place.target === id)!.row;
  let nowMs = 1000;
  const upkeep = (): void => {
    learning.take();
    learning.renew((nowMs += 10));
    placement.refresh(targets, 0);
  };
  return {
    table,
    config,
    learning,
    placement,
    rowOf,
    upkeep,
    now: () => nowMs,
    /** So many streams of the node, whose prompts take `times` what is told. */
    serve: (id: string, count: number, times: number): void => {
      const row = rowOf(id);
      for (let done = 0; done < count; done += 1) {
        const tokens = 500 + ((done * 733) % 4000);
        const sentTokens = learning.firstTokens.sent(row, tokens);
        const firstMs = nowMs + (tokens / TOLD) * 1000 * times + 5;
        learning.firstTokens.first(0, row, tokens, sentTokens, nowMs, firstMs, false);
        nowMs = firstMs + 1;
      }
      upkeep();
    },
    /** Prompt tokens a second, by the row. */
    rate: (id: string): number =>
      1 / (table.floats[table.blocksWord + rowWord(rowOf(id)) + COLUMN.secondsPerPrefillToken] ?? 0),
    become: (next: readonly Target[]): void => {
      targets = [...next];
      const routes = placement.sync([...ids], find, 0, 1);
      if (routes !== null) placement.routed(routes.version, targets, 0);
      upkeep();
    },
  };
}

describe("rows", () => {
  test("are written by what is told, and by what first tokens tell", () => {
    const { rate, serve, learning, rowOf, now } = mesh();
    expect(rate("a")).toBeCloseTo(TOLD, -1);
    serve("a", 60, 2.5);
    expect(rate("a")).toBeWithin(TOLD / 2.8, TOLD / 2.2);
    const known = learning.of(rowOf("a"), now())!;
    expect(known).toMatchObject({ prior: 1 / TOLD, used: expect.closeTo(2.5 / TOLD, 5) });
    expect(known.samples).toBeGreaterThan(20);
    expect(known.seenAgoMs).toBeWithin(0, 1000);
    expect(learning.counts).toEqual({ taken: 60, lost: 0 });
  });

  test("are written by what is told while learning is off, and by what was learnt once it is on", () => {
    const { rate, serve, config, upkeep } = mesh();
    overwrite(config, { ...config, enabled: false });
    serve("a", 60, 2.5);
    expect(rate("a")).toBeCloseTo(TOLD, -1);
    overwrite(config, { ...config, enabled: true });
    upkeep();
    expect(rate("a")).toBeLessThan(TOLD / 2);
  });

  test("of nodes that can't be told apart cost the same, and a slow one more", () => {
    const { rate, serve } = mesh(["a", "b", "c", "d"]);
    for (let round = 0; round < 10; round += 1) {
      serve("a", 6, 1.5);
      serve("b", 6, 1.53);
      serve("c", 6, 4.5);
    }
    expect([rate("a"), rate("d")]).toEqual([rate("b"), rate("b")]);
    expect(rate("b")).toBeWithin(TOLD / 1.7, TOLD / 1.4);
    expect(rate("c")).toBeLessThan(TOLD / 3.5);
  });
});

test("how far apart tokens are is learnt where the runtime does not tell", () => {
  const { table, learning, rowOf, upkeep } = mesh();
  const row = rowOf("a");
  const sides = new RowSides(table);
  expect(sides.of(row)).toMatchObject({ stepSeconds: 0, running: 0 });
  for (let count = 1; count <= 80; count += 1) {
    const requests = 1 + (count % 40);
    learning.firstTokens.ended(0, row, 0.015 + 0.0004 * requests, requests, 1000 + count);
  }
  for (let count = 0; count < 10; count += 1) table.tryBegin(0, row, 1);
  upkeep();
  expect(sides.of(row)).toMatchObject({ stepSeconds: expect.closeTo(0.019, 3), running: 10 });
});

describe("what was learnt is forgotten", () => {
  test("when somebody asks for it, of the rows that are meant", () => {
    const { rate, serve, learning, rowOf, upkeep, now } = mesh();
    serve("a", 60, 3);
    expect(learning.forget([rowOf("a"), 99], now())).toBe(1);
    upkeep();
    expect(rate("a")).toBeCloseTo(TOLD, -1);
    expect(learning.forget([rowOf("a")], now())).toBe(0);
    expect(learning.of(rowOf("a"), now())).toMatchObject({ samples: 0, seenAgoMs: undefined });
  });

  test("when the runtime has another version, or the model other GPUs, once both are known", () => {
    const { rate, serve, become } = mesh();
    const learnt = (): boolean => rate("a") < TOLD / 2;
    serve("a", 60, 3);
    become([target("a", { version: "0.11.0", gpus: 1 })]);
    expect(learnt()).toBe(true);
    become([target("a", { version: "0.11.0" })]);
    expect(learnt()).toBe(true);
    become([target("a", { version: "0.12.0", gpus: 1 })]);
    expect(learnt()).toBe(false);
    serve("a", 60, 3);
    expect(learnt()).toBe(true);
    become([target("a", { version: "0.12.0", gpus: 2 })]);
    expect(learnt()).toBe(false);
  });

  test("with the row's generation: what was noted of a target that left teaches nothing of another", () => {
    const { rate, serve, become, learning, rowOf, upkeep } = mesh();
    serve("a", 60, 3);
    const row = rowOf("a");
    become([]);
    expect(learning.of(row, 0)).toBeUndefined();
    become([target("a")]);
    expect(rate("a")).toBeCloseTo(TOLD, -1);
    learning.firstTokens.first(0, row + 1, 100, 100, 0, 1000, false);
    upkeep();
    expect(learning.of(row + 1, 0)).toBeUndefined();
  });
});

test("notes that were lost put nothing out of step", () => {
  const { serve, learning, rate } = mesh();
  serve("a", 60, 2);
  const before = rate("a");
  serve("a", 700, 2);
  expect(learning.counts.lost).toBe(700 - 512);
  serve("a", 60, 2);
  expect(rate("a")).toBeWithin(before * 0.9, before * 1.1);
});

test("explanations tell what is reckoned with, what is told, and what was learnt", () => {
  const { table, placement, learning, serve, now } = mesh(["a", "b"]);
  const explainer = new Explainer({
    table,
    placement,
    target: (id) => target(id),
    rate: (row) => learning.of(row, now()),
  });
  const of = (node: string) => explainer.explain("m").candidates.find((one) => one.node === node)!;
  const detail = (node: string): string => of(node).terms.find(({ name }) => name === "prefill")!.detail;
  expect(detail("a")).toEndWith("20000 tokens a second; nothing was learnt of it");
  expect(of("a").rates).toMatchObject({ prefillUsed: expect.closeTo(TOLD, 3), requests: 0, confidence: 0 });
  serve("a", 60, 2);
  expect(of("a").rates).toMatchObject({ prefillTold: expect.closeTo(TOLD, 3) });
  expect(of("a").rates!.prefillUsed).toBeWithin(TOLD / 2.2, TOLD / 1.8);
  expect(of("a").rates!.prefillLearnt).toBeWithin(TOLD / 2.2, TOLD / 1.8);
  expect(detail("a")).toMatch(
    /; 20000 are told, \d+ learnt from \d+ requests, the last \d+\.\d s ago, confidence (0\.9|1\.0)/,
  );
  expect(detail("b")).toEndWith("; 20000 are told, and others of the model are found to be as fast as this");
});
