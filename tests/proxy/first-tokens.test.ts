/** What a worker notes of first tokens and of streams, for rates to be learnt from. */
import { expect, test } from "bun:test";
import { answer, ask, CHAT, chunk, CLOSE, fixtures, post, type Relay, SSE_HEAD, until } from "./harness.ts";
import { grpcFixtures, whenWhole } from "./http2-bed.ts";

const { upstream, relay } = fixtures();
const { bed } = grpcFixtures();
const STREAM = CHAT.replace("{", '{"stream":true,');
const delta = (text: string): string => chunk(`data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`);
const END = `${chunk("data: [DONE]\n\n")}0\r\n\r\n`;

async function noted({ firstTokens }: Relay, count: number) {
  const notes = firstTokens.take();
  await until(() => {
    notes.push(...firstTokens.take());
    return notes.length >= count;
  });
  return notes;
}

test("a stream's first event is one, and its end tells how far apart tokens were", async () => {
  const up = upstream(async (socket) => {
    await Bun.sleep(20);
    socket.write(SSE_HEAD);
    for (let token = 0; token < 12; token += 1) {
      socket.write(delta("a"));
      await Bun.sleep(5);
    }
    socket.write(END);
  });
  const router = relay([up.port]);
  const beganMs = Date.now();
  await ask(router.port, post(STREAM, CLOSE));
  const [first, end, ...others] = await noted(router, 2);
  const [row] = router.rows;
  const generation = router.table.generation(row!);
  expect(first).toMatchObject({ kind: "first", row, generation, othersTokens: 0, isWhole: false });
  expect(end).toMatchObject({ kind: "end", row, generation, requests: 1 });
  expect(others).toEqual([]);
  if (first?.kind !== "first" || end?.kind !== "end") throw new Error("two kinds of notes");
  expect(first.tokens).toBeGreaterThan(0);
  expect(first.sentTokens).toBe(first.tokens);
  expect(first.sentMs).toBeWithin(beganMs - 20, first.firstMs - 15);
  expect(first.firstMs).toBeLessThan(end.atMs);
  expect(end.secondsPerToken).toBeWithin(0.003, (end.atMs - first.firstMs) / 11_000 + 0.001);
});

test("of an answer that comes whole it is known that it did", async () => {
  const up = upstream((socket) => socket.write(answer('{"usage":{"completion_tokens":40}}')));
  const router = relay([up.port]);
  await ask(router.port, post(CHAT, CLOSE));
  await ask(router.port, post(CHAT, CLOSE));
  const notes = await noted(router, 2);
  const tokens = notes.flatMap((note) => (note.kind === "first" && note.isWhole ? [note.tokens] : []));
  expect(notes.map((note) => (note.kind === "first" ? note.sentTokens : 0))).toEqual([tokens[0]!, 2 * tokens[0]!]);
});

test("an answer that tells of a fault, and one that breaks before it began, tell nothing of rates", async () => {
  const up = upstream((socket, _request, nth) => {
    if (nth === 1) socket.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}");
    else if (nth === 2) socket.end();
    else socket.write(SSE_HEAD + delta("a") + END);
  });
  const router = relay([up.port]);
  for (let request = 0; request < 2; request += 1) await ask(router.port, post(STREAM, CLOSE));
  const notes = await noted(router, 1);
  expect(notes.length).toBe(1);
  // What was sent counts all the same: nobody knows how much of it was computed.
  expect(notes[0]).toMatchObject({ kind: "first" });
  if (notes[0]?.kind === "first") expect(notes[0].sentTokens).toBeGreaterThanOrEqual(3 * notes[0].tokens);
});

test("a call's first message may be all of its answer", async () => {
  const { router, client } = await bed((call) => whenWhole(call, () => call.answer("yes")));
  await client.unary();
  const [first] = await noted(router, 1);
  expect(first).toMatchObject({ kind: "first", isWhole: true });
});
