/** Which GPU a word means. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { gpuAndNode, matchGpu, type NamedGpu } from "../../src/health/gpu-name.ts";

const gpu = (index: number, uuid: string, slices: readonly string[] = []): NamedGpu => ({ index, uuid, slices });
const GPUS = [
  gpu(0, "GPU-4d6c01aa-0000"),
  gpu(1, "GPU-4d6c02bb-1111", ["MIG-77aa", "MIG-88bb"]),
  gpu(2, "GPU-99cc"),
  gpu(3, "GPU-99cc01"),
  gpu(4, "card:0000:3b:00.0"),
];
const found = (word: string, gpus = GPUS): unknown => {
  const match = matchGpu(word, gpus);
  if (match.kind === "one") return match.gpu.index;
  return match.kind === "several" ? match.gpus.map(({ index }) => index) : match.near;
};

describe("a GPU is named", () => {
  test.each([
    ["0", 0],
    ["0003", 3],
    ["GPU-4d6c02bb-1111", 1],
    ["gpu-4D6C02", 1],
    ["4d6c01", 0],
    ["MIG-88", 1],
    ["77aa", 1],
    ["GPU-4d6c0", [0, 1]],
    // The whole of one is that one, though another begins so.
    ["GPU-99cc", 2],
    ["99cc", [2, 3]],
    ["card:0000:3b", 4],
    ["7", undefined],
    ["", undefined],
    ["GP", undefined],
    ["99cC02", undefined],
    ["GPU-4d6c01ab-0000", "GPU-4d6c01aa-0000"],
    ["\u001b[2J", undefined],
    ["x".repeat(100_000), undefined],
    ["0".repeat(300), undefined],
    ["-1", undefined],
    ["1e0", undefined],
  ])("by %p", (word, expected) => {
    expect(found(word)).toEqual(expected);
  });

  test("by an index that several nodes have", () => {
    expect(found("0", [gpu(0, "GPU-a"), gpu(0, "GPU-b")])).toEqual([0, 0]);
  });

  test("and its node by what follows an @", () => {
    expect(gpuAndNode("0@gpu-1")).toEqual({ gpu: "0", node: "gpu-1" });
    expect(gpuAndNode("GPU-1")).toEqual({ gpu: "GPU-1", node: "" });
    expect(gpuAndNode("0@a@b")).toEqual({ gpu: "0", node: "a@b" });
    expect(gpuAndNode("@")).toEqual({ gpu: "", node: "" });
  });

  test("by any of its names, whatever they are, unless another has it too", () => {
    const name = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
    const some = fc.array(fc.record({ index: fc.nat(9), uuid: name, slices: fc.array(name, { maxLength: 3 }) }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(some, fc.string(), (gpus: readonly NamedGpu[], word) => {
        const of = (one: NamedGpu): string[] => [one.uuid, ...one.slices].map((text) => text.toLowerCase());
        matchGpu(word, gpus);
        for (const [at, one] of gpus.entries()) {
          if (/^\d+$/.test(one.uuid)) continue;
          const match = matchGpu(one.uuid, gpus);
          const same = gpus.filter((other) => of(other).includes(one.uuid.toLowerCase()));
          if (same.length === 1) expect(match).toEqual({ kind: "one", gpu: gpus[at] as NamedGpu });
          else expect(match).toEqual({ kind: "several", gpus: same });
        }
      }),
    );
  });
});
