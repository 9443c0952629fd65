/** The keys that targets are shown, out of files and the environment (wire/upstream-keys.ts). No fault tells what was found. */
import { readFileSync } from "node:fs";
import { MeshError, toMeshError } from "../base/errors.ts";
import { KEYS_BYTES_MAX, keyRule, type KeyRule, type UpstreamAuthConfig } from "../wire/upstream-keys.ts";
import { type UpstreamKey, upstreamKey } from "../wire/upstream-keys.ts";

const SECRET_CHARACTERS_MAX = 8192;
/** What may stand in a header as it is. */
const VISIBLE = /^[!-~](?:[ -~]*[!-~])?$/;

/** Throws a MeshError that names the rule at fault. */
export function upstreamKeys({ rules }: UpstreamAuthConfig, env: NodeJS.ProcessEnv = process.env): UpstreamKey[] {
  const bytes = new Map<string, number>();
  return rules.map((rule) => {
    const parsed = keyRule(rule);
    const secret = secretOf(parsed, env);
    if (typeof secret !== "string") throw refused(rule, secret.fault);
    const key = upstreamKey(parsed, secret);
    const all = (bytes.get(key.model) ?? 0) + key.header.length + key.value.length + LINE_BYTES;
    if (all > KEYS_BYTES_MAX)
      throw refused(rule, `its model's headers have more than ${KEYS_BYTES_MAX} bytes together`);
    bytes.set(key.model, all);
    return key;
  });
}

/** The keys in force. Those that can't be read any more stay what they were. */
export class TargetKeys {
  #all: readonly UpstreamKey[];
  readonly #log: { warn(message: string, fields: Record<string, unknown>): void };

  /** Throws a MeshError that names the rule at fault. */
  constructor(config: UpstreamAuthConfig, log: { warn(message: string, fields: Record<string, unknown>): void }) {
    this.#all = upstreamKeys(config);
    this.#log = log;
  }

  get all(): readonly UpstreamKey[] {
    return this.#all;
  }

  /** Read again. */
  renewed(config: UpstreamAuthConfig): readonly UpstreamKey[] {
    try {
      this.#all = upstreamKeys(config);
    } catch (error) {
      this.#log.warn("the keys for targets stay as they were", { error: toMeshError(error).message });
    }
    return this.#all;
  }
}

/** What stands around a name and a value, in HTTP/2 too. */
const LINE_BYTES = 16;

function refused(rule: string, fault: string): MeshError {
  return new MeshError("config_invalid", `upstream-auth ${rule}: ${fault}`, { param: "upstreamAuth.rules" });
}

function secretOf({ how, from, where }: KeyRule, env: NodeJS.ProcessEnv): string | { readonly fault: string } {
  let secret = env[where] ?? "";
  if (from === "file") {
    try {
      // Editors and `echo` end a file with a line's end.
      secret = readFileSync(where, "utf8").trim();
    } catch (error) {
      return { fault: `the file can't be read: ${(error as { code?: string }).code ?? "an unknown error"}` };
    }
  }
  const source = from === "env" ? "the variable" : "the file";
  if (secret === "") return { fault: `${source} is ${from === "env" ? "not set, or " : ""}empty` };
  if (secret.length > SECRET_CHARACTERS_MAX) {
    return { fault: `${source} holds ${secret.length} characters; expected at most ${SECRET_CHARACTERS_MAX}` };
  }
  if (how.toLowerCase() === "basic") {
    if (secret.includes("\n")) return { fault: `${source} holds several lines; expected NAME:PASSWORD` };
    return secret.includes(":") ? secret : { fault: `${source} holds no colon; expected NAME:PASSWORD` };
  }
  return VISIBLE.test(secret) ? secret : { fault: `${source} holds what can't be sent in a header: several lines?` };
}
