/**
 * Mutated messages against every parser of the room: nothing throws, every number told lies inside the input, what is
 * refused says why, and a random cut changes nothing. Seeded: a failure prints the seed and the input.
 */
import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { ChunkScanner } from "../../src/wire/chunks.ts";
import { HEAD_LIMITS, PARSE_BAD, PARSE_DONE, PARSE_MORE, RequestHead, ResponseHead } from "../../src/wire/http1.ts";
import { BodyFields } from "../../src/wire/json-field.ts";
import { MultipartField } from "../../src/wire/multipart-field.ts";
import { SseScanner } from "../../src/wire/sse.ts";
import { bytesOf } from "./pieces.ts";

const SEED = Number(Bun.env["SEED"] ?? 20_251_120);
const ROUNDS = 50_000;
const NOISE = bytesOf('\r\n\r\n\0 \t:,;-"\\{}[]0159aFu\x7f\xff');

const REQUESTS = [
  "POST /v1/chat/completions HTTP/1.1\r\nHost: mesh\r\nContent-Length: 17\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
  "GET http://mesh/v1/models HTTP/1.0\r\nTransfer-Encoding: chunked\r\nAccept: */*\r\n\r\n",
];
const RESPONSES = [
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
  "HTTP/1.0 204 No Content\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
];
const CHUNKED = ["5;a=b\r\nhello\r\n1f\r\n0123456789012345678901234567890\r\n0\r\nx: y\r\n\r\n", "0\r\n\r\n"];
const JSONS = [
  '{"model":"llama","messages":[{"role":"user","content":"a\\"b\\\\"}],"stream":true,"x":-1.5e3}',
  '{"mod\\u0065l":"\\ud83d\\ude00","prompt":[1,2,[3]],"n":null}',
];
const FORMS = [
  '--xyz\r\nContent-Disposition: form-data; name="file"\r\n\r\n\0\r\n--xy\r\n--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--xyz--\r\n',
];

const work = new Uint8Array(512);

/** A message of `samples` with one to four bytes overwritten, taken out, put in or doubled; answers its length in `work`. */
function mutate(samples: readonly Buffer[], prng: Prng): number {
  const sample = samples[prng.int(samples.length)]!;
  work.set(sample);
  let length = sample.length;
  for (let edits = 1 + prng.int(4); edits > 0; edits--) {
    const at = prng.int(length);
    const byte = prng.int(4) === 0 ? prng.int(256) : NOISE[prng.int(NOISE.length)]!;
    switch (prng.int(4)) {
      case 0:
        work[at] = byte;
        break;
      case 1:
        if (length > 1) work.copyWithin(at, at + 1, length--);
        break;
      case 2:
        work.copyWithin(at + 1, at, length++);
        work[at] = byte;
        break;
      default: {
        const count = Math.min(1 + prng.int(16), length - at);
        if (length + count > 500) break;
        work.copyWithin(at + count, at, length);
        length += count;
        break;
      }
    }
  }
  return length;
}

