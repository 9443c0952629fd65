import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Usage } from "../../src/wire/usage.ts";

function read(text: string): [prompt: number, completion: number] | null {
  const usage = new Usage();
  // What lies around the bytes that are meant must play no part.
  const bytes = Buffer.from(`"usage":{"prompt_tokens":7}}${text}"usage":{"completion_tokens":9}`);
  const start = '"usage":{"prompt_tokens":7}}'.length;
  const end = start + Buffer.byteLength(text);
  return usage.read(bytes, start, end) ? [usage.promptTokens, usage.completionTokens] : null;
}

describe("tokens of the prompt that were cached", () => {
  test.each<[string, string, number]>([
    ["OpenAI", '"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":5}}}', 5],
    ["OpenAI, in front", '"usage":{"prompt_tokens_details":{"cached_tokens":0},"prompt_tokens":9}}', 0],
    ["Responses", '"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2}}', 4],
    ["Anthropic", '"usage":{"input_tokens":9,"cache_read_input_tokens":7,"output_tokens":2}}', 7],
    ["not told", '"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null}}', -1],
  ])("%s", (_name, text, cached) => {
    const usage = new Usage();
    const bytes = Buffer.from(`{${text}`);
    expect(usage.read(bytes, 0, bytes.length)).toBe(true);
    expect(usage.cachedTokens).toBe(cached);
    usage.reset();
    expect(usage.cachedTokens).toBe(-1);
  });
});

describe("counts at the end of an answer", () => {
  test.each<[string, string, [number, number]]>([
    ["OpenAI", '{"choices":[],"usage":{"prompt_tokens":12,"total_tokens":46,"completion_tokens":34}}', [12, 34]],
    ["with blanks", '{"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 34 } }\n', [12, 34]],
    [
      "with details and what follows",
      '{"usage":{"prompt_tokens":1200,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":5}},"kv_transfer_params":null}',
      [1200, 3],
    ],
    ["embeddings", '{"data":[1,2],"usage":{"prompt_tokens":8,"total_tokens":8}}', [8, 0]],
    ["Anthropic", '{"content":[],"usage":{"input_tokens":5,"output_tokens":6}}', [5, 6]],
    ["Ollama", '{"done":true,"total_duration":5,"prompt_eval_count":26,"eval_count":290,"eval_duration":4}', [26, 290]],
    ["an event", 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n', [1, 2]],
  ])("%s", (_name, text, expected) => {
    expect(read(text)).toEqual(expected);
  });

  test.each([
    "",
    "{}",
    '{"choices":[],"usage":null}',
    '{"usage":"none"}',
    '{"usage":{}}',
    '{"usage":{"prompt_tokens":null}}',
    '"usage":{"prompt_tok',
    `{"usage":{"prompt_tokens":1}}${" ".repeat(800)}`,
  ])("there are none in %p", (text) => {
    expect(read(text)).toBeNull();
  });

  test("are the last ones: a text that looks like some stands before them", () => {
    const text = JSON.stringify({
      text: '"usage":{"prompt_tokens":1}',
      usage: { prompt_tokens: 2, completion_tokens: 3 },
    });
    expect(read(text)).toEqual([2, 3]);
  });

  test("are found wherever they stand within reach", () => {
    const count = fc.nat(999_999_999);
    fc.assert(
      fc.property(count, count, fc.nat(300), fc.nat(300), (prompt, completion, before, after) => {
        const usage = JSON.stringify({ prompt_tokens: prompt, completion_tokens: completion });
        const text = `{"x":"${"usage ".repeat(before)}","usage":${usage},"y":"${"e".repeat(after)}"}`;
        expect(read(text)).toEqual([prompt, completion]);
      }),
    );
  });

  test("random bytes do no harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const usage = new Usage();
        usage.read(bytes, 0, bytes.length);
        expect(usage.promptTokens).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
