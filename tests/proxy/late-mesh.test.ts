/** Desks of several routers that let one of them decide, each with a score table of its own, and one clock. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { PromptPrefix } from "../../src/flow/fair-order.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { LateDesk } from "../../src/proxy/late-desk.ts";
import { LateMesh } from "../../src/proxy/late-mesh.ts";
import type { LateAsk, LateBound, LateNews } from "../../src/proxy/late-news.ts";
import { PlaceKeys } from "../../src/proxy/place-keys.ts";
import type { RouteSnapshot } from "../../src/proxy/protocol.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { NO_SIDES } from "../../src/score/row-sides.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { type RowValues, TableWriter } from "../../src/score/table-writer.ts";

const COST = defaultsOf(costSettings);
/** Of a target that tells nothing. */
const MS_PER_TOKEN = 0.05;
const NOTHING: LateNews = { asks: [], answered: [], over: [], unreached: [], freed: [] };
const SILENCE_MS = 250;

interface Bound extends LateBound {
  readonly atMs: number;
  readonly target: string;
}

class Router {
  readonly world: World;
  readonly id: string;
  readonly table = ScoreTable.create({ targetsMax: 64, modelsMax: 4, workersMax: 2 });
  readonly writer = new TableWriter(this.table);
  readonly model: number;
  readonly rowOf = new Map<string, number>();
  readonly waiting = new Int32Array(5);
  readonly desk: LateDesk;
  readonly late: LateMesh;
  readonly cached = new Map<PromptPrefix, { readonly row: number; readonly tokens: number }[]>();
  readonly bound = new Map<number, Bound>();
  isDead = false;
  #id = 0;

  constructor(world: World, id: string, targets: readonly string[]) {
    this.world = world;
    this.id = id;
    // Rows and models have other numbers at each router.
    if (id !== "a") this.writer.addModel();
    this.model = this.writer.addModel();
    for (const target of id === "b" ? targets.toReversed() : targets) {
      this.rowOf.set(target, this.writer.addRow(this.model));
      this.write(target);
    }
    const config = { ...defaultsOf(lateSettings), untold: true, horizonMs: 60 };
    this.desk = new LateDesk(
      config,
      this.table,
      this.waiting,
      () => 1_700_000_000_000 + world.nowMs,
      (asked) => this.cached.get(asked) ?? [],
      (_worker, bound) => {
        for (const one of bound) this.bound.set(one.id, { ...one, atMs: world.nowMs, target: this.targetOf(one.row) });
      },
    );
    const link = { self: id, packetBytesMax: 1360, firstLife: 1 };
    this.late = new LateMesh(this.desk, new PlaceKeys(this.#routes()), config, link);
    this.desk.share(this.late);
  }

  #routes(): Pick<RouteSnapshot, "models" | "rows"> {
    const at = { host: "127.0.0.1", port: 1, tls: false, protocol: "http" as const, weight: 1, tellsLoad: false };
    const rows = [...this.rowOf].map(([node, row]) => ({ row, node, model: this.model, ...at }));
    return { models: [{ id: this.model, name: "m", protocol: "http", created: 0 }], rows };
  }

  write(target: string, values: Partial<RowValues> = {}): void {
    const all = { ...rowValues(null, { ...UNROUTABLE, ready: true }, COST), ...values };
    this.writer.write(this.rowOf.get(target)!, all, NO_SIDES);
  }

  targetOf(row: number): string {
    return [...this.rowOf].find(([, number]) => number === row)![0];
  }

  tell(news: Partial<LateNews>): void {
    this.desk.heard(0, { ...NOTHING, ...news }, this.world.nowMs);
  }

  ask(tokens: number, more: Partial<LateAsk> = {}): number {
    const id = ++this.#id;
    const figures = { before: 0, priority: 1, ageMs: 0, wantedInMs: Infinity, tenant: "", weight: 1, isSilent: false };
    this.tell({ asks: [{ id, model: this.model, tokens, prefix: null, session: null, ...figures, ...more }] });
    return id;
  }

  /** A first token came: its claim of the prompt is given back, and the desk is told. */
  answered(id: number): void {
    const { row, tokens } = this.bound.get(id)!;
    this.table.endPrefill(0, row, tokens);
    this.tell({ answered: [{ id, agoMs: 0 }] });
  }

  get claimed(): number {
    return [...this.rowOf.values()].reduce((sum, row) => sum + this.table.inFlightTokens(row), 0);
  }
}

class World {
  readonly routers = new Map<string, Router>();
  nowMs = 1000;
  #way: { readonly atMs: number; readonly from: string; readonly to: string; readonly packet: Uint8Array }[] = [];

