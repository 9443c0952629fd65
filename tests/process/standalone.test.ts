/** The executable is all there is: alone in an empty folder, without an environment, it does everything. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { Bench, EXECUTABLE, nodes, until } from "./harness.ts";
import type { Launch, Started } from "./harness.ts";

const CHECKOUT = resolve(import.meta.dir, "..", "..");
const bench = new Bench();
const folder = join(bench.dataDir, "alone");
const executable = join(folder, "infermesh");
const PATH = "/usr/local/bin:/usr/bin:/bin";
const PORTS = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0"];

beforeAll(() => {
  mkdirSync(folder);
  copyFileSync(EXECUTABLE, executable);
});

afterAll(() => bench.end());

/** A router and a mock agent from the copy; answers the status of a request and the router. */
async function serve(env: Launch["env"]): Promise<{ router: Started; status: number }> {
  const how = { executable, cwd: folder, env: { PATH, ...env } };
  const router = await bench.launch(["router", "--listen", "127.0.0.1:0", "--workers", "2", ...PORTS], how);
  const register = ["--register", `http://${router.address("api")}`, "--data-dir", join(bench.dataDir, "data")];
  const agent = await bench.launch(
    ["agent", "--mock", "--id", "alone", "--serve", "127.0.0.1:0", ...PORTS, ...register],
    how,
  );
  await until(async () => (await nodes(router)).some(({ state }) => state === "healthy"));
  const [model] = agent.ready["models"] as string[];
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Who are you?" }], max_tokens: 4 });
  const ask = (): Promise<Response> =>
    fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
  // Workers learn of a node a moment after the main thread does.
  await until(async () => (await fetch(`http://${router.address("listen")}/v1/models/${model}`)).status === 200);
  const { status } = await ask();
  expect(await agent.stop()).toBe(0);
  expect(await router.stop()).toBe(0);
  return { router, status };
}

describe("the executable alone, with PATH as its whole environment", () => {
  test("tells its version", () => {
    const { stdout, stderr, exitCode } = Bun.spawnSync([executable, "--version"], { cwd: folder, env: { PATH } });
    expect(stdout.toString()).toMatch(/^infermesh \d+\.\d+\.\d+ \(.+, bun \d+\.\d+\.\d+\)\n$/);
    expect([stderr.toString(), exitCode]).toEqual(["", 0]);
  });

  test("is router and agent, and leaves nothing in its folder", async () => {
    const { router, status } = await serve({});
    expect(status).toBe(200);
    expect(router.lines.filter(({ level }) => level !== "info")).toEqual([]);
    expect(readdirSync(folder)).toEqual(["infermesh"]);
  });

  test("has no path of the checkout in it", () => {
    // Bun itself names some paths; a checkout may happen to lie at one of them.
    const foreign = readFileSync(process.execPath);
    const bytes = readFileSync(executable);
    for (const path of [`${CHECKOUT}/node_modules`, `${CHECKOUT}/src`, `${CHECKOUT}/dist`]) {
      expect([path, bytes.includes(path)]).toEqual([path, foreign.includes(path)]);
    }
  });
});

test.skipIf(process.platform !== "linux")(
  "where no temporary file can be made, the C scorer serves from memory",
  async () => {
    const { router, status } = await serve({ TMPDIR: "/nonexistent", BUN_TMPDIR: "/nonexistent" });
    expect(status).toBe(200);
    expect(router.ready["scorer"]).toBe("c");
    expect(JSON.stringify(router.lines)).not.toContain("TypeScript scorer");
  },
);
