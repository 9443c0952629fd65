/** Policies obeyed by a worker, with real sockets on both sides. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { Put } from "../../src/policy/write.ts";
import { rewriteSettings } from "../../src/wire/rewrite-settings.ts";
import {
  CLOSE,
  CONTENT,
  Client,
  FLOW,
  SSE_HEAD,
  answer,
  ask,
  by,
  chunk,
  fixtures,
  ok,
  post,
  statusOf,
  until,
} from "./harness.ts";
import type { Script } from "./harness.ts";
import { eventsOf, tracing } from "./trace-bed.ts";

const { upstream, relay } = fixtures();

const tenant = (name: string): string => `x-infermesh-tenant: ${name}\r\n`;
const chat = (headers = "", model = "m", content = "hi"): string =>
  post(JSON.stringify({ model, messages: [{ role: "user", content }] }), headers + CLOSE);
const get = (path: string, headers = ""): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}${CLOSE}\r\n`;
const bodyOf = (text: string): unknown => JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
const acl = (name: string, effect: "allow" | "deny" = "deny"): Put => ({ kind: "acl", name, spec: { effect } });
const quota = (name: string, spec: (Put & { kind: "quota" })["spec"]): Put => ({ kind: "quota", name, spec });

/** An upstream that answers each request when the test says so. */
function held() {
  const waiting: (() => void)[] = [];
  const up = upstream((socket) => waiting.push(() => socket.write(answer("{}"))));
  return { up, waiting };
}

