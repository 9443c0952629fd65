/**
 * Makes a model that a real llama.cpp server loads and streams tokens from: `bun scripts/tiny-model.ts FILE [--seed N]`
 * and, for adapters, `--lora`. Of the llama architecture, with random weights from a seed: what it says means nothing,
 * but it is said at a real server's pace, in a real tokenizer's tokens, and the same at temperature 0 every time.
 *
 * The tokenizer is laid out as SentencePiece's: <unk>, <s>, </s>, a token for each byte, then pieces with scores, and
 * the two tokens of ChatML. Bytes, control tokens and the end of the text are never the likeliest token (their rows of
 * the output are zero), so that answers are valid UTF-8 as long as asked for; logit_bias still brings an early end.
 */
import { parseArgs } from "node:util";
import { Prng } from "../src/base/prng.ts";
import { gguf } from "./gguf.ts";
import type { Model, Tensor, Value } from "./gguf.ts";

const NAME = "infermesh-tiny";
const WIDTH = 128;
const FEED_FORWARD = 352;
const LAYERS = 3;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD_WIDTH = WIDTH / HEADS;
const CONTEXT = 4096;
const LORA_RANK = 4;

const KIND = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;
const CHAT_TEMPLATE = `{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

interface Token {
  readonly text: string;
  readonly kind: number;
}

/** All tokens in the order of their ids. */
export function vocabulary(): Token[] {
  const control = (text: string): Token => ({ text, kind: KIND.control });
  const bytes = Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    kind: KIND.byte,
  }));
  const pieces = new Set<string>();
  // A piece is found by joining what is left of it with its last letter, so every beginning of one is a piece too.
  for (const word of words()) for (let end = 1; end <= word.length; end += 1) pieces.add(word.slice(0, end));
  for (let code = 0x21; code < 0x7f; code += 1) pieces.add(String.fromCharCode(code));
  for (const other of ["é", "ß", "λ", "я", "語", "🙂"]) pieces.add(other);
  return [
    { text: "<unk>", kind: KIND.unknown },
    control("<s>"),
    control("</s>"),
    ...bytes,
    ...[...pieces].map((text) => ({ text, kind: KIND.normal })),
    control("<|im_start|>"),
    control("<|im_end|>"),
  ];
}

/** Syllables, at the beginning of a word (behind "▁", the space of SentencePiece) and within one. */
function words(): string[] {
  const syllables = Array.from("bdfgklmnprstvz").flatMap((consonant) =>
    Array.from("aeiou").map((vowel) => consonant + vowel),
  );
  return [...syllables.map((each) => `▁${each}`), ...syllables];
}

function tokenizer(tokens: readonly Token[]): Record<string, Value> {
  const id = (text: string): Value => ({ u32: tokens.findIndex((token) => token.text === text) });
  return {
    "tokenizer.ggml.model": { string: "llama" },
    "tokenizer.ggml.pre": { string: "default" },
    "tokenizer.ggml.tokens": { strings: tokens.map(({ text }) => text) },
    // Among pieces that could be joined, the one with the higher score is: those that came earlier.
    "tokenizer.ggml.scores": { f32s: tokens.map(({ kind }, i) => (kind === KIND.normal ? -i : 0)) },
    "tokenizer.ggml.token_type": { i32s: tokens.map(({ kind }) => kind) },
    "tokenizer.ggml.bos_token_id": id("<s>"),
    "tokenizer.ggml.eos_token_id": id("</s>"),
    "tokenizer.ggml.eot_token_id": id("<|im_end|>"),
    "tokenizer.ggml.unknown_token_id": id("<unk>"),
    "tokenizer.ggml.add_bos_token": { bool: true },
    "tokenizer.ggml.add_eos_token": { bool: false },
    "tokenizer.chat_template": { string: CHAT_TEMPLATE },
  };
}

/** Random numbers as a trained model's: of a size by which a layer's output stays as large as its input. */
function matrix(prng: Prng, name: string, inputs: number, outputs: number): Tensor {
  const size = 1 / Math.sqrt(inputs);
  const data = Float32Array.from({ length: inputs * outputs }, () => prng.normal() * size);
  return { name, shape: [inputs, outputs], data };
}

const ones = (name: string): Tensor => ({ name, shape: [WIDTH], data: new Float32Array(WIDTH).fill(1) });

/** Each matrix of a layer: its name, what goes in and what comes out. */
const MATRICES = [
  ["attn_q", WIDTH, WIDTH],
  ["attn_k", WIDTH, KV_HEADS * HEAD_WIDTH],
  ["attn_v", WIDTH, KV_HEADS * HEAD_WIDTH],
  ["attn_output", WIDTH, WIDTH],
  ["ffn_gate", WIDTH, FEED_FORWARD],
  ["ffn_up", WIDTH, FEED_FORWARD],
  ["ffn_down", FEED_FORWARD, WIDTH],
] as const;

export function tinyModel(seed: number): Model {
  const prng = new Prng(seed);
  const tokens = vocabulary();
  const output = matrix(prng, "output.weight", WIDTH, tokens.length);
  for (const [i, { kind }] of tokens.entries()) {
    if (kind !== KIND.normal) output.data.fill(0, i * WIDTH, (i + 1) * WIDTH);
  }
  const layers = Array.from({ length: LAYERS }, (_, layer) => [
    ones(`blk.${layer}.attn_norm.weight`),
    ones(`blk.${layer}.ffn_norm.weight`),
    ...MATRICES.map(([name, inputs, outputs]) => matrix(prng, `blk.${layer}.${name}.weight`, inputs, outputs)),
  ]);
  return {
    metadata: {
      "general.architecture": { string: "llama" },
      "general.name": { string: NAME },
      "general.file_type": { u32: 0 },
      "llama.vocab_size": { u32: tokens.length },
      "llama.context_length": { u32: CONTEXT },
      "llama.embedding_length": { u32: WIDTH },
      "llama.block_count": { u32: LAYERS },
      "llama.feed_forward_length": { u32: FEED_FORWARD },
      "llama.rope.dimension_count": { u32: HEAD_WIDTH },
      "llama.attention.head_count": { u32: HEADS },
      "llama.attention.head_count_kv": { u32: KV_HEADS },
      "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
      ...tokenizer(tokens),
    },
    tensors: [
      matrix(prng, "token_embd.weight", WIDTH, tokens.length),
      ...layers.flat(),
      ones("output_norm.weight"),
      output,
    ],
  };
}

/** A LoRA adapter of the tiny model, which makes it say other things. */
export function tinyAdapter(seed: number): Model {
  const prng = new Prng(seed);
  const [, inputs, outputs] = MATRICES[0];
  const tensors = Array.from({ length: LAYERS }, (_, layer) => [
    matrix(prng, `blk.${layer}.attn_q.weight.lora_a`, inputs, LORA_RANK),
    matrix(prng, `blk.${layer}.attn_q.weight.lora_b`, LORA_RANK, outputs),
  ]);
  return {
    metadata: {
      "general.architecture": { string: "llama" },
      "general.type": { string: "adapter" },
      "general.name": { string: `${NAME}-adapter` },
      "adapter.type": { string: "lora" },
      "adapter.lora.alpha": { f32: 4 * LORA_RANK },
    },
    tensors: tensors.flat(),
  };
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { seed: { type: "string", default: "1" }, lora: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const [file] = positionals;
  const seed = Number(values.seed);
  if (file === undefined || positionals.length > 1 || !Number.isSafeInteger(seed)) {
    console.error("usage: bun scripts/tiny-model.ts FILE [--seed N] [--lora]; N is an integer");
    process.exit(2);
  }
  await Bun.write(file, gguf(values.lora ? tinyAdapter(seed) : tinyModel(seed)));
}
