import { describe, expect, test } from "bun:test";
import { PromptWriter } from "../../src/load/prompt.ts";
import { BodyWriter } from "../../src/load/request.ts";
import { tokenize } from "../../src/sim/text.ts";

const BLOCK = 512;

describe("prompts", () => {
  test("have as many tokens as they should, and need no escapes", () => {
    const writer = new PromptWriter(1, BLOCK);
    for (const [hashes, tokens] of [
      [[], 1],
      [[], 1000],
      [[1, 2], 1024],
      [[1, 2], 1500],
    ] as const) {
      const text = writer.text(hashes, tokens, 3);
      expect(tokenize(text)).toHaveLength(tokens);
      expect(text).toMatch(/^(?: [a-z]+)+$/);
    }
  });

  test("the same ids have the same text wherever they come, so far as they are the same", () => {
    const [one, other] = [new PromptWriter(1, BLOCK), new PromptWriter(1, BLOCK)];
    const first = one.text([7, 8, 9], 1600, 0);
    other.text([3], 600, 5);
    const second = other.text([7, 8, 10], 1600, 1);
    const [a, b] = [tokenize(first), tokenize(second)];
    expect(a.slice(0, 1024)).toEqual(b.slice(0, 1024));
    expect(a.slice(1024, 1040)).not.toEqual(b.slice(1024, 1040));
    // What is shared with nobody is the request's own.
    expect(one.text([7], 600, 1)).not.toBe(one.text([7], 600, 2));
    expect(one.text([], 40, 1).slice(0, 30)).not.toBe(one.text([], 40, 2).slice(0, 30));
    expect(new PromptWriter(2, BLOCK).text([7], 512, 0)).not.toBe(one.text([7], 512, 0));
  });

  test("texts that had to be forgotten come again as they were", () => {
    const writer = new PromptWriter(1, 100_000);
    const first = writer.text([0], 100_000, 0);
    for (let id = 1; id < 90; id += 1) writer.text([id], 100_000, 0);
    expect(writer.text([0], 100_000, 0)).toBe(first);
  });
});

describe("bodies", () => {
  const asked = { api: "chat", model: 'odd "name" é', isStreamed: true, asksUsage: true, ignoresEnd: false } as const;

  test("are what OpenAI's clients send", () => {
    expect(JSON.parse(new BodyWriter(asked).body(" the", 5))).toEqual({
      model: 'odd "name" é',
      messages: [{ role: "user", content: " the" }],
      max_tokens: 5,
      stream: true,
      stream_options: { include_usage: true },
    });
    const plain = { ...asked, api: "completions", isStreamed: false, ignoresEnd: true } as const;
    expect(JSON.parse(new BodyWriter(plain).body(" the", 5))).toEqual({
      model: 'odd "name" é',
      prompt: " the",
      max_tokens: 5,
      ignore_eos: true,
    });
  });
});
