/** A router takes on a new configuration and new workers while it works, in the built executable. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bench, descriptors, EXECUTABLE, inFlight, nodes, type Started, until, rawChat } from "./harness.ts";
import { RawLoad } from "./raw-load.ts";

const bench = new Bench();
const folder = mkdtempSync(join(tmpdir(), "infermesh-reload-"));

afterEach(() => bench.clear());
afterAll(async () => {
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

function portOf(router: Started): number {
  return Number(router.address("listen").split(":").pop());
}

async function ctl(router: Started, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const command = [EXECUTABLE, "ctl", ...args, "--endpoint", `http://${router.address("api")}`];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

function linesOf(router: Started, pattern: RegExp): Record<string, unknown>[] {
  return router.lines.filter(({ msg }) => pattern.test(String(msg)));
}

const TAKEN = /new configuration is in force/;
const REFUSED = /new configuration is refused/;

async function figure(router: Started, name: string): Promise<number> {
  const text = await (await fetch(`http://${router.address("metrics")}/telemetry`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

describe("a new configuration", () => {
  test("is applied by a changed file, SIGHUP and ctl, and a faulty one changes nothing", async () => {
    const file = join(folder, "router.yaml");
    writeFileSync(file, "maxBody: 1KiB\nworkers: 2\n");
    const router = await bench.router("--config", file);
    await bench.agent("a", router, "--mock-speed", "50");
    await until(async () => (await nodes(router)).some(({ state }) => state === "healthy"));
    const load = new RawLoad({ port: portOf(router), clients: 4, request: await rawChat(router) });
    const long = await rawChat(router, { max_tokens: 3, user: "u".repeat(1500) });
    const statusOfLong = async (): Promise<string> => {
      const one = new RawLoad({ port: portOf(router), clients: 1, request: long, isShort: true });
      await until(() => one.answers + one.failures.length > 0);
      const [failure] = await one.end();
      return failure === undefined ? "200" : failure.slice(9, 12);
    };
    expect(await statusOfLong()).toBe("413");

    // In place, as an editor may write it.
    writeFileSync(file, "maxBody: 64KiB\nworkers: 2\n");
    await until(() => linesOf(router, TAKEN).length === 1);
    expect(linesOf(router, TAKEN)[0]).toMatchObject({
      why: "the file has changed",
      changes: ['maxBody: "1KiB" -> "64KiB"'],
    });
    await until(async () => (await statusOfLong()) === "200");

    // A fault refuses all of it, what is right in it too.
    writeFileSync(file, "maxBody: 1KiB\nworkers: 2\nfleet: {pollIntervl: 1s}\n");
    await until(() => linesOf(router, REFUSED).length === 1);
    expect(JSON.stringify(linesOf(router, REFUSED)[0])).toContain("did you mean pollInterval?");
    expect(await statusOfLong()).toBe("200");
    expect(await figure(router, "infermesh_router_last_reload_ok")).toBe(0);
    const refused = await ctl(router, "reload");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("nothing was changed\n  fleet.pollIntervl: found ");

    // By a rename, with a port, which can't change.
    writeFileSync(`${file}.new`, "maxBody: 1KiB\nworkers: 3\nlog: {level: debug}\n");
    renameSync(`${file}.new`, file);
    await until(() => linesOf(router, TAKEN).length === 2);
    await until(() => linesOf(router, /need a restart or an upgrade/).length === 1);
    expect(linesOf(router, /need a restart or an upgrade/)[0]).toMatchObject({ changes: ["workers: 2 -> 3"] });
    await until(async () => (await statusOfLong()) === "413");
    expect(await figure(router, "infermesh_router_last_reload_ok")).toBe(1);
    const config = (await (await fetch(`http://${router.address("api")}/config`)).json()) as Record<string, unknown>;
    expect(config).toMatchObject({ maxBody: "1KiB", workers: 2, log: { level: "debug" } });

    // Targets come and go without a restart.
    writeFileSync(file, 'maxBody: 1KiB\nworkers: 2\nupstreams: ["m=http://127.0.0.1:9"]\n');
    const reloaded = await ctl(router, "reload");
    expect(reloaded).toMatchObject({ code: 0, err: "" });
    expect(reloaded.out).toContain('upstreams: [] -> ["m=http://127.0.0.1:9"]\n');
    expect((await nodes(router)).map(({ id }) => id).toSorted()).toEqual(["127.0.0.1:9", "a"]);
    router.process.kill("SIGHUP");
    await until(() => linesOf(router, /same as before/).some(({ why }) => why === "SIGHUP"));
    expect(await load.end()).toEqual([]);
    expect(await router.stop()).toBe(0);
  }, 60_000);

  test("may come by the swap of a symbolic link, as Kubernetes swaps a config map", async () => {
    const map = join(folder, "map");
    const put = (name: string, text: string): void => {
      mkdirSync(join(map, name), { recursive: true });
      writeFileSync(join(map, name, "router.yaml"), text);
      symlinkSync(name, join(map, "..data.new"));
      renameSync(join(map, "..data.new"), join(map, "..data"));
    };
    put("..1", "drainTimeout: 1s\n");
    const router = await bench.router("--config", join(map, "..data", "router.yaml"));
    put("..2", "drainTimeout: 2s\n");
    await until(() => linesOf(router, TAKEN).length === 1);
    expect(linesOf(router, TAKEN)[0]).toMatchObject({ changes: ['drainTimeout: "1s" -> "2s"'] });
    rmSync(join(map, "..data"));
    await until(() => linesOf(router, /can't be looked at/).length === 1);
    put("..3", "drainTimeout: 3s\n");
    await until(() => linesOf(router, TAKEN).length === 2);
    expect(await router.stop()).toBe(0);
  }, 30_000);

  test("is not looked for on the port that others may reach", async () => {
    const router = await bench.router();
    for (const path of ["/reload", "/workers/restart", "/upgrade"]) {
      const response = await fetch(`http://${router.address("metrics")}${path}`, { method: "POST" });
      expect([path, response.status]).toEqual([path, 404]);
    }
    router.process.kill("SIGHUP");
    await until(() => linesOf(router, /same as before/).length === 1);
    expect(linesOf(router, /same as before/)[0]).toMatchObject({ reason: "there is no --config file" });
    expect(await router.stop()).toBe(0);
  }, 30_000);
});

describe("SIGHUP", () => {
  test("loads the configuration anew, unless it comes because the terminal is gone", async () => {
    let text = "";
    const ports = ["listen", "api", "metrics", "gossip"].flatMap((port) => [`--${port}`, "127.0.0.1:0"]);
    const child = Bun.spawn([EXECUTABLE, "router", ...ports, "--log-format", "text", "--data-dir", bench.dataDir], {
      terminal: { cols: 200, rows: 50, data: (_terminal, bytes) => void (text += Buffer.from(bytes).toString()) },
    });
    await until(() => text.includes("ready"));
    child.kill("SIGHUP");
    await until(() => text.includes("same as before"));
    // It leads the terminal's session, so that a successor would end with it.
    const api = /api=\S*?(127\.0\.0\.1:\d+)/.exec(text)?.[1];
    const response = await fetch(`http://${api}/upgrade`, { method: "POST" });
    expect([response.status, await response.text()]).toEqual([501, expect.stringContaining("session of its terminal")]);
    child.terminal?.close();
    expect(await child.exited).toBe(0);
  }, 30_000);
});

describe("new workers", () => {
  test("take their seats under load without a failed request, again and again", async () => {
    const { router } = await bench.mesh(1, [], ["--mock-speed", "20"]);
    const port = portOf(router);
    const request = await rawChat(router);
    const loads = [
      new RawLoad({ port, clients: 4, request }),
      new RawLoad({ port, clients: 4, isShort: true }),
      new RawLoad({ port, clients: 4, request, pauseMs: 100 }),
    ];
    const goOn = (): Promise<unknown> => Promise.all(loads.map((load) => load.goOn(20)));
    // One that outlives its worker.
    const url = `http://${router.address("listen")}/v1/chat/completions`;
    const model = (await nodes(router))[0]?.models[0];
    const body = JSON.stringify({ model, stream: true, max_tokens: 600, messages: [{ role: "user", content: "hi" }] });
    const stream = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    await goOn();
    expect(await ctl(router, "restart-workers")).toMatchObject({ code: 0, err: "" });
    await goOn();
    // A second round waits for the first: there is one index for each worker and one for its successor.
    const second = await ctl(router, "restart-workers");
    if (second.code !== 0) expect(second.err).toContain("earlier restart");
    expect((await stream.text()).trimEnd().endsWith("data: [DONE]")).toBe(true);
    const settled = async (): Promise<boolean> =>
      (await figure(router, "infermesh_router_workers_retiring")) === 0 && descriptors(router.process.pid) > 0;
    await until(settled);
    const open = descriptors(router.process.pid);
    for (let round = 0; round < 3; round++) {
      const { status } = await fetch(`http://${router.address("api")}/workers/restart`, { method: "POST" });
      expect(status).toBe(200);
      await goOn();
      await until(settled);
    }
    for (const load of loads) expect(await load.end()).toEqual([]);
    await until(async () => (await inFlight(router)) === 0);
    expect(await figure(router, "infermesh_router_worker_restarts_total")).toBe(0);
    expect(await figure(router, "infermesh_router_worker_replacements_total")).toBeGreaterThanOrEqual(8);
    expect(linesOf(router, /repaired/)).toEqual([]);
    expect(descriptors(router.process.pid)).toBeLessThanOrEqual(open + 4);
    expect(await router.stop()).toBe(0);
  }, 60_000);
});
