/** The desk that binds late, with a clock of its own and a score table. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { PromptPrefix } from "../../src/flow/fair-order.ts";
import { type LateConfig, lateSettings } from "../../src/flow/late-settings.ts";
import { LateDesk } from "../../src/proxy/late-desk.ts";
import type { LateAsk, LateNews } from "../../src/proxy/late-news.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { NO_SIDES } from "../../src/score/row-sides.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { type RowValues, TableWriter } from "../../src/score/table-writer.ts";

const WORKERS = 3;
const COST = defaultsOf(costSettings);
/** Of a target that tells nothing: 20,000 tokens a second. */
const MS_PER_TOKEN = 0.05;
const NOTHING: LateNews = { asks: [], answered: [], over: [], unreached: [], freed: [] };
const READY = { ...UNROUTABLE, ready: true };

class Bed {
  readonly table = ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: WORKERS });
  readonly writer = new TableWriter(this.table);
  readonly model = this.writer.addModel();
  readonly rows: number[];
  readonly waiting = new Int32Array(5);
  readonly desk: LateDesk;
  /** Who has which prompt cached. */
  readonly cached = new Map<PromptPrefix, { readonly row: number; readonly tokens: number }[]>();
  /** `worker/id at row`, in order. */
  readonly bound: string[] = [];
  nowMs = 1000;
  #id = 0;

  constructor(rows: number, config: Partial<LateConfig> = {}) {
    this.rows = Array.from({ length: rows }, () => this.addRow());
    const all = { ...defaultsOf(lateSettings), untold: true, ...config };
    this.desk = new LateDesk(
      all,
      this.table,
      this.waiting,
      () => 1_700_000_000_000 + this.nowMs,
      (prefix) => this.cached.get(prefix) ?? [],
      (worker, bound) => {
        for (const { id, row } of bound) this.bound.push(`${worker}/${id} at ${row}`);
      },
    );
  }

  prefix(): PromptPrefix {
    return { chain: new Int32Array(4), blocks: 1, tokensPerBlock: 256, tokensLess: 0 };
  }

  addRow(values: Partial<RowValues> = {}, coldSeconds = 0): number {
    const row = this.writer.addRow(this.model);
    this.write(row, values, coldSeconds);
    return row;
  }

  write(row: number, values: Partial<RowValues>, coldSeconds = 0): void {
    this.writer.write(row, { ...rowValues(null, READY, COST), ...values }, { ...NO_SIDES, atOnceSeconds: coldSeconds });
  }

  tell(news: Partial<LateNews>, worker = 0): void {
    this.desk.heard(worker, { ...NOTHING, ...news }, this.nowMs);
  }

  ask(tokens: number, more: Partial<LateAsk> = {}, worker = 0): number {
    const id = ++this.#id;
    const figures = {
      before: 0,
      priority: 1,
      ageMs: 0,
      wantedInMs: Infinity,
      tenant: "",
      weight: 1,
      isSilent: false,
      prefix: null,
      session: null,
    };
    this.tell({ asks: [{ id, model: this.model, tokens, ...figures, ...more }] }, worker);
    return id;
  }

  /** Lets time pass, as the desk wants to be woken. */
  to(nowMs: number): void {
    while (this.desk.wakeAtMs <= nowMs) {
      this.nowMs = Math.max(this.nowMs, this.desk.wakeAtMs);
      this.desk.wake(this.nowMs);
    }
    this.nowMs = nowMs;
  }

  /** What was bound since the last look. */
  news(): string[] {
    return this.bound.splice(0);
  }

  /** The worker gives a claim back after the first token, or the whole answer. */
  ended(row: number, tokens: number, worker = 0): void {
    this.table.endPrefill(worker, row, tokens);
    this.table.end(worker, row);
  }
}

