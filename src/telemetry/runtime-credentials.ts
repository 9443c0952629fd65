/**
 * What a runtime is shown of who asks: headers with keys and passwords, and a certificate. Both are read again when their
 * files change, so that a key is changed without a restart: the new one is in use with the next request, a certificate
 * with the next connection.
 */
import { statSync } from "node:fs";
import { Dialer } from "../net/dialer.ts";
import type { Transport } from "../net/stream.ts";
import type { Port } from "../runtimes/adapter.ts";
import { clientOptions } from "../net/tls-settings.ts";
import { SecretReader, type SecretText } from "./runtime-secret.ts";
import type { RuntimeSpec } from "./runtime-spec.ts";

export type HeaderLines =
  | {
      readonly lines: string;
      /** What of them nobody else may see, the longest first. */
      readonly secrets: readonly string[];
    }
  | { readonly fault: string };

/** A shorter one is no secret, and may be part of any word. */
const SECRET_CHARACTERS_MIN = 6;
const HIDDEN = "(hidden)";
const NO_HEADERS: HeaderLines = { lines: "", secrets: [] };

interface SentSecret {
  /** What it is for, where something is wrong with it. */
  readonly what: string;
  readonly header: string;
  readonly reader: SecretReader;
  readonly wrap: (text: string) => SecretText;
  /** Shown at this port alone, in place of what is of no port; undefined of headers, which go everywhere. */
  readonly port?: Port | "others";
}

type Credentials = Pick<
  RuntimeSpec,
  "apiKey" | "apiKeyHeader" | "bearer" | "basic" | "metricsKey" | "managementKey" | "headers"
>;
type Files = Pick<RuntimeSpec, "ca" | "cert" | "key" | "verify">;

export class RuntimeCredentials {
  readonly #sent: readonly SentSecret[];

  constructor({ apiKey, apiKeyHeader, bearer, basic, metricsKey, managementKey, headers }: Credentials) {
    const sent: SentSecret[] = Object.entries(headers).map(([header, secret]) => ({
      what: `the header ${header}`,
      header,
      reader: new SecretReader(secret),
      wrap: (text) => ({ text }),
    }));
    const asBearer = (text: string): SecretText => ({ text: `Bearer ${text}` });
    const keys = [
      [apiKey, "the API key", "others"],
      [metricsKey, "the key of its metrics port", "metrics"],
      [managementKey, "the key of its management port", "management"],
    ] as const;
    for (const [key, what, port] of keys) {
      if (key === undefined) continue;
      const header = apiKeyHeader || "authorization";
      const wrap = apiKeyHeader === "" ? asBearer : (text: string): SecretText => ({ text });
      sent.push({ what, header, reader: new SecretReader(key), wrap, port });
    }
    if (bearer !== undefined) {
      sent.push({
        what: "the bearer token",
        header: "authorization",
        reader: new SecretReader(bearer),
        wrap: asBearer,
        port: "others",
      });
    }
    if (basic !== undefined) {
      const [what, header] = ["user and password", "authorization"];
      sent.push({ what, header, reader: new SecretReader(basic), wrap: basicOf, port: "others" });
    }
    this.#sent = sent;
  }

  get areNone(): boolean {
    return this.#sent.length === 0;
  }

  /** As they stand in the head of a request to a port. */
  async headers(to: Port = "api"): Promise<HeaderLines> {
    if (this.areNone) return NO_HEADERS;
    let lines = "";
    const secrets: string[] = [];
    const own = this.#sent.some(({ port }) => port === to) ? to : "others";
    for (const { what, header, reader, wrap, port = own } of this.#sent) {
      if (port !== own) continue;
      const read = await reader.text();
      const value = "fault" in read ? read : wrap(read.text);
      if ("fault" in value) return { fault: `${what}: ${value.fault}` };
      if ("text" in read) secrets.push(read.text);
      secrets.push(value.text, value.text.replace(/^Basic /, ""));
      lines += `${header}: ${value.text}\r\n`;
    }
    const long = secrets.filter(({ length }) => length >= SECRET_CHARACTERS_MIN);
    return { lines, secrets: long.toSorted((a, b) => b.length - a.length) };
  }
}

/** Without what was shown to who says it: there are servers that repeat the key that they refuse. */
export function withoutSecrets(body: Uint8Array, secrets: readonly string[]): Uint8Array {
  const said = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (!secrets.some((secret) => said.includes(secret, 0, "latin1"))) return body;
  const text = secrets.reduce((left, secret) => left.replaceAll(secret, HIDDEN), said.toString("latin1"));
  return Buffer.from(text, "latin1");
}

function basicOf(text: string): SecretText {
  if (!text.includes(":")) return { fault: "it is not USER:PASSWORD" };
  return { text: `Basic ${Buffer.from(text, "latin1").toString("base64")}` };
}

/** What connects to a runtime; made anew when a file of its certificates is another one. */
export class RuntimeDialers {
  readonly #transport: Transport;
  readonly #files: Files;
  readonly #name: string;
  #dialer: Dialer;
  #mark: string;

  /** Throws a MeshError that names the file at fault. */
  constructor(transport: Transport, files: Files, name: string) {
    this.#transport = transport;
    this.#files = files;
    this.#name = name;
    this.#mark = markOf(files);
    this.#dialer = this.#made();
  }

  /** Throws for files that don't fit each other any more. */
  current(): Dialer {
    const mark = markOf(this.#files);
    if (mark !== this.#mark) {
      this.#dialer = this.#made();
      this.#mark = mark;
    }
    return this.#dialer;
  }

  #made(): Dialer {
    const names = { ca: `ca of ${this.#name}`, cert: `cert of ${this.#name}`, key: `key of ${this.#name}` };
    return new Dialer(this.#transport, clientOptions(this.#files, names));
  }
}

function markOf({ ca, cert, key }: Files): string {
  return [ca, cert, key]
    .filter((file) => file !== "")
    .map(fileMark)
    .join();
}

function fileMark(file: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return "";
  }
}
