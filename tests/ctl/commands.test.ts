import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { listNodes, showHealth, showStats } from "../../src/ctl/commands.ts";
import type { CtlConfig } from "../../src/ctl/settings.ts";
import { formatAge, formatPercent, renderFigures, renderRows } from "../../src/ctl/render.ts";

const NODES = [
  {
    id: "gpu-1",
    state: "healthy",
    source: "registered",
    address: "10.0.0.7:8000",
    models: ["llama-3.1-8b"],
    inFlight: 3,
    rttMs: 0.42,
    sampledAgoMs: 2100,
    sample: {
      models: [
        { runningRequests: 12, waitingRequests: 1, kvUsage: 0.41 },
        { runningRequests: 2, waitingRequests: 0, kvUsage: 0.873 },
      ],
    },
  },
  {
    id: "static-\u001b[2J",
    state: "unhealthy",
    source: "static",
    address: "h:1",
    models: [],
    inFlight: 0,
    rttMs: null,
    sampledAgoMs: null,
    sample: null,
  },
];

const STATS = {
  uptimeSeconds: 12.5,
  requestsByCode: { "200": 7 },
  decision: { p50us: null },
  scorer: "c",
  list: ["a", "b"],
};
const AGENT_STATUS = {
  id: "a",
  serve: "127.0.0.1:8000",
  models: ["m"],
  health: { status: "ok" },
  vitals: { requests_in_progress: 2 },
};

function json(body: unknown, status = 200): Response {
  return Response.json(body, { status });
}

const notFound = () => json({ error: { message: "no such path", code: "not_found" } }, 404);

const routes: Record<string, () => Response | Promise<Response>> = {
  "/router/nodes": () => json({ nodes: NODES }),
  "/router/stats": () => json(STATS),
  "/router/health": () => json({ status: "ok", nodes: 2 }),
  "/empty/nodes": () => json({ nodes: [] }),
  "/degraded/health": () => json({ status: "degraded", reason: "no routable node" }),
  "/draining/health": () => json({ status: "draining" }, 503),
  "/agent/status": () => json(AGENT_STATUS),
  "/agent/metrics": () => json({ ready: true }),
  "/broken/nodes": () => json({ error: { message: "a fault of ours" } }, 500),
  "/broken/health": () => json({ error: { message: "a fault of ours" } }, 500),
  "/odd/nodes": () => json({}),
  "/html/nodes": () => new Response("<html>"),
  "/slow/nodes": async () => {
    await Bun.sleep(3000);
    return json({});
  },
};

let server: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => (routes[new URL(request.url).pathname] ?? notFound)(),
  });
});
afterAll(() => server.stop(true));

async function run(command: typeof listNodes, at: string, config: Partial<CtlConfig> = {}, color = false) {
  let [out, err] = ["", ""];
  const endpoint = at.startsWith("http") ? at : `http://127.0.0.1:${server.port}/${at}`;
  const code = await command(
    { endpoint, output: "table", timeoutMs: 2000, ...config },
    { out: (text) => (out += text), err: (text) => (err += text), color },
  );
  return { code, out, err: err.replaceAll(String(server.port), "PORT") };
}