describe("access rules", () => {
  test("refuse with the rule's name and its reason; others pass", async () => {
    const up = upstream(ok);
    const rule = { effect: "deny", reason: "not paid" } as const;
    const relayed = relay([up.port]).obey({ kind: "acl", name: "tenant:acme/m/infer", spec: rule });
    const denied = await ask(relayed.port, chat(tenant("acme")));
    expect(statusOf(denied)).toBe(403);
    expect(bodyOf(denied)).toEqual({
      error: {
        message: expect.stringMatching(/tenant acme .*`m`.*tenant:acme\/m\/infer.*not paid/),
        type: "permission_error",
        param: "model",
        code: "forbidden",
      },
    });
    expect(statusOf(await ask(relayed.port, chat(tenant("other"))))).toBe(200);
    expect(statusOf(await ask(relayed.port, chat()))).toBe(200);
    expect(up.requests).toHaveLength(2);
    expect(relayed.stats.count("denied")).toBe(1);
    relayed.obey();
    expect(relayed.context.enforcement).toBeNull();
    expect(statusOf(await ask(relayed.port, chat(tenant("acme"))))).toBe(200);
  });

  test("know keys by their hashes, whole or by their first digits", async () => {
    const up = upstream(ok);
    const hash = createHash("sha256").update("sk-1").digest("hex");
    const relayed = relay([up.port]);
    for (const name of [hash, hash.slice(0, 16)]) {
      relayed.obey({ kind: "acl", name: `key:${name}/*/*`, spec: { effect: "deny" } });
      for (const header of ["authorization: Bearer sk-1", "Authorization: bearer  sk-1", "x-api-key: sk-1"]) {
        expect(statusOf(await ask(relayed.port, chat(`${header}\r\n`)))).toBe(403);
      }
      expect(statusOf(await ask(relayed.port, chat("authorization: Bearer sk-2\r\n")))).toBe(200);
    }
  });

  test("are asked of every key that is shown", async () => {
    const up = upstream(ok);
    const hash = createHash("sha256").update("sk-1").digest("hex");
    const relayed = relay([up.port]).obey(acl(`key:${hash}/*/*`));
    const bearer = (key: string): string => `authorization: Bearer ${key}\r\n`;
    for (const headers of [
      `${bearer("junk")}x-api-key: sk-1\r\n`,
      `${bearer("sk-1")}x-api-key: junk\r\n`,
      `authorization: Bearer\tsk-1\r\n`,
    ]) {
      expect(statusOf(await ask(relayed.port, chat(headers)))).toBe(403);
    }
    expect(statusOf(await ask(relayed.port, chat(bearer("junk") + bearer("sk-1"))))).toBe(400);
    expect(up.requests).toEqual([]);
    expect(statusOf(await ask(relayed.port, chat(`${bearer("junk")}x-api-key: other\r\n`)))).toBe(200);
  });

  test("know tenants whose names are not ASCII, and none that is called *", async () => {
    const relayed = relay([upstream(ok).port]).obey(acl("tenant:b\u00fcro/m/*"));
    // What the client sends is written as bytes of UTF-8.
    expect(statusOf(await ask(relayed.port, chat(tenant("b\u00fcro"))))).toBe(403);
    expect(statusOf(await ask(relayed.port, chat(tenant("buro"))))).toBe(200);
    expect(statusOf(await ask(relayed.port, chat(tenant("*"))))).toBe(400);
  });

  test("are asked of one tenant, whom the client can neither add to nor take away", async () => {
    const relayed = relay([upstream(ok).port]).obey(acl("tenant:acme/m/*"));
    expect(statusOf(await ask(relayed.port, chat(tenant("other") + tenant("acme"))))).toBe(400);
    expect(statusOf(await ask(relayed.port, chat(`${tenant("acme")}connection: x-infermesh-tenant\r\n`)))).toBe(400);
    expect(statusOf(await ask(relayed.port, chat(`${tenant("other")}connection: x-other\r\n`)))).toBe(200);
  });

  test("tell kinds of work apart", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]).obey(acl("tenant:a/m/embed"), acl("tenant:b/*/admin"), acl("tenant:c/m/infer"));
    const body = JSON.stringify({ model: "m", input: "x" });
    const status = async (who: string, path: string): Promise<number> =>
      statusOf(await ask(relayed.port, post(body, tenant(who) + CLOSE, path)));
    const paths = ["/v1/chat/completions", "/v1/embeddings", "/v1/load_lora_adapter"];
    const asked = await Promise.all(["a", "b", "c"].map((who) => Promise.all(paths.map((path) => status(who, path)))));
    // Management does not pass by default, whoever asks.
    expect(asked.map(([chats, embeddings]) => [chats, embeddings])).toEqual([
      [200, 403],
      [200, 200],
      [403, 200],
    ]);
  });

  test("are asked for the model that an alias leads to, and for the one that stands in", async () => {
    const up = upstream(ok);
    const content = {
      aliases: {
        aliases: [{ alias: "gpt", model: "m" }],
        fallbacks: [{ model: "big", others: ["n", "m"] }],
      },
    };
    const relayed = relay([by("http", up.port), by("http", up.port, "n")], { content });
    relayed.obey(acl("tenant:a/m/*"), acl("tenant:b/n/*"), acl("tenant:c/big/*"));
    const status = async (who: string, model: string): Promise<number> =>
      statusOf(await ask(relayed.port, chat(tenant(who), model)));
    expect(await status("a", "gpt")).toBe(403);
    expect(await status("b", "gpt")).toBe(200);
    // Nobody serves "big": "n" stands in.
    expect(await status("a", "big")).toBe(200);
    expect(await status("b", "big")).toBe(403);
    expect(await status("c", "big")).toBe(403);
  });

  test("keep a model from standing in where its targets are full", async () => {
    const { up, waiting } = held();
    const other = upstream(ok);
    const content = { aliases: { aliases: [], fallbacks: [{ model: "m", others: ["n"] }] } };
    const flow = { queue: { ...FLOW.queue, waitMsMax: 40 } };
    const relayed = relay([by("http", up.port), by("http", other.port, "n")], {
      content,
      flow,
      upstreamConnectionsMax: 1,
    });
    relayed.obey(acl("tenant:a/n/*"));
    const first = ask(relayed.port, chat());
    await until(() => waiting.length === 1);
    expect(statusOf(await ask(relayed.port, chat(tenant("b"))))).toBe(200);
    expect(statusOf(await ask(relayed.port, chat(tenant("a"))))).toBe(429);
    expect(other.requests).toHaveLength(1);
    waiting[0]!();
    expect(statusOf(await first)).toBe(200);
  });

  test("that come while a request waits are asked of it before it is sent", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    const first = ask(relayed.port, chat());
    await until(() => waiting.length === 1);
    const queued = [ask(relayed.port, chat(tenant("acme"))), ask(relayed.port, chat(tenant("other")))];
    await until(() => relayed.context.dispatch.waiting === 2);
    relayed.obey(acl("tenant:acme/m/*"));
    waiting[0]!();
    expect(statusOf(await first)).toBe(200);
    expect(statusOf(await queued[0]!)).toBe(403);
    await until(() => waiting.length === 2);
    waiting[1]!();
    expect(statusOf(await queued[1]!)).toBe(200);
    expect(up.requests.join("")).not.toContain("acme");
    expect(relayed.stats.count("denied")).toBe(1);
    await until(() => relayed.inFlight === 0 && relayed.context.dispatch.waiting === 0);
  });

  test("decide which models are listed", async () => {
    const up = upstream(ok);
    const content = { aliases: { aliases: [{ alias: "gpt", model: "n" }], fallbacks: [] } };
    const relayed = relay([by("http", up.port), by("http", up.port, "n")], { content });
    const ids = async (who: string): Promise<string[]> =>
      (bodyOf(await ask(relayed.port, get("/v1/models", tenant(who)))) as { data: { id: string }[] }).data.map(
        ({ id }) => id,
      );
    expect(await ids("a")).toEqual(["m", "n", "gpt"]);
    relayed.obey(acl("tenant:a/n/*"), acl("tenant:b/m/infer"));
    expect(await ids("a")).toEqual(["m"]);
    expect(await ids("b")).toEqual(["m", "n", "gpt"]);
    expect(bodyOf(await ask(relayed.port, get("/api/tags", tenant("a"))))).toEqual({
      models: [{ name: "m", model: "m" }],
    });
    expect(statusOf(await ask(relayed.port, get("/v1/models/gpt", tenant("a"))))).toBe(403);
    expect(statusOf(await ask(relayed.port, get("/v1/models/gpt", tenant("b"))))).toBe(200);
    expect(statusOf(await ask(relayed.port, get("/v1/models/none", tenant("b"))))).toBe(404);
  });

  test("make a list of who may, once there is an allowance", async () => {
    const relayed = relay([upstream(ok).port]).obey(acl("tenant:a/m/infer", "allow"));
    expect(statusOf(await ask(relayed.port, chat(tenant("a"))))).toBe(200);
    const text = await ask(relayed.port, chat(tenant("b")));
    expect(statusOf(text)).toBe(403);
    expect(text).toContain("who is not allowed may not");
  });
});

