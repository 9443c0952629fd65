/**
 * What the router shows to targets that demand a key, in place of what clients show to the router: for each model the
 * headers to write. A client's own `authorization` and `x-api-key` stay here then: they are keys of the mesh.
 *
 * A rule is written [MODEL=]HOW:env:NAME or [MODEL=]HOW:file:/PATH. HOW is `bearer`, `basic` (for NAME:PASSWORD) or the
 * header that holds the secret as it is. Rules that name a model take the place of those for every model.
 */
import { list } from "../base/settings-collections.ts";
import { type Infer, section, text } from "../base/settings.ts";
import type { HeaderBlock } from "./header-block.ts";
import { fieldOf } from "./header-field.ts";
import { isFreeHeader } from "./rewrite-settings.ts";

const RULE =
  /^(?:([^\s=]+)=)?([A-Za-z][A-Za-z0-9-]{0,63}):(?:(env):([A-Za-z_][A-Za-z0-9_]{0,255})|(file):(\/[^\0]{0,4095}))$/;
const RULES_MAX = 256;
/** All headers for one model together. */
export const KEYS_BYTES_MAX = 16_384;
const LIST_OVERHEAD_BYTES = 32;
/** Secrets of clients, which a target that has a key of its own is not shown. */
const CLIENTS_OWN = ["authorization", "x-api-key"];

export const upstreamAuthSettings = section(
  {
    rules: list(
      text({
        lengthMax: 4500,
        pattern: RULE,
        expected: "[MODEL=]HOW:env:NAME or [MODEL=]HOW:file:/PATH, with bearer, basic or a header's name for HOW",
      }),
      {
        default: [],
        flag: "upstream-auth",
        placeholder: "[MODEL=]HOW:WHERE,...",
        lengthMax: RULES_MAX,
        emptyMeans: "targets get the client's own authorization",
        doc: "The key that targets are shown in place of what clients show: bearer, basic (for a NAME:PASSWORD) or the name of a header, and where it is: env:NAME or file:/PATH. With MODEL= for that model, else for all. Such as llama=bearer:file:/run/secrets/vllm. Files and variables are read at the start and when the configuration is loaded anew.",
      },
    ),
  },
  {
    check: ({ rules }) =>
      rules.flatMap((rule, at) => {
        const header = headerOf(keyRule(rule));
        const expected = "a header that is not the router's own or its connection's";
        return isFreeHeader(header) ? [] : [{ path: `rules[${at}]`, found: header, expected }];
      }),
  },
);
export type UpstreamAuthConfig = Infer<typeof upstreamAuthSettings>;

export interface KeyRule {
  /** "" for every model. */
  readonly model: string;
  readonly how: string;
  readonly from: "env" | "file";
  readonly where: string;
}

/** A rule that has passed the settings' check. */
export function keyRule(written: string): KeyRule {
  const [, model = "", how = "", env, name = "", , path = ""] = RULE.exec(written) ?? [];
  return env === undefined ? { model, how, from: "file", where: path } : { model, how, from: "env", where: name };
}

function headerOf({ how }: Pick<KeyRule, "how">): string {
  const lower = how.toLowerCase();
  return lower === "bearer" || lower === "basic" ? "authorization" : lower;
}

/** A header for the targets of a model; its value is secret. */
export interface UpstreamKey {
  readonly model: string;
  readonly header: string;
  readonly value: string;
}

/** `secret`: visible ASCII, as it was found; bytes beyond that may be in a password, which goes out in Base64. */
export function upstreamKey({ model, how }: KeyRule, secret: string): UpstreamKey {
  const header = headerOf({ how });
  switch (how.toLowerCase()) {
    case "bearer":
      return { model, header, value: `Bearer ${secret}` };
    case "basic":
      return { model, header, value: `Basic ${new TextEncoder().encode(secret).toBase64()}` };
    default:
      return { model, header, value: secret };
  }
}

/** What is done to the heads of requests for one model. */
export interface ModelKeys {
  /** Headers of the client that go no further, lower case. */
  readonly dropped: ReadonlySet<string>;
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** The lines as fields of HTTP/2. */
  readonly fields: Uint8Array;
  /** What these count for against a target's limit of a head (RFC 9113 section 6.5.2). */
  readonly listBytes: number;
}

export class UpstreamKeys {
  readonly isEmpty: boolean;
  readonly #keys: readonly UpstreamKey[];
  readonly #found = new Map<string, ModelKeys | null>();

  constructor(keys: readonly UpstreamKey[]) {
    this.#keys = keys;
    this.isEmpty = keys.length === 0;
  }

  /** Null: targets of this model are shown what clients show. Names come from what is served, so there are not endless many. */
  of(model: string): ModelKeys | null {
    if (this.isEmpty) return null;
    const known = this.#found.get(model);
    if (known !== undefined) return known;
    const own = this.#keys.filter((key) => key.model === model);
    const made = keysOf(own.length > 0 ? own : this.#keys.filter((key) => key.model === ""));
    if (this.#found.size >= FOUND_MAX) this.#found.clear();
    this.#found.set(model, made);
    return made;
  }
}

const FOUND_MAX = 8192;

function keysOf(keys: readonly UpstreamKey[]): ModelKeys | null {
  if (keys.length === 0) return null;
  // Of two for one header the later counts, as with rules of headers.
  const lines = [...new Map(keys.map(({ header, value }) => [header, value]))];
  const fields = lines.map(([name, value]) => fieldOf(name, value).encoded);
  const all = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const field of fields) {
    all.set(field, at);
    at += field.length;
  }
  const dropped = new Set([...CLIENTS_OWN, ...lines.map(([name]) => name)]);
  return { dropped, lines, fields: all, listBytes: all.length + lines.length * LIST_OVERHEAD_BYTES };
}

/** Whether a call's head has what the target is not to be shown. */
export function hasDropped({ fields }: HeaderBlock, { dropped }: ModelKeys): boolean {
  return fields.some(({ name }) => dropped.has(name.text));
}
