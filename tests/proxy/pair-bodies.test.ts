import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MeshError } from "../../src/base/errors.ts";
import {
  isOnePrompt,
  newRoom,
  sglangOf,
  sourceOf,
  transferParamsIn,
  vllmDecodeOf,
  vllmPrefillOf,
} from "../../src/proxy/pair-bodies.ts";
import type { Held, Reshaped } from "../../src/proxy/reshape.ts";
import { ALL_SHAPES } from "../../src/wire/api-shapes.ts";

const shapeOf = (name: string) => ALL_SHAPES.find((shape) => shape.name === name)!;

function heldOf(body: unknown, isChunked = false, shape = "openai.chat"): Held {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const length = Buffer.byteLength(text);
  const framing = isChunked ? "transfer-encoding: chunked" : `content-length: ${length}`;
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n${framing}\r\nx-request-id: r\r\n\r\n`;
  const framed = isChunked ? `${length.toString(16)}\r\n${text}\r\n0\r\n\r\n` : text;
  const held = Buffer.from(head + framed);
  return {
    held,
    heldEnd: held.length,
    bodyAt: head.length,
    contentLength: isChunked ? -1 : length,
    isComplete: true,
    shape: shapeOf(shape),
    nameStart: -1,
    nameEnd: -1,
  };
}

/** Head and body of what is sent. */
function sent(made: Reshaped | MeshError): { readonly head: string; readonly body: Record<string, unknown> } {
  if (made instanceof MeshError) throw made;
  const text = made.bytes.toString();
  const [head, body] = [text.slice(0, made.bodyAt), text.slice(made.bodyAt)];
  expect(head).toContain(`content-length: ${Buffer.byteLength(body)}\r\n`);
  expect(head).toContain("x-request-id: r\r\n");
  return { head, body: JSON.parse(body) as Record<string, unknown> };
}

/** Fields that clients write, the ones that matter among them. */
const fields = fc.dictionary(
  fc.oneof(
    fc.constantFrom("model", "messages", "stream", "max_tokens", "max_completion_tokens", "min_tokens"),
    fc.constantFrom("stream_options", "kv_transfer_params", "bootstrap_host", "bootstrap_room", "temperature", "ключ"),
  ),
  fc.jsonValue(),
);

describe("what a pair is sent", () => {
  test("is the client's request but for what concerns the transfer", () => {
    fc.assert(
      fc.property(fields, fc.boolean(), (body, isChunked) => {
        const request = heldOf(body, isChunked);
        const { kv_transfer_params: _, ...own } = JSON.parse(JSON.stringify(body)) as Record<string, unknown>;
        const prefill = sent(vllmPrefillOf(request)).body;
        expect(prefill).toMatchObject({ max_tokens: 1, stream: false, kv_transfer_params: { do_remote_decode: true } });
        expect(prefill["stream_options"]).toBeUndefined();
        const params = { do_remote_prefill: true, remote_block_ids: [[1, 2]], remote_host: "h" };
        const decode = sent(vllmDecodeOf(request, JSON.stringify(params))).body;
        expect(decode).toEqual({ ...own, kv_transfer_params: params });
        const {
          bootstrap_host: host,
          bootstrap_port: port,
          bootstrap_room: room,
          ...rest
        } = sent(sglangOf(request, "fd00::1", 8998, 7)).body;
        expect({ host, port, room }).toEqual({ host: "[fd00::1]", port: 8998, room: 7 });
        const {
          bootstrap_host: _host,
          bootstrap_port: _port,
          bootstrap_room: _room,
          ...mine
        } = JSON.parse(JSON.stringify(body)) as Record<string, unknown>;
        expect(rest).toEqual(mine);
      }),
    );
  });

  test("of no transfer is the request, without what the client says of one", () => {
    const plain = heldOf({ model: "m" });
    const made = vllmDecodeOf(plain, null);
    expect(made instanceof MeshError ? "" : made.bytes.toString()).toBe(plain.held.toString());
    expect(sent(vllmDecodeOf(heldOf({ model: "m", kv_transfer_params: {} }), null)).body).toEqual({ model: "m" });
  });

  test("goes by what the settings made of the request", () => {
    const request = heldOf({ model: "alias" });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nx-request-id: r\r\ncontent-length: 13\r\nx-new: 1\r\n\r\n`;
    const edited = { bytes: Buffer.from(`${head}{"model":"m"}`), bodyAt: head.length, hasBody: true };
    const { head: to, body } = sent(vllmPrefillOf(sourceOf(request, edited)));
    expect(to).toContain("x-new: 1\r\n");
    expect(body).toMatchObject({ model: "m", max_tokens: 1 });
    const headed = { bytes: Buffer.from(head), bodyAt: head.length, hasBody: false };
    const other = sent(vllmPrefillOf(sourceOf(request, headed)));
    expect(other.head).toContain("x-new: 1\r\n");
    expect(other.body).toMatchObject({ model: "alias" });
    expect(sourceOf(request, null)).toBe(request);
  });

  test("can't be made of what is no JSON object", () => {
    for (const text of ["", "[]", '{"a":', "x"]) expect(vllmPrefillOf(heldOf(text || " "))).toBeInstanceOf(MeshError);
  });
});

describe("pairs take", () => {
  test.each<[unknown, boolean, string?]>([
    [{ model: "m", messages: [] }, true],
    [{ n: 1, best_of: null }, true],
    [{ n: 2 }, false],
    [{ n: "1" }, false],
    [{ best_of: 2 }, false],
    [{ prompt: "a" }, true, "openai.completions"],
    [{ prompt: [1, 2, 3] }, true, "openai.completions"],
    [{ prompt: ["a", "b"] }, false, "openai.completions"],
    [{ prompt: [[1]] }, false, "openai.completions"],
    [{ prompt: [] }, false, "openai.completions"],
    [{ input: "a" }, false, "openai.embeddings"],
    ["{", false],
    ['{"n":2,"n":1}', false],
  ])("%j: %p", (body, isOne, shape = "openai.chat") => {
    expect(isOnePrompt(heldOf(body, false, shape))).toBe(isOne);
  });

  test("nothing whose body is not here yet", () => {
    expect(isOnePrompt({ ...heldOf({}), isComplete: false })).toBe(false);
  });
});

describe("a prefill target's answer", () => {
  const of = (text: string) => transferParamsIn(Buffer.from(text));

  test("tells where the KV cache is, digit for digit", () => {
    expect(of('{"id":1,"kv_transfer_params":{"remote_port": 9007199254740993},"x":[]}')).toBe(
      '{"remote_port": 9007199254740993}',
    );
    expect(of("{}")).toBeNull();
    expect(of('{"kv_transfer_params":null}')).toBeNull();
    expect(of("[]")).toBeUndefined();
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void transferParamsIn(bytes)));
  });

  test("rooms are whole numbers that JSON can tell apart", () => {
    for (let at = 0; at < 1000; at += 1) expect(Number.isSafeInteger(newRoom()) && newRoom() >= 0).toBe(true);
  });
});
