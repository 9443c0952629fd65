/** What a row is made of between two samples: what targets tell with their answers, and what this router sends. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import type { RowReport } from "../../src/proxy/load-reports.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { tellsIfAsked } from "../../src/proxy/row-sample.ts";
import { costSettings } from "../../src/score/cost.ts";
import { COLUMN, rowWord } from "../../src/score/layout.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import type { ModelSample, NodeRuntime } from "../../src/score/sample.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { type Load, NO_LOAD } from "../../src/signal/flights.ts";
import { modelSample, nodeRuntime, nodeSample, targetOf } from "../fleet/samples.ts";

const CONFIG = defaultsOf(costSettings);
const stats = { resetRow() {}, resetModel() {} };

/** A router's table and placement, by a clock of the test's own. */
class Bed {
  readonly table = ScoreTable.create({ targetsMax: 512, modelsMax: 4, workersMax: 2 });
  readonly nodes = new Map<string, Target>();
  readonly others = new Map<string, Load>();
  readonly placement: Placement;
  nowMs = 1000;
  readonly #picker = new TypeScriptPicker(this.table);
  readonly #pick = new PickRequest();

  constructor() {
    this.placement = new Placement(this.table, stats, CONFIG, () => this.others.get("all") ?? NO_LOAD);
    this.#pick.model = 0;
    this.#pick.promptTokens = 100;
  }

  find = (id: string): Target | undefined => this.nodes.get(id);

  add(id: string, overrides: Partial<Target> = {}): this {
    this.nodes.set(id, targetOf(id, overrides));
    const routes = this.placement.sync([id], this.find, this.nowMs, 1);
    if (routes !== null) this.placement.routed(routes.version, [...this.nodes.values()], this.nowMs);
    return this;
  }

  /** As a router does every tenth of a second; what happens in between is `work`. */
  noted(ms: number, work: () => void = () => {}): this {
    for (let at = 0; at < ms; at += 100) {
      this.nowMs += 100;
      this.placement.note(this.nowMs);
      if (at === 0) work();
    }
    return this;
  }

  /** A whole sample of these models comes. */
  sample(id: string, models: readonly ModelSample[], runtimes: readonly NodeRuntime[] = []): void {
    const node = {
      ...this.nodes.get(id)!,
      lastSample: nodeSample({ models, runtimes }),
      sampledAtMs: this.nowMs,
      streamed: true,
    };
    this.nodes.set(id, node);
    this.placement.sampled(node, this.placement.mark(node), undefined, this.nowMs);
  }

  rowOf(id: string, model = "m"): number {
    return [...this.placement.places()].find((place) => place.target === id && place.model === model)?.row ?? -1;
  }

  /** The target tells of itself with an answer, now. */
  tell(id: string, figures: Partial<RowReport["figures"]>, how: Partial<RowReport> = {}, model = "m"): void {
    const row = how.row ?? this.rowOf(id, model);
    const none = {
      runningRequests: undefined,
      waitingRequests: undefined,
      queuedPrefillTokens: undefined,
      kvUsage: undefined,
      kvCapacityTokens: undefined,
      utilization: undefined,
    };
    const report = {
      row,
      generation: this.table.generation(row),
      ageMs: 0,
      requests: this.table.inFlight(row),
      tokens: this.table.inFlightTokens(row),
      figures: { ...none, ...figures },
      ...how,
    };
    this.placement.told([report], this.find, this.nowMs);
  }

  after(ms: number): this {
    this.nowMs += ms;
    this.placement.refresh([...this.nodes.values()], this.nowMs);
    return this;
  }

  /** What the row says: requests, and prompt tokens that are to be computed. */
  load(id: string, model = "m"): [requests: number, tokens: number] {
    const word = this.table.blocksWord + rowWord(this.rowOf(id, model));
    return [this.table.words[word + COLUMN.activeRequests]!, this.table.words[word + COLUMN.queuedTokens]!];
  }

  figure(id: string, column: "kvOffset" | "penaltySeconds"): number {
    return this.table.floats[this.table.blocksWord + rowWord(this.rowOf(id)) + COLUMN[column]]!;
  }

