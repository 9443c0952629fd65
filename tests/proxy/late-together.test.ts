/** Two desks with clocks of their own, as crews have them, that let one of them decide. */
import { afterEach, describe, expect, test } from "bun:test";
import { liveCopy, overwrite } from "../../src/base/live.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import type { LateBound, LateNews } from "../../src/proxy/late-news.ts";
import { LateService } from "../../src/proxy/late-service.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { NO_SIDES } from "../../src/score/row-sides.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { until } from "../process/harness.ts";

const NOTHING: LateNews = { asks: [], answered: [], over: [], unreached: [], freed: [] };
const AT = { host: "127.0.0.1", port: 1, tls: false, protocol: "http" as const, weight: 1, tellsLoad: false };
const IDS = ["a", "b"];
const defaults = defaultsOf(flowSettings);
const FLOW = { ...defaults, late: { ...defaults.late, untold: true } };

class Router {
  readonly id: string;
  readonly flow = liveCopy(FLOW);
  readonly table = ScoreTable.create({ targetsMax: 64, modelsMax: 4, workersMax: 1 });
  readonly model: number;
  readonly row: number;
  readonly service: LateService;
  readonly bound: LateBound[] = [];
  freed = 0;
  #id = 0;

  constructor(id: string) {
    this.id = id;
    const writer = new TableWriter(this.table);
    this.model = writer.addModel();
    this.row = writer.addRow(this.model);
    const values = rowValues(null, { ...UNROUTABLE, ready: true }, defaultsOf(costSettings));
    writer.write(this.row, values, NO_SIDES);
    this.service = new LateService(this.flow, this.table, null, (_worker, bound) => this.bound.push(...bound));
    const models = [{ id: this.model, name: "m", protocol: "http" as const, created: 0 }];
    this.service.setRoutes({ version: 1, models, rows: [{ row: this.row, model: this.model, node: "x", ...AT }] });
  }

  ask(tokens: number): number {
    const id = ++this.#id;
    const figures = { before: 0, priority: 1, ageMs: 0, wantedInMs: Infinity, tenant: "t", weight: 1 };
    const ask = { id, model: this.model, tokens, isSilent: false, prefix: null, session: null, ...figures };
    this.service.heard(0, { ...NOTHING, asks: [ask] });
    return id;
  }

  /** It ends without a first token. */
  over(id: number): void {
    const place = this.bound.find((one) => one.id === id)!;
    this.table.endPrefill(0, place.row, place.tokens);
    this.table.end(0, place.row);
    this.service.heard(0, { ...NOTHING, over: [id] });
  }

  whoBound(id: number): string | undefined {
    return this.bound.find((one) => one.id === id)?.why.desk;
  }
}

const routers: Router[] = [];
afterEach(() => {
  for (const { service } of routers.splice(0)) {
    service.leave();
    service.stop();
  }
});

/** The one that decides, and the other. */
async function pair(): Promise<[owner: Router, other: Router]> {
  routers.push(...IDS.map((id) => new Router(id)));
  for (const router of routers) {
    router.service.join(router.id, {
      packetBytesMax: 1360,
      send: (to, packet) =>
        void setTimeout(() => routers.find(({ id }) => id === to)?.service.receive(router.id, packet)),
      freed: () => void router.freed++,
    });
  }
  for (const { service } of routers) service.present(IDS);
  await until(() => routers.every(({ service }) => service.desk.figures(0).shared?.routers === 1));
  const [a, b] = routers;
  return a!.service.desk.deciderOf(a!.model, performance.now()) === "" ? [a!, b!] : [b!, a!];
}

describe("desks with clocks of their own", () => {
  test("one decides for both, and hears of places that were given back at the other", async () => {
    const [owner, other] = await pair();
    const first = other.ask(200_000);
    await until(() => other.whoBound(first) === owner.id);
    const held = other.ask(10);
    await until(() => owner.service.held(owner.model) === 1);
    expect(other.service.held(other.model)).toBe(1);
    other.service.heard(0, { ...NOTHING, freed: [other.model] });
    owner.service.heard(0, { ...NOTHING, freed: [owner.model] });
    expect([other.freed, owner.freed]).toEqual([1, 0]);
    other.over(first);
    await until(() => other.whoBound(held) === owner.id);
    await until(() => owner.service.held(owner.model) === 0 && other.service.held(other.model) === 0);
  });

  test("one that is about to end, leaves, or is to decide alone hands over", async () => {
    const [owner, other] = await pair();
    const first = other.ask(200_000);
    await until(() => other.whoBound(first) === owner.id);
    owner.service.retire();
    await until(() => other.service.desk.deciderOf(other.model, performance.now()) === "");
    const second = owner.ask(100);
    await until(() => owner.whoBound(second) === other.id || other.service.held(other.model) > 0);
    other.over(first);
    await until(() => owner.whoBound(second) === other.id);
    overwrite(owner.flow, { ...FLOW, late: { ...FLOW.late, shared: false } });
    owner.service.present(IDS);
    owner.over(second);
    const third = owner.ask(100);
    expect(owner.whoBound(third)).toBe("");
    other.service.leave();
    expect(other.service.desk.figures(0).shared).toBeNull();
    const fourth = other.ask(100);
    expect(other.whoBound(fourth)).toBe("");
  });
});