test("a span tells which policy did not let a request pass", async () => {
  const { tracer, spans } = tracing();
  const relayed = relay([upstream(ok).port], {}, 1 << 20, tracer);
  relayed.obey(acl("tenant:acme/m/*"), quota("other/m", { requestsPerSecond: 0.1 }));
  await ask(relayed.port, chat(tenant("acme")));
  await ask(relayed.port, chat(tenant("other")));
  await ask(relayed.port, chat(tenant("other")));
  const told = spans().map((span) => [span.error, eventsOf(span)[0], span.eventTexts[0]]);
  expect(told).toEqual([
    ["forbidden", "refused", "acl/tenant:acme/m/*"],
    ["", "picked", "up1"],
    ["over_capacity", "refused", "quota/other/m"],
  ]);
});

describe("quotas", () => {
  test("of requests: told by name, and after how long to come again", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]).obey(
      quota("acme/*", { requestsPerSecond: 0.2 }),
      quota("*/m", { requestsPerSecond: 50 }),
    );
    expect(statusOf(await ask(relayed.port, chat(tenant("acme"))))).toBe(200);
    const text = await ask(relayed.port, chat(tenant("acme")));
    expect(statusOf(text)).toBe(429);
    expect(text).toMatch(/retry-after: [3456]\r\n/);
    expect(bodyOf(text)).toEqual({
      error: {
        message: expect.stringMatching(/the quota acme\/\* is used up; try again in [3456] s/),
        type: "rate_limit_error",
        param: "model",
        code: "over_capacity",
      },
    });
    expect(statusOf(await ask(relayed.port, chat(tenant("other"))))).toBe(200);
    await until(() => relayed.asked.some(([, refused]) => refused.length > 0));
    expect(relayed.asked.flatMap(([, refused]) => refused)).toEqual([["acme/*", 1]]);
    const wanted = new Set(relayed.asked.flatMap(([wants]) => wants.map(({ quota: name }) => name)));
    expect(wanted).toEqual(new Set(["acme/*", "*/m"]));
  });

  test("of tokens: by an estimate first, by what the answer tells in the end", async () => {
    const usage = '{"usage":{"prompt_tokens":40,"completion_tokens":50,"total_tokens":90}}';
    const up = upstream((socket) => socket.write(answer(usage)));
    const relayed = relay([up.port]).obey(quota("*/m", { tokensPerMinute: 100 }));
    expect(statusOf(await ask(relayed.port, chat()))).toBe(200);
    await until(() => relayed.inFlight === 0);
    const used = (): number => relayed.asked.at(-1)?.[0][0]?.used.tokens ?? 0;
    await until(() => used() === 90);
    // Ten are left.
    expect(statusOf(await ask(relayed.port, chat("", "m", "x".repeat(400))))).toBe(429);
    expect(statusOf(await ask(relayed.port, chat()))).toBe(200);
  });

  test("of tokens: what was refused by its target, or answered by none, took none", async () => {
    const up = upstream((socket) => socket.write(answer("{}", "", "400 Bad Request")));
    const relayed = relay([up.port]).obey(quota("*/m", { tokensPerMinute: 30 }));
    for (let i = 0; i < 4; i++) expect(statusOf(await ask(relayed.port, chat()))).toBe(400);
  });

  test("of tokens: what reached no target took none", async () => {
    const gone = upstream(ok);
    gone.stop();
    const relayed = relay([gone.port], { attemptsMax: 1 }).obey(quota("*/m", { tokensPerMinute: 30 }));
    for (let i = 0; i < 4; i++) expect(statusOf(await ask(relayed.port, chat()))).toBe(502);
    await until(() => relayed.asked.length > 0);
  });

  test("of tokens: what came in chunks was as long as it was in the end", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { replayBytes: 100 }).obey(quota("*/m", { tokensPerMinute: 100_000 }));
    const client = await Client.open(relayed.port);
    client.send(`POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n${CLOSE}\r\n`);
    client.send(chunk(`{"model":"m","x":"${"x".repeat(200)}`));
    await until(() => relayed.inFlight > 0);
    client.send(`${chunk(`${"x".repeat(3800)}"}`)}0\r\n\r\n`);
    expect(statusOf(await client.end())).toBe(200);
    const used = (): number => relayed.asked.at(-1)?.[0][0]?.used.tokens ?? 0;
    await until(() => used() >= 1000);
  });

  const ends: readonly (readonly [string, Script, (client: Client) => unknown])[] = [
    ["is answered", (socket) => socket.write(answer("{}")), (client) => client.end()],
    ["is left by its client", () => {}, (client) => client.leave()],
    ["is not begun in time", () => {}, (client) => client.end()],
    ["fails at its target", (socket) => socket.terminate(), (client) => client.end()],
    ["breaks in its stream", (socket) => socket.end(SSE_HEAD + chunk("data: 1\n\n")), (client) => client.end()],
    [
      "is left in its stream",
      (socket) => socket.write(SSE_HEAD + chunk("data: 1\n\n")),
      async (client) => {
        await client.until((text) => text.includes("data: 1"));
        client.leave();
      },
    ],
  ];
  test.each(ends)("of concurrency: given back when a request %s", async (_name, script, leave) => {
    const { up, waiting } = held();
    let isFirst = true;
    const first = upstream((socket, request, nth) =>
      isFirst ? script(socket, request, nth) : socket.write(answer("{}")),
    );
    const config = { attemptsMax: 1, firstByteTimeoutMs: 300 };
    const relayed = relay([first.port, up.port], config).obey(quota("acme/m", { concurrency: 1 }));
    relayed.table.eject(relayed.rows[1]!, 1e9);
    const client = (await Client.open(relayed.port)).send(chat(tenant("acme")));
    await until(() => first.requests.length === 1);
    await leave(client);
    await until(() => relayed.inFlight === 0);
    isFirst = false;
    relayed.table.clearEject(relayed.rows[0]!);
    expect(statusOf(await ask(relayed.port, chat(tenant("acme"))))).toBe(200);
    expect(waiting).toEqual([]);
  });

  test("of tokens and concurrency: an answer from the cache takes none, whether it is there or is waited for", async () => {
    const { up, waiting } = held();
    const cache = { ...CONTENT.cache, enabled: true };
    const relayed = relay([up.port], { content: { cache } });
    relayed.obey(quota("acme/m", { concurrency: 3, tokensPerMinute: 100 }));
    const same = (): string =>
      post(JSON.stringify({ model: "m", temperature: 0, messages: [] }), tenant("acme") + CLOSE);
    const first = [ask(relayed.port, same()), ask(relayed.port, same())];
    await until(() => waiting.length === 1);
    waiting[0]!();
    for (const text of await Promise.all(first)) expect(statusOf(text)).toBe(200);
    for (let i = 0; i < 12; i++) expect(await ask(relayed.port, same())).toContain("x-infermesh-cache: hit");
    expect(up.requests).toHaveLength(1);
  });

  test("of concurrency: held while a request waits for a place, and given back when it waits in vain", async () => {
    const { up, waiting } = held();
    const flow = { queue: { ...FLOW.queue, waitMsMax: 150 } };
    const relayed = relay([up.port], { flow, upstreamConnectionsMax: 1 }).obey(quota("acme/m", { concurrency: 1 }));
    const other = ask(relayed.port, chat());
    await until(() => waiting.length === 1);
    const queued = ask(relayed.port, chat(tenant("acme")));
    await until(() => relayed.context.dispatch.waiting === 1);
    const refused = await ask(relayed.port, chat(tenant("acme")));
    expect(refused).toContain("the quota acme/m is used up");
    expect(await queued).toContain("every target of this model is at its capacity");
    waiting[0]!();
    await other;
    const again = ask(relayed.port, chat(tenant("acme")));
    await until(() => waiting.length === 2);
    waiting[1]!();
    expect(statusOf(await again)).toBe(200);
  });

  test("that are deleted and made anew start from nothing, and what was under way gives nothing back to them", async () => {
    const { up, waiting } = held();
    const one = quota("acme/m", { concurrency: 1 });
    const relayed = relay([up.port]).obey(one);
    const status = async (): Promise<number> => statusOf(await ask(relayed.port, chat(tenant("acme"))));
    const first = status();
    await until(() => waiting.length === 1);
    expect(await status()).toBe(429);
    relayed.obey();
    relayed.obey(one);
    const second = status();
    await until(() => waiting.length === 2);
    waiting[0]!();
    expect(await first).toBe(200);
    expect(await status()).toBe(429);
    waiting[1]!();
    expect(await second).toBe(200);
  });

  test("of the model that stands in are spent, not those of the one that is full", async () => {
    const { up, waiting } = held();
    const other = upstream(ok);
    const content = { aliases: { aliases: [], fallbacks: [{ model: "m", others: ["n"] }] } };
    const flow = { queue: { ...FLOW.queue, waitMsMax: 40 } };
    const config = { content, flow, upstreamConnectionsMax: 1 };
    const relayed = relay([by("http", up.port), by("http", other.port, "n")], config);
    relayed.obey(quota("*/m", { concurrency: 2 }), quota("*/n", { requestsPerSecond: 0.01 }));
    const first = ask(relayed.port, chat());
    await until(() => waiting.length === 1);
    expect(statusOf(await ask(relayed.port, chat()))).toBe(200);
    expect(other.requests).toHaveLength(1);
    // The quota of "n" is spent: the request waits for "m" in vain. That of "m" was given back, or it would say so.
    expect(await ask(relayed.port, chat())).toContain("every target of this model");
    waiting[0]!();
    expect(statusOf(await first)).toBe(200);
  });

  test("stay those of the one that is full where the request can't be written for the one that stands in", async () => {
    const { up, waiting } = held();
    const other = upstream(ok);
    const content = {
      aliases: { aliases: [], fallbacks: [{ model: "m", others: ["n"] }] },
      rewrite: parseSection(rewriteSettings, { rules: [{ models: ["n"], defaults: { temperature: 0 } }] }).value!,
    };
    const flow = { queue: { ...FLOW.queue, waitMsMax: 5000 } };
    const config = { content, flow, upstreamConnectionsMax: 1 };
    const relayed = relay([by("http", up.port), by("http", other.port, "n")], config);
    relayed.obey(quota("*/m", { concurrency: 2 }), quota("*/n", { concurrency: 1 }));
    // What is no JSON has no fields that a rule could set.
    const opaque = (): Promise<string> =>
      ask(relayed.port, post("1,2", `x-infermesh-model: m\r\n${CLOSE}`, "/invocations"));
    const first = opaque();
    await until(() => waiting.length === 1);
    const second = opaque();
    await until(() => relayed.context.dispatch.waiting === 1);
    expect(await opaque()).toContain("the quota */m is used up");
    expect(statusOf(await ask(relayed.port, chat("", "n")))).toBe(200);
    waiting[0]!();
    await until(() => waiting.length === 2);
    expect(up.requests[1]).toEndWith("1,2");
    waiting[1]!();
    expect([statusOf(await first), statusOf(await second)]).toEqual([200, 200]);
    expect(other.requests).toHaveLength(1);
  });
});