describe("the late desk", () => {
  test("binds the requests of a session at its target, while that is behind others by no more than the slack", () => {
    const bed = new Bed(3, { horizonMs: 60 });
    const [, home = -1] = bed.rows;
    const session = { row: home, slackMs: 500 };
    bed.ask(200, { session });
    bed.ask(200, { session });
    expect(bed.news()).toEqual([`0/1 at ${home}`, `0/2 at ${home}`]);
    // 0.6 s of work, then 0.2 s that another could begin at once: it waits for its home, and nobody behind it does.
    bed.ask(Math.round(600 / MS_PER_TOKEN), { session });
    bed.ask(Math.round(200 / MS_PER_TOKEN), { session: { ...session, slackMs: 900 } });
    bed.ask(200);
    const first = bed.news();
    expect(first[0]).toBe(`0/3 at ${home}`);
    expect(first).toHaveLength(2);
    bed.ask(200, { session: { row: home, slackMs: 100 } });
    expect(bed.news().map((text) => text.endsWith(`at ${home}`))).toEqual([false]);
    bed.to(1000 + 600 + 100);
    expect(bed.news()).toEqual([`0/4 at ${home}`]);
  });

  test("binds at once where a target is open, and claims the place in the worker's name", () => {
    const bed = new Bed(2);
    const [a = -1, b = -1] = bed.rows;
    bed.ask(4000, {}, 1);
    bed.ask(4000, {}, 2);
    expect(bed.news().toSorted()).toEqual([`1/1 at ${a}`, `2/2 at ${b}`]);
    expect([a, b].map((row) => bed.table.inFlightTokens(row))).toEqual([4000, 4000]);
    expect([bed.waiting[bed.model], bed.desk.waiting, bed.desk.wakeAtMs]).toEqual([0, 0, Infinity]);
    // The claim is the worker's to give back.
    bed.ended(a, 4000, 1);
    expect(bed.table.inFlight(a)).toBe(0);
  });

  test("holds what meets busy targets, in one order over all workers, and binds shortly before one is free", () => {
    const bed = new Bed(1, { horizonMs: 60 });
    bed.ask(10_000);
    bed.news();
    bed.ask(8000, {}, 1);
    bed.ask(200, {}, 2);
    expect([bed.news(), bed.waiting[bed.model]]).toEqual([[], 2]);
    bed.to(1000 + 10_000 * MS_PER_TOKEN - 61);
    expect(bed.news()).toEqual([]);
    // The short one first, though it came last; and the long one behind it, since both fit into the window.
    bed.to(1000 + 10_000 * MS_PER_TOKEN - 60);
    expect(bed.news()).toEqual([`2/3 at ${bed.rows[0]}`]);
    expect(bed.waiting[bed.model]).toBe(1);
    bed.to(1000 + 10_200 * MS_PER_TOKEN - 60);
    expect(bed.news()).toEqual([`1/2 at ${bed.rows[0]}`]);
  });

  test("learns from first tokens when a target is free", () => {
    const bed = new Bed(1, { horizonMs: 60 });
    const first = bed.ask(10_000);
    bed.ask(100);
    bed.news();
    bed.nowMs += 100;
    // It took a fifth of the time that was thought; its tokens are given back before that is told.
    bed.table.endPrefill(0, bed.rows[0]!, 10_000);
    bed.tell({ answered: [{ id: first, agoMs: 5 }] });
    expect(bed.news()).toEqual([`0/2 at ${bed.rows[0]}`]);
    expect(bed.desk.rows(bed.model)[0]?.msPerToken).toBeLessThan(MS_PER_TOKEN);
  });

  test("forgets who left, waiting or bound", () => {
    const bed = new Bed(1);
    const first = bed.ask(20_000);
    const second = bed.ask(500);
    bed.news();
    bed.tell({ over: [second] });
    expect(bed.waiting[bed.model]).toBe(0);
    bed.ask(700);
    expect(bed.news()).toEqual([]);
    bed.ended(bed.rows[0]!, 20_000);
    bed.tell({ over: [first] });
    expect(bed.news()).toEqual([`0/3 at ${bed.rows[0]}`]);
    bed.tell({ over: [99], answered: [{ id: 98, agoMs: 0 }], unreached: [97] });
  });

  test("a worker that dies takes those that wait along, and its place is another's", () => {
    const bed = new Bed(1);
    bed.ask(20_000, {}, 1);
    bed.ask(500, {}, 1);
    bed.ask(700, {}, 2);
    bed.news();
    bed.table.clearWorker(1);
    bed.desk.gone(1, bed.nowMs);
    expect(bed.news()).toEqual([`2/3 at ${bed.rows[0]}`]);
    expect([bed.desk.waiting, bed.table.inFlightTokens(bed.rows[0]!)]).toEqual([0, 700]);
    // Its successor begins its numbers anew.
    bed.tell({ asks: [{ ...ASK, id: 1, model: bed.model }] }, 1);
    expect(bed.news()).toEqual([`1/1 at ${bed.rows[0]}`]);
  });

  test("passes a row over that a worker has no way to, for a moment", () => {
    const bed = new Bed(1);
    const first = bed.ask(100);
    bed.news();
    bed.ended(bed.rows[0]!, 100);
    bed.tell({ unreached: [first] });
    bed.ask(100);
    expect(bed.news()).toEqual([]);
    bed.to(bed.nowMs + 10);
    expect(bed.news()).toEqual([`0/2 at ${bed.rows[0]}`]);
  });

  test("tries a row that was not reached with one at a time, and with more as they reach it", () => {
    const bed = new Bed(1, { horizonMs: 10_000 });
    const [row = -1] = bed.rows;
    const first = bed.ask(10);
    bed.news();
    bed.ended(row, 10);
    bed.tell({ unreached: [first] });
    const counts: number[] = [];
    for (let count = 0; count < 40; count += 1) bed.ask(10);
    for (let step = 0; step < 4; step += 1) {
      bed.to(bed.nowMs + 10);
      const bound = bed.news();
      counts.push(bound.length);
      // They have reached it.
      const ids = bound.map((each) => Number(each.split(" ")[0]!.slice(2)));
      for (const id of ids) bed.ended(row, id > 0 ? 10 : 0);
      bed.tell({ answered: ids.slice(0, 1).map((id) => ({ id, agoMs: 0 })), over: ids.slice(1) });
    }
    expect(counts).toEqual([1, 2, 4, 8]);
  });

  test("one that was bound in vain keeps its age and its tenant's turn", () => {
    const bed = new Bed(1);
    const [row = -1] = bed.rows;
    bed.ask(20_000);
    bed.nowMs += 500;
    const old = bed.ask(500, { tenant: "a" });
    bed.nowMs += 10;
    bed.ask(500, { tenant: "a" });
    bed.nowMs += 10;
    bed.ask(500, { tenant: "b" });
    bed.to(bed.nowMs + 400);
    expect(bed.news()).toEqual([`0/1 at ${row}`, `0/${old} at ${row}`]);
    bed.ended(row, 20_000);
    bed.ended(row, 500);
    const again = { ...ASK, id: 9, before: old, model: bed.model, tokens: 500, tenant: "a" };
    bed.tell({ answered: [{ id: 1, agoMs: 0 }], asks: [again], unreached: [old] });
    // Told of anew, and without an age: it is the oldest all the same, and its tenant owes nothing.
    bed.to(bed.nowMs + 200);
    expect(bed.news().map((each) => each.split(" ")[0])).toEqual(["0/9", "0/4", "0/3"]);
  });

  test("sends nobody to a row that is full, not routable or ejected, but to an ejected one before none", () => {
    const bed = new Bed(3);
    const [full = -1, gone = -1, ill = -1] = bed.rows;
    bed.write(full, { capacity: 1 });
    bed.table.tryBegin(2, full, 1);
    bed.write(gone, { capacity: 0 });
    bed.table.eject(ill, bed.table.nowDeciseconds(1_700_000_000_000 + bed.nowMs) + 50);
    bed.ask(100);
    expect(bed.news()).toEqual([`0/1 at ${ill}`]);
    bed.write(full, { capacity: 2 });
    bed.ask(100);
    expect(bed.news()).toEqual([`0/2 at ${full}`]);
  });

  test("keeps a batch no fuller than its slots, and always gives a target one", () => {
    const bed = new Bed(1);
    const [row = -1] = bed.rows;
    bed.write(row, { slots: 2, capacity: 8 });
    for (let count = 0; count < 3; count += 1) bed.ask(10);
    expect([bed.news().length, bed.waiting[bed.model]]).toEqual([2, 1]);
    bed.ended(row, 10);
    bed.tell({ over: [1], freed: [bed.model] });
    expect(bed.news()).toEqual([`0/3 at ${row}`]);
    // Others may fill it all the time: one of ours goes there all the same.
    const other = bed.addRow({ slots: 2, capacity: 8, activeOffset: 5 });
    bed.ask(10);
    bed.ask(10);
    expect([bed.news(), bed.waiting[bed.model]]).toEqual([[`0/4 at ${other}`], 1]);
  });

  test("two that share a target each have one prompt there at a time", () => {
    const bed = new Bed(1);
    const [row = -1] = bed.rows;
    // So much of others' that it would never be open.
    bed.write(row, { tokenOffset: 100_000 });
    const first = bed.ask(400);
    const second = bed.ask(400);
    expect(bed.news()).toEqual([`0/${first} at ${row}`]);
    bed.table.endPrefill(0, row, 400);
    bed.tell({ answered: [{ id: first, agoMs: 0 }] });
    expect(bed.news()).toEqual([`0/${second} at ${row}`]);
  });

  test("sends one at a time to a target whose cache is full", () => {
    const bed = new Bed(1);
    const [row = -1] = bed.rows;
    bed.write(row, { isKvFull: true });
    const first = bed.ask(10);
    bed.ask(10);
    expect([bed.news(), bed.waiting[bed.model]]).toEqual([[`0/1 at ${row}`], 1]);
    // Its prompt is computed, and its answer needs the cache still.
    bed.table.endPrefill(0, row, 10);
    bed.tell({ answered: [{ id: first, agoMs: 0 }] });
    expect(bed.news()).toEqual([]);
    bed.write(row, {});
    bed.to(bed.nowMs + 10);
    expect(bed.news()).toEqual([`0/2 at ${row}`]);
    // Another target is better than that.
    bed.write(row, { isKvFull: true });
    const other = bed.addRow();
    bed.ask(10);
    expect(bed.news()).toEqual([`0/3 at ${other}`]);
  });

  test("takes targets that tell nothing for free until they are full", () => {
    const bed = new Bed(1, { untold: false });
    const [row = -1] = bed.rows;
    bed.write(row, { slots: 1, capacity: 3 });
    for (let count = 0; count < 4; count += 1) bed.ask(50_000);
    expect([bed.news().length, bed.waiting[bed.model]]).toEqual([3, 1]);
    // From when on it tells, it is held to what it can compute.
    bed.table.end(0, row);
    bed.write(row, { isPaced: true });
    bed.to(bed.nowMs + 10);
    expect([bed.news().length, bed.waiting[bed.model]]).toEqual([0, 1]);
    bed.write(row, { slots: 1, capacity: 3 });
    bed.to(bed.nowMs + 10);
    expect([bed.news().length, bed.waiting[bed.model]]).toEqual([1, 0]);
  });

  test("gives no more to one that does not tell than to others that are sooner", () => {
    const bed = new Bed(1, { untold: false, horizonMs: 20 });
    const [silent = -1] = bed.rows;
    const paced = bed.addRow({ isPaced: true });
    // Both have half a second of prompts.
    bed.ask(10_000);
    bed.ask(10_000);
    expect(bed.news().toSorted()).toEqual([`0/1 at ${silent}`, `0/2 at ${paced}`]);
    bed.ask(2000);
    bed.ask(2000);
    // What is as soon at either goes to that which is open; the next one would be sooner where it has to wait.
    expect([bed.news(), bed.waiting[bed.model]]).toEqual([[`0/3 at ${silent}`], 1]);
    bed.to(bed.nowMs + 500);
    expect(bed.news()).toEqual([`0/4 at ${paced}`]);
  });

  test("a cold target gets nothing while a warm one would be sooner", () => {
    const bed = new Bed(1);
    bed.ask(8000);
    bed.news();
    const cold = bed.addRow({ penaltySeconds: 30 });
    bed.ask(1000);
    expect(bed.news()).toEqual([]);
    bed.to(bed.nowMs + 400);
    expect([bed.news(), bed.table.inFlight(cold)]).toEqual([[`0/2 at ${bed.rows[0]}`], 0]);
  });

  test("a target in use only lately is no dearer for that: it never has more than it computes", () => {
    const bed = new Bed(1);
    bed.ask(8000);
    bed.news();
    const late = bed.addRow({ penaltySeconds: 30.001 }, 30);
    bed.ask(4000);
    expect(bed.news()).toEqual([`0/2 at ${late}`]);
    bed.ask(1000);
    expect(bed.news()).toEqual([]);
  });

  test("prompts of whole answers count as computed when their time has passed", () => {
    const bed = new Bed(1, { horizonMs: 60 });
    for (let count = 0; count < 20; count += 1) bed.ask(2000, { isSilent: true });
    bed.to(bed.nowMs + 20 * 2000 * MS_PER_TOKEN);
    // None has answered yet, and all are there: what decodes keeps no prompt away.
    expect([bed.news().length, bed.waiting[bed.model]]).toEqual([20, 0]);
    expect(bed.table.inFlight(bed.rows[0]!)).toBe(20);
    // The end of an answer opens the target too.
    bed.ask(9000, { isSilent: true });
    bed.ask(300, { isSilent: true });
    bed.news();
    bed.nowMs += 20;
    bed.table.endPrefill(0, bed.rows[0]!, 9000);
    bed.tell({ answered: [{ id: 21, agoMs: 0 }] });
    expect(bed.news()).toEqual([`0/22 at ${bed.rows[0]}`]);
  });

  test("sends a request to where its prompt is cached, and claims only the rest", () => {
    const bed = new Bed(3);
    const [, , home = -1] = bed.rows;
    const [some, all] = [bed.prefix(), bed.prefix()];
    bed.cached.set(some, [
      { row: home, tokens: 6000 },
      { row: 99, tokens: 7000 },
    ]);
    bed.cached.set(all, [{ row: home, tokens: 8000 }]);
    bed.ask(8000, { prefix: some });
    expect([bed.news(), bed.table.inFlightTokens(home)]).toEqual([[`0/1 at ${home}`], 2000]);
    // While others have room it waits for its home where that is sooner: 100 ms against 400.
    bed.ask(8000, { prefix: all });
    expect(bed.news()).toEqual([]);
    // A row that joins meanwhile moves none of the others.
    bed.addRow();
    bed.to(bed.nowMs + 60);
    expect([bed.news(), bed.table.inFlightTokens(home)]).toEqual([[`0/2 at ${home}`], 2001]);
  });

  test("sees where a prompt came to be cached while it waited", () => {
    const bed = new Bed(2, { refreshMs: 100 });
    const [near = -1, home = -1] = bed.rows;
    const first = bed.ask(6000);
    const second = bed.ask(6000);
    const prefix = bed.prefix();
    bed.news();
    bed.ask(8000, { prefix });
    bed.nowMs += 150;
    // Others made it compute the same; both are free, and it is no sooner at its home but for that.
    bed.cached.set(prefix, [{ row: home, tokens: 7000 }]);
    for (const row of [near, home]) bed.ended(row, 6000);
    bed.tell({ answered: [first, second].map((id) => ({ id, agoMs: 0 })) });
    expect([bed.news(), bed.table.inFlightTokens(home)]).toEqual([[`0/3 at ${home}`], 1000]);
  });

  test("sees requests that workers bound by themselves", () => {
    const bed = new Bed(1, { horizonMs: 60 });
    const [row = -1] = bed.rows;
    bed.table.tryBegin(1, row, 10_000);
    bed.ask(100);
    expect(bed.news()).toEqual([]);
    bed.nowMs += 200;
    bed.table.endPrefill(1, row, 10_000);
    bed.to(bed.nowMs + 10);
    expect(bed.news()).toEqual([`0/1 at ${row}`]);
  });

  test("a model's number that is given to another one begins with that one's rows", () => {
    const bed = new Bed(1);
    bed.ask(10);
    bed.ended(bed.rows[0]!, 10);
    bed.tell({ answered: [{ id: 1, agoMs: 0 }] });
    bed.writer.removeRow(bed.rows[0]!);
    bed.writer.removeModel(bed.model);
    let again = bed.writer.addModel();
    while (again !== bed.model && again >= 0) again = bed.writer.addModel();
    expect(again).toBe(bed.model);
    const row = bed.writer.addRow(again);
    bed.write(row, { secondsPerPrefillToken: 0.001 });
    bed.news();
    bed.tell({ asks: [{ ...ASK, id: 50, model: again }] });
    expect(bed.news()).toEqual([`0/50 at ${row}`]);
    expect(bed.desk.rows(again)[0]?.msPerToken).toBe(Math.fround(0.001) * 1000);
  });
});

const ASK: LateAsk = {
  id: 1,
  before: 0,
  model: 0,
  tokens: 100,
  priority: 1,
  ageMs: 0,
  wantedInMs: Infinity,
  tenant: "",
  weight: 1,
  isSilent: false,
  prefix: null,
  session: null,
};
