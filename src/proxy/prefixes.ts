/**
 * A worker's use of the prefix index: the blocks of a request's prompt, who has them, and that its target has them now.
 *
 * A prompt is what its template makes of the request: tools, then the system prompt, then messages, prompt or input,
 * each as it stands in the body, in blocks of 1 KiB. A conversation's next request begins with the bytes of the one
 * before; two clients that write the same messages with other blanks or keys in another order do not match. Of a body
 * that is longer than what is held before a target is chosen, the part that is here counts.
 *
 * A prompt of token ids for a model whose engines tell of their caches (exact-blocks.ts) is cut as those cut it, and finds
 * what they told. Elsewhere ids are text.
 *
 * Of a call of gRPC it is the longest text of its first message (wire/proto-prompt.ts), as much of it as is here.
 *
 * Limits: the first 512 blocks; bodies in chunks count when they are whole, and compressed messages do not.
 */
import { openPrefixWork } from "../native.ts";
import { openTokenChains } from "../native-tokens.ts";
import type { PromptPrefix } from "../flow/fair-order.ts";
import { ROOT, rootKey } from "../kv/block-key.ts";
import { PickRequest } from "../score/pick.ts";
import { PrefixIndex } from "../score/prefix-index.ts";
import { PREFIX_BLOCK_BYTES, PREFIX_BLOCKS_MAX } from "../score/prefix-layout.ts";
import { PrefixLookup } from "../score/prefix-lookup.ts";
import { seedChain } from "../score/prefix-hash.ts";
import type { PrefixWork } from "../score/prefix-work.ts";
import { PART_COUNT, type PromptParts } from "../wire/prompt-parts.ts";
import type { PrefixNotes } from "./prefix-notes.ts";
import type { ProxyConfig } from "./settings.ts";
import { type Held, type PlainBody, plainBody } from "./reshape.ts";
import { ADAPTER, blocksOf, strideOf, TokenChains } from "./token-chain.ts";

/** What a worker is given for it. */
export interface PrefixStart {
  readonly index: SharedArrayBuffer;
  /** By model, the blocks of its prompts of token ids (exact-blocks.ts). */
  readonly sizes: SharedArrayBuffer;
  readonly missWeight: number;
}

const encoder = new TextEncoder();

/** What a worker picks with, and its use of the index, where there is one. */
export function openPrefixes(
  start: PrefixStart | null,
  config: ProxyConfig,
  notes: PrefixNotes,
): { readonly pick: PickRequest; readonly prefixes: Prefixes | null } {
  const pick = new PickRequest();
  const prefixes = start === null ? null : new Prefixes(start, config, notes);
  pick.prefix = prefixes?.lookup ?? null;
  return { pick, prefixes };
}

export class Prefixes {
  readonly lookup: PrefixLookup;
  readonly #work: PrefixWork;
  readonly #missWeight: number;
  readonly #config: ProxyConfig;
  readonly #notes: PrefixNotes;
  readonly #scratch = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2);
  readonly #sizes: Int32Array;
  readonly #chainIds = openTokenChains(new TokenChains().chain).chain;

  constructor({ index, sizes, missWeight }: PrefixStart, config: ProxyConfig, notes: PrefixNotes) {
    this.lookup = new PrefixLookup(PrefixIndex.attach(index));
    this.#work = openPrefixWork(this.lookup);
    this.#missWeight = missWeight;
    this.#config = config;
    this.#sizes = new Int32Array(sizes);
    this.#notes = notes;
  }

