/** Names, rules and models that stand in for others, with real sockets on both sides. */
import { afterAll, describe, expect, test } from "bun:test";
import { formatFault } from "../../src/base/field.ts";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { Infer, Section } from "../../src/base/settings.ts";
import { aliasSettings } from "../../src/flow/aliases.ts";
import { Content } from "../../src/proxy/content.ts";
import { rewriteSettings } from "../../src/wire/rewrite-settings.ts";
import { securitySettings } from "../../src/wire/security-headers.ts";
import {
  CLOSE,
  CONTENT,
  Client,
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
  useTransport,
} from "./harness.ts";
import type { Upstream } from "./harness.ts";

const { upstream, relay } = fixtures();
afterAll(() => useTransport("epoll"));

function read<S extends Section>(settings: S, tree: object): Infer<S> {
  const { value, faults } = parseSection(settings, tree);
  if (value === undefined) throw new Error(faults?.map(formatFault).join("\n"));
  return value;
}

const aliased = (aliases: string[], fallbacks: string[] = []) => ({
  aliases: read(aliasSettings, { aliases, fallbacks }),
});
const ruled = (...rules: object[]) => ({ rewrite: read(rewriteSettings, { rules }) });
const chat = (model: string, more: object = {}): string => JSON.stringify({ ...more, model, messages: [] });
const bodyOf = (request: string): string => request.slice(request.indexOf("\r\n\r\n") + 4);
const headOf = (request: string): string => request.slice(0, request.indexOf("\r\n\r\n"));
const chunked = (body: string, headers = "", path = "/v1/chat/completions"): string => {
  const half = body.length >> 1;
  return `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n${headers}\r\n${chunk(body.slice(0, half))}${chunk(body.slice(half))}0\r\nx-trailer: t\r\n\r\n`;
};

