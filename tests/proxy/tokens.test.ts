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

test("errors and answers of another kind count for nothing", async () => {
  const usage = '{"usage":{"prompt_tokens":3,"completion_tokens":4}}';
  const relayed = relay([upstream((socket) => socket.write(answer(usage, "", "400 Bad Request"))).port]);
  await ask(relayed.port, post(CHAT, CLOSE));
  const plain = relay([upstream((socket) => socket.write(answer("usage eval_count"))).port]);
  await ask(plain.port, post(CHAT, CLOSE));
  await until(() => relayed.inFlight + plain.inFlight === 0);
  for (const one of [relayed, plain]) expect(counted(one)).toEqual({ prompt: 0, completion: 0, gaps: 0 });
});
