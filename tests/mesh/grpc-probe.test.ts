/** Signs of life of gRPC targets, asked of servers that speak HTTP/2 by the project's own core. */
import { describe, expect, test } from "bun:test";
import { Poller } from "../../src/mesh/poller.ts";
import { until } from "../proxy/harness.ts";
import { type Call, framed, GRPC_HEAD, http2Fixtures, whenWhole } from "../proxy/http2-bed.ts";

const { target } = http2Fixtures();

function poll(port: number, timeoutMs = 2000, tls = false): ReturnType<Poller["poll"]> {
  const poller = new Poller({ timeoutMs });
  return poller.poll({ id: "a", host: "127.0.0.1", port, tls, protocol: "grpc", kind: "health", models: ["m"] });
}

const health =
  (status: number) =>
  (call: Call): void =>
    whenWhole(call, () => call.answer(String.fromCharCode(8, status)));

/** [what, what the server does, what is wrong] */
const SERVERS: readonly (readonly [string, (call: Call) => void, RegExp | null])[] = [
  ["one that is serving", health(1), null],
  ["one that is not", health(2), /not serving/],
  [
    "one that does not know the service",
    (call) => void call.respond({ ...GRPC_HEAD, "grpc-status": "12" }, true),
    null,
  ],
  ...(
    [
      [16, "one that wants a key"],
      [7, "one that takes another key"],
      [3, "one that finds fault with the request"],
    ] as const
  ).map(
    ([status, what]) =>
      [what, (call: Call) => void call.respond({ ...GRPC_HEAD, "grpc-status": String(status) }, true), null] as const,
  ),
  [
    "one that wants a key, and says so behind its head",
    (call) => void call.respond(GRPC_HEAD).respond({ "grpc-status": "16" }, true),
    null,
  ],
  ["one that wants a key by HTTP's own status", (call) => void call.respond({ ":status": "401" }, true), null],
  [
    "a proxy whose server is gone, and says so by gRPC",
    (call) => void call.respond({ ...GRPC_HEAD, "grpc-status": "14" }, true),
    /answered UNAVAILABLE/,
  ],
  [
    "one that is unavailable behind its head",
    (call) => void call.respond(GRPC_HEAD).respond({ "grpc-status": "14" }, true),
    /answered UNAVAILABLE/,
  ],
  [
    "one whose health has no message",
    (call) => void call.respond(GRPC_HEAD).respond({ "grpc-status": "0" }, true),
    null,
  ],
  ["one that ends without trailers", (call) => void call.respond(GRPC_HEAD).send(framed("\x08\x01"), true), null],
  ["a proxy whose server is gone", (call) => void call.respond({ ":status": "503" }, true), /answered 503/],
  ["one that resets the stream", (call) => void call.reset(7), /reset the stream \(7\)/],
  ["one that cuts the connection", (call) => call.end.cut(), /closed the connection/],
];

describe("a sign of life", () => {
  for (const [what, script, wrong] of SERVERS) {
    test(what, async () => {
      const server = target(script);
      const result = await poll(server.port);
      if (wrong === null) expect(result).toEqual({ ok: true, sample: null, rttMs: expect.any(Number) });
      else expect(result).toEqual({ ok: false, error: expect.stringMatching(wrong) });
      expect(server.calls[0]?.head[":path"]).toBe("/grpc.health.v1.Health/Check");
    });
  }

  test("of one that never answers, and of nobody", async () => {
    const silent = target(() => {});
    expect(await poll(silent.port, 50)).toEqual({ ok: false, error: expect.stringMatching(/no answer/) });
    const gone = target(() => {});
    gone.stop();
    expect((await poll(gone.port)).ok).toBe(false);
  });

  test("of one that accepts, and then is silent: nothing of the attempt is left", async () => {
    let closed = 0;
    const silent = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data() {}, close: () => void closed++ },
    });
    for (const isTls of [true, false]) expect((await poll(silent.port, 50, isTls)).ok).toBe(false);
    await until(() => closed === 2);
    silent.stop(true);
  });

  test("of a server that speaks HTTP/1.1", async () => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hi") });
    expect((await poll(server.port!)).ok).toBe(false);
    await server.stop(true);
  });
});