describe.each(["epoll", "bun"] as const)("a request for an alias, by %s", (kind) => {
  test("reaches the model under its own name", async () => {
    useTransport(kind);
    const up = upstream(ok);
    const relayed = relay([up.port], { content: aliased(["gpt=m"]) });
    const text = await ask(relayed.port, post(chat("gpt", { temperature: 0.5 }), CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(text).toContain("x-infermesh-model: m\r\n");
    expect(text).toContain("x-infermesh-node: up1\r\n");
    expect(bodyOf(up.requests[0]!)).toBe('{"temperature":0.5,"model":"m","messages":[]}');
    expect(headOf(up.requests[0]!)).toContain(`content-length: ${bodyOf(up.requests[0]!).length}`);
    expect(headOf(up.requests[0]!).match(/content-length/g)).toHaveLength(1);
    const own = await ask(relayed.port, post(chat("m"), CLOSE));
    expect(own).not.toContain("x-infermesh-model");
    expect(relayed.context.heldBytes).toBe(0);
  });
});

describe("a request for an alias", () => {
  test("without the length of its body goes on with one, without chunks and trailers", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { content: aliased(["gpt=m"]) });
    await ask(relayed.port, chunked(chat("gpt"), `${CLOSE}content-digest: sha-256=:x:\r\n`));
    expect(bodyOf(up.requests[0]!)).toBe(chat("m"));
    expect(headOf(up.requests[0]!)).not.toMatch(/transfer-encoding|content-digest|trailer/);
  });

  test("byte by byte, and pipelined", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { content: aliased(["gpt=m"]) });
    const client = await Client.open(relayed.port);
    for (const byte of Buffer.from(post(chat("gpt")) + post(chat("m")) + chunked(chat("gpt"), CLOSE))) {
      client.send(Buffer.of(byte));
      if (byte === 10) await Bun.sleep(0);
    }
    await client.end();
    expect(up.requests.map(bodyOf)).toEqual([chat("m"), chat("m"), chat("m")]);
    expect(client.text.match(/x-infermesh-model: m/g)).toHaveLength(2);
  });

  test("is held whole, and refused when that is too much", async () => {
    const up = upstream(ok);
    const content = aliased(["gpt=m"]);
    const relayed = relay([up.port], { content, replayBytes: 1024, bufferBytesMax: 60_000 });
    const body = (length: number): string => chat("gpt", { user: "u".repeat(length) });
    expect(statusOf(await ask(relayed.port, post(body(5000), CLOSE)))).toBe(200);
    expect(bodyOf(up.requests[0]!)).toBe(body(5000).replace('"gpt"', '"m"'));
    expect(statusOf(await ask(relayed.port, post(body(50_000), CLOSE)))).toBe(429);
    // There is room for it as it came, and none for it as it would go.
    expect(statusOf(await ask(relayed.port, post(body(32_200), CLOSE)))).toBe(429);
    const small = relay([up.port], { content, replayBytes: 1024 }, 4000);
    expect(statusOf(await ask(small.port, post(body(5000), CLOSE)))).toBe(413);
    expect(up.requests).toHaveLength(1);
    await until(() => relayed.context.heldBytes === 0 && relayed.inFlight === 0);
  });

  test("in a path, a query and a header", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port, by("http", up.port, "b/c_d")], {
      content: aliased(["gpt/4=m", "a=b/c d".replace(" ", "_")]),
    });
    await ask(relayed.port, post('{"inputs":[]}', CLOSE, "/v2/models/gpt%2F4/versions/1/infer?x=1"));
    expect(up.requests[0]).toStartWith("POST /v2/models/m/versions/1/infer?x=1 HTTP/1.1\r\n");
    expect(bodyOf(up.requests[0]!)).toBe('{"inputs":[]}');
    await ask(relayed.port, post('{"inputs":[]}', CLOSE, "/v2/models/a/infer"));
    expect(up.requests[1]).toStartWith("POST /v2/models/b%2Fc_d/infer HTTP/1.1\r\n");
    await ask(relayed.port, `GET /v1/realtime?x=1&model=a&y=2 HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`);
    expect(up.requests[2]).toStartWith("GET /v1/realtime?x=1&model=b%2Fc_d&y=2 HTTP/1.1\r\n");
    await ask(relayed.port, post(chat("anything"), `X-Infermesh-Model: gpt/4\r\n${CLOSE}`));
    expect(up.requests[3]).toContain("x-infermesh-model: m\r\n");
    expect(up.requests[3]).not.toContain("gpt/4");
    expect(bodyOf(up.requests[3]!)).toBe(chat("m"));
    await ask(relayed.port, post('{"query":"q"}', `x-infermesh-model: a\r\n${CLOSE}`, "/rerank"));
    expect(bodyOf(up.requests[4]!)).toBe('{"query":"q"}');
    expect(up.requests[4]).toContain("x-infermesh-model: b/c_d\r\n");
  });

  test("in a form", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { content: aliased(["whisper=m"]) });
    const form = (model: string): string =>
      `--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n${model}\r\n--b--\r\n`;
    const type = "content-type: multipart/form-data; boundary=b\r\n";
    const send = (body: string, headers = ""): Promise<string> =>
      ask(
        relayed.port,
        `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n${type}${headers}${CLOSE}content-length: ${body.length}\r\n\r\n${body}`,
      );
    expect(statusOf(await send(form("whisper")))).toBe(200);
    expect(bodyOf(up.requests[0]!)).toBe(form("m"));
    expect(statusOf(await send(form("x"), "x-infermesh-model: whisper\r\n"))).toBe(200);
    expect(bodyOf(up.requests[1]!)).toBe(form("m"));
    expect(statusOf(await send("--b\r\n", "x-infermesh-model: whisper\r\n"))).toBe(400);
    expect(up.requests).toHaveLength(2);
    await until(() => relayed.inFlight === 0);
  });

  test("is listed with the model that it leads to, while that is served", async () => {
    const relayed = relay([upstream(ok).port], { content: aliased(["gpt=m", "lost=nobody"]) });
    const get = (path: string): Promise<string> => ask(relayed.port, `GET ${path} HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`);
    const { data } = JSON.parse(bodyOf(await get("/v1/models"))) as { data: object[] };
    expect(data).toEqual([
      { id: "m", object: "model", created: 1, owned_by: "infermesh" },
      { id: "gpt", object: "model", created: 1, owned_by: "infermesh", root: "m" },
    ]);
    expect(bodyOf(await get("/v1/models/gpt"))).toContain('"root":"m"');
    expect(statusOf(await get("/v1/models/lost"))).toBe(404);
    const text = await ask(relayed.port, post(chat("lost"), CLOSE));
    expect(statusOf(text)).toBe(404);
    expect(text).toContain("`lost`");
  });

  test("hides a model of the same name", async () => {
    const [one, other] = [upstream(ok), upstream(ok)];
    const relayed = relay([one.port, by("http", other.port, "x"), by("http", other.port, "y")], {
      content: aliased(["x=m", "y=nobody"]),
    });
    expect(statusOf(await ask(relayed.port, post(chat("x"), CLOSE)))).toBe(200);
    expect(statusOf(await ask(relayed.port, post(chat("y"), CLOSE)))).toBe(404);
    expect([one.requests.length, other.requests.length]).toEqual([1, 0]);
    expect(relayed.context.routes.names).toEqual(["m", "x"]);
  });

  test("of other settings is known from the next request on", async () => {
    const relayed = relay([upstream(ok).port]);
    expect(statusOf(await ask(relayed.port, post(chat("gpt"), CLOSE)))).toBe(404);
    const settings = { ...CONTENT, ...aliased(["gpt=m"]) };
    expect(relayed.context.content.differsFrom(settings)).toBe(true);
    relayed.context.content = new Content(settings, "http", 1);
    expect(relayed.context.content.differsFrom(settings)).toBe(false);
    relayed.context.routes.setAliases(relayed.context.content.aliases);
    expect(statusOf(await ask(relayed.port, post(chat("gpt"), CLOSE)))).toBe(200);
  });

  test("is repeated elsewhere under the model's name", async () => {
    const bad = upstream((socket) => socket.terminate());
    const up = upstream(ok);
    const relayed = relay([bad.port, up.port], { content: aliased(["gpt=m"]) });
    while (bad.requests.length === 0) expect(statusOf(await ask(relayed.port, post(chat("gpt"), CLOSE)))).toBe(200);
    for (const request of [...bad.requests, ...up.requests]) expect(bodyOf(request)).toBe(chat("m"));
    await until(() => relayed.inFlight === 0);
    expect(relayed.context.heldBytes).toBe(0);
  });
});

