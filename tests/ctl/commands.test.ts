import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { showHealth, showStats } from "../../src/ctl/commands.ts";
import { listNodes } from "../../src/ctl/nodes.ts";
import type { CtlConfig } from "../../src/ctl/settings.ts";
import { formatAge, formatPercent, renderFigures, renderRows } from "../../src/ctl/render.ts";
import type { Terminal } from "../../src/ctl/terminal.ts";
import { NOBODY_SAYS } from "./ctl-bed.ts";

const STATS = {
  uptimeSeconds: 12.5,
  requestsByCode: { "200": 7 },
  decision: { p50us: null },
  scorer: "c",
  list: ["a", "b"],
};
function json(body: unknown, status = 200): Response {
  return Response.json(body, { status });
}

const notFound = () => json({ error: { message: "no such path", code: "not_found" } }, 404);

const routes: Record<string, () => Response | Promise<Response>> = {
  "/router/stats": () => json(STATS),
  "/router/health": () => json({ status: "ok", nodes: 2 }),
  "/degraded/health": () => json({ status: "degraded", reason: "no routable node" }),
  "/draining/health": () => json({ status: "draining" }, 503),
  "/agent/metrics": () => json({ ready: true }),
  "/broken/nodes": () => json({ error: { message: "a fault of ours" } }, 500),
  "/broken/health": () => json({ error: { message: "a fault of ours" } }, 500),
  "/odd/nodes": () => json({}),
  "/html/health": () => new Response("<html>"),
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

  test("health asks for no more than an answer with --live", async () => {
    const live = (config: CtlConfig, terminal: Terminal) => showHealth({ ...config, live: true }, terminal);
    for (const at of ["router", "degraded", "draining"]) {
      expect(await run(live, at)).toMatchObject({ code: 0, out: expect.stringContaining("status"), err: "" });
    }
    for (const at of ["broken", "nothing"]) expect(await run(live, at)).toMatchObject({ code: 1, out: "" });
    for (const at of ["html", "http://127.0.0.1:1"]) expect(await run(live, at)).toMatchObject({ code: 3, out: "" });
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
      err: "infermesh ctl: http://127.0.0.1:PORT/html: the answer is not JSON; is this an infermesh --api port?\n",
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
      err: `infermesh ctl: can't reach http://127.0.0.1:${port}: nobody listens there\n${NOBODY_SAYS}`,
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