describe("priorities and promises", () => {
  test("a policy's priority counts, and a client may only ask for a later one", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    relayed.obey(
      { kind: "priority", name: "gold", spec: { priority: 0 } },
      { kind: "priority", name: "lead", spec: { priority: 3 } },
    );
    const all = [ask(relayed.port, chat("x-a: first\r\n"))];
    await until(() => waiting.length === 1);
    const enqueue = async (name: string, headers: string): Promise<void> => {
      const before = relayed.context.dispatch.waiting;
      all.push(ask(relayed.port, chat(`x-a: ${name}\r\n${headers}`)));
      await until(() => relayed.context.dispatch.waiting === before + 1);
    };
    await enqueue("lead", tenant("lead"));
    await enqueue("raised", `${tenant("lead")}x-infermesh-priority: 0\r\n`);
    await enqueue("nobody", "");
    await enqueue("lowered", `${tenant("gold")}x-infermesh-priority: 2\r\n`);
    await enqueue("gold", tenant("gold"));
    const order: string[] = [];
    for (let i = 0; i < all.length; i++) {
      await until(() => waiting.length === i + 1);
      order.push(/x-a: (\w+)/.exec(up.requests[i]!)![1]!);
      waiting[i]!();
    }
    await Promise.all(all);
    expect(order).toEqual(["first", "gold", "nobody", "lowered", "lead", "raised"]);
  });

  test("a deadline counts where the client gives none", async () => {
    const relayed = relay([upstream(() => {}).port]).obey({
      kind: "slo",
      name: "m",
      spec: { class: "throughput", deadlineMs: 60 },
    });
    const late = await ask(relayed.port, chat());
    expect(statusOf(late)).toBe(504);
    expect(late).toContain("within 60 ms");
    expect(await ask(relayed.port, chat("x-infermesh-timeout: 40ms\r\n"))).toContain("within 40 ms");
  });

  test("the latency class is hedged as if the client had asked for it, unless it asks for the other", async () => {
    const stall = { on: false };
    const slow = upstream((socket) =>
      stall.on ? null : socket.write(SSE_HEAD + chunk("data: slow\n\n") + "0\r\n\r\n"),
    );
    const fast = upstream((socket) => socket.write(SSE_HEAD + chunk("data: fast\n\n") + "0\r\n\r\n"));
    const hedge = { ...FLOW.hedge, share: 0.5, samplesMin: 4, delayMsMin: 30, burst: 10 };
    const relayed = relay([slow.port, fast.port], { flow: { hedge } });
    relayed.obey({ kind: "slo", name: "acme/m", spec: { class: "latency" } });
    for (let i = 0; i < 16; i++) await ask(relayed.port, chat(tenant("acme")));
    stall.on = true;
    for (let i = 0; i < 12 && relayed.stats.hedges() === 0; i++) {
      expect(await ask(relayed.port, chat(tenant("acme")))).toContain("data: fast");
    }
    expect(relayed.stats.hedges()).toBe(1);
    const wishes = `${tenant("acme")}x-infermesh-slo: throughput\r\n`;
    const clients: Client[] = [];
    const before = slow.requests.length;
    for (let i = 0; i < 20 && slow.requests.length === before; i++) {
      const client = await Client.open(relayed.port);
      clients.push(client.send(chat(wishes)));
      await until(() => client.closed || slow.requests.length > before);
    }
    await Bun.sleep(80);
    expect(relayed.stats.hedges()).toBe(1);
    for (const client of clients) client.leave();
  });

  test("a first token that comes later than promised is counted", async () => {
    const up = upstream(async (socket) => {
      await Bun.sleep(30);
      socket.write(answer("{}"));
    });
    const relayed = relay([up.port]).obey({ kind: "slo", name: "*", spec: { class: "throughput", ttftMs: 10 } });
    await ask(relayed.port, chat());
    expect(relayed.stats.count("lateFirstTokens")).toBe(1);
  });
});

