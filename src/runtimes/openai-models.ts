/**
 * `GET /v1/models` as the servers of OpenAI's API answer it: a list of cards. Those that serve LoRA adapters list them
 * with the model that they adapt as `parent`; most tell the context length. Servers differ most in who they say owns the
 * models: it tells them apart (identify.ts).
 */
import type { Answer } from "./adapter.ts";
import { countAt, itemsAt, jsonOf, memberAt, nameAt } from "./json-answer.ts";
import type { Capability } from "../base/runtime-terms.ts";
import type { Refusal, Told } from "./table.ts";

export interface ModelCard {
  readonly id: string;
  /** "" where it is not told. */
  readonly ownedBy: string;
  /** The base of a LoRA adapter. */
  readonly parent: string | undefined;
  /** An adapter's is its parent's where its own card does not tell one. */
  readonly contextTokensMax: number | undefined;
  /** The card as it was sent. */
  readonly card: unknown;
}

/** Where context lengths stand: vLLM and SGLang; llama.cpp; others. */
const CONTEXT_PATHS: readonly (readonly string[])[] = [
  ["max_model_len"],
  ["meta", "n_ctx"],
  ["context_length"],
  ["max_context_length"],
];

export function readOpenAiModels(answer: Answer): Told | Refusal {
  const cards = modelCards(jsonOf(answer));
  if (cards === undefined) return { kind: "unreadable", message: 'it has no list of models ("data")' };
  return { models: cards.map(({ id, parent, contextTokensMax }) => ({ model: id, parent, contextTokensMax })) };
}

/** Undefined where it is no such list. Ollama without models sends null for an empty one. */
export function modelCards(json: unknown): readonly ModelCard[] | undefined {
  const items = memberAt(json, "data") === null ? [] : itemsAt(json, "data");
  if (items === undefined) return undefined;
  const cards = new Map<string, ModelCard>();
  for (const card of items) {
    const id = nameAt(card, "id");
    if (id === undefined || cards.has(id)) continue;
    const parent = nameAt(card, "parent");
    cards.set(id, { id, ownedBy: nameAt(card, "owned_by") ?? "", parent, contextTokensMax: contextOf(card), card });
  }
  return [...cards.values()].map((each) => ({
    ...each,
    contextTokensMax: each.contextTokensMax ?? cards.get(each.parent ?? "")?.contextTokensMax,
  }));
}

function contextOf(card: unknown): number | undefined {
  for (const path of CONTEXT_PATHS) {
    const count = countAt(card, ...path);
    if (count !== undefined) return count;
  }
  return undefined;
}

/** The words by which servers name what a model can do; those that nothing stands for here are left out. */
const CAPABILITIES: Readonly<Record<string, readonly Capability[]>> = {
  completion: ["chat", "completions"],
  chat: ["chat"],
  completions: ["completions"],
  "text-generation": ["chat", "completions"],
  "image-text-to-text": ["chat", "completions"],
  embedding: ["embeddings"],
  embeddings: ["embeddings"],
  rerank: ["rerank"],
  image: ["images"],
};

export function capabilitiesOf(listed: readonly unknown[]): readonly Capability[] {
  const found = new Set<Capability>();
  for (const word of listed) {
    if (typeof word !== "string" || !Object.hasOwn(CAPABILITIES, word)) continue;
    for (const capability of CAPABILITIES[word] ?? []) found.add(capability);
  }
  return [...found];
}