describe("rules", () => {
  test("change headers of requests and answers", async () => {
    const up = upstream((socket) => socket.write(answer("{}", "server: uvicorn\r\nx-b: 1\r\nX-B: 2\r\n")));
    const content = ruled({
      requestHeaders: { authorization: "Bearer secret" },
      requestHeadersAdded: { "x-tag": "t" },
      requestHeadersRemoved: ["User-Agent"],
      responseHeaders: { "x-b": "3" },
      responseHeadersRemoved: ["server"],
    });
    const relayed = relay([up.port], { content });
    const text = await ask(relayed.port, post(chat("m"), `authorization: mine\r\nuser-agent: curl\r\n${CLOSE}`));
    expect(headOf(up.requests[0]!)).toContain("\r\nauthorization: Bearer secret\r\nx-tag: t");
    expect(headOf(up.requests[0]!)).not.toMatch(/mine|curl/);
    expect(bodyOf(up.requests[0]!)).toBe(chat("m"));
    expect(headOf(text)).toContain("\r\nx-b: 3\r\n");
    expect(headOf(text)).not.toMatch(/uvicorn|x-b: [12]\r/i);
    expect(bodyOf(text)).toBe("{}");
    // A long body streams on behind its new head.
    const long = chat("m", { user: "u".repeat(400_000) });
    expect(statusOf(await ask(relayed.port, post(long, CLOSE)))).toBe(200);
    expect(bodyOf(up.requests[1]!)).toBe(long);
    expect(headOf(up.requests[1]!)).toContain("x-tag: t");
    const plain = chunked(chat("m"), CLOSE).replace("x-trailer: t\r\n", "");
    expect(statusOf(await ask(relayed.port, plain))).toBe(200);
    expect(headOf(up.requests[2]!)).toContain("transfer-encoding: chunked");
    expect(bodyOf(up.requests[2]!)).toBe(bodyOf(plain));
  });

  test("change fields of the body, by model and API", async () => {
    const up = upstream(ok);
    const content = ruled(
      { apis: ["openai.chat"], atMost: { max_tokens: 10 }, defaults: { max_tokens: 5 }, systemPrompt: "Be brief." },
      { models: ["other"], fieldsRemoved: ["user"] },
    );
    const relayed = relay([up.port, by("http", up.port, "other")], { content });
    const sent = async (request: string): Promise<unknown> => {
      expect(statusOf(await ask(relayed.port, request))).toBe(200);
      return JSON.parse(bodyOf(up.requests.at(-1)!));
    };
    const messages = [{ role: "system", content: "Be brief." }];
    expect(await sent(post(chat("m"), CLOSE))).toEqual({ model: "m", messages, max_tokens: 5 });
    expect(await sent(chunked(chat("m", { max_tokens: 99 }), CLOSE))).toEqual({ model: "m", messages, max_tokens: 10 });
    expect(await sent(post(chat("other", { user: "u" }), CLOSE))).toEqual({ model: "other", messages, max_tokens: 5 });
    const prompt = JSON.stringify({ model: "m", prompt: "p", max_tokens: 99 });
    expect(await sent(post(prompt, CLOSE, "/v1/completions"))).toEqual(JSON.parse(prompt));
    // Beyond what is replayed too: a limit holds for every body.
    const long = await sent(post(chat("m", { user: "u".repeat(400_000), max_tokens: 99 }), CLOSE));
    expect(long).toMatchObject({ max_tokens: 10 });
    expect(relayed.context.heldBytes).toBe(0);
  });

  test("for the body refuse what they can't read", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { content: ruled({ atMost: { max_tokens: 10 } }) });
    const header = `x-infermesh-model: m\r\n${CLOSE}`;
    for (const [type, body] of [
      ["application/json", "[1]"],
      ["multipart/form-data; boundary=b", '{"max_tokens":99}x'],
      ["multipart/form-data; boundary=b", "--b--\r\n"],
      ["application/octet-stream", "\0\0"],
    ] as const) {
      const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n${header}`;
      const text = await ask(relayed.port, `${head}content-length: ${body.length}\r\n\r\n${body}`);
      expect(statusOf(text)).toBe(400);
      expect(text).toContain("must be a JSON object");
    }
    expect(up.requests).toHaveLength(0);
    // A form of an API that takes forms has no such fields; what has no body has none either.
    const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n';
    const type = "content-type: multipart/form-data; boundary=b\r\n";
    const upload = `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n${type}${CLOSE}content-length: ${form.length}\r\n\r\n${form}`;
    expect(statusOf(await ask(relayed.port, upload))).toBe(200);
    expect(statusOf(await ask(relayed.port, `GET /info HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`))).toBe(200);
    expect(relayed.inFlight).toBe(0);
  });

  test("leave streams alone but for their head", async () => {
    const up = upstream((socket) => socket.write(`${SSE_HEAD}${chunk("data: 1\n\n")}0\r\n\r\n`));
    const relayed = relay([up.port], { content: ruled({ responseHeaders: { "x-accel-buffering": "no" } }) });
    const text = await ask(relayed.port, post(chat("m", { stream: true }), CLOSE));
    expect(headOf(text)).toContain("x-accel-buffering: no");
    expect(bodyOf(text)).toBe(`${chunk("data: 1\n\n")}0\r\n\r\n`);
  });
});

describe("a model that stands in", () => {
  const named = (up: Upstream): string[] =>
    up.requests.map((one) => (JSON.parse(bodyOf(one)) as { model: string }).model);
  const content = aliased(["gpt=m"], ["m=b,c", "gone=b", "nowhere=nobody"]);

  test("serves when no target of the other is left", async () => {
    const [b, c] = [upstream(ok), upstream(ok)];
    const bad = upstream((socket) => socket.terminate());
    const relayed = relay([bad.port, by("http", b.port, "b"), by("http", c.port, "c")], { content });
    const text = await ask(relayed.port, post(chat("gpt"), CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(text).toContain("x-infermesh-model: b\r\n");
    expect(named(bad)).toEqual(["m"]);
    expect(named(b)).toEqual(["b"]);
    expect(relayed.stats.count("fallbacks")).toBe(1);
    await until(() => relayed.inFlight === 0);
    expect(relayed.context.heldBytes).toBe(0);
  });

  test("serves when the other says that it is full", async () => {
    const b = upstream(ok);
    const busy = upstream((socket) => socket.write(answer("{}", "", "429 Too Many Requests")));
    const relayed = relay([busy.port, by("http", b.port, "b")], { content });
    const text = await ask(relayed.port, post(chat("m"), CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(named(b)).toEqual(["b"]);
    expect(named(busy)).toEqual(["m"]);
    await until(() => relayed.inFlight === 0);
  });

  test("serves while the other is full, in order, before anybody waits", async () => {
    const waiting: (() => void)[] = [];
    const slow = (): Upstream => upstream((socket) => void waiting.push(() => socket.write(answer("{}"))));
    const [m, b, c] = [slow(), slow(), slow()];
    const relayed = relay([m.port, by("http", b.port, "b"), by("http", c.port, "c")], {
      content,
      upstreamConnectionsMax: 1,
    });
    const asked: Promise<string>[] = [];
    for (const up of [m, b, c]) {
      asked.push(ask(relayed.port, post(chat("gpt"), CLOSE)));
      await until(() => up.requests.length === 1);
    }
    asked.push(ask(relayed.port, post(chat("gpt"), CLOSE)));
    await until(() => relayed.context.dispatch.waiting === 1);
    expect(relayed.stats.count("waiting")).toBe(1);
    expect([named(m), named(b), named(c)]).toEqual([["m"], ["b"], ["c"]]);
    for (const go of waiting.splice(0)) go();
    await until(() => waiting.length === 1);
    waiting[0]!();
    for (const text of await Promise.all(asked)) expect(statusOf(text)).toBe(200);
    expect(named(m)).toEqual(["m", "m"]);
    expect([relayed.stats.count("queued"), relayed.stats.count("waiting")]).toEqual([1, 0]);
    await until(() => relayed.inFlight === 0);
  });

  test("serves one that nobody serves, and one that can't be served by anybody is unknown", async () => {
    const b = upstream(ok);
    const relayed = relay([by("http", b.port, "b")], { content });
    const text = await ask(relayed.port, post(chat("gone"), CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(text).toContain("x-infermesh-model: b\r\n");
    expect(named(b)).toEqual(["b"]);
    expect(statusOf(await ask(relayed.port, post(chat("nowhere"), CLOSE)))).toBe(404);
    await ask(relayed.port, post("{}", CLOSE, "/predictions/gone"));
    expect(b.requests[1]).toStartWith("POST /predictions/b HTTP/1.1\r\n");
    expect(relayed.stats.count("fallbacks")).toBe(2);
  });

  test("is given the request by its own rules", async () => {
    const [m, b] = [upstream((socket) => socket.terminate()), upstream(ok)];
    const rules = ruled(
      { models: ["m"], fields: { for: "m" } },
      { models: ["b"], fields: { also: "b" }, responseHeaders: { "x-b": "1" } },
    );
    const relayed = relay([m.port, by("http", b.port, "b")], { content: { ...content, ...rules } });
    const text = await ask(relayed.port, post(chat("m"), CLOSE));
    expect(JSON.parse(bodyOf(m.requests[0]!))).toEqual({ model: "m", messages: [], for: "m" });
    expect(JSON.parse(bodyOf(b.requests[0]!))).toEqual({ model: "b", messages: [], also: "b" });
    expect(text).toContain("x-b: 1\r\n");
  });

  test("is not tried where the request may not be sent twice", async () => {
    const [m, b] = [upstream((socket) => socket.terminate()), upstream(ok)];
    const relayed = relay([m.port, by("http", b.port, "b")], { content });
    const text = await ask(relayed.port, post(chat("m"), `x-infermesh-retry: never\r\n${CLOSE}`));
    expect(statusOf(text)).toBe(502);
    expect(b.requests).toHaveLength(0);
  });
});

describe("security headers", () => {
  const content = { security: read(securitySettings, { headers: "strict", hideServer: true, hsts: "1d" }) };

  test("stand in answers of targets, of the router, and in refusals", async () => {
    const up = upstream((socket) => socket.write(answer("{}", "server: x\r\nX-Frame-Options: ALLOW\r\n")));
    const relayed = relay([up.port], { content });
    const texts = [
      await ask(relayed.port, post(chat("m"), CLOSE)),
      await ask(relayed.port, `GET /v1/models HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`),
      await ask(relayed.port, post(chat("unknown"), CLOSE)),
      await ask(relayed.port, "nonsense\r\n\r\n"),
    ];
    expect(texts.map(statusOf)).toEqual([200, 200, 404, 400]);
    for (const text of texts) {
      expect(headOf(text).match(/x-frame-options: DENY\r\n/g)).toHaveLength(1);
      expect(headOf(text)).toContain("\r\nx-content-type-options: nosniff\r\n");
      expect(headOf(text)).not.toMatch(/server: |ALLOW|strict-transport/);
    }
    expect(new Content({ ...CONTENT, ...content }, "https", 1).replyFields).toContain("max-age=86400");
  });
});