  constructor(targets: readonly string[] = ["x", "y"], ids: readonly string[] = ["a", "b", "c"]) {
    for (const id of ids) this.routers.set(id, new Router(this, id, targets));
    for (const { late } of this.routers.values()) late.mesh.present(ids, this.nowMs);
    this.run(20);
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 1) {
      const due = this.#way.filter(({ atMs }) => atMs <= this.nowMs);
      this.#way = this.#way.filter(({ atMs }) => atMs > this.nowMs);
      for (const { from, to, packet } of due) {
        const { late, desk, isDead } = this.routers.get(to)!;
        if (isDead) continue;
        late.mesh.receive(from, packet, this.nowMs);
        desk.serve(this.nowMs);
      }
      for (const { id, late, desk, isDead } of this.routers.values()) {
        if (isDead) continue;
        late.mesh.wake(this.nowMs);
        if (desk.wakeAtMs <= this.nowMs) desk.wake(this.nowMs);
        else desk.serve(this.nowMs);
        for (const { to, packet } of late.mesh.take(this.nowMs)) {
          this.#way.push({ atMs: this.nowMs + 1, from: id, to, packet });
        }
      }
    }
  }

  /** The one that decides, and the others. */
  roles(): [owner: Router, one: Router, other: Router] {
    const { desk, model } = this.routers.get("a")!;
    const owner = this.routers.get(desk.deciderOf(model, this.nowMs) || "a")!;
    const [one, other] = [...this.routers.values()].filter((router) => router !== owner);
    return [owner, one!, other!];
  }
}

function prefix(): PromptPrefix {
  return { chain: new Int32Array(4), blocks: 1, tokensPerBlock: 256, tokensLess: 0 };
}

