/** The tiny model as a file: its layout read back, the tokenizer's tables, and what the seed decides. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gguf } from "../../scripts/gguf.ts";
import { tinyAdapter, tinyModel, vocabulary } from "../../scripts/tiny-model.ts";
import { readGguf } from "./gguf-reader.ts";

const NORMAL = 1;
const file = gguf(tinyModel(1));
const read = readGguf(file);
const floats = (bytes: Uint8Array, at: number, count: number): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, count * 4);
  return Array.from({ length: count }, (_, i) => view.getFloat32(i * 4, true));
};

describe("gguf", () => {
  test("values of every type come back", () => {
    const metadata = {
      "a.number": { u32: 4_294_967_295 },
      "a.float": { f32: 0.5 },
      "a.yes": { bool: true },
      "a.no": { bool: false },
      "a.text": { string: "語 🙂" },
      "a.texts": { strings: ["", "x".repeat(70_000)] },
      "a.floats": { f32s: [-1.5, 0] },
      "a.integers": { i32s: [-2_147_483_648, 7] },
    };
    const { version, metadata: back, tensors } = readGguf(gguf({ metadata, tensors: [] }));
    expect(version).toBe(3);
    expect(tensors.size).toBe(0);
    expect(Object.fromEntries(back)).toEqual(
      Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Object.values(value)[0]])),
    );
  });

  test("tensors lie at aligned offsets, one behind the other, in the order given", () => {
    const tensors = [
      { name: "one", shape: [3], data: Float32Array.of(1, 2, 3) },
      { name: "two", shape: [2, 2], data: Float32Array.of(4, 5, 6, 7) },
    ];
    const bytes = gguf({ metadata: {}, tensors });
    const { start, tensors: back } = readGguf(bytes);
    expect([...back]).toEqual([
      ["one", { shape: [3], type: 0, offset: 0 }],
      ["two", { shape: [2, 2], type: 0, offset: 32 }],
    ]);
    expect(start % 32).toBe(0);
    expect(bytes.length).toBe(start + 64);
    expect(floats(bytes, start, 3)).toEqual([1, 2, 3]);
    expect(floats(bytes, start + 32, 4)).toEqual([4, 5, 6, 7]);
  });

  test("data that is not of the shape is refused by name", () => {
    const tensors = [{ name: "blk.0.wrong", shape: [2, 3], data: new Float32Array(5) }];
    expect(() => gguf({ metadata: {}, tensors })).toThrow("tensor blk.0.wrong: 5 values for a shape of 2 x 3; give 6");
  });
});

describe("the tiny model", () => {
  test("has a few megabytes, and the tensors of its architecture in the shapes that its metadata gives", () => {
    expect(file.length).toBeGreaterThan(1_000_000);
    expect(file.length).toBeLessThan(5_000_000);
    const number = (key: string): number => read.metadata.get(`llama.${key}`) as number;
    expect(read.metadata.get("general.architecture")).toBe("llama");
    const width = number("embedding_length");
    const kv = (width / number("attention.head_count")) * number("attention.head_count_kv");
    const ffn = number("feed_forward_length");
    const expected: Record<string, number[]> = {
      "token_embd.weight": [width, number("vocab_size")],
      "output_norm.weight": [width],
      "output.weight": [width, number("vocab_size")],
    };
    for (let layer = 0; layer < number("block_count"); layer += 1) {
      const shapes: Record<string, number[]> = {
        attn_norm: [width],
        ffn_norm: [width],
        attn_q: [width, width],
        attn_k: [width, kv],
        attn_v: [width, kv],
        attn_output: [width, width],
        ffn_gate: [width, ffn],
        ffn_up: [width, ffn],
        ffn_down: [ffn, width],
      };
      for (const [name, shape] of Object.entries(shapes)) expected[`blk.${layer}.${name}.weight`] = shape;
    }
    expect(Object.fromEntries([...read.tensors].map(([name, { shape }]) => [name, shape]))).toEqual(expected);
    const last = [...read.tensors.values()].at(-1)!;
    expect(file.length).toBe(read.start + last.offset + last.shape.reduce((a, b) => a * b) * 4);
  });

  test("its tokenizer has a token for each byte, tables of one length and the special tokens that it names", () => {
    const tokens = read.metadata.get("tokenizer.ggml.tokens") as string[];
    const kinds = read.metadata.get("tokenizer.ggml.token_type") as number[];
    const scores = read.metadata.get("tokenizer.ggml.scores") as number[];
    expect(tokens.length).toBe(read.metadata.get("llama.vocab_size") as number);
    expect([kinds.length, scores.length]).toEqual([tokens.length, tokens.length]);
    expect(new Set(tokens).size).toBe(tokens.length);
    expect(tokens.filter((_, i) => kinds[i] === 6)).toEqual(
      Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).padStart(2, "0").toUpperCase()}>`),
    );
    const special = (name: string): string => tokens[read.metadata.get(`tokenizer.ggml.${name}_token_id`) as number]!;
    expect(["bos", "eos", "eot", "unknown"].map(special)).toEqual(["<s>", "</s>", "<|im_end|>", "<unk>"]);
  });

  test("every piece is reached by joining its beginning with its last letter", () => {
    const pieces = new Set(vocabulary().map(({ text }) => text));
    for (const { text, kind } of vocabulary()) {
      const letters = Array.from(text);
      if (kind !== NORMAL || letters.length === 1) continue;
      expect(pieces.has(letters.slice(0, -1).join(""))).toBe(true);
      expect(pieces.has(letters.at(-1)!)).toBe(true);
    }
  });

  test("says no bytes, no control tokens and no end by itself: their rows of the output are zero, others are not", () => {
    const kinds = read.metadata.get("tokenizer.ggml.token_type") as number[];
    const { shape, offset } = read.tensors.get("output.weight")!;
    const zero = kinds.map((_, i) => {
      const row = floats(file, read.start + offset + i * shape[0]! * 4, shape[0]!);
      return row.every((each) => each === 0);
    });
    expect(zero).toEqual(kinds.map((kind) => kind !== NORMAL));
  });

  test("is the same for a seed, another for another", () => {
    expect(Bun.hash(gguf(tinyModel(1)))).toBe(Bun.hash(file));
    expect(Bun.hash(gguf(tinyModel(2)))).not.toBe(Bun.hash(file));
  });

  test("its adapter changes tensors that it has, in shapes that fit them", () => {
    const { metadata, tensors } = readGguf(gguf(tinyAdapter(2)));
    expect(metadata.get("general.type")).toBe("adapter");
    expect(metadata.get("adapter.type")).toBe("lora");
    for (const [name, { shape }] of tensors) {
      const [, base, part] = /^(.*)\.lora_([ab])$/.exec(name)!;
      const [inputs, outputs] = read.tensors.get(base!)!.shape;
      const rank = tensors.get(`${base}.lora_a`)!.shape[1]!;
      expect([...shape]).toEqual(part === "a" ? [inputs!, rank] : [rank, outputs!]);
    }
    expect(tensors.size).toBe(6);
  });
});

describe("the command", () => {
  const script = join(import.meta.dir, "../../scripts/tiny-model.ts");
  const run = (...given: string[]) => Bun.spawnSync([process.execPath, script, ...given]);

  test("writes the file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "infermesh-tiny-model-"));
    try {
      const path = join(folder, "tiny.gguf");
      expect(run(path).exitCode).toBe(0);
      expect(Bun.hash(await Bun.file(path).bytes())).toBe(Bun.hash(file));
      expect(run(path, "--seed", "2", "--lora").exitCode).toBe(0);
      expect(Bun.hash(await Bun.file(path).bytes())).toBe(Bun.hash(gguf(tinyAdapter(2))));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each([[[]], [["a", "b"]], [["a", "--seed", "x"]]])("%j is refused with its usage", (given) => {
    const { exitCode, stderr } = run(...given);
    expect(exitCode).toBe(2);
    expect(stderr.toString()).toContain("usage: bun scripts/tiny-model.ts FILE");
  });
});
