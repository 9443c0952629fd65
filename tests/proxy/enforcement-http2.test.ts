/** Policies obeyed by a worker whose clients speak HTTP/2: calls of gRPC, and everything else. */
import { describe, expect, test } from "bun:test";
import type { Put } from "../../src/policy/write.ts";
import { by, CHAT, FLOW, ok, until } from "./harness.ts";
import { type Call, echo, encoded, type Fields, framed, grpcFixtures, GRPC_HEAD, proto, UNARY } from "./http2-bed.ts";

const { relay, upstream, target, client, bed } = grpcFixtures();

const STREAM = "/inference.GRPCInferenceService/ModelStreamInfer";
const LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad";
const acl = (name: string, effect: "allow" | "deny" = "deny"): Put => ({ kind: "acl", name, spec: { effect } });
const quota = (name: string, spec: (Put & { kind: "quota" })["spec"]): Put => ({ kind: "quota", name, spec });
const message = (model: string): Buffer => framed(proto({ 1: model, 3: "x" }));
const acme: Fields = { "x-infermesh-tenant": "acme" };

describe("a call of gRPC", () => {
  test("is refused by an access rule, by tenant and by key, and by what it asks for", async () => {
    const { up, router, client: one } = await bed(echo);
    router.obey(acl("tenant:acme/m/infer"), acl("key:0f2c10bf3d128c71/*/*"), acl("tenant:other/*/admin"));
    const call = await one.call().send(message("m"), true).over();
    expect(call.status).toBe(0);
    const denied = await one.call(UNARY, acme).send(message("m"), true).over();
    expect(denied.status).toBe(7);
    expect(decodeURIComponent(denied.head["grpc-message"] ?? "")).toMatch(
      /tenant acme may not use .*tenant:acme\/m\/infer/,
    );
    const other = { "x-infermesh-tenant": "other" };
    expect((await one.call(UNARY, other).send(message("m"), true).over()).status).toBe(0);
    expect(
      (
        await one
          .call(LOAD, other)
          .send(framed(proto({ 2: "m" })), true)
          .over()
      ).status,
    ).toBe(7);
    expect((await one.call(UNARY, { authorization: "Bearer sk-1" }).send(message("m"), true).over()).status).toBe(7);
    expect(up.calls).toHaveLength(2);
    expect([...router.stats.requests(0)]).toEqual([
      ["200", 2],
      ["403", 3],
    ]);
  });

  test("is one tenant's", async () => {
    const { client: one } = await bed(echo);
    const head: Fields = { ":method": "POST", ":scheme": "http", ":path": UNARY, ":authority": "test", te: "trailers" };
    const twice = [head, { "content-type": "application/grpc" }, acme, { "x-infermesh-tenant": "other" }];
    const call = one.requestBytes(Buffer.concat(twice.map(encoded))).send(message("m"), true);
    expect((await call.over()).status).toBe(3);
  });

  test("must not name one model in its metadata and another in its message", async () => {
    const up = target(echo);
    const router = relay([by("grpc", up.port), by("grpc", up.port, "n")]).obey(
      acl("tenant:acme/n/*"),
      acl("*/hidden/*"),
    );
    const one = await client(router.port);
    const status = async (metadata: string, name: string, flag = 0): Promise<number | null> => {
      const bytes = flag === 0 ? message(name) : framed(proto({ 1: name }), flag);
      return (
        await one
          .call(UNARY, { ...acme, "x-infermesh-model": metadata })
          .send(bytes, true)
          .over()
      ).status;
    };
    expect(await status("m", "m")).toBe(0);
    expect(await status("m", "n")).toBe(3);
    expect(await status("m", "hidden")).toBe(7);
    expect(await status("m", "unheard-of")).toBe(0);
    expect(await status("m", "n", 1)).toBe(12);
    expect(up.calls).toHaveLength(2);
    // The message may come in pieces, and its name late.
    const call = one.call(UNARY, { ...acme, "x-infermesh-model": "m" });
    const bytes = message("n");
    for (let at = 0; at < bytes.length; at++) {
      call.send(bytes.subarray(at, at + 1), at === bytes.length - 1);
      await Bun.sleep(0);
    }
    expect((await call.over()).status).toBe(3);
    router.obey(quota("*/n", { concurrency: 1 }));
    expect(await status("m", "n", 1)).toBe(0);
    router.obey();
    expect(await status("m", "n")).toBe(0);
  });

  test("must not name another model in a later message than in its first", async () => {
    const up = target((call) => void call.stream);
    const router = relay([by("grpc", up.port), by("grpc", up.port, "n")]);
    const one = await client(router.port);
    const begun = async (metadata: Fields, first: Buffer): Promise<Call> => {
      const before = up.calls.length;
      const call = one.call(STREAM, { ...acme, ...metadata }).send(first);
      await until(() => up.calls.length === before + 1);
      return call;
    };
    const held = (): string => up.calls.at(-1)!.text;
    // Without policies it is nobody's business.
    const free = await begun({}, message("m"));
    free.send(message("n"));
    await until(() => held().includes("n"));
    free.reset();
    router.obey(acl("tenant:acme/n/*"), acl("*/hidden/*"));
    for (const metadata of [{}, { "x-infermesh-model": "m" }] as Fields[]) {
      for (const [later, status] of [
        [message("n"), 3],
        [message("hidden"), 7],
        [message("unheard-of"), 5],
        [Buffer.concat([message("m"), framed(""), message("n")]), 3],
        [framed(proto({ 1: "m" }), 1), 12],
        [framed("\x07\x07"), 3],
      ] as const) {
        const call = await begun(metadata, message("m"));
        call.send(message("m"));
        call.send(later, true);
        expect((await call.over()).status).toBe(status);
        expect(held()).not.toContain("n");
        expect(held()).not.toContain("hidden");
      }
      // In pieces, each of them a frame: its target never has the whole of it.
      const call = await begun(metadata, message("m"));
      const bytes = message("n");
      for (let at = 0; at < bytes.length; at++) {
        call.send(bytes.subarray(at, at + 1), at === bytes.length - 1);
        await Bun.sleep(0);
      }
      expect((await call.over()).status).toBe(3);
      expect(held().length).toBeLessThan(message("m").length + bytes.length);
    }
  });

  test("is refused where it is compressed and access rules are in force, whoever names its model", async () => {
    const { up, router, client: one } = await bed(echo);
    const ask = (): Call => one.call(UNARY, acme).send(framed(proto({ 1: "m" }), 1), true);
    expect((await ask().over()).status).toBe(0);
    router.obey(acl("tenant:acme/n/*"));
    expect((await ask().over()).status).toBe(12);
    expect(up.calls).toHaveLength(1);
  });

  test("is refused by a quota with the time after which to come again, and gives back what it held", async () => {
    const calls: Call[] = [];
    const { router, client: one } = await bed((call) => void calls.push(call));
    router.obey(quota("acme/m", { concurrency: 1 }));
    const ask = (): Call => one.call(UNARY, acme).send(message("m"), true);
    const first = ask();
    await until(() => calls.length === 1);
    const refused = await ask().over();
    expect(refused.status).toBe(8);
    expect(refused.head["grpc-retry-pushback-ms"]).toBe("1000");
    expect(decodeURIComponent(refused.head["grpc-message"] ?? "")).toContain("the quota acme/m is used up");
    calls[0]!.answer("yes");
    expect((await first.over()).status).toBe(0);
    // Left by its client, then broken by its target.
    const second = ask();
    await until(() => calls.length === 2);
    second.reset();
    await until(() => router.inFlight === 0);
    const third = ask();
    await until(() => calls.length === 3);
    calls[2]!.respond(GRPC_HEAD).reset(2);
    await third.over();
    await until(() => router.inFlight === 0);
    const last = ask();
    await until(() => calls.length === 4);
    calls[3]!.answer("yes");
    expect((await last.over()).status).toBe(0);
  });

  test("takes no tokens where no target was reached", async () => {
    const gone = upstream(ok);
    gone.stop();
    const router = relay([by("grpc", gone.port)], { attemptsMax: 1 }).obey(quota("*/m", { tokensPerMinute: 8 }));
    const one = await client(router.port);
    for (let i = 0; i < 4; i++) expect((await one.call(UNARY).send(message("m"), true).over()).status).toBe(14);
  });

  test("takes no tokens where its target refused it", async () => {
    const refusal = { ...GRPC_HEAD, "grpc-status": "3" };
    const { router, client: one } = await bed((call) => void call.respond(refusal, true));
    router.obey(quota("*/m", { tokensPerMinute: 8 }));
    for (let i = 0; i < 4; i++) expect((await one.call(UNARY).send(message("m"), true).over()).status).toBe(3);
  });

  test("that asks for health hears of no model that it may not use", async () => {
    const { router, client: one } = await bed(echo);
    router.obey(acl("tenant:acme/m/*"));
    const asked = framed(proto({ 1: "m" }));
    for (const method of ["Check", "Watch"]) {
      const path = `/grpc.health.v1.Health/${method}`;
      expect((await one.call(path, acme).send(asked, true).over()).status).toBe(7);
      const other = one.call(path).send(asked, true);
      await until(() => other.messages.length === 1);
      expect(other.messages).toEqual(["\x08\x01"]);
      other.reset();
      const whole = one.call(path, acme).send(framed(""), true);
      await until(() => whole.messages.length === 1);
      whole.reset();
    }
  });

  test("takes tokens for all of its messages", async () => {
    const { router, client: one } = await bed(echo);
    router.obey(quota("*/m", { tokensPerMinute: 100_000 }));
    const long = framed(proto({ 1: "m", 3: "x".repeat(100) }));
    const call = one.call(STREAM, acme);
    for (let i = 0; i < 40; i++) call.send(long, i === 39);
    expect((await call.over()).status).toBe(0);
    await until(() => (router.asked.at(-1)?.[0][0]?.used.tokens ?? 0) >= 1000);
  });

  test("has the deadline of its promise, and waits by its priority", async () => {
    const calls: Call[] = [];
    const { router, client: one } = await bed((call) => void calls.push(call), {
      flow: { queue: { ...FLOW.queue, waitMsMax: 5000 } },
    });
    router.obey(
      { kind: "slo", name: "acme/m", spec: { class: "throughput", deadlineMs: 60 } },
      { kind: "priority", name: "acme", spec: { priority: 0 } },
    );
    const late = await one.call(UNARY, acme).send(message("m"), true).over();
    expect(late.status).toBe(4);
    expect(calls[0]!.head["grpc-timeout"]).toMatch(/^\d+u$/);
  });

  test("is asked by the access rules again after it waited", async () => {
    const calls: Call[] = [];
    const { router, client: one } = await bed((call) => void calls.push(call), {
      flow: { queue: { ...FLOW.queue, waitMsMax: 5000 } },
    });
    const { table, rows, context } = router;
    while (table.tryBegin(0, rows[0]!, 1));
    const waits = one.call(UNARY, acme).send(message("m"), true);
    await until(() => context.dispatch.waiting === 1);
    router.obey(acl("tenant:acme/m/*"));
    expect((await waits.over()).status).toBe(7);
    expect([calls.length, context.dispatch.waiting]).toEqual([0, 0]);
  });

  test("is told which pin leaves nobody to serve it", async () => {
    const { client: one, router } = await bed(echo);
    router.obey({ kind: "pin", name: "gone", spec: { nodes: ["gpu-9"] } });
    const call = await one.call(UNARY).send(message("gone"), true).over();
    expect(call.status).toBe(14);
    expect(decodeURIComponent(call.head["grpc-message"] ?? "")).toContain("the policy pin/gone allows only gpu-9");
  });
});

test("what is no gRPC goes by the same rules as over HTTP/1.1", async () => {
  const router = relay([upstream(ok).port]).obey(acl("tenant:acme/m/*"), quota("*/m", { requestsPerSecond: 0.1 }));
  const one = await client(router.port);
  const ask = (extra: Fields): Promise<Call> =>
    one
      .request({
        ":method": "POST",
        ":scheme": "http",
        ":path": "/v1/chat/completions",
        ":authority": "test",
        "content-type": "application/json",
        ...extra,
      })
      .send(Buffer.from(CHAT), true)
      .over();
  const denied = await ask(acme);
  expect([denied.head[":status"], denied.text]).toEqual(["403", expect.stringContaining("permission_error")]);
  expect((await ask({})).head[":status"]).toBe("200");
  const over = await ask({});
  expect(over.head[":status"]).toBe("429");
  expect(Number(over.head["retry-after"])).toBeGreaterThan(5);
});