  /** Of a request for the model of that number and name, kept for its further attempts; null: it has none. */
  prefixOf(request: Held, parts: PromptParts, model: number, name: string): PromptPrefix | null {
    if (parts.bytes < PREFIX_BLOCK_BYTES || (request.contentLength < 0 && !request.isComplete)) return null;
    const { bytes, start, end } = plainBody(request);
    const chain = this.#scratch;
    seedChain(chain, encoder.encode(name));
    const size = this.#sizes[model]!;
    const ofIds = size === 0 ? null : this.#prefixOfIds({ bytes, start, end }, parts, size, name);
    if (ofIds !== null) return ofIds.blocks === 0 ? null : ofIds;
    let blocks = 0;
    let bytesLess = 0;
    let last = PART_COUNT - 1;
    while (last > 0 && parts.starts[last]! < 0) last -= 1;
    for (let part = 0; part <= last; part += 1) {
      if (parts.starts[part]! < 0) continue;
      const from = start + parts.starts[part]!;
      const to = Math.min(end, parts.ends[part]! < 0 ? end : start + parts.ends[part]!);
      const isLast = part === last;
      blocks = this.#work.hash(bytes, from, to, chain, blocks, PREFIX_BLOCKS_MAX, !isLast);
      const rest = Math.max(0, to - from) % PREFIX_BLOCK_BYTES;
      if (!isLast && rest > 0) bytesLess += PREFIX_BLOCK_BYTES - rest;
    }
    return blocks === 0 ? null : this.#prefixOfText(blocks, bytesLess);
  }

  /** Of a prompt that is bytes [start, end); null: it is too short. */
  prefixOfText(bytes: Uint8Array, start: number, end: number, name: string): PromptPrefix | null {
    if (end - start < PREFIX_BLOCK_BYTES) return null;
    const chain = this.#scratch;
    seedChain(chain, encoder.encode(name));
    return this.#prefixOfText(this.#work.hash(bytes, start, end, chain, 0, PREFIX_BLOCKS_MAX, false), 0);
  }

  /** Of the scratch's chain. */
  #prefixOfText(blocks: number, bytesLess: number): PromptPrefix {
    const { bytesPerToken } = this.#config;
    const tokensPerBlock = PREFIX_BLOCK_BYTES / bytesPerToken;
    const chain = this.#scratch.slice(0, (blocks + 1) * 2);
    return { chain, blocks, tokensPerBlock, tokensLess: bytesLess / bytesPerToken };
  }

  /** As engines cut it; null: it is no prompt of token ids. */
  #prefixOfIds(
    { bytes, start, end }: PlainBody,
    parts: PromptParts,
    marked: number,
    name: string,
  ): PromptPrefix | null {
    const last = PART_COUNT - 1;
    const to = start + parts.ends[last]!;
    if (parts.starts[0]! >= 0 || parts.starts[1]! >= 0 || parts.starts[last]! < 0 || to <= start || to > end)
      return null;
    const size = marked & ~ADAPTER;
    const root = marked === size ? ROOT : rootKey(name);
    const count = this.#chainIds(bytes, start + parts.starts[last]!, to, size, root, this.#scratch);
    if (count < 0) return null;
    const blocks = blocksOf(count, size);
    // Elsewhere tokens are reckoned by bytes, and the whole prompt is.
    const reckoned = parts.bytes / this.#config.bytesPerToken / Math.max(1, count);
    const chain = this.#scratch.slice(0, (blocks + 1) * 2);
    return { chain, blocks, tokensPerBlock: strideOf(size) * size * reckoned, tokensLess: 0 };
  }

  /** The next picks are for this prompt. */
  ask(pick: PickRequest, prompt: PromptPrefix | null): void {
    pick.cachedTokens = 0;
    if (prompt === null) return;
    const { chain, blocks, tokensPerBlock, tokensLess } = prompt;
    this.lookup.ask(chain, blocks, tokensPerBlock, tokensLess);
    pick.missWeight = this.#missWeight;
  }

  /** Answers the question of `ask` without a pick: the lookup's getters tell. */
  match(): void {
    this.#work.match();
  }

  /** The prompt goes to the row. */
  note(worker: number, row: number, prompt: PromptPrefix): void {
    const { chain, blocks } = prompt;
    const fresh = this.#work.note(worker, row, chain, blocks);
    const { index } = this.lookup;
    if (fresh > 0 && index.peers > 0) this.#notes.add(row, index.life(row), fresh, chain, blocks);
  }

  /** Picks are for others again. */
  done(pick: PickRequest): void {
    this.lookup.askNothing();
    pick.missWeight = 0;
  }
}
