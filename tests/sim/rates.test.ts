import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PROFILES } from "../../src/sim/profile.ts";
import { estimatedRates, sizeOfModel } from "../../src/sim/rates.ts";

describe("the size of a model by its name", () => {
  const cases = [
    ["llama-3.1-8b", 8e9, 8e9, 2],
    ["meta-llama/Llama-3.1-70B-Instruct", 70e9, 70e9, 2],
    ["Qwen/Qwen2.5-0.5B-Instruct-AWQ", 0.5e9, 0.5e9, 0.5],
    ["Qwen/Qwen3-30B-A3B-FP8", 30e9, 3e9, 1],
    ["HuggingFaceTB/SmolLM2-135M", 135e6, 135e6, 2],
    ["llama-3.1-405b-fp8", 405e9, 405e9, 1],
    ["gemma-2-9b-it-GPTQ", 9e9, 9e9, 0.5],
    ["openai/gpt-oss-20b", 20e9, 20e9, 2],
  ] as const;
  for (const [name, parameters, activeParameters, bytesPerParameter] of cases) {
    test(name, () => {
      expect(sizeOfModel(name)).toEqual({ parameters, activeParameters, bytesPerParameter });
    });
  }

  test("is not guessed where the name does not say, or says two things", () => {
    for (const name of [
      "",
      "gpt-4o",
      "mixtral-8x7b",
      "deepseek-r1",
      "v3b2",
      "merge-7b-13b",
      "0b",
      "phi-3.5-mini",
      "8bit",
    ]) {
      expect([name, sizeOfModel(name)]).toEqual([name, undefined]);
    }
  });

  test("is a sensible number, or none, whatever the name", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9.\-/]*[0-9]{1,6}[bm][a-z0-9.-]*$/)), (name) => {
        const size = sizeOfModel(name);
        if (size === undefined) return;
        expect(size.parameters).toBeWithin(1e7, 1e14);
        expect(size.activeParameters).toBeGreaterThan(0);
        expect(size.activeParameters).toBeLessThanOrEqual(size.parameters);
      }),
    );
  });
});

describe("rates by measured figures", () => {
  test("come near the profile's, which are made of what others report", () => {
    // As a product by mma.sync and a copy would be measured on it.
    const h100 = { matrixFlops: 600e12, memoryBytesPerSecond: 3e12 };
    const { prefillTokensPerSecond, decodeTokensPerSecond } = estimatedRates(sizeOfModel("llama-3.1-8b")!, h100);
    const profile = PROFILES["h100-8b"];
    expect(prefillTokensPerSecond / profile.prefillTokensPerSecond).toBeWithin(0.8, 1.25);
    const stepMs = profile.stepBaseMs + 256 * profile.stepPerSequenceMs;
    expect(decodeTokensPerSecond / (256_000 / stepMs)).toBeWithin(0.7, 1.4);
  });

  test("grow with the GPUs, and fall with the size; a mixture computes less and reads all", () => {
    const one = { matrixFlops: 600e12, memoryBytesPerSecond: 3e12 };
    const rates = (name: string, count = 1) =>
      estimatedRates(sizeOfModel(name)!, {
        matrixFlops: one.matrixFlops * count,
        memoryBytesPerSecond: one.memoryBytesPerSecond * count,
      });
    expect(rates("x-70b", 4).prefillTokensPerSecond).toBeCloseTo(4 * rates("x-70b").prefillTokensPerSecond, 6);
    expect(rates("x-70b").decodeTokensPerSecond).toBeLessThan(rates("x-8b").decodeTokensPerSecond);
    expect(rates("x-30b-a3b").prefillTokensPerSecond).toBeCloseTo(10 * rates("x-30b").prefillTokensPerSecond, 6);
    expect(rates("x-8b-awq").decodeTokensPerSecond).toBeGreaterThan(rates("x-8b").decodeTokensPerSecond);
  });
});
