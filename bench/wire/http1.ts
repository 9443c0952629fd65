/** ns for a request head, a response head and a chunk: what a relayed request costs in HTTP/1.1 parsing. */
import { measure } from "mitata";
import { ChunkScanner } from "../../src/wire/chunks.ts";
import { HEAD_LIMITS, PARSE_DONE, RequestHead, ResponseHead } from "../../src/wire/http1.ts";
import { report } from "../report.ts";

const SMALL = Buffer.from(
  "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n",
);

/** What the openai package for Python sends. */
const CLIENT = Buffer.from(
  [
    "POST /v1/chat/completions HTTP/1.1",
    "Host: router.internal:8080",
    "User-Agent: OpenAI/Python 1.54.3",
    "Accept: application/json",
    "Accept-Encoding: gzip, deflate",
    "Connection: keep-alive",
    "Content-Type: application/json",
    "Authorization: Bearer sk-0123456789abcdef0123456789abcdef",
    "X-Stainless-Lang: python",
    "X-Stainless-Package-Version: 1.54.3",
    "X-Stainless-OS: Linux",
    "X-Stainless-Arch: x64",
    "X-Stainless-Runtime: CPython",
    "X-Stainless-Runtime-Version: 3.12.3",
    "Content-Length: 1024",
    "",
    "",
  ].join("\r\n"),
);

const ANSWER = Buffer.from(
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\nDate: Thu, 20 Nov 2025 10:00:00 GMT\r\nServer: uvicorn\r\n\r\n",
);

const CHUNK = Buffer.from(`f0\r\n${"a".repeat(240)}\r\n`);

const request = new RequestHead(HEAD_LIMITS);
const response = new ResponseHead(HEAD_LIMITS);
const chunks = new ChunkScanner();

function parseRequest(bytes: Buffer): () => void {
  return () => {
    request.reset();
    if (request.parse(bytes, 0, bytes.length) !== PARSE_DONE) throw new Error(request.badReason);
  };
}

const CASES: readonly (readonly [string, Buffer, () => void])[] = [
  ["request of 4 lines", SMALL, parseRequest(SMALL)],
  ["request of the openai client", CLIENT, parseRequest(CLIENT)],
  [
    "response",
    ANSWER,
    () => {
      response.reset();
      if (response.parse(ANSWER, 0, ANSWER.length) !== PARSE_DONE) throw new Error(response.badReason);
    },
  ],
  ["chunk of 240 bytes", CHUNK, () => void chunks.push(CHUNK, 0, CHUNK.length)],
];

const rows = [];
for (const [name, bytes, run] of CASES) {
  const { min, p50, p99 } = await measure(run);
  rows.push({ name, bytes: bytes.length, nsLeast: min, nsMedian: p50, nsP99: p99 });
}
await report("http1", { rows });
