import { expect, test } from "bun:test";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { Crew, indexesFor } from "../../src/proxy/crew.ts";
import type { CrewOptions } from "../../src/proxy/crew.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import { apiSettings } from "../../src/wire/api-access.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { ScoreTable } from "../../src/score/table.ts";

import { RawLoad } from "../process/raw-load.ts";
import { CONTENT, Client, until } from "./harness.ts";

const SIZES = { targetsMax: 64, modelsMax: 2, workersMax: indexesFor(2) };
const SETTINGS = {
  maxBodyBytes: 1024,
  allowRegister: false,
  proxy: defaultsOf(proxySettings),
  flow: defaultsOf(flowSettings),
  paths: defaultsOf(apiSettings),
  ...CONTENT,
};
const WORKER = new URL("../../src/proxy/worker.ts", import.meta.url);
const NO_ROUTES = { version: 0, models: [], rows: [] };

function sized(workers: number): Pick<CrewOptions, "table" | "stats"> {
  const sizes = { ...SIZES, workersMax: indexesFor(workers) };
  return { table: ScoreTable.create(sizes), stats: WorkerStats.create(sizes) };
}

function options(entry: URL): CrewOptions & { readonly restarts: number[]; readonly versions: number[] } {
  const restarts: number[] = [];
  const versions: number[] = [];
  return {
    entry,
    listen: { host: "127.0.0.1", port: 0 },
    workers: 2,
    settings: SETTINGS,
    tls: null,
    upstreamTls: { verify: true },
    ...sized(2),
    control: () => Promise.resolve({ status: 500, body: "{}" }),
    routed: (version) => versions.push(version),
    restarted: (index) => restarts.push(index),
    failed(error) {
      throw error;
    },
    restarts,
    versions,
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

test("in an ebb it serves as before, but keeps no connection; then it drains", async () => {
  const how = options(WORKER);
  const crew = await Crew.start(how, NO_ROUTES);
  const ask = async (client: Client): Promise<string> => {
    const before = client.text.length;
    client.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    await until(() => client.text.indexOf("\r\n\r\n", before) > 0);
    return client.text.slice(before).split("\r\n\r\n")[0] ?? "";
  };
  const kept = await Client.open(crew.port);
  expect(await ask(kept)).not.toContain("connection: close");
  const quiet = await Client.open(crew.port);
  await ask(quiet);
  crew.ebb();
  // Until every worker has heard of it.
  for (let answer = ""; !answer.includes("connection: close"); answer = await ask(await Client.open(crew.port)));
  for (const client of [kept, await Client.open(crew.port)]) {
    const answer = await ask(client);
    expect(answer).toStartWith("HTTP/1.1 200 ");
    expect(answer).toContain("connection: close");
    await until(() => client.closed);
  }
  await until(() => quiet.closed);
  expect(quiet.text.match(/HTTP/g)).toHaveLength(1);
  const load = new RawLoad({ port: crew.port, clients: 4, isShort: true });
  await load.goOn(50);
  expect(await load.end()).toEqual([]);
  expect(await crew.drain(5000)).toBe(true);
  expect(await Client.open(crew.port).catch(String)).toContain("Failed to connect");
});

test("a seat stays with its worker when the successor can't start", async () => {
  const how = options(new URL("./no-successor.ts", import.meta.url));
  const crew = await Crew.start(how, NO_ROUTES);
  expect(await crew.replaceAll(1000).catch(String)).toContain("the successor of worker 0 could not start");
  expect(crew.retiring).toBe(0);
  expect(crew.replacements).toBe(0);
  // The next attempt is no worse.
  expect(await crew.replaceAll(1000).catch(String)).toContain("the successor of worker 0 could not start");
  expect(how.restarts).toEqual([]);
  expect(await crew.drain(5000)).toBe(true);
});

test("a worker that dies while its successor starts is replaced by that", async () => {
  const how = options(new URL("./held-successor.ts", import.meta.url));
  const crew = await Crew.start(how, NO_ROUTES);
  const replaced = crew.replaceAll(5000);
  crew.crash(0);
  await until(() => how.restarts.length === 1);
  expect(crew.replacements).toBe(0);
  // It may not hear yet: its thread has to begin first.
  const gate = new BroadcastChannel("successors-begin");
  const opening = setInterval(() => gate.postMessage("begin"), 10);
  await replaced;
  clearInterval(opening);
  gate.close();
  expect(how.restarts).toEqual([0]);
  expect(crew.replacements).toBe(2);
  const load = new RawLoad({ port: crew.port, clients: 4, isShort: true });
  await load.goOn(50);
  expect(await load.end()).toEqual([]);
  await until(() => crew.retiring === 0);
  expect(await crew.drain(5000)).toBe(true);
});

test("one that outlives its time is ended, and gives back what it had", async () => {
  const how = options(WORKER);
  const crew = await Crew.start(how, NO_ROUTES);
  const idle = await Client.open(crew.port);
  idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  await idle.until((text) => text.includes("200 OK"));
  await crew.replaceAll(50);
  await until(() => crew.retiring === 0);
  expect(idle.closed).toBe(true);
  // Sockets of nobody's own: the routes of now are everybody's.
  crew.setRoutes({ ...NO_ROUTES, version: 7 });
  await crew.settled();
  expect(how.versions.at(-1)).toBe(7);
  expect(await crew.drain(5000)).toBe(true);
});

test("workers with inherited sockets wait until they are told to accept", async () => {
  const first = await Crew.start(options(WORKER), NO_ROUTES);
  const { port } = first;
  const inherited = first.descriptors();
  const load = new RawLoad({ port, clients: 4, isShort: true });
  // One worker for two sockets, and then three of them.
  const second = await Crew.start({ ...options(WORKER), inherited, workers: 1 }, NO_ROUTES);
  expect(second.port).toBe(port);
  await load.goOn(20);
  second.accept();
  expect(await first.retire(5000)).toBe(true);
  await load.goOn(50);
  const third = await Crew.start(
    { ...options(WORKER), inherited: second.descriptors().slice(0, 2), workers: 3, ...sized(3) },
    NO_ROUTES,
  );
  third.accept();
  expect(await second.retire(5000)).toBe(true);
  await load.goOn(50);
  expect(await load.end()).toEqual([]);
  expect(await third.drain(5000)).toBe(true);
});

test("settings are taken on by workers of now and by those to come", async () => {
  const crew = await Crew.start(options(WORKER), NO_ROUTES);
  const statusOf = async (): Promise<number> => {
    const body = "x".repeat(2000);
    const url = `http://127.0.0.1:${crew.port}/v1/completions`;
    return (await fetch(url, { method: "POST", body, keepalive: false })).status;
  };
  expect(await statusOf()).toBe(413);
  crew.configure({ ...SETTINGS, maxBodyBytes: 4096 });
  for (let inRow = 0; inRow < 8;) inRow = (await statusOf()) === 400 ? inRow + 1 : 0;
  await crew.replaceAll(5000);
  for (let i = 0; i < 8; i++) expect(await statusOf()).toBe(400);
  const careful = async (): Promise<boolean> => {
    const { headers } = await fetch(`http://127.0.0.1:${crew.port}/health`, { keepalive: false });
    return headers.has("x-content-type-options");
  };
  expect(await careful()).toBe(false);
  crew.configure({ ...SETTINGS, security: { ...SETTINGS.security, headers: "minimal" } });
  for (let inRow = 0; inRow < 8;) inRow = (await careful()) ? inRow + 1 : 0;
  expect(await crew.drain(5000)).toBe(true);
});

test("a worker that can't start fails the start, with its reason", async () => {
  const how = options(new URL("./no-such-worker.ts", import.meta.url));
  const outcome = await Crew.start(how, NO_ROUTES).catch((error: unknown) => String(error));
  expect(outcome).toMatch(/worker \d keeps dying at its start/);
  expect(how.restarts.length).toBeGreaterThanOrEqual(4);
});
