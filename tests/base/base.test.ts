import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AssertionError, assert, unreachable } from "../../src/base/assert.ts";
import { ERRORS, type ErrorCode, MeshError, openAiBody, toMeshError } from "../../src/base/errors.ts";
import { Prng } from "../../src/base/prng.ts";
import { commit, version } from "../../src/base/version.ts";

describe("errors", () => {
  test("every code has a status of its protocol's range", () => {
    for (const [code, facts] of Object.entries(ERRORS)) {
      expect(`${code} ${facts.http >= 400 && facts.http < 600}`).toBe(`${code} true`);
      expect(`${code} ${facts.grpc >= 1 && facts.grpc <= 16}`).toBe(`${code} true`);
    }
  });

  test("source and retryable come from the table, and options win over it", () => {
    const plain = new MeshError("upstream_failed", "connection reset");
    expect([plain.source, plain.retryable, plain.status, plain.param]).toEqual(["upstream", true, 502, undefined]);
    const cause = new Error("below");
    const told = new MeshError("upstream_failed", "half sent", { source: "self", retryable: false, cause });
    expect([told.source, told.retryable, told.cause]).toEqual(["self", false, cause]);
  });

  test("the body is what OpenAI's clients parse", () => {
    const error = new MeshError("model_not_found", 'the model "x" is not served here', { param: "model" });
    expect(JSON.parse(openAiBody(error))).toEqual({
      error: {
        message: 'the model "x" is not served here',
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
      },
    });
    expect(JSON.parse(openAiBody(new MeshError("over_capacity", "full"))).error.param).toBeNull();
  });

  test("a stranger becomes an internal error with its cause kept", () => {
    const stranger = new TypeError("odd");
    const wrapped = toMeshError(stranger);
    const code: ErrorCode = wrapped.code;
    expect([code, wrapped.message, wrapped.cause]).toEqual(["internal", "odd", stranger]);
    expect(toMeshError(wrapped)).toBe(wrapped);
    expect(toMeshError("text", "bad_request").message).toBe("text");
  });
});

describe("assert", () => {
  test("passes what holds and throws on what does not", () => {
    assert(1, "fine");
    expect(() => assert(false, "the count went below zero")).toThrow(AssertionError);
    expect(() => unreachable("x" as never, "kind")).toThrow("kind: x");
  });
});

describe("prng", () => {
  test("once in n times is when an integer below n is 0, by the same draw", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, n) => {
        const [whole, once] = [new Prng(seed), new Prng(seed)];
        for (let draw = 0; draw < 20; draw += 1) expect(once.isOneIn(n)).toBe(whole.int(n) === 0);
        expect(once.nextU32()).toBe(whole.nextU32());
      }),
    );
  });

  test("what is skipped is drawn, and forgotten", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(50), (seed, draws) => {
        const [drawn, skipped] = [new Prng(seed), new Prng(seed)];
        for (let draw = 0; draw < draws; draw += 1) drawn.nextU32();
        skipped.skip(draws);
        for (let draw = 0; draw < 5; draw += 1) expect(skipped.nextU32()).toBe(drawn.nextU32());
      }),
    );
  });

  test("the same seed gives the same stream, another seed another one", () => {
    const stream = (seed: number) => Array.from({ length: 8 }, (_, _i, prng = new Prng(seed)) => prng.nextU32());
    fc.assert(
      fc.property(fc.maxSafeInteger(), (seed) => {
        const [first, second] = [new Prng(seed), new Prng(seed)];
        for (let i = 0; i < 16; i += 1) expect(first.nextU32()).toBe(second.nextU32());
      }),
    );
    expect(stream(1)).not.toEqual(stream(2));
    expect(stream(1)).not.toEqual(stream(1 + 2 ** 32));
  });

  test("int stays in its range and is even over it", () => {
    const prng = new Prng(7);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 20_000; i += 1) counts[prng.int(10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(250);
    expect(() => prng.int(0)).toThrow(AssertionError);
    expect(() => new Prng(Number.NaN)).toThrow(AssertionError);
  });

  test("exponential and normal have the moments they promise", () => {
    const prng = new Prng(11);
    let exponentials = 0;
    let normals = 0;
    let squares = 0;
    const n = 20_000;
    for (let i = 0; i < n; i += 1) {
      const wait = prng.exponential(3);
      expect(wait >= 0 && Number.isFinite(wait)).toBe(true);
      exponentials += wait / n;
      const value = prng.normal();
      normals += value / n;
      squares += (value * value) / n;
    }
    expect(exponentials).toBeCloseTo(3, 0);
    expect(normals).toBeCloseTo(0, 1);
    expect(squares).toBeCloseTo(1, 1);
  });
});

test("run from the sources, version and commit say so", () => {
  expect([version, commit]).toEqual(["0.0.0-dev", "unknown"]);
});