describe("balance and pins", () => {
  test("round-robin gives targets their turns, by weight", async () => {
    const ups = [upstream(ok), upstream(ok)] as const;
    const relayed = relay(ups.map(({ port }) => port));
    relayed.obey({ kind: "balance", name: "*", spec: { strategy: "round-robin" } });
    for (let i = 0; i < 10; i++) await ask(relayed.port, chat());
    expect(ups.map(({ requests }) => requests.length)).toEqual([5, 5]);
    relayed.context.routes.target(relayed.rows[1]!)!.weight = 4;
    for (let i = 0; i < 20; i++) await ask(relayed.port, chat());
    const [first, second] = ups.map(({ requests }) => requests.length);
    expect(Math.abs(first! - 9)).toBeLessThan(2);
    expect(first! + second!).toBe(30);
  });

  test("a pin that leaves nobody is named, also where nobody serves the model any more", async () => {
    const relayed = relay([upstream(ok).port, by("grpc", 9, "other")]).obey(
      { kind: "pin", name: "m", spec: { nodes: ["gpu-1", "gpu-2"] } },
      { kind: "pin", name: "gone", spec: { selector: { gpu: "h100", zone: "a" } } },
      { kind: "pin", name: "free", spec: { maxReplicas: 2 } },
    );
    const row = relayed.rows[0]!;
    const { COLUMN, rowWord } = await import("../../src/score/layout.ts");
    relayed.table.floats[relayed.table.blocksWord + rowWord(row) + COLUMN.capacity] = 0;
    const text = await ask(relayed.port, chat());
    expect(statusOf(text)).toBe(503);
    expect(text).toContain("the policy pin/m allows only gpu-1, gpu-2");
    const gone = await ask(relayed.port, chat("", "gone"));
    expect(statusOf(gone)).toBe(503);
    expect(gone).toContain("the policy pin/gone allows only nodes labelled gpu=h100, zone=a");
    expect(statusOf(await ask(relayed.port, chat("", "free")))).toBe(404);
  });
});
