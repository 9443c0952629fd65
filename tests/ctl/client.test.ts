/** Answers that no infermesh gives, or that would harm who reads them. */
import { afterEach, expect, test } from "bun:test";
import { ask } from "../../src/ctl/client.ts";
import { describeNode } from "../../src/ctl/describe-node.ts";
import { listMembers } from "../../src/ctl/members.ts";
import { listNodes } from "../../src/ctl/nodes.ts";
import { renderJsonLine, renderWhole } from "../../src/ctl/render.ts";
import { CtlBed } from "./ctl-bed.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

test.each([[null], [[]], [{ members: 5, nodes: 5 }], [{ members: [null], nodes: [null] }], ["text"]])(
  "%j is refused with words, not with a crash",
  async (body) => {
    const answer = (): Response => Response.json(body);
    const bed = new CtlBed({ "/x/members": answer, "/x/nodes": answer, "/x/members/a": answer });
    ends.push(() => bed.stop());
    for (const command of [listMembers, listNodes]) {
      const { code, out, err } = await bed.run(command, "x");
      expect([code, out]).toEqual([1, ""]);
      expect(err).toEndWith("is this an infermesh --api port?\n");
    }
    const { code } = await bed.run(describeNode, "x", { operand: "a" });
    expect(code).toBe(body !== null && typeof body === "object" && !Array.isArray(body) ? 0 : 1);
  },
);

test("an answer without an end is left at 64 MiB", async () => {
  let sent = 0;
  const piece = new Uint8Array(2 ** 20).fill(0x20);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () =>
      new Response(
        new ReadableStream<Uint8Array>({
          pull(controller) {
            sent += 1;
            if (sent > 200) controller.close();
            else controller.enqueue(piece);
          },
        }),
      ),
  });
  ends.push(() => server.stop(true));
  const answer = await ask(`http://127.0.0.1:${server.port}`, "/members", 20_000);
  expect(answer).toMatchObject({ kind: "unreachable", why: expect.stringContaining("the answer is too long") });
});

test("a connection that is cut is called so", async () => {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (socket) => void socket.end() } });
  ends.push(() => server.stop(true));
  const answer = await ask(`http://127.0.0.1:${server.port}`, "/members", 5000);
  expect(answer).toMatchObject({ why: `http://127.0.0.1:${server.port}: the connection was cut` });
});

test("what would steer a terminal reaches none, and JSON and YAML keep what it was", async () => {
  const evil = "a\u001b[2J\u007f\u009b\u202e\u2066";
  const bed = new CtlBed({
    "/x/members": () => ({ members: [{ id: evil }] }),
    "/y/members": () => Response.json({ error: { message: evil } }, { status: 400 }),
  });
  ends.push(() => bed.stop());
  // eslint-disable-next-line no-control-regex
  const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
  for (const output of ["table", "text", "json", "yaml"] as const) {
    const { out } = await bed.run(listMembers, "x", { output });
    expect(out).toContain("a");
    expect(out).not.toMatch(steering);
  }
  const { err } = await bed.run(listMembers, "y");
  expect(err).toContain("a\\u001b[2J\\u007f\\u009b\\u202e\\u2066 (status 400)");
  expect(JSON.parse(renderJsonLine({ [evil]: evil }))).toEqual({ [evil]: evil });
  expect(JSON.parse(renderWhole("json", { [evil]: evil }))).toEqual({ [evil]: evil });
  expect(Bun.YAML.parse(renderWhole("yaml", { [evil]: evil }))).toEqual({ [evil]: evil });
});

test("this machine's own addresses are asked directly, others by the environment's proxy", async () => {
  const asked: string[] = [];
  const answering = (name: string) => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        asked.push(`${name} ${new URL(request.url).hostname}`);
        return Response.json({});
      },
    });
    ends.push(() => server.stop(true));
    return server.port;
  };
  const [own, proxy] = [answering("own"), answering("proxy")];
  const names = ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] as const;
  const before = names.map((name) => [name, process.env[name]] as const);
  ends.push(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  for (const name of names) delete process.env[name];
  process.env["HTTP_PROXY"] = `http://127.0.0.1:${proxy}`;
  for (const host of ["127.0.0.1", "localhost", "router.example"]) {
    expect((await ask(`http://${host}:${own}`, "/health", 5000)).kind).toBe("answer");
  }
  expect(asked).toEqual(["own 127.0.0.1", "own localhost", "proxy router.example"]);
});
