/** Requests that name their model in several places, or where only some parsers find it. */
import { describe, expect, test } from "bun:test";
import type { Put } from "../../src/policy/write.ts";
import { CLOSE, Client, ask, by, chunk, fixtures, ok, post, statusOf, until } from "./harness.ts";

const { upstream, relay } = fixtures();

const tenant = (name: string): string => `x-infermesh-tenant: ${name}\r\n`;
const named = (model: string): string => `x-infermesh-model: ${model}\r\n`;
const chat = (headers = "", model = "m"): string =>
  post(JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }), headers + CLOSE);
const get = (path: string, headers = ""): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}${CLOSE}\r\n`;
const acl = (name: string): Put => ({ kind: "acl", name, spec: { effect: "deny" } });

describe("a model that is named twice", () => {
  test("must be the same in head and body, or the one could be asked and the other be used", async () => {
    const up = upstream(ok);
    const relayed = relay([by("http", up.port), by("http", up.port, "n")]).obey(acl("tenant:a/n/*"), acl("*/hidden/*"));
    const status = async (head: string, body: string, config = ""): Promise<number> =>
      statusOf(await ask(relayed.port, chat(named(head) + tenant("a") + config, body)));
    expect(await status("m", "m")).toBe(200);
    expect(await status("m", "n")).toBe(400);
    expect(await status("n", "m")).toBe(400);
    expect(await status("n", "n")).toBe(403);
    // A name that no target tells of may mean something to one all the same.
    expect(await status("m", "hidden")).toBe(403);
    expect(await status("m", "gpt-4")).toBe(200);
    expect(up.requests).toHaveLength(2);
    relayed.obey();
    expect(await status("m", "n")).toBe(200);
  });

  test("is found in long bodies before any of them is sent, in chunks, and in forms", async () => {
    const up = upstream(ok);
    const relayed = relay([by("http", up.port), by("http", up.port, "n")], { replayBytes: 100 }).obey(acl("*/n/*"));
    const long = JSON.stringify({ messages: "x".repeat(5000), model: "n" });
    expect(statusOf(await ask(relayed.port, post(long, named("m") + CLOSE)))).toBe(400);
    const chunked = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n${named("m")}${CLOSE}\r\n`;
    expect(statusOf(await ask(relayed.port, `${chunked}${chunk(long)}0\r\n\r\n`))).toBe(400);
    const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nn\r\n--b--\r\n';
    const head = `content-type: multipart/form-data; boundary=b\r\n${named("m")}${CLOSE}`;
    const sent = `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-length: ${form.length}\r\n${head}\r\n${form}`;
    expect(statusOf(await ask(relayed.port, sent))).toBe(400);
    expect(up.requests).toEqual([]);
    const fine = JSON.stringify({ messages: "x".repeat(5000), model: "m" });
    expect(statusOf(await ask(relayed.port, post(fine, named("m") + CLOSE)))).toBe(200);
  });

  test("must be the same in head and query", async () => {
    const up = upstream(ok);
    const relayed = relay([by("http", up.port), by("http", up.port, "n")]);
    const status = async (query: string): Promise<number> =>
      statusOf(await ask(relayed.port, get(`/v1/realtime?${query}`, named("m"))));
    expect(await status("model=n")).toBe(200);
    relayed.obey(acl("*/n/*"), acl("*/hidden/*"));
    expect(await status("model=n")).toBe(400);
    expect(await status("a=b&model=%6e")).toBe(400);
    expect(await status("model=m&model=n")).toBe(400);
    expect(await status("model=hidden")).toBe(403);
    expect(up.requests).toHaveLength(1);
    expect(await status("model=m")).toBe(200);
    expect(await status("x=n")).toBe(200);
  });

  test("in a WebSocket must be the same in every message", async () => {
    const up = upstream((socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      return Bun.sleep(0);
    });
    const relayed = relay([by("http", up.port), by("http", up.port, "n")]).obey(acl("*/n/*"), acl("*/hidden/*"));
    const asked =
      "GET /v1/realtime?model=m HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";
    const said = (text: string): Buffer =>
      Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
    for (const [message, code] of [
      ['{"model":"n"}', 1008],
      ['{"model":"hidden"}', 1008],
      ['{"Model":"m"}', 1008],
      ['{"model":"m"}', 0],
      ['{"model":"unheard-of"}', 0],
      ["any text", 0],
    ] as const) {
      const client = (await Client.open(relayed.port)).send(asked);
      await client.until((text) => text.includes("\r\n\r\n"));
      client.send(said("{}"));
      client.send(said(message));
      if (code === 0) {
        await Bun.sleep(20);
        expect(client.closed).toBe(false);
        client.leave();
      } else {
        const frame = Buffer.from((await client.end()).split("\r\n\r\n")[1]!, "latin1");
        expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, code]);
      }
      await until(() => relayed.inFlight === 0);
    }
    expect(up.requests[0]).not.toContain("permessage-deflate");
  });

  test("is refused where only some parsers find it", async () => {
    const up = upstream(ok);
    const two = relay([by("http", up.port), by("http", up.port, "n")]);
    const one = relay([up.port]);
    // Parsers of Go don't mind the letter case of a key.
    const like = JSON.stringify({ Model: "n", messages: [] });
    const byHead = async (body = like): Promise<number> =>
      statusOf(await ask(two.port, post(body, named("m") + CLOSE, "/api/chat")));
    const byOnly = async (): Promise<number> => statusOf(await ask(one.port, post(like, CLOSE, "/v1/rerank")));
    // And read what begins the body, whatever its content type says.
    const form = `${JSON.stringify({ model: "n" })}\r\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n`;
    const sent = `POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: ${form.length}\r\ncontent-type: multipart/form-data; boundary=b\r\n${CLOSE}\r\n${form}`;
    const asForm = async (): Promise<number> => statusOf(await ask(two.port, sent));
    expect([await byHead(), await byOnly(), await asForm()]).toEqual([200, 200, 200]);
    two.obey(acl("*/n/*"));
    one.obey(acl("*/n/*"));
    expect([await byHead(), await byOnly(), await asForm()]).toEqual([400, 400, 400]);
    expect(await byHead(JSON.stringify({ model: "m" }))).toBe(200);
    expect(up.requests).toHaveLength(4);
  });

  test("is refused in a body that can't be read here, where a body need not be JSON", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const status = async (headers: string, body = "model=n"): Promise<number> =>
      statusOf(await ask(relayed.port, post(body, named("m") + headers + CLOSE, "/invocations")));
    const packed = "content-encoding: gzip\r\n";
    expect(await status(packed, "\u001fpacked")).toBe(200);
    relayed.obey(acl("*/n/*"));
    expect(await status(packed, "\u001fpacked")).toBe(501);
    expect(await status("content-encoding: identity\r\n", "1,2")).toBe(200);
    expect(up.requests).toHaveLength(2);
  });

  test("is no reason to refuse what is no JSON, where a body need not be that", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]).obey(acl("*/n/*"));
    const status = async (body: string, path: string): Promise<number> =>
      statusOf(await ask(relayed.port, post(body, named("m") + CLOSE, path)));
    expect(await status("1.5,2.5\n", "/invocations")).toBe(200);
    expect(await status('{"model":"n"', "/invocations")).toBe(400);
    expect(await status(' {"model":"n"}', "/invocations")).toBe(403);
    expect(await status('\ufeff{"model":"n"}', "/invocations")).toBe(400);
    expect(await status("1.5,2.5\n", "/v1/completions")).toBe(400);
  });

  test("is judged in whatever field of an API that manages models", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { paths: { managementPaths: "pass" } });
    const status = async (path: string, body: object, more = ""): Promise<number> =>
      statusOf(await ask(relayed.port, post(JSON.stringify(body), more + CLOSE, path)));
    relayed.obey(acl("*/secret:latest/*"), acl("*/lora/*"), acl("*/library/hidden/*"));
    const long = "x".repeat(100_000);
    for (const more of ["", named("m")]) {
      for (const [path, body, expected] of [
        ["/api/show", { name: "m" }, more === "" ? 400 : 200],
        ["/api/pull", { name: "secret:latest" }, 403],
        ["/api/pull", { NAME: "secret:latest" }, 403],
        ["/api/copy", { source: "secret:latest", destination: "mine" }, 403],
        ["/api/copy", { model: "m", long, source: "secret:latest", destination: "mine" }, 403],
        ["/api/copy", { source: "m", destination: "secret:latest" }, 403],
        ["/api/create", { model: "m", from: "secret:latest" }, 403],
        ["/v1/unload_lora_adapter", { lora_name: "lora" }, 403],
        ["/v1/unload_lora_adapter", { lora_name: "other" }, 200],
        ["/api/copy", { source: "m", destination: "mine" }, 200],
      ] as const) {
        expect([path, body, await status(path, body, more)]).toEqual([path, body, expected]);
      }
    }
  });

  test("is known by the names that its runtime takes for it", async () => {
    const up = upstream(ok);
    const relayed = relay([by("http", up.port), by("http", up.port, "secret:latest")]).obey(acl("*/secret:latest/*"));
    const status = async (model: string): Promise<number> => statusOf(await ask(relayed.port, chat(named("m"), model)));
    for (const name of ["secret", "Secret", "library/secret", "registry.ollama.ai/library/secret:latest"]) {
      expect([name, await status(name)]).toEqual([name, 400]);
    }
    expect(await status("secret:7b")).toBe(200);
    expect(await status("m:latest")).toBe(200);
    expect(up.requests).toHaveLength(2);
  });
});
