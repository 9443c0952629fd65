/** Whatever a client sends: a clear error or a closed connection, never a crash, a leak or a lost request. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Client } from "../proxy/harness.ts";
import { Bench, descriptors, inFlight, nodes, raw, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
let router: Started;
let agent: Started;
let listen: string;
let model: string;

beforeAll(async () => {
  const mesh = await bench.mesh(
    1,
    ["--max-body", "100KiB", "--proxy-head-timeout", "500ms", "--proxy-body-timeout", "500ms"],
    ["--mock-speed", "20"],
  );
  router = mesh.router;
  agent = mesh.agents[0] as Started;
  listen = router.address("listen");
  model = (await nodes(router))[0]?.models[0] ?? "";
});

afterAll(() => bench.end());

function post(body: string, headers = "", path = "/v1/chat/completions"): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

function chatBody(extra: object = {}): string {
  return JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 2, ...extra });
}

const CLOSE = "connection: close\r\n";

const CASES: readonly (readonly [name: string, bytes: () => string, status: number, says: RegExp])[] = [
  ["garbage", () => "\x16\x03\x01 hello\r\n\r\n", 400, /"bad_request"/],
  ["an empty method", () => " / HTTP/1.1\r\nhost: x\r\n\r\n", 400, /"bad_request"/],
  ["a bare LF", () => "GET / HTTP/1.1\nhost: x\n\n", 400, /bare LF/],
  ["a NUL in a header", () => "GET / HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n", 400, /control byte/],
  ["no Host", () => "GET / HTTP/1.1\r\n\r\n", 400, /Host/],
  ["a folded header", () => "GET / HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n", 400, /folded/],
  ["a space before the colon", () => "GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400, /space/],
  ["HTTP/2.0 in words", () => "GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505, /version/],
  ["CONNECT", () => "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 501, /CONNECT/],
  [
    "a head of 40 KB",
    () =>
      `GET /v1/models HTTP/1.1\r\nhost: x\r\n${"a: ".padEnd(1000, "b")}\r\n`.replace(/(a: b+\r\n)/, (line) =>
        line.repeat(40),
      ),
    431,
    /head/,
  ],
  ["a target of 9 KB", () => `GET /${"a".repeat(9000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 414, /target/],
  [
    "two equal Content-Lengths",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    400,
    /Content-Length/,
  ],
  [
    "two differing Content-Lengths",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    400,
    /Content-Length/,
  ],
  [
    "Content-Length and Transfer-Encoding",
    () =>
      "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
    /both/,
  ],
  [
    "chunked twice",
    () =>
      "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
    /Transfer-Encoding/,
  ],
  [
    "gzip as a transfer coding",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    501,
    /coding/,
  ],
  [
    "a broken chunk size",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    400,
    /chunked framing/,
  ],
  [
    "a negative length",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    400,
    /Content-Length/,
  ],
  [
    "a declared body over --max-body",
    () => "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n",
    413,
    /payload_too_large/,
  ],
  [
    "a chunked body over --max-body",
    () => {
      const pieces = ['{"prompt":"', ...Array.from({ length: 8 }, () => "x".repeat(0x4000))];
      const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
      return `POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`;
    },
    413,
    /payload_too_large/,
  ],
  ["no body", () => post("", CLOSE), 400, /"model_required"/],
  ["a body that is no JSON", () => post("hello", CLOSE), 400, /"bad_json"/],
  ["a JSON array", () => post("[]", CLOSE), 400, /"bad_json"/],
  ["truncated JSON", () => post('{"model":"m","messages":[', CLOSE), 400, /"bad_json"/],
  ["JSON with a BOM", () => post('\ufeff{"model":"m"}', CLOSE), 400, /"bad_json"/],
  ["no model", () => post('{"messages":[]}', CLOSE), 400, /"model_required"/],
  ["an empty model", () => post('{"model":""}', CLOSE), 400, /"code":"(model_required|bad_json)"/],
  ["a model that is a number", () => post('{"model":7}', CLOSE), 400, /"(bad_json|model_required)"/],
  ["the model twice", () => post('{"model":"a","model":"b"}', CLOSE), 400, /twice/],
  ["an unknown model", () => post('{"model":"a"}', CLOSE), 404, /"model_not_found"/],
  [
    "a form without a boundary",
    () =>
      "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data\r\ncontent-length: 2\r\n\r\n{}",
    400,
    /boundary/,
  ],
  [
    "a form without a model",
    () => {
      const body = '--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n';
      return `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n${CLOSE}content-type: multipart/form-data; boundary=b\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    },
    400,
    /"model_required"/,
  ],
  ["a path outside /v1", () => `GET /etc/passwd HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`, 404, /"not_found"/],
];

describe("refused with a clear error", () => {
  test.each(CASES)("%s", async (_name, bytes, status, says) => {
    const answer = await raw(listen, [bytes()]);
    expect(answer).toStartWith(`HTTP/1.1 ${status} `);
    expect(answer).toMatch(says);
    const body: unknown = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
    expect(body).toHaveProperty("error.message");
  });
});

describe("slow, early and idle clients", () => {
  test("a head that drips is answered 408", async () => {
    const answer = await raw(listen, ["GET /v1/models HTTP/1.1\r\nhost:"], 3000);
    expect(answer).toStartWith("HTTP/1.1 408 ");
  });

  test("a body that never ends is answered 408", async () => {
    const answer = await raw(listen, ["POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{"], 3000);
    expect(answer).toStartWith("HTTP/1.1 408 ");
  });

  test("a request that comes byte by byte is served", async () => {
    // Some hundred pauses: those of a busy machine come to more than this file's router bears with.
    const patient = await bench.router("--workers", "1", "--upstream", `${model}=http://${agent.address("serve")}`);
    const bytes = post(chatBody(), CLOSE);
    const answer = await raw(patient.address("listen"), bytes.split(""), 5000);
    expect(answer).toStartWith("HTTP/1.1 200 ");
  });

  test("clients that leave at any moment leak nothing", async () => {
    const bytes = post(chatBody({ stream: true, max_tokens: 500 }), "");
    for (let i = 0; i < 40; i++) {
      const colon = listen.lastIndexOf(":");
      const socket = await Bun.connect({
        hostname: listen.slice(0, colon),
        port: Number(listen.slice(colon + 1)),
        socket: { data() {} },
      });
      socket.write(bytes.slice(0, Math.ceil((bytes.length * (i % 20)) / 14)));
      socket.flush();
      if (i % 3 === 0) await Bun.sleep(5);
      socket.terminate();
    }
    await until(async () => (await inFlight(router)) === 0);
    await until(async () => {
      const vitals = (await fetch(`http://${agent.address("metrics")}/metrics?format=json`).then((r) => r.json())) as {
        requests_in_progress: number;
      };
      return vitals.requests_in_progress === 0;
    });
  });

  test("1,000 idle connections cost no request its answer, and are given back", async () => {
    const pid = router.process.pid;
    const before = descriptors(pid);
    const colon = listen.lastIndexOf(":");
    const idle = await Promise.all(
      Array.from({ length: 1000 }, () =>
        Bun.connect({ hostname: listen.slice(0, colon), port: Number(listen.slice(colon + 1)), socket: { data() {} } }),
      ),
    );
    expect(await raw(listen, [post(chatBody(), CLOSE)])).toStartWith("HTTP/1.1 200 ");
    for (const socket of idle) socket.terminate();
    await until(() => descriptors(pid) <= before + 20);
  });
});

describe("framing is kept", () => {
  test("pipelined requests are answered in order", async () => {
    const ids = Array.from({ length: 12 }, (_, i) => `pipe-${i}`);
    const bytes = ids
      .map((id, i) => post(chatBody(), `x-request-id: ${id}\r\n${i === ids.length - 1 ? CLOSE : ""}`))
      .join("");
    const answer = await raw(listen, [bytes], 5000);
    expect([...answer.matchAll(/x-request-id: (\S+)/g)].map(([, id]) => id)).toEqual(ids);
    expect(answer.match(/HTTP\/1\.1 200 /g)).toHaveLength(ids.length);
  });

  test("an error on a kept connection does not end it, when its request was whole", async () => {
    const answer = await raw(listen, [post('{"model":"nobody"}') + post(chatBody(), CLOSE)], 5000);
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(["404", "200"]);
  });

  test("Expect: 100-continue is answered before the body is sent", async () => {
    const body = chatBody();
    const head = post(body, `expect: 100-continue\r\n${CLOSE}`).slice(0, -body.length);
    const client = await Client.open(Number(listen.slice(listen.lastIndexOf(":") + 1)));
    client.send(head);
    await client.until((text) => text.endsWith("\r\n\r\n"));
    const answer = await client.send(body).end();
    expect(answer).toStartWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ");
  });

  test("a chunked request is relayed", async () => {
    const body = chatBody();
    const chunks =
      body
        .match(/.{1,7}/gs)
        ?.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
        .join("") ?? "";
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n${CLOSE}\r\n`;
    expect(await raw(listen, [`${head}${chunks}0\r\n\r\n`])).toStartWith("HTTP/1.1 200 ");
  });

  test("HTTP/1.0 gets no chunks, and a closed connection at the end", async () => {
    const body = chatBody({ stream: true });
    const bytes = `POST /v1/chat/completions HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const answer = await raw(listen, [bytes], 5000);
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer).toEndWith("data: [DONE]\n\n");
  });

  test("HEAD is answered without a body", async () => {
    const answer = await raw(listen, [`HEAD /v1/models HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`]);
    expect(answer).toStartWith("HTTP/1.1 200 ");
    expect(answer).toEndWith("\r\n\r\n");
  });

  test("random bytes never kill a worker", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.boolean(), async (noise, afterHead) => {
        const head = afterHead ? "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 300\r\n\r\n" : "";
        await raw(listen, [Buffer.concat([Buffer.from(head), noise])], 30);
      }),
      { numRuns: 60 },
    );
    expect(await raw(listen, [post(chatBody(), CLOSE)])).toStartWith("HTTP/1.1 200 ");
  });
});

test("curl is served, plain and streamed", async () => {
  const curl = Bun.which("curl");
  if (curl === null) {
    console.log("skipped: curl is not installed");
    return;
  }
  const run = async (body: string): Promise<string> => {
    const child = Bun.spawn([
      curl,
      "-sSN",
      "--max-time",
      "10",
      `http://${listen}/v1/chat/completions`,
      "-H",
      "content-type: application/json",
      "-d",
      body,
    ]);
    return new Response(child.stdout).text();
  };
  expect(JSON.parse(await run(chatBody()))).toHaveProperty("choices");
  expect(await run(chatBody({ stream: true }))).toEndWith("data: [DONE]\n\n");
});

// The last test of this file: it judges what all others left behind.
test("the router survived all of it, and holds nothing any more", async () => {
  expect(router.process.exitCode).toBeNull();
  expect(router.lines.filter(({ msg }) => String(msg).includes("worker died"))).toEqual([]);
  await until(async () => (await inFlight(router)) === 0);
});