describe("desks of several routers", () => {
  test("bind in one order, over all routers; the claim is made where the request waits", () => {
    const world = new World(["x"]);
    const [owner, one, other] = world.roles();
    const long = one.ask(10_000);
    world.run(10);
    expect(one.bound.get(long)).toMatchObject({ target: "x", tokens: 10_000, why: { desk: owner.id, waiting: 1 } });
    expect([owner.claimed, one.claimed]).toEqual([0, 10_000]);
    const own = owner.ask(8000);
    const quick = other.ask(200);
    world.run(10);
    // Who waits is known at all of them, so that none binds by itself.
    expect([owner.waiting[owner.model], one.waiting[one.model], other.waiting[other.model]]).toEqual([2, 1, 1]);
    world.run(10_000 * MS_PER_TOKEN - 60 + 10);
    expect([other.bound.get(quick)?.why.desk, owner.bound.get(own)?.why.desk]).toEqual([owner.id, ""]);
    expect(other.bound.get(quick)!.atMs).toBeLessThanOrEqual(owner.bound.get(own)!.atMs + 3);
    world.run(10);
    expect(["a", "b", "c"].map((id) => world.routers.get(id)!.waiting[world.routers.get(id)!.model])).toEqual([
      0, 0, 0,
    ]);
    expect(owner.late.figuresNow()).toMatchObject({ routers: 2, boundHere: 2, guests: 2 });
  });

  test("learn from first tokens that another router saw", () => {
    const world = new World(["x"]);
    const [owner, one, other] = world.roles();
    const long = one.ask(10_000);
    world.run(10);
    const next = other.ask(500);
    world.run(90);
    expect(other.bound.has(next)).toBe(false);
    // A fifth of the time that was thought.
    one.answered(long);
    world.run(10);
    expect(other.bound.get(next)?.target).toBe("x");
    expect(owner.desk.rows(owner.model)[0]!.msPerToken).toBeLessThan(MS_PER_TOKEN);
    expect(owner.late.figuresNow()).toMatchObject({ guests: 1 });
  });

  test("go by priorities and tenants of all routers", () => {
    const world = new World(["x"]);
    const [owner, one, other] = world.roles();
    owner.ask(4000);
    world.run(10);
    const late = one.ask(1000, { priority: 2 });
    const urgent = other.ask(5000, { priority: 0 });
    // One tenant has many at one router, another has a few elsewhere.
    const many = Array.from({ length: 4 }, () => one.ask(2000, { tenant: "many", ageMs: 40 }));
    const few = other.ask(2000, { tenant: "few" });
    world.run(3000);
    const at = (router: Router, id: number): number => router.bound.get(id)!.atMs;
    expect(at(other, urgent)).toBeLessThan(Math.min(...many.map((id) => at(one, id))));
    expect(at(one, late)).toBeGreaterThan(Math.max(...many.map((id) => at(one, id))));
    // It comes behind one of them at most, though all of them are older.
    expect(many.filter((id) => at(one, id) < at(other, few)).length).toBeLessThanOrEqual(1);
  });

  test("send a request where its prompt is cached, as its own router knows, now and later", () => {
    const world = new World(["x", "y", "z"]);
    const [, one] = world.roles();
    const early = prefix();
    one.cached.set(early, [{ row: one.rowOf.get("y")!, tokens: 4000 }]);
    const first = one.ask(5000, { prefix: early });
    world.run(10);
    expect(one.bound.get(first)).toMatchObject({ target: "y", tokens: 1000 });
    for (let count = 0; count < 3; count += 1) one.ask(20_000);
    world.run(10);
    const learnt = prefix();
    const waits = one.ask(5000, { prefix: learnt });
    world.run(10);
    expect(one.bound.has(waits)).toBe(false);
    one.cached.set(learnt, [{ row: one.rowOf.get("z")!, tokens: 4900 }]);
    world.run(2000);
    expect(one.bound.get(waits)).toMatchObject({ target: "z", tokens: 100 });
  });

  test("send the requests of a session where it is, as its own router knows", () => {
    const world = new World(["x", "y", "z"]);
    const [owner, one] = world.roles();
    const session = { row: one.rowOf.get("y")!, slackMs: 2000 };
    const ids = Array.from({ length: 3 }, () => one.ask(100, { session }));
    world.run(10 + 300 * MS_PER_TOKEN);
    expect(ids.map((id) => one.bound.get(id)?.target)).toEqual(["y", "y", "y"]);
    expect(one.bound.get(ids[0]!)?.why.desk).toBe(owner.id);
  });

  test("pass over a target for the router that can't reach it, and give back what was bound in vain", () => {
    const world = new World(["x", "y"]);
    const [owner, one] = world.roles();
    const id = one.ask(1000, { tenant: "t" });
    world.run(10);
    const { row, tokens, target } = one.bound.get(id)!;
    one.table.endPrefill(0, row, tokens);
    one.table.end(0, row);
    one.tell({ unreached: [id], asks: [] });
    const again = one.ask(1000, { before: id, tenant: "t" });
    world.run(5);
    expect(one.bound.get(again)!.target).not.toBe(target);
    expect([owner.late.figuresNow().guests, one.late.figuresNow().boundThere]).toEqual([1, 2]);
  });

  test("leave a request that can't be claimed where it waits to be bound elsewhere", () => {
    const world = new World(["x", "y"]);
    const [owner, one] = world.roles();
    // Full here, by what only this router knows.
    one.write("x", { capacity: 0 });
    const ids = Array.from({ length: 3 }, () => one.ask(100));
    world.run(300);
    for (const id of ids) expect(one.bound.get(id)?.target).toBe("y");
    expect(one.table.inFlight(one.rowOf.get("x")!)).toBe(0);
    expect(owner.late.figuresNow().guests).toBe(3);
  });

  test("forget who leaves, waiting or bound, and a worker that dies", () => {
    const world = new World(["x"]);
    const [owner, one, other] = world.roles();
    const long = one.ask(20_000);
    world.run(10);
    const waits = other.ask(300);
    one.ask(300);
    world.run(10);
    expect(owner.desk.waiting).toBe(2);
    other.tell({ over: [waits] });
    one.desk.gone(0, world.nowMs);
    world.run(10);
    expect([owner.desk.waiting, owner.late.figuresNow().guests]).toEqual([0, 0]);
    expect(one.bound.has(long)).toBe(true);
    // What kept the target busy has left with it.
    const next = other.ask(100);
    world.run(10);
    expect(other.bound.has(next)).toBe(true);
  });

  test("when the one that decides dies, the others bind what they hold, each once", () => {
    const world = new World(["x", "y"]);
    const [owner, one, other] = world.roles();
    for (const router of [one, other]) for (let count = 0; count < 4; count += 1) router.ask(4000);
    world.run(10);
    const before = one.bound.size + other.bound.size;
    expect(before).toBe(2);
    owner.isDead = true;
    world.run(SILENCE_MS + 100);
    for (const router of [one, other]) {
      expect(router.late.isElsewhere(router.model)).toBe(false);
      expect([...router.bound.values()].some(({ why }) => why.desk === "")).toBe(true);
    }
    world.run(3000);
    for (const router of [one, other]) {
      expect([router.bound.size, router.desk.waiting]).toEqual([4, 0]);
      // Each claim was made once.
      expect(router.claimed).toBe(16_000);
    }
  });

  test("what others tell they have there is not counted beside what was bound for them", () => {
    const world = new World(["x"]);
    const [owner, one, other] = world.roles();
    one.ask(2000);
    world.run(10);
    // Half of it has been computed when the other's word of its load comes, and stays there a while.
    owner.write("x", { tokenOffset: 2000, activeOffset: 1 });
    const next = other.ask(100);
    world.run(2000 * MS_PER_TOKEN - 60);
    expect(other.bound.has(next)).toBe(true);
  });

  test("a router that is to decide alone is no part of it", () => {
    const world = new World(["x"]);
    const [, one] = world.roles();
    one.late.mesh.present([], world.nowMs);
    world.run(5);
    const id = one.ask(100);
    one.desk.serve(world.nowMs);
    expect(one.bound.get(id)?.why.desk).toBe("");
  });
});
