import { expect, test } from "bun:test";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { Crew, indexesFor } from "../../src/proxy/crew.ts";
import type { CrewOptions } from "../../src/proxy/crew.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { ScoreTable } from "../../src/score/table.ts";

import { RawLoad } from "../process/raw-load.ts";
import { until } from "./harness.ts";

const SIZES = { targetsMax: 64, modelsMax: 2, workersMax: indexesFor(2) };
const SETTINGS = { maxBodyBytes: 1024, allowRegister: false, proxy: defaultsOf(proxySettings) };
const WORKER = new URL("../../src/proxy/worker.ts", import.meta.url);
const NO_ROUTES = { version: 0, models: [], rows: [] };

function options(entry: URL): CrewOptions & { readonly restarts: number[] } {
  const restarts: number[] = [];
  return {
    entry,
    listen: { host: "127.0.0.1", port: 0 },
    workers: 2,
    settings: SETTINGS,
    table: ScoreTable.create(SIZES),
    stats: WorkerStats.create(SIZES),
    control: () => Promise.resolve({ status: 500, body: "{}" }),
    routed() {},
    restarted: (index) => restarts.push(index),
    failed(error) {
      throw error;
    },
    restarts,
  };
}

test("workers start, are replaced when they die, and drain", async () => {
  const how = options(WORKER);
  const crew = await Crew.start(how, NO_ROUTES);
  const health = (): Promise<number> =>
    fetch(`http://127.0.0.1:${crew.port}/health`, { keepalive: false }).then(({ status }) => status);
  expect(await health()).toBe(200);
  crew.crash(0);
  for (let i = 0; how.restarts.length === 0 && i < 500; i++) await Bun.sleep(10);
  expect(how.restarts).toEqual([0]);
  expect(await Promise.all(Array.from({ length: 8 }, health))).toEqual(Array.from({ length: 8 }, () => 200));
  expect(await crew.drain(5000)).toBe(true);
});

test("workers are replaced one by one, and no request on a kept connection fails", async () => {
  const how = options(WORKER);
  const crew = await Crew.start(how, NO_ROUTES);
  const loads = [false, true].map((isShort) => new RawLoad({ port: crew.port, clients: 4, isShort }));
  const goOn = () => Promise.all(loads.map((load) => load.goOn(50)));
  for (let round = 1; round <= 2; round++) {
    await goOn();
    await crew.replaceAll(10_000);
    expect(await crew.replaceAll(10_000).catch(String)).toContain("earlier restart");
    await goOn();
    await until(() => crew.retiring === 0);
    expect(crew.replacements).toBe(2 * round);
  }
  for (const load of loads) expect(await load.end()).toEqual([]);
  expect(how.restarts).toEqual([]);
  expect(await crew.drain(5000)).toBe(true);
});

test("a worker that can't start fails the start, with its reason", async () => {
  const how = options(new URL("./no-such-worker.ts", import.meta.url));
  const outcome = await Crew.start(how, NO_ROUTES).catch((error: unknown) => String(error));
  expect(outcome).toMatch(/worker \d keeps dying at its start/);
  expect(how.restarts.length).toBeGreaterThanOrEqual(4);
});
