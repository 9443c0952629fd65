/** leave: against nodes that end, linger, come back, or take no leave. */
import { afterEach, expect, test } from "bun:test";
import { leaveMesh } from "../../src/ctl/leave.ts";
import { NOBODY_SAYS } from "./ctl-bed.ts";

const servers: ReturnType<typeof Bun.serve>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

/** A node that takes leave by `onLeave`, which may change the status of its health, or end it. */
function fakeNode(onLeave: (node: { status: string; end(): void }) => void): string {
  const node = { status: "ok", end: () => void server.stop(true) };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/members") return Response.json({ members: [{ id: "gpu-1", role: "agent" }, { id: "b" }] });
      if (pathname === "/health") {
        return Response.json({ status: node.status }, { status: node.status === "draining" ? 503 : 200 });
      }
      if (pathname !== "/leave" || request.method !== "POST") {
        return Response.json({ error: { message: "no such path" } }, { status: 404 });
      }
      node.status = "draining";
      onLeave(node);
      return Response.json({ status: "draining" }, { status: 202 });
    },
  });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

async function leave(endpoint: string, timeoutMs = 5000) {
  let [out, err] = ["", ""];
  const terminal = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    color: false,
  };
  const code = await leaveMesh({ endpoint, timeoutMs }, terminal);
  return { code, out, err };
}

test("waits until the process has ended, and says so", async () => {
  const endpoint = fakeNode((node) => setTimeout(() => node.end(), 150));
  const { code, out, err } = await leave(endpoint);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^agent gpu-1 at http:\S+ has left the mesh and ended, after \d+\.\d s\n$/);
});

test("says of one that outlasts the wait what it does", async () => {
  const { code, out, err } = await leave(
    fakeNode(() => {}),
    300,
  );
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain("has taken leave, and is still there after 300ms: it is finishing what it has in flight\n");
});

test("notices one that a supervisor starts anew", async () => {
  const { code, err } = await leave(fakeNode((node) => setTimeout(() => (node.status = "ok"), 100)));
  expect(code).toBe(1);
  expect(err).toContain("a supervisor has started it anew");
});

test("tells who is none, who takes no leave, and who is not there", async () => {
  const plain = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) =>
      new URL(url).pathname === "/members"
        ? Response.json({ members: [{ id: "a" }] })
        : Response.json({}, { status: 404 }),
  });
  servers.push(plain);
  const refused = await leave(`http://127.0.0.1:${plain.port}`);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("only --api ports take leave, not --metrics ports");
  expect(await leave("http://127.0.0.1:1")).toEqual({
    code: 3,
    out: "",
    err: `infermesh ctl: can't reach http://127.0.0.1:1: nobody listens there\n${NOBODY_SAYS}`,
  });
});

test.each([[null], [[]], [{ members: 5 }], [{ members: [null] }], [{ members: [] }], [{ members: [{ id: 5 }] }]])(
  "asks nobody to leave who answers %j for its members",
  async (body) => {
    const asked: string[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch({ url }) {
        asked.push(new URL(url).pathname);
        return Response.json(body);
      },
    });
    servers.push(server);
    const { code, err } = await leave(`http://127.0.0.1:${server.port}`);
    expect([code, asked]).toEqual([1, ["/members"]]);
    expect(err).toContain("is this an infermesh --api port?");
  },
);
