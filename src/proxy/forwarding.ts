/**
 * How targets learn of the client (wire/forwarded.ts): lines for heads of HTTP/1.1, fields for those of gRPC. They are
 * made once for a connection where they depend on its address alone, as by default, else for each request.
 */
import { FORWARDING, forwardingBit, forwardingLines, keepsForwarding } from "../wire/forwarded.ts";
import type { ForwardedConfig } from "../wire/forwarded.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { fieldOf } from "../wire/header-field.ts";
import type { FieldName } from "../wire/header-field.ts";
import type { RequestHead } from "../wire/http1.ts";

const SLASH = 47;
/** The line of the request's id stands behind these, and begins here: so that all is one copy. */
const ID_NAME = "x-request-id: ";
/** A longer authority is no host's: it is not told to targets of gRPC, whose lists have limits. */
const HOST_BYTES_MAX = 512;

export class Forwarding {
  /** What every request of a connection gets is the same, and nothing of the client's is left out. */
  readonly isFixed: boolean;
  readonly #config: ForwardedConfig;
  readonly #scheme: "http" | "https";

  /** `scheme` is what clients speak. */
  constructor(config: ForwardedConfig, scheme: "http" | "https") {
    this.#config = config;
    this.#scheme = scheme;
    this.isFixed = config.trust === "append" && (config.form === "for" || config.form === "none");
  }

  /** The lines of every request from this address, where they are fixed. */
  fixed(address: string): Buffer {
    return this.#asLines(address, "", FORWARDING.none);
  }

  /** The lines for a parsed head; its own lines that shall not go on are marked so. */
  lines(buffer: Buffer, head: RequestHead, address: string): Buffer {
    let given: number = FORWARDING.none;
    for (let line = 0; line < head.lineCount; line++) {
      const bit = forwardingBit(buffer, head.lineStart[line] ?? 0, head.nameEnd[line] ?? 0);
      if (!keepsForwarding(bit, this.#config)) head.drop[line] = 1;
      else if (head.drop[line] === 0) given |= bit;
    }
    return this.#asLines(address, hostOf(buffer, head), given);
  }

  /** The encoded fields of every call from this address, where they are fixed. */
  fixedFields(address: string): Uint8Array {
    return this.#asFields(address, "", FORWARDING.none);
  }

  /** The encoded fields for a call's head. */
  fields({ authority, fields }: HeaderBlock, address: string): Uint8Array {
    let given: number = FORWARDING.none;
    for (const { name } of fields) if (this.keeps(name)) given |= bitOf(name);
    const host = authority === null || authority.valueLength > HOST_BYTES_MAX ? "" : authority.text;
    return this.#asFields(address, host, given);
  }

  /** Whether a field of the client's goes on to the target. */
  keeps(name: FieldName): boolean {
    return keepsForwarding(bitOf(name), this.#config);
  }

  #asLines(address: string, host: string, given: number): Buffer {
    return Buffer.from(this.#text(address, host, given) + ID_NAME, "latin1");
  }

  #asFields(address: string, host: string, given: number): Uint8Array {
    const lines = this.#text(address, host, given).split("\r\n").slice(0, -1);
    return Buffer.concat(
      lines.map((line) => {
        const colon = line.indexOf(": ");
        return fieldOf(line.slice(0, colon), line.slice(colon + 2)).encoded;
      }),
    );
  }

  #text(address: string, host: string, given: number): string {
    return forwardingLines(this.#config, { address, scheme: this.#scheme, host }, given);
  }
}

function bitOf({ bytes }: FieldName): number {
  return forwardingBit(bytes, 0, bytes.length);
}

/** Which host the client asked for: the authority of a target in absolute form stands for the Host. */
function hostOf(buffer: Buffer, head: RequestHead): string {
  if (buffer[head.targetStart] !== SLASH) {
    const target = buffer.toString("latin1", head.targetStart, head.targetEnd);
    return /^\w+:\/\/([^/?]*)/.exec(target)?.[1] ?? "";
  }
  if (head.hostLine < 0) return "";
  return buffer.toString("latin1", head.valueStart[head.hostLine], head.valueEnd[head.hostLine]);
}
