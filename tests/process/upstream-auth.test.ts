/** A compiled router that has keys for its targets: who is shown what, and that no secret is shown to anybody else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bench, EXECUTABLE, nodes, ownEnvironment, type Started, until } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-auth-"));
const keyFile = join(folder, "key");
const bench = new Bench();
let server: ReturnType<typeof Bun.serve>;
let router: Started;
let polls = 0;

beforeAll(async () => {
  writeFileSync(keyFile, "hush-file\n");
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      // Polls show no key.
      if (request.method !== "POST") {
        polls += 1;
        return new Response("no key", { status: 401 });
      }
      return Response.json({ shown: request.headers.get("authorization") });
    },
  });
  const at = `http://127.0.0.1:${server.port}`;
  const auth = `a=bearer:file:${keyFile},b=basic:env:TARGET_KEY`;
  const upstreams = ["a", "b", "c"].flatMap((model) => ["--upstream", `${model}=${at}`]);
  const ports = ["--listen", "--api", "--metrics", "--gossip"].flatMap((name) => [name, "127.0.0.1:0"]);
  router = await bench.launch(
    ["router", "--workers", "1", ...ports, ...upstreams, "--upstream-auth", auth, "--fleet-poll-interval", "100ms"],
    {
      env: { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, TARGET_KEY: "me:hush-env" },
    },
  );
});

afterAll(async () => {
  await server.stop(true);
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

async function shown(model: string): Promise<unknown> {
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer client" },
    body: JSON.stringify({ model, messages: [] }),
  });
  return ((await response.json()) as { shown: unknown }).shown;
}

test("each model's targets are shown its key, and without one the client's", async () => {
  expect(await shown("a")).toBe("Bearer hush-file");
  expect(await shown("b")).toBe(`Basic ${btoa("me:hush-env")}`);
  expect(await shown("c")).toBe("Bearer client");
});

test("one that answers polls with 401 lives, and gets requests", async () => {
  const before = polls;
  // More than would make it unhealthy, were they failures: the three models are at one place.
  await until(() => polls >= before + 10);
  const seen = (await nodes(router)) as unknown as { state: string; routable: boolean }[];
  expect(seen.map(({ state, routable }) => [state, routable])).toEqual([["healthy", true]]);
  expect(await shown("a")).toBe("Bearer hush-file");
});

test("a file that changed counts when the configuration is loaded anew; one that is gone changes nothing", async () => {
  writeFileSync(keyFile, "hush-new\n");
  router.process.kill("SIGHUP");
  await until(async () => (await shown("a")) === "Bearer hush-new");
  rmSync(keyFile);
  router.process.kill("SIGHUP");
  await until(() => router.lines.some((line) => String(line["msg"]).includes("the keys for targets stay")));
  expect(await shown("a")).toBe("Bearer hush-new");
});

test("no secret is in the configuration that is shown, in metrics or in the log", async () => {
  const api = `http://${router.address("api")}`;
  const texts = await Promise.all(
    ["/config", "/telemetry", "/nodes", "/stats"].map(async (path) => (await fetch(api + path)).text()),
  );
  expect(texts[0]).toContain("env:TARGET_KEY");
  for (const text of [...texts, JSON.stringify(router.lines)]) expect(text).not.toContain("hush");
});

test("a router whose key can't be read does not start, and says which", () => {
  const { exitCode, stderr } = Bun.spawnSync([EXECUTABLE, "router", "--upstream-auth", "m=bearer:env:NO_SUCH_KEY"], {
    env: ownEnvironment(),
  });
  expect(exitCode).not.toBe(0);
  expect(stderr.toString()).toContain("m=bearer:env:NO_SUCH_KEY: the variable is not set, or empty");
});
