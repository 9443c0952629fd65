/**
 * A secret as people configure it: `file:/PATH`, which is read again when it changes; `env:NAME`, a variable of the agent;
 * or the secret itself (`value:` in front of one that begins like one of these). Where settings are shown, a path or a
 * name is shown, and never a value. Nothing that goes wrong says what was in a file.
 */
import { readFile, stat } from "node:fs/promises";

export interface Secret {
  readonly kind: "value" | "file" | "env";
  readonly text: string;
}

export const SECRET_EXPECTED = "a secret, or file:/PATH or env:NAME for where it is";
const VALUE_CHARACTERS_MAX = 8192;
const FILE_BYTES_MAX = 16_384;
/** What may stand in a header. */
const VISIBLE = /^[\x20-\x7e\x80-\xff]+$/;

/** Undefined for what is none. */
export function parseSecret(written: string): Secret | undefined {
  const [, kind, rest = ""] = /^(file|env|value):(.*)$/s.exec(written) ?? [undefined, "value", written];
  if (kind === "file")
    return rest.startsWith("/") && rest.length <= 4096 && !rest.includes("\0") ? { kind, text: rest } : undefined;
  if (kind === "env") return /^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(rest) ? { kind, text: rest } : undefined;
  return isSendable(rest) ? { kind: "value", text: rest } : undefined;
}

/** Fit for everybody to see. */
export function shownSecret({ kind, text }: Secret): string {
  return kind === "value" ? "(hidden)" : `${kind}:${text}`;
}

function isSendable(text: string): boolean {
  return text.length <= VALUE_CHARACTERS_MAX && VISIBLE.test(text) && text.trim() === text;
}

export type SecretText = { readonly text: string } | { readonly fault: string };

/** Reads one secret, again and again. */
export class SecretReader {
  readonly #secret: Secret;
  readonly #env: NodeJS.ProcessEnv;
  #mark = "";
  #read: SecretText | undefined;

  constructor(secret: Secret, env: NodeJS.ProcessEnv = process.env) {
    this.#secret = secret;
    this.#env = env;
  }

  async text(): Promise<SecretText> {
    const { kind, text } = this.#secret;
    if (kind === "value") return { text };
    if (kind === "file") return this.#fromFile(text);
    const value = this.#env[text] ?? "";
    if (value === "") return { fault: `the variable ${text} is not set, or empty` };
    return isSendable(value) ? { text: value } : { fault: `the variable ${text} holds what can't be sent in a header` };
  }

  async #fromFile(path: string): Promise<SecretText> {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const mark = `${mtimeMs} ${size} ${ino}`;
      if (this.#read !== undefined && mark === this.#mark) return this.#read;
      this.#mark = mark;
      this.#read =
        size > FILE_BYTES_MAX ? { fault: `${path} is no secret: it has ${size} bytes` } : await contentsOf(path);
      return this.#read;
    } catch (error) {
      this.#read = undefined;
      return { fault: `${path} can't be read: ${(error as { code?: string }).code ?? String(error)}` };
    }
  }
}

async function contentsOf(path: string): Promise<SecretText> {
  // Editors and `echo` end a file with a line's end.
  const text = (await readFile(path, "latin1")).trim();
  if (text === "") return { fault: `${path} is empty` };
  return isSendable(text) ? { text } : { fault: `${path} holds what can't be sent in a header: more than one line?` };
}
