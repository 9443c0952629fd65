/**
 * Names of models that bodies have beside "model", as Ollama's management and vLLM's adapters do, and names that are not
 * those of a model that is served but that its runtime takes for it. For access rules, which are asked of each; what is
 * read here was read as JSON before, and is all here.
 */
import { isRecord } from "../base/field.ts";
import type { ApiShape } from "../wire/api-shapes.ts";
import { type Held, plainBody } from "./reshape.ts";

const APIS: ReadonlySet<string> = new Set(["ollama.show", "ollama.manage", "vllm.adapter"]);
/** In small letters: parsers of Go don't mind their case. */
const KEYS: ReadonlySet<string> = new Set(["model", "name", "source", "destination", "from", "lora_name"]);

/** Whether bodies of the API name models in other fields. */
export function hasOtherNames({ name }: Pick<ApiShape, "name">): boolean {
  return APIS.has(name);
}

/** The models that the body of a whole request names in any of these fields. */
export function namesIn(request: Held): readonly string[] {
  const { bytes, start, end } = plainBody(request);
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(bytes.subarray(start, end)).toString());
  } catch {
    return [];
  }
  if (!isRecord(body)) return [];
  return Object.entries(body).flatMap(([key, value]) =>
    KEYS.has(key.toLowerCase()) && typeof value === "string" && value !== "" ? [value] : [],
  );
}

/** The models among these that Ollama takes the name for: it knows a registry, a namespace and a tag that go without saying. */
export function takenFor(name: string, models: readonly string[]): readonly string[] {
  const plain = plainName(name);
  return models.filter((model) => plainName(model) === plain);
}

function plainName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^(?:https?:\/\/)?registry\.ollama\.ai\//, "")
    .replace(/^library\//, "")
    .replace(/:latest$/, "");
}