  /** Where the next request goes. */
  get picked(): string {
    const row = this.#picker.pick(this.#pick);
    return [...this.placement.places()].find((place) => place.row === row)?.target ?? "";
  }

  send(id: string, tokens: number): void {
    expect(this.table.tryBegin(0, this.rowOf(id), tokens)).toBe(true);
  }

  firstToken(id: string, tokens: number): void {
    this.table.endPrefill(0, this.rowOf(id), tokens);
  }

  end(id: string): void {
    this.table.end(0, this.rowOf(id));
  }
}

describe("between two samples a row follows what was sent", () => {
  test("tokens of requests without a first token are queued, those of others are not; an ended request is gone", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [modelSample({ runningRequests: 4, waitingRequests: 1, queuedPrefillTokens: 3000 })]);
    expect(bed.load("a")).toEqual([5, 3000]);
    bed.after(100);
    bed.send("a", 800);
    bed.send("a", 200);
    expect(bed.after(50).load("a")).toEqual([7, 4000]);
    bed.firstToken("a", 800);
    expect(bed.after(50).load("a")).toEqual([7, 3200]);
    bed.end("a");
    expect(bed.load("a")).toEqual([6, 3200]);
    // It counts the one that is left, which is ours: neither twice, nor as another's.
    bed.after(800).sample("a", [modelSample({ runningRequests: 4, waitingRequests: 2, queuedPrefillTokens: 3200 })]);
    expect(bed.load("a")).toEqual([6, 3200]);
    bed.firstToken("a", 200);
    bed.end("a");
    expect(bed.after(100).load("a")).toEqual([5, 3000]);
  });

  test("also where the runtime tells no tokens, and where there is no sample at all", () => {
    const bed = new Bed().add("a").add("s", { source: "static" });
    for (const id of ["a", "s"]) bed.send(id, 700);
    bed.sample("a", [modelSample({ runningRequests: 0, waitingRequests: 3 })]);
    // Two of the three that wait are others'.
    expect(bed.load("a")).toEqual([3, 700 + 2 * CONFIG.promptTokensMean]);
    expect(bed.load("s")).toEqual([1, 700]);
    for (const id of ["a", "s"]) bed.firstToken(id, 700);
    expect(bed.after(100).load("a")).toEqual([3, 2 * CONFIG.promptTokensMean]);
    expect(bed.load("s")).toEqual([1, 0]);
  });
});

describe("figures that were read a while before they come", () => {
  const read = (figuresAgeMs: number, overrides: Partial<ModelSample> = {}): ModelSample =>
    modelSample({ figuresAgeMs, ...overrides });

  test("count against what was in flight when they were read: what was worked off since is nobody else's", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [read(0)]);
    bed.noted(500, () => bed.send("a", 50_000));
    // The server is asked now; the answer is told 800 ms later, when the prompt is computed and its answer has ended.
    bed.noted(800, () => {
      bed.firstToken("a", 50_000);
      bed.end("a");
    });
    bed.sample("a", [read(800, { runningRequests: 1, queuedPrefillTokens: 50_000 })]);
    expect(bed.load("a")).toEqual([0, 0]);
  });

  test("and what was sent since is not taken for what they count", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [read(0)]);
    bed.noted(500);
    bed.noted(800, () => bed.send("a", 3000));
    // Another's three requests.
    bed.sample("a", [read(800, { runningRequests: 3, queuedPrefillTokens: 900 })]);
    expect(bed.load("a")).toEqual([4, 3900]);
    bed.firstToken("a", 3000);
    bed.end("a");
    expect(bed.load("a")).toEqual([3, 900]);
  });

  test("are told again and again with their age, and count the same each time", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [read(0)]);
    bed.noted(300, () => bed.send("a", 1000));
    for (const age of [0, 300, 600, 900]) {
      bed.sample("a", [read(age, { runningRequests: 5, queuedPrefillTokens: 1500 })]);
      // Four of the five are others', and 500 of the tokens.
      const own = age === 0 ? 1 : 0;
      expect(bed.load("a")).toEqual([4 + own, 500 + 1000 * own]);
      bed.noted(300, () => {
        if (age !== 0) return;
        bed.firstToken("a", 1000);
        bed.end("a");
      });
    }
  });

  test("older than all notes, or before there are any, they count from now", () => {
    const bed = new Bed().add("a");
    bed.send("a", 100);
    bed.sample("a", [read(700, { runningRequests: 1, queuedPrefillTokens: 100 })]);
    expect(bed.load("a")).toEqual([1, 100]);
    bed.noted(10_000);
    bed.sample("a", [read(60_000, { runningRequests: 1, queuedPrefillTokens: 100 })]);
    expect(bed.load("a")[0]).toBe(1);
  });

  test("are no news where the target told of itself since, and age from when they were read", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [read(0)]);
    bed.noted(500);
    bed.tell("a", { runningRequests: 7, waitingRequests: 0 });
    bed.noted(300).sample("a", [read(400, { runningRequests: 2 })]);
    expect(bed.load("a")[0]).toBe(7);
    bed.noted(300).sample("a", [read(100, { runningRequests: 2 })]);
    expect(bed.load("a")[0]).toBe(2);
    const slow = new Bed().add("a");
    slow.sample("a", [read(CONFIG.streamStaleAfterMs + 10_000)]);
    expect(slow.figure("a", "penaltySeconds")).toBeGreaterThan(0.4);
  });
});

