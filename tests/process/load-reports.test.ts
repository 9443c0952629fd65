/** A router in front of servers that tell of their load in the heads of their answers: the next request goes by that. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bench, type Started, until } from "./harness.ts";

const MODEL = "m";
const REPEATED = 6;

/** A server that tells what a test sets, in the format that it was asked for. */
class Runtime {
  waiting = 0;
  /** What it tells in place of that; null: what it should. */
  told: string | null = null;
  asked = 0;
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      if (!new URL(request.url).pathname.startsWith("/v1/chat")) return new Response("ok");
      const format = request.headers.get("endpoint-load-metrics-format");
      if (format !== null) this.asked++;
      const figures = `num_requests_waiting=${this.waiting}, named_metrics.kv_cache_usage_perc=0.5`;
      const report = this.told ?? `TEXT named_metrics.${figures}`;
      return Response.json({ choices: [] }, { headers: { "endpoint-load-metrics": report, "x-port": this.port } });
    },
  });

  get port(): string {
    return String(this.#server.port);
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }
}

const bench = new Bench();
const a = new Runtime();
const b = new Runtime();
let router: Started;

beforeAll(async () => {
  const upstreams = [a, b].flatMap(({ port }) => ["--upstream", `${MODEL}=http://127.0.0.1:${port}`]);
  router = await bench.router("--workers", "2", "--proxy-load-reports", "ask-all", ...upstreams);
});
afterAll(async () => {
  await bench.end();
  await Promise.all([a.stop(), b.stop()]);
});

/** Sends a request; answers who served it. */
async function serve(): Promise<Runtime> {
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    keepalive: false,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] }),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("endpoint-load-metrics")).toBeNull();
  await response.text();
  return response.headers.get("x-port") === a.port ? a : b;
}

/** Until several requests in a row are served by `runtime`. */
async function servesAll(runtime: Runtime): Promise<void> {
  await until(async () => {
    for (let i = 0; i < REPEATED; i++) if ((await serve()) !== runtime) return false;
    return true;
  });
}

async function reports(result: string): Promise<number> {
  const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((response) => response.text());
  return Number(new RegExp(`load_reports_total\\{result="${result}"\\} (\\d+)`).exec(text)?.[1]);
}

test("requests leave a server that tells of a queue, and come back when another one's is longer", async () => {
  // Whichever is nearer is the first.
  const first = await serve();
  const second = first === a ? b : a;
  first.waiting = 50;
  await servesAll(second);
  second.waiting = 500;
  await servesAll(first);
  // It told that nobody waits any more, with these very answers.
  first.waiting = 0;
  second.waiting = 0;
  await servesAll(first);
  expect(await reports("used")).toBeGreaterThan(3 * REPEATED);
  expect(await reports("malformed")).toBe(0);
  expect(a.asked + b.asked).toBeGreaterThan(0);
});

test("what can't be read changes nothing but a count", async () => {
  const before = await reports("malformed");
  a.told = "TEXT num_requests_waiting=lots";
  b.told = `JSON ${"[".repeat(3000)}`;
  for (let i = 0; i < 10; i++) await serve();
  await until(async () => (await reports("malformed")) >= before + 10);
});

test("a vLLM behind an agent is asked for its load now and then, without any setting", async () => {
  let requests = 0;
  let asked = 0;
  const page = (running: number): string =>
    `# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0"} ${running}\n`;
  const runtime = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    routes: {
      "/version": Response.json({ version: "0.12.0" }),
      "/health": new Response(null),
      "/metrics": () => new Response(page(1), { headers: { "content-type": "text/plain; version=0.0.4" } }),
      "/v1/models": Response.json({ object: "list", data: [{ id: "asked", object: "model", owned_by: "vllm" }] }),
      "/v1/chat/completions": (request) => {
        requests++;
        const isAsked = request.headers.get("endpoint-load-metrics-format") === "text";
        if (isAsked) asked++;
        const load = { "endpoint-load-metrics": "TEXT named_metrics.num_requests_waiting=0.0" };
        return Response.json({ choices: [] }, { headers: isAsked ? load : {} });
      },
    },
    fetch: () => new Response("not found", { status: 404 }),
  });
  const free = "127.0.0.1:0";
  const own = await bench.router("--fleet-poll-interval", "200ms", "--workers", "2");
  const ports = ["--api", free, "--metrics", free, "--gossip", free, "--data-dir", bench.dataDir];
  const node = `vllm=http://127.0.0.1:${runtime.port}`;
  const register = `http://${own.address("api")}`;
  await bench.start("agent", "--id", "node", ...ports, "--register", register, "--runtime", node);
  await until(async () => {
    const answer = await fetch(`http://${own.address("listen")}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "asked", messages: [] }),
    });
    expect(answer.headers.get("endpoint-load-metrics")).toBeNull();
    await answer.text();
    return asked >= 3;
  });
  // Not by every request, and what was told is used.
  expect(requests).toBeGreaterThan(asked);
  const text = await fetch(`http://${own.address("metrics")}/telemetry`).then((response) => response.text());
  expect(text).toContain(`infermesh_router_load_reports_total{result="used"} ${asked}`);
  await runtime.stop(true);
}, 60_000);
