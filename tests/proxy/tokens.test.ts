/** Tokens and the time between them, as they are counted on an answer's way. */
import { expect, test } from "bun:test";
import { answer, ask, CHAT, chunk, CLOSE, fixtures, post, SSE_HEAD, until } from "./harness.ts";
import type { Relay } from "./harness.ts";

const { upstream, relay } = fixtures();
const delta = (text: string): string => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;
const USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33}}\n\n';
const DONE = "data: [DONE]\n\n";

function counted({ stats, context }: Relay) {
  const model = context.routes.find("m");
  return { ...stats.tokens(model), gaps: stats.tokenGaps(model).cumulative.at(-1) };
}

test("a whole answer tells how many", async () => {
  const up = upstream((socket) => socket.write(answer('{"x":1,"usage":{"prompt_tokens":3,"completion_tokens":4}}')));
  const relayed = relay([up.port]);
  await ask(relayed.port, post(CHAT, CLOSE));
  await ask(relayed.port, post(CHAT, CLOSE));
  expect(counted(relayed)).toEqual({ prompt: 6, completion: 8, gaps: 0 });
});

test("so does a stream, at its end", async () => {
  const up = upstream((socket) => {
    socket.write(SSE_HEAD + chunk(delta("a")) + chunk(delta("b")) + chunk(USAGE) + chunk(DONE) + "0\r\n\r\n");
  });
  const relayed = relay([up.port]);
  await ask(relayed.port, post(CHAT, CLOSE));
  expect(counted(relayed)).toEqual({ prompt: 11, completion: 22, gaps: 0 });
});

test("where a stream does not, its events are counted, and the time between them is kept", async () => {
  const up = upstream(async (socket) => {
    socket.write(SSE_HEAD);
    for (const text of ["a", "b", "c"]) {
      socket.write(chunk(": still here\n\n") + chunk(delta(text)));
      await Bun.sleep(30);
    }
    socket.write(`${chunk(DONE)}0\r\n\r\n`);
  });
  const relayed = relay([up.port]);
  await ask(relayed.port, post(CHAT, CLOSE));
  expect(counted(relayed)).toEqual({ prompt: 0, completion: 3, gaps: 2 });
  const { sum } = relayed.stats.tokenGaps(relayed.context.routes.find("m"));
  expect(sum).toBeGreaterThan(0.04);
});

const CLOSED = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const NDJSON = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
const line = (text: string): string => `{"model":"m","message":{"content":"${text}"},"done":false}\n`;
const COUNTS = '{"model":"m","done":true,"prompt_eval_count":11,"eval_count":22}\n';

test.each([
  ["events that come without chunks", "/v1/chat/completions", [CLOSED, delta("a") + delta("b"), delta("c") + DONE]],
  [
    "events cut anywhere",
    "/v1/chat/completions",
    [CLOSED, delta("a").slice(0, 3), delta("a").slice(3) + delta("b"), delta("c") + DONE],
  ],
  ["lines of JSON", "/api/chat", [NDJSON, chunk(line("a")), chunk(line("b") + line("c"))]],
  [
    "lines of JSON cut anywhere",
    "/api/chat",
    [NDJSON, chunk(line("a").slice(0, 9)), chunk(line("a").slice(9) + line("b")), chunk(line("c"))],
  ],
])("%s are counted where nobody tells how many, also of a stream that breaks", async (_name, path, pieces) => {
  const up = upstream(async (socket) => {
    for (const piece of pieces) {
      socket.write(piece);
      await Bun.sleep(10);
    }
    socket.end();
  });
  const relayed = relay([up.port]);
  await ask(relayed.port, post(CHAT, CLOSE, path));
  await until(() => relayed.inFlight === 0);
  expect(counted(relayed)).toEqual({ prompt: 0, completion: 3, gaps: 0 });
});

test.each([
  ["events without chunks", "/v1/chat/completions", [CLOSED, delta("a") + delta("b"), USAGE, DONE]],
  ["lines of JSON", "/api/chat", [NDJSON, chunk(line("a")), chunk(line("b")), chunk(COUNTS), "0\r\n\r\n"]],
])("%s tell at their end how many there were", async (_name, path, pieces) => {
  const up = upstream(async (socket) => {
    for (const piece of pieces) {
      socket.write(piece);
      await Bun.sleep(10);
    }
    socket.end();
  });
  const relayed = relay([up.port]);
  await ask(relayed.port, post(CHAT, CLOSE, path));
  await until(() => relayed.inFlight === 0);
  expect(counted(relayed)).toEqual({ prompt: 11, completion: 22, gaps: 0 });
});

test("errors and answers of another kind count for nothing", async () => {
  const usage = '{"usage":{"prompt_tokens":3,"completion_tokens":4}}';
  const relayed = relay([upstream((socket) => socket.write(answer(usage, "", "400 Bad Request"))).port]);
  await ask(relayed.port, post(CHAT, CLOSE));
  const plain = relay([upstream((socket) => socket.write(answer("usage eval_count"))).port]);
  await ask(plain.port, post(CHAT, CLOSE));
  await until(() => relayed.inFlight + plain.inFlight === 0);
  for (const one of [relayed, plain]) expect(counted(one)).toEqual({ prompt: 0, completion: 0, gaps: 0 });
});