describe("list-nodes", () => {
  test("shows a table for people", async () => {
    expect(await run(listNodes, "router")).toEqual({
      code: 0,
      err: "",
      out: `ID            STATE      SOURCE      ADDRESS        MODELS        RUNNING  WAITING   KV  IN-FLIGHT    RTT  SEEN
gpu-1         healthy    registered  10.0.0.7:8000  llama-3.1-8b       14        1  87%          3  0.4ms    2s
static-?[2J   unhealthy  static      h:1            -                   -        -    -          0      -     -
`
        .replaceAll("static-?[2J   ", "static-?[2J   ")
        .replaceAll("ID            ", "ID           ")
        .replaceAll("gpu-1         ", "gpu-1        ")
        .replaceAll("static-?[2J   ", "static-?[2J  "),
    });
  });

  test("shows one line a node with tabs between, exact, for scripts", async () => {
    const { out } = await run(listNodes, "router", { output: "text" });
    expect(out).toBe(
      "gpu-1\thealthy\tregistered\t10.0.0.7:8000\tllama-3.1-8b\t14\t1\t0.873\t3\t0.42\t2100\n" +
        "static-?[2J\tunhealthy\tstatic\th:1\t-\t-\t-\t-\t0\t-\t-\n",
    );
  });

  test("hands on everything as JSON and YAML", async () => {
    expect(JSON.parse((await run(listNodes, "router", { output: "json" })).out)).toEqual({ nodes: NODES });
    expect(Bun.YAML.parse((await run(listNodes, "router", { output: "yaml" })).out)).toEqual({ nodes: NODES });
  });

  test("colours states only where that is wanted", async () => {
    expect((await run(listNodes, "router")).out).not.toContain("\u001b[");
    const { out } = await run(listNodes, "router", {}, true);
    expect(out).toContain("\u001b[32mhealthy  \u001b[0m");
    expect(out).toContain("\u001b[31munhealthy\u001b[0m");
  });

  test("of an agent shows itself", async () => {
    const { code, out } = await run(listNodes, "agent", { output: "text" });
    expect(code).toBe(0);
    expect(out).toBe("a\thealthy\tself\t127.0.0.1:8000\tm\t-\t-\t-\t2\t-\t0\n");
  });

  test("says so when there are none, and keeps the output for data", async () => {
    expect(await run(listNodes, "empty")).toEqual({ code: 0, out: "", err: "no nodes\n" });
    expect((await run(listNodes, "empty", { output: "json" })).out).toBe('{\n  "nodes": []\n}\n');
    expect((await run(listNodes, "empty", { output: "text" })).out).toBe("");
  });
});

describe("stats and health", () => {
  test("show figures by name", async () => {
    expect((await run(showStats, "router")).out).toBe(
      "uptimeSeconds       12.5\nrequestsByCode.200  7\ndecision.p50us      -\nscorer              c\nlist                a,b\n",
    );
    expect((await run(showStats, "router", { output: "text" })).out).toStartWith(
      "uptimeSeconds\t12.5\nrequestsByCode.200\t7\n",
    );
    expect(JSON.parse((await run(showStats, "router", { output: "json" })).out)).toEqual(STATS);
    expect((await run(showStats, "agent")).out).toBe("ready  true\n");
  });

  test("tell by the exit code whether all is well", async () => {
    expect(await run(showHealth, "router")).toMatchObject({ code: 0, out: "status  ok\nnodes   2\n" });
    expect(await run(showHealth, "degraded")).toMatchObject({
      code: 1,
      out: "status  degraded\nreason  no routable node\n",
    });
    expect(await run(showHealth, "draining")).toMatchObject({ code: 1, out: "status  draining\n", err: "" });
    expect(await run(showHealth, "broken")).toMatchObject({ code: 1, out: "" });
  });
});

describe("what goes wrong", () => {
  test("is told on standard error, with an exit code of its own", async () => {
    expect(await run(listNodes, "broken")).toEqual({
      code: 1,
      out: "",
      err: "infermesh ctl: http://127.0.0.1:PORT/broken answered: a fault of ours (status 500)\n",
    });
    expect(await run(listNodes, "nothing")).toMatchObject({ code: 1, out: "" });
    expect(await run(listNodes, "odd")).toMatchObject({ code: 1, out: "" });
    expect(await run(listNodes, "html")).toEqual({
      code: 3,
      out: "",
      err: "infermesh ctl: can't reach http://127.0.0.1:PORT/html: the answer is not JSON; is this an infermesh --api port?\n",
    });
    expect(await run(listNodes, "slow", { timeoutMs: 50 })).toEqual({
      code: 3,
      out: "",
      err: "infermesh ctl: can't reach http://127.0.0.1:PORT/slow: no answer within 50 ms\n",
    });
    const closed = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = closed;
    closed.stop(true);
    expect(await run(listNodes, `http://127.0.0.1:${port}`)).toEqual({
      code: 3,
      out: "",
      err: `infermesh ctl: can't reach http://127.0.0.1:${port}: nobody listens there\n`,
    });
  });
});

test("rendering", () => {
  expect([0, 999, 1000, 61_500, null, undefined, Number.NaN].map(formatAge)).toEqual([
    "0ms",
    "999ms",
    "1s",
    "1m1s",
    "-",
    "-",
    "-",
  ]);
  expect([0, 0.994, 1.5, null, undefined].map(formatPercent)).toEqual(["0%", "99%", "150%", "-", "-"]);
  expect(renderFigures("table", { a: { "b\n": [{ c: 1 }, { c: true }] } })).toBe("a.b?.0.c  1\na.b?.1.c  true\n");
  expect(renderRows("table", [], [{ title: "A", cell: () => "", raw: () => "" }], {})).toBe("A\n");
});
