/** What targets are told of clients. */
import { describe, expect, test } from "bun:test";
import { Wishes } from "../../src/proxy/wishes.ts";
import type { ForwardedConfig } from "../../src/wire/forwarded.ts";
import { CHAT, CLOSE, CONTENT, Client, ask, fixtures, ok, post, statusOf } from "./harness.ts";
import { grpcFixtures, whenWhole } from "./http2-bed.ts";

const { upstream, relay } = fixtures();
const grpc = grpcFixtures();
const CLAIM =
  "x-forwarded-for: 9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\nforwarded: for=9.9.9.9\r\nx-forwarded-proto: https\r\n";

async function told(forwarded: Partial<ForwardedConfig>, request = post(CHAT, CLAIM + CLOSE)): Promise<string[]> {
  const up = upstream(ok);
  const relayed = relay([up.port], { content: { forwarded: { ...CONTENT.forwarded, ...forwarded } } });
  expect(statusOf(await ask(relayed.port, request))).toBe(200);
  const [head = ""] = up.requests[0]!.split("\r\n\r\n");
  return head.split("\r\n").filter((line) => /^(x-)?(forwarded|real)/i.test(line));
}

describe("a target is told", () => {
  const claim = CLAIM.trim().split("\r\n");
  const ours = "x-forwarded-for: 127.0.0.1";

  test.each<[Partial<ForwardedConfig>, string[]]>([
    [{}, [...claim, ours]],
    [{ form: "none" }, claim],
    [{ trust: "replace" }, [ours]],
    [{ trust: "replace", form: "none" }, []],
    [{ trust: "replace", form: "x-forwarded" }, [ours, "x-forwarded-proto: http", "x-forwarded-host: x"]],
    [{ form: "x-forwarded" }, [...claim, ours, "x-forwarded-host: x"]],
    [{ trust: "replace", form: "forwarded" }, ["forwarded: for=127.0.0.1;host=x;proto=http"]],
  ])("by %j", async (forwarded, lines) => {
    expect(await told(forwarded)).toEqual(lines);
  });

  test("the host of an absolute target", async () => {
    const absolute = post(CHAT, CLOSE, "http://API.example:80/v1/chat/completions");
    expect(await told({ trust: "replace", form: "forwarded" }, absolute)).toEqual([
      'forwarded: for=127.0.0.1;host="API.example:80";proto=http',
    ]);
  });

  test("a long host, and of each request on one connection its own", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { content: { forwarded: { trust: "replace", form: "both" } } });
    const hosts = ["a", "b".repeat(4000), "c"];
    const client = await Client.open(relayed.port);
    client.send(hosts.map((host, i) => post(CHAT, i === 2 ? CLOSE : "").replace("host: x", `host: ${host}`)).join(""));
    await client.end();
    hosts.forEach((host, i) => expect(up.requests[i]).toContain(`\r\nx-forwarded-host: ${host}\r\n`));
  });
});

describe("a target of gRPC is told", () => {
  // Of two fields of one name the target of these tests sees the last one.
  const claim = { "x-forwarded-for": "9.9.9.9", "x-real-ip": "9.9.9.9" };
  const proto = { "x-forwarded-proto": "http", "x-forwarded-host": "test" };

  test.each<[Partial<ForwardedConfig>, Record<string, string>]>([
    [{}, { ...claim, "x-forwarded-for": "127.0.0.1" }],
    [{ form: "none" }, claim],
    [{ trust: "replace" }, { "x-forwarded-for": "127.0.0.1" }],
    [{ trust: "replace", form: "none" }, {}],
    [
      { trust: "replace", form: "x-forwarded" },
      { "x-forwarded-for": "127.0.0.1", ...proto },
    ],
    [{ form: "x-forwarded" }, { ...claim, "x-forwarded-for": "127.0.0.1", ...proto }],
    [{ trust: "replace", form: "forwarded" }, { forwarded: "for=127.0.0.1;host=test;proto=http" }],
  ])("by %j", async (forwarded, fields) => {
    const content = { forwarded: { ...CONTENT.forwarded, ...forwarded } };
    const { up, client } = await grpc.bed((call) => whenWhole(call, () => call.answer("yes")), { content });
    // A head that comes again is written by another way.
    for (let i = 0; i < 4; i++) {
      expect((await client.unary("hello", claim)).status).toBe(0);
      const heard = Object.entries(up.calls[i]!.head).filter(([name]) => /^(x-)?(forwarded|real)/.test(name));
      expect(Object.fromEntries(heard)).toEqual(fields);
    }
  });
});

test("a client without a credential is known by its address, whatever targets are told", () => {
  const head = Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const wishes = new Wishes();
  expect(wishes.tenant(head, head.length, "10.0.0.1")).toBe("10.0.0.1");
  const named = Buffer.from("GET / HTTP/1.1\r\nauthorization: Bearer a\r\n\r\n");
  expect(wishes.tenant(named, named.length, "10.0.0.1")).toBe("Bearer a");
});
