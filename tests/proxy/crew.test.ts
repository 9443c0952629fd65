import { expect, test } from "bun:test";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { Crew } from "../../src/proxy/crew.ts";
import type { CrewOptions } from "../../src/proxy/crew.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import { apiSettings } from "../../src/wire/api-access.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { ScoreTable } from "../../src/score/table.ts";

const SIZES = { targetsMax: 64, modelsMax: 2, workersMax: 2 };
const NO_ROUTES = { version: 0, models: [], rows: [] };

function options(entry: URL): CrewOptions & { readonly restarts: number[] } {
  const restarts: number[] = [];
  return {
    entry,
    listen: { host: "127.0.0.1", port: 0 },
    workers: 2,
    maxBodyBytes: 1024,
    allowRegister: false,
    proxy: defaultsOf(proxySettings),
    flow: defaultsOf(flowSettings),
    paths: defaultsOf(apiSettings),
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
  const how = options(new URL("../../src/proxy/worker.ts", import.meta.url));
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

test("a worker that can't start fails the start, with its reason", async () => {
  const how = options(new URL("./no-such-worker.ts", import.meta.url));
  const outcome = await Crew.start(how, NO_ROUTES).catch((error: unknown) => String(error));
  expect(outcome).toMatch(/worker \d keeps dying at its start/);
  expect(how.restarts.length).toBeGreaterThanOrEqual(4);
});
