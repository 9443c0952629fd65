import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EventAnswer, WholeAnswer } from "../../src/load/answer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const event = (value: unknown) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const chunk = (delta: object) => event({ choices: [{ index: 0, delta, finish_reason: null }] });

const STREAM =
  ": a comment\n\nretry: 5\n\n" +
  chunk({ role: "assistant", content: "" }) +
  chunk({ content: "héllo" }) +
  chunk({ content: " world" }).replaceAll("\n", "\r\n") +
  event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) +
  event({
    choices: [],
    usage: { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 3 } },
  }) +
  event("[DONE]");

function read(...parts: readonly Uint8Array[]): EventAnswer {
  const answer = new EventAnswer();
  for (const part of parts) answer.push(part);
  return answer;
}

describe("streams", () => {
  test("are read alike wherever they are split", () => {
    const all = bytes(STREAM);
    const wanted = { texts: 2, promptTokens: 9, outputTokens: 4, cachedTokens: 3, isDone: true, error: "", fault: "" };
    expect(read(all)).toMatchObject(wanted);
    for (let at = 0; at <= all.length; at += 1)
      expect(read(all.subarray(0, at), all.subarray(at))).toMatchObject(wanted);
    expect(read(...[...all].map((byte) => Uint8Array.of(byte)))).toMatchObject(wanted);
  });

  test("each push tells how many events with text it ended", () => {
    const answer = new EventAnswer();
    expect(answer.push(bytes(chunk({ role: "assistant", content: "" })))).toBe(0);
    expect(answer.push(bytes(chunk({ content: "a" }) + chunk({ content: "b" })))).toBe(2);
    expect(answer.push(bytes(chunk({ content: "c" }).slice(0, -1)))).toBe(0);
    expect(answer.push(bytes("\n"))).toBe(1);
  });

  test("completions, thoughts and calls of tools are text; roles and ends are none", () => {
    expect(read(bytes(event({ choices: [{ text: "x" }] }))).texts).toBe(1);
    expect(read(bytes(event({ choices: [{ text: "" }] }))).texts).toBe(0);
    expect(read(bytes(chunk({ reasoning_content: "hm" }))).texts).toBe(1);
    expect(read(bytes(chunk({ tool_calls: [{}] }))).texts).toBe(1);
    expect(read(bytes(chunk({ content: null }))).texts).toBe(0);
  });

  test("what is malformed is told, once and for all", () => {
    expect(read(bytes("data: {not json\n\n")).fault).toBe("an event that is no JSON object: {not json");
    expect(read(bytes("data: 5\n\n")).fault).toContain("no JSON object");
    expect(read(bytes("<html>\n")).fault).toBe("a line that is no event's: <html>");
    expect(read(bytes(`data: ${"x".repeat(5_000_000)}`)).fault).toBe("an event without an end");
    expect(read(bytes("<p>\n"), bytes(STREAM))).toMatchObject({ texts: 0, isDone: false });
  });

  test("an error within is told in the server's words", () => {
    expect(read(bytes(event({ error: { message: "out of memory", code: 500 } }))).error).toBe("out of memory");
    expect(read(bytes(event({ object: "error", message: "too long" }))).error).toBe("too long");
    expect(read(bytes(event({ error: "plain" }))).error).toBe("plain");
    expect(read(bytes(event({ error: null, choices: [{ text: "x" }] }))).texts).toBe(1);
  });

  test("no bytes do it harm", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.json().map((json) => bytes(event(json))),
    );
    fc.assert(fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => void read(...pieces)));
  });
});

describe("whole answers", () => {
  const whole = (text: string) => {
    const answer = new WholeAnswer();
    const all = bytes(text);
    answer.push(all.subarray(0, all.length >> 1));
    answer.push(all.subarray(all.length >> 1));
    answer.end();
    return answer;
  };

  test("tell their tokens", () => {
    const text = JSON.stringify({
      choices: [{ message: { content: "é" } }],
      usage: { prompt_tokens: 1, completion_tokens: 2 },
    });
    expect(whole(text)).toMatchObject({ promptTokens: 1, outputTokens: 2, cachedTokens: -1, error: "", fault: "" });
    expect(whole('{"usage":{"prompt_tokens":-1,"completion_tokens":1.5}}')).toMatchObject({
      promptTokens: -1,
      outputTokens: -1,
    });
  });

  test("are malformed, or errors, or neither", () => {
    expect(whole("<html>").fault).toBe("an answer that is no JSON object: <html>");
    expect(whole('{"error":{"message":"no"}}').error).toBe("no");
    expect(whole('{"detail":"Not Found"}').words).toBe("Not Found");
    expect(whole("busy\n").words).toBe("busy");
    fc.assert(fc.property(fc.string(), (text) => void whole(text).words));
  });
});
