/**
 * Who makes a request, and what for, as policies know it: the tenant that it names (`x-infermesh-tenant`), the key that
 * it shows (`authorization: Bearer KEY`, `x-api-key`) by its SHA-256, and the kind of work that its path asks for. Who
 * shows several keys is judged by each: which of them a target goes by nobody here knows.
 *
 * A tenant is taken at its word: whoever lets strangers in sets the header itself, in front of the router. What is not
 * said is "": policies for everybody still count.
 *
 * Limits: the hashes of the last few thousand keys are kept, so that a request costs a look-up rather than a hash.
 */
import { createHash } from "node:crypto";
import type { Action } from "../policy/spec.ts";
import type { ApiShape } from "../wire/api-shapes.ts";

export interface Caller {
  readonly tenant: string;
  /** SHA-256 of each key that it shows, in hexadecimal; "" alone without a key. */
  readonly keyHashes: readonly string[];
}

const NO_KEY: readonly string[] = [""];
export const NOBODY: Caller = { tenant: "", keyHashes: NO_KEY };

const TENANT_CHARACTERS_MAX = 253;
const KEYS_MAX = 4096;
const BEARER = /^bearer[ \t]+/i;

export class Callers {
  readonly #hashes = new Map<string, string>();

  /** The caller whose head has these fields; `values` as Latin-1 text, whatever they are encoded in. */
  of(values: (name: string) => readonly string[]): Caller {
    const tenant = utf8(values("x-infermesh-tenant")[0] ?? "").slice(0, TENANT_CHARACTERS_MAX);
    const bearers = values("authorization").filter((value) => BEARER.test(value));
    const keys = [...bearers.map((value) => value.replace(BEARER, "")), ...values("x-api-key")];
    const hashes = new Set(keys.filter((key) => key !== "").map((key) => this.#hashOf(key)));
    return { tenant, keyHashes: hashes.size === 0 ? NO_KEY : [...hashes] };
  }

  #hashOf(key: string): string {
    const known = this.#hashes.get(key);
    if (known !== undefined) return known;
    // Whoever makes up keys pushes the others out, and costs them a hash each.
    if (this.#hashes.size >= KEYS_MAX) this.#hashes.clear();
    const hash = createHash("sha256").update(key, "latin1").digest("hex");
    this.#hashes.set(key, hash);
    return hash;
  }
}

/** Policies name tenants in any script. */
function utf8(octets: string): string {
  return /[\u0080-\u00ff]/.test(octets) ? Buffer.from(octets, "latin1").toString() : octets;
}

const EMBEDDING = new Set([
  "openai.embeddings",
  "cohere.embed",
  "ollama.embed",
  "tei.embed",
  "sglang.encode",
  "vllm.pooling",
  "llamacpp.embedding",
]);

/** Whether it only asks about a model: quotas are for work. */
export function isQuestion({ work }: Pick<ApiShape, "work">): boolean {
  return work === "read";
}

/** The same of a gRPC call of this path. */
export function isQuestionCall(path: string): boolean {
  return /\/(?:Server(?:Live|Ready|Metadata)|Model(?:Ready|Metadata|Config|Statistics|Info)|RepositoryIndex|HealthCheck|Health|Info|GetModelInfo|GetServerInfo)$/.test(
    path,
  );
}

/** What a request of HTTP asks for. */
export function actionOf({ name, work }: Pick<ApiShape, "name" | "work">): Action {
  if (work === "management") return "admin";
  return EMBEDDING.has(name) ? "embed" : "infer";
}

/** What a gRPC call of this path asks for. */
export function callActionOf(path: string): Action {
  const method = path.slice(path.lastIndexOf("/") + 1);
  if (method === "Embed") return "embed";
  return /^(?:RepositoryModel(?:Load|Unload)|TraceSetting|LogSettings)$/.test(method) ? "admin" : "infer";
}
