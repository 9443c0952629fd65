/** The router's keys for targets in place of clients': over HTTP, with another protocol behind it, and over gRPC. */
import { afterAll, describe, expect, test } from "bun:test";
import type { UpstreamKey } from "../../src/wire/upstream-keys.ts";
import { CHAT, CLOSE, ask, fixtures, ok, post, statusOf, useTransport } from "./harness.ts";
import { grpcFixtures, whenWhole } from "./http2-bed.ts";

const { upstream, relay } = fixtures();
const grpc = grpcFixtures();
afterAll(() => useTransport("epoll"));

const KEY: UpstreamKey = { model: "m", header: "authorization", value: "Bearer runtime" };
const CLIENT = "Authorization: Bearer client\r\nX-API-Key: client\r\nx-kept: yes\r\n";

async function shown(keys: readonly UpstreamKey[], headers = CLIENT, request = post(CHAT, headers + CLOSE)) {
  const up = upstream(ok);
  const relayed = relay([up.port], { content: { upstreamKeys: keys } });
  expect(statusOf(await ask(relayed.port, request))).toBe(200);
  const [head = ""] = up.requests[0]!.split("\r\n\r\n");
  return head.split("\r\n").filter((line) => /^(authorization|x-api-key|x-kept)/i.test(line));
}

describe.each(["epoll", "bun"] as const)("a target, by %s,", (kind) => {
  test("is shown its own key, and none of the client's", async () => {
    useTransport(kind);
    expect(await shown([KEY])).toEqual(["x-kept: yes", "authorization: Bearer runtime"]);
    expect(await shown([{ ...KEY, header: "x-api-key", value: "k" }])).toEqual(["x-kept: yes", "x-api-key: k"]);
    expect(await shown([KEY], "")).toEqual(["authorization: Bearer runtime"]);
  });

  test("of a model without a key is shown the client's", async () => {
    useTransport(kind);
    const own = ["Authorization: Bearer client", "X-API-Key: client", "x-kept: yes"];
    expect(await shown([{ ...KEY, model: "other" }])).toEqual(own);
    expect(await shown([])).toEqual(own);
  });

  test("that is asked for another protocol too", async () => {
    useTransport(kind);
    const ask1 = `GET /v1/realtime?model=m HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n`;
    const wish = `sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${CLIENT}\r\n`;
    expect(await shown([KEY], "", ask1 + wish)).toEqual(["x-kept: yes", "authorization: Bearer runtime"]);
  });
});

describe("a target of gRPC", () => {
  const call = async (keys: readonly UpstreamKey[], metadata: Record<string, string>) => {
    const content = { upstreamKeys: keys };
    const { up, client } = await grpc.bed((asked) => whenWhole(asked, () => asked.answer("yes")), { content });
    // A head that comes again is written by another way.
    for (let i = 0; i < 4; i++) expect((await client.unary("hello", metadata)).status).toBe(0);
    const heads = up.calls.map(({ head }) =>
      Object.entries(head).filter(([name]) => /^(authorization|x-api-key|x-kept)$/.test(name)),
    );
    for (const head of heads) expect(head).toEqual(heads[0]!);
    return Object.fromEntries(heads[0]!);
  };
  const client = { authorization: "Bearer client", "x-api-key": "client", "x-kept": "yes" };
  const every = { ...KEY, model: "" };

  test("is shown its own key, and none of the client's", async () => {
    expect(await call([every], client)).toEqual({ "x-kept": "yes", authorization: "Bearer runtime" });
    expect(await call([every], { "x-kept": "yes" })).toEqual({ "x-kept": "yes", authorization: "Bearer runtime" });
    expect(await call([], client)).toEqual(client);
    expect(await call([{ ...KEY, model: "nobody's" }], client)).toEqual(client);
  });

  test("has room for a key of the longest kind", async () => {
    const value = `Bearer ${"k".repeat(8000)}`;
    expect(await call([{ ...every, value }], client)).toEqual({ "x-kept": "yes", authorization: value });
  });
});