/** Runs `once` on mutated samples and adds the seed and the input to whatever goes wrong. */
function fuzz(samples: readonly string[], once: (length: number, cut: number) => void): void {
  const prng = new Prng(SEED);
  const buffers = samples.map((sample) => bytesOf(sample));
  for (let round = 0; round < ROUNDS; round++) {
    const length = mutate(buffers, prng);
    try {
      once(length, prng.int(length + 1));
    } catch (error) {
      const input = JSON.stringify(Buffer.from(work.subarray(0, length)).toString("latin1"));
      throw new Error(`SEED=${SEED} round ${round}, input ${input}`, { cause: error });
    }
  }
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

describe("mutated messages", () => {
  test.each([
    ["requests", REQUESTS, () => new RequestHead(HEAD_LIMITS)],
    ["responses", RESPONSES, () => new ResponseHead(HEAD_LIMITS)],
  ] as const)("%s", (_name, samples, make) => {
    const whole = make();
    const split = make();
    let done = 0;
    fuzz(samples, (length, cut) => {
      whole.reset();
      split.reset();
      const result = whole.parse(work, 0, length);
      let other = split.parse(work, 0, cut);
      if (other === PARSE_MORE) other = split.parse(work, 0, length);
      check(result === other && whole.badReason === split.badReason, "a cut changes the outcome");
      check(result !== PARSE_BAD || (whole.bad !== "" && whole.badReason !== ""), "refused without a reason");
      if (result !== PARSE_DONE) return;
      done++;
      check(whole.headEnd === split.headEnd && whole.headEnd <= length, "the end is outside");
      check(
        whole.contentLength === split.contentLength && whole.chunked === split.chunked,
        "a cut changes the framing",
      );
      check(whole.contentLength < 0 || !whole.chunked, "two framings");
      for (let i = 0; i < whole.lineCount; i++) {
        const places = [whole.lineStart, whole.nameEnd, whole.valueStart, whole.valueEnd, whole.lineEnd].map(
          (table) => table[i]!,
        );
        check(
          places.every((place, k) => place <= whole.headEnd && (k === 0 || place >= places[k - 1]!)),
          "places out of order",
        );
        check(whole.drop[i] === split.drop[i], "a cut changes what is dropped");
      }
    });
    expect(done).toBeGreaterThan(0);
  });

  test("chunks", () => {
    const whole = new ChunkScanner();
    const split = new ChunkScanner();
    let done = 0;
    fuzz(CHUNKED, (length, cut) => {
      whole.reset();
      split.reset();
      const result = whole.push(work, 0, length);
      let other = split.push(work, 0, cut);
      if (other === -1) other = split.push(work, cut, length);
      check(result === other, "a cut changes the outcome");
      check(result === -2 || whole.bodyBytes === split.bodyBytes, "a cut changes the data");
      check(whole.boundary <= length, "the boundary is outside");
      if (result >= 0) done++;
    });
    expect(done).toBeGreaterThan(0);
  });

  test.each([
    ["JSON", JSONS, () => new BodyFields()],
    ["forms", FORMS, () => new MultipartField("xyz")],
  ] as const)("%s", (_name, samples, make) => {
    const whole = make();
    const split = make();
    let done = 0;
    fuzz(samples, (length, cut) => {
      whole.reset();
      split.reset();
      whole.push(work, 0, length);
      split.push(work, 0, cut);
      split.push(work, cut, length);
      const result = whole.finish();
      check(result === split.finish() && whole.reason === split.reason, "a cut changes the outcome");
      check(result === "done" || whole.reason !== "", "refused without a reason");
      if (result !== "done") return;
      done++;
      check(whole.model === split.model && whole.stream === split.stream, "a cut changes what was found");
      check(
        whole.duplicateModel === split.duplicateModel && whole.promptBytes === split.promptBytes,
        "a cut changes counts",
      );
    });
    expect(done).toBeGreaterThan(0);
  });

  test("what JSON.parse would read as another model is refused or told", () => {
    const fields = new BodyFields();
    let parsed = 0;
    fuzz(JSONS, (length) => {
      fields.reset();
      fields.push(work, 0, length);
      if (fields.finish() !== "done" || fields.duplicateModel) return;
      let value: unknown;
      try {
        value = JSON.parse(Buffer.from(work.subarray(0, length)).toString());
      } catch {
        return;
      }
      parsed++;
      const model = (value as { model?: unknown }).model;
      check((model ?? "") === fields.model, `JSON.parse reads ${String(model)}, not ${fields.model}`);
    });
    expect(parsed).toBeGreaterThan(0);
  });

  test("event streams", () => {
    const whole = new SseScanner();
    const split = new SseScanner();
    fuzz(["data: a\n\n: b\r\n\r\nevent: c\ndata: d\r\n\n"], (length, cut) => {
      whole.reset();
      split.reset();
      whole.push(work, 0, length);
      split.push(work, 0, cut);
      split.push(work, cut, length);
      check(
        whole.events === split.events && whole.atEventBoundary === split.atEventBoundary,
        "a cut changes the count",
      );
    });
  });
});