describe("what a target tells with an answer", () => {
  test("is in its row at once, and the next request goes by it", () => {
    const bed = new Bed().add("a").add("b");
    for (const id of ["a", "b"]) bed.sample(id, [modelSample()]);
    bed.after(300);
    bed.tell("a", { waitingRequests: 40, kvUsage: 0.99 });
    expect(bed.load("a")).toEqual([40, 40 * CONFIG.promptTokensMean]);
    expect(bed.picked).toBe("b");
    bed.after(100).tell("b", { waitingRequests: 90, kvUsage: 0.99 });
    expect(bed.picked).toBe("a");
    bed.tell("b", { waitingRequests: 0, kvUsage: 0.1 });
    expect(bed.picked).toBe("b");
  });

  test("counts from what was in flight when it was told, here and from other routers", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [modelSample()]);
    bed.after(100).send("a", 500);
    bed.others.set("all", { requests: 3, tokens: 100 });
    bed.tell("a", { runningRequests: 6, waitingRequests: 0, queuedPrefillTokens: 900 }, { ageMs: 20 });
    // One is ours, three are another router's; two are of whoever else, and 300 of the tokens.
    expect(bed.load("a")).toEqual([6, 900]);
    bed.firstToken("a", 500);
    bed.end("a");
    expect(bed.after(20).load("a")).toEqual([5, 400]);
    bed.others.delete("all");
    expect(bed.after(20).load("a")).toEqual([2, 300]);
  });

  test("gives way to the next sample, and stays where an older one comes late", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [modelSample({ kvUsage: 0.1 })]);
    bed.after(500).tell("a", { runningRequests: 9, waitingRequests: 0, kvUsage: 0.95 });
    const tight = bed.figure("a", "kvOffset");
    const late = { ...bed.nodes.get("a")!, sampledAtMs: bed.nowMs - 100 };
    bed.nodes.set("a", late);
    bed.placement.sampled(late, bed.placement.mark(late), undefined, bed.nowMs);
    expect([bed.load("a")[0], bed.figure("a", "kvOffset")]).toEqual([9, tight]);
    bed.after(10).sample("a", [modelSample({ kvUsage: 0.1, runningRequests: 2 })]);
    expect(bed.load("a")[0]).toBe(2);
    expect(bed.figure("a", "kvOffset")).toBeLessThan(0);
  });

  test("keeps a row fresh whose samples stopped; only the use of its cache does not", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [modelSample()]);
    bed.after(20_000);
    const silent = bed.figure("a", "penaltySeconds");
    expect(silent).toBeGreaterThan(0.5);
    bed.tell("a", { kvUsage: 0.5 });
    expect(bed.figure("a", "penaltySeconds")).toBe(silent);
    bed.tell("a", { waitingRequests: 0 });
    expect(bed.figure("a", "penaltySeconds")).toBe(0);
    // It is silent again.
    expect(bed.after(20_000).figure("a", "penaltySeconds")).toBe(silent);
  });

  test("counts for a while where a target tells of itself in no other way, whose silence then costs nothing", () => {
    const bed = new Bed().add("s", { source: "static" }).add("t", { source: "static" });
    bed.tell("s", { utilization: 2, kvUsage: 1 });
    expect(bed.load("s")[0]).toBe(2 * CONFIG.slots);
    expect(bed.picked).toBe("t");
    expect(bed.after(CONFIG.staleAfterMs).load("s")[0]).toBe(2 * CONFIG.slots);
    expect(bed.figure("s", "penaltySeconds")).toBe(0);
    bed.after(1);
    expect(bed.load("s")).toEqual([0, 0]);
    expect(bed.figure("s", "kvOffset")).toBe(bed.figure("t", "kvOffset"));
    expect(bed.figure("s", "penaltySeconds")).toBe(0);
  });

  test("is of its base and its adapters too, which share a batch, and of no other model there", () => {
    const bed = new Bed().add("a", { models: ["m", "lora", "other"] });
    const models = [
      modelSample(),
      modelSample({ model: "lora", parent: "m" }),
      modelSample({ model: "other", parent: "elsewhere" }),
    ];
    bed.sample("a", models);
    bed.send("a", 100);
    bed.tell("a", { runningRequests: 5, waitingRequests: 0 });
    expect([bed.load("a"), bed.load("a", "lora"), bed.load("a", "other")].map(([requests]) => requests)).toEqual([
      5, 5, 0,
    ]);
    bed.tell("a", { runningRequests: 7, waitingRequests: 0 }, {}, "lora");
    expect([bed.load("a"), bed.load("a", "lora"), bed.load("a", "other")].map(([requests]) => requests)).toEqual([
      7, 7, 0,
    ]);
  });

  test("is nothing when it is older than what another worker heard, or of a target that is gone", () => {
    const bed = new Bed().add("a");
    bed.sample("a", [modelSample()]);
    bed.after(100).tell("a", { runningRequests: 5 });
    bed.tell("a", { runningRequests: 9 }, { ageMs: 1 });
    expect(bed.load("a")[0]).toBe(5);
    const row = bed.rowOf("a");
    const generation = bed.table.generation(row);
    bed.nodes.delete("a");
    const left = bed.placement.sync(["a"], bed.find, bed.nowMs, 1);
    bed.placement.routed(left?.version ?? 0, [], bed.nowMs);
    bed.tell("a", { runningRequests: 9 }, { row, generation });
    bed.add("b");
    expect(bed.rowOf("b")).toBe(row);
    bed.tell("b", { runningRequests: 9 }, { generation });
    expect(bed.load("b")[0]).toBe(0);
    bed.tell("b", { runningRequests: 9 });
    expect(bed.load("b")[0]).toBe(9);
  });
});

describe("who is asked", () => {
  const target = (kind: string, overrides: Partial<Target> = {}): Target =>
    targetOf("a", { lastSample: nodeSample({ runtimes: [nodeRuntime({ kind })] }), ...overrides });

  test("runtimes that tell if they are asked, over HTTP", () => {
    expect(["vllm", "triton", "sglang", "llamacpp", "mock"].filter((kind) => tellsIfAsked(target(kind)))).toEqual([
      "vllm",
      "triton",
    ]);
    expect(tellsIfAsked(target("triton", { protocol: "grpc" }))).toBe(false);
    expect(tellsIfAsked(targetOf("a"))).toBe(false);
  });

  test("workers learn of it when the runtime is known", () => {
    const bed = new Bed().add("a");
    expect(bed.placement.snapshot().rows.map(({ tellsLoad }) => tellsLoad)).toEqual([false]);
    bed.sample("a", [modelSample()], [nodeRuntime()]);
    const routes = bed.placement.sync(["a"], bed.find, bed.nowMs, 1);
    expect(routes?.rows.map(({ tellsLoad }) => tellsLoad)).toEqual([true]);
    expect(bed.placement.sync(["a"], bed.find, bed.nowMs, 1)).toBeNull();
  });
});
