/**
 * Decides what a request's choices will say before the engine has spent any time on them: text, length and reason to
 * end all follow from the seed, so the engine needs only lengths, and a stop sequence is found before the first token
 * is sent, wherever token borders fall.
 */

import { MeshError } from "../base/errors.ts";
import { blockHashes, chainHash } from "../sim/kv-cache.ts";
import type { Profile } from "../sim/profile.ts";
import type { SimRequest } from "../sim/sequence.ts";
import { Writer, saltOf } from "../sim/text.ts";
import type { GenerationRequest, Prompt } from "./mock-requests.ts";

export interface Choice {
  readonly index: number;
  readonly prompt: Prompt;
  readonly writer: Writer;
  readonly tokens: number;
  /** Characters to show: a stop sequence and what follows are cut off. */
  readonly chars: number;
  readonly reason: "stop" | "length";
  readonly job: Omit<SimRequest, "id">;
}

/** The choices of a request, prompt by prompt. Throws where a prompt and its answer exceed the context. */
export function planChoices(request: GenerationRequest, profile: Profile, seed: number): Choice[] {
  const choices: Choice[] = [];
  const salt = saltOf(seed, request.model);
  for (const prompt of request.prompts) {
    const hashes = blockHashes(prompt.tokens, profile.blockTokens, salt);
    const textSeed = chainHash(salt ^ (request.seed ?? 0), prompt.tokens, 0, prompt.tokens.length);
    for (let fork = 0; fork < request.choices; fork += 1) {
      const writer = new Writer(textSeed + fork);
      choices.push(planChoice(request, profile, prompt, hashes, salt, writer, choices.length));
    }
  }
  return choices;
}

function planChoice(
  request: GenerationRequest,
  profile: Profile,
  prompt: Prompt,
  hashes: readonly number[],
  salt: number,
  writer: Writer,
  index: number,
): Choice {
  const promptTokens = prompt.tokens.length;
  const room = Math.min(profile.contextTokensMax, profile.kvBlocks * profile.blockTokens) - promptTokens;
  const { tokensMax } = request;
  if (room < (tokensMax ?? 1)) throw contextExceeded(request, promptTokens, room);
  // A length that was asked for is generated in full unless the caller lets the text end of itself: replayed traces
  // and load tests then get what they name, as they would from a real server with ignore_eos.
  const endsItself = !(request.ignoreEnd ?? tokensMax !== undefined);
  const natural = endsItself ? Math.max(writer.naturalTokens, request.tokensMin) : Infinity;
  const limit = Math.min(tokensMax ?? room, natural, room);
  const cut = findStop(writer, request.stop, limit, request.tokensMin);
  const tokens = cut?.tokens ?? limit;
  return {
    index,
    prompt,
    writer,
    tokens,
    chars: cut?.chars ?? Infinity,
    reason: cut !== undefined || limit === natural ? "stop" : "length",
    job: {
      promptTokens,
      outputTokens: tokens,
      hashes,
      outputHash: outputHasher(prompt, hashes, salt, profile.blockTokens, writer),
      stream: request.stream,
    },
  };
}

/** Blames the length that was asked for only where the prompt alone would have fitted. */
function contextExceeded(request: GenerationRequest, prompt: number, room: number): MeshError {
  const { kind, tokensMax } = request;
  const asked = tokensMax === undefined ? "" : ` and ${tokensMax} for the answer`;
  return new MeshError(
    "bad_request",
    `This model's maximum context length is ${prompt + room} tokens. However, ` +
      `you requested ${prompt} tokens in the prompt${asked}. Please reduce the length of the prompt or of the answer.`,
    { param: room > 0 ? "max_tokens" : kind === "chat" ? "messages" : "prompt" },
  );
}

/** Where the first stop sequence ends the text: after how many tokens, and how many characters. */
function findStop(
  writer: Writer,
  stops: readonly string[],
  limit: number,
  tokensMin: number,
): { tokens: number; chars: number } | undefined {
  if (stops.length === 0) return undefined;
  const overlap = Math.max(...stops.map((stop) => stop.length)) - 1;
  // Only the end of the text can complete a match: what stands before `base` was searched already.
  let tail = "";
  let base = 0;
  for (let index = 0; index < limit; index += 1) {
    tail += writer.text(index);
    let at = -1;
    if (index + 1 > tokensMin) {
      for (const stop of stops) {
        const found = tail.indexOf(stop);
        if (found >= 0 && (at < 0 || found < at)) at = found;
      }
    }
    if (at >= 0) return { tokens: index + 1, chars: base + at };
    const drop = Math.max(0, tail.length - overlap);
    base += drop;
    tail = tail.slice(drop);
  }
  return undefined;
}

/** Hashes of the blocks after the prompt's full ones: the rest of the prompt, then what was written. */
function outputHasher(
  prompt: Prompt,
  hashes: readonly number[],
  salt: number,
  blockTokens: number,
  writer: Writer,
): (block: number) => number {
  const known = [...hashes];
  const tokens: number[] = [];
  return (block) => {
    while (known.length <= block) {
      const start = known.length * blockTokens;
      for (let offset = 0; offset < blockTokens; offset += 1) {
        const at = start + offset;
        tokens[offset] = prompt.tokens[at] ?? writer.id(at - prompt.tokens.length);
      }
      known.push(chainHash(known.at(-1) ?? salt, tokens, 0, blockTokens));
    }
    return known[block] as number;
  };
}

/** The text that tokens [first, first + count) add, cut where the choice ends. `shown` characters came before. */
export function textOf(
  choice: Pick<Choice, "writer" | "chars">,
  first: number,
  count: number,
  shown: number,
): string[] {
  const texts: string[] = [];
  let chars = shown;
  for (let index = first; index < first + count; index += 1) {
    if (chars >= choice.chars) break;
    const text = choice.writer.text(index).slice(0, choice.chars - chars);
    chars += text.length;
    texts.push(text);
  }
  return texts;
}

export function wholeText(choice: Choice): string {
  return textOf(choice, 0, choice.tokens, 0).join("");
}
