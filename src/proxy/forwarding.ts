/**
 * The lines by which targets learn of the client (wire/forwarded.ts), for the heads of one worker: made once for a
 * connection where they depend on its address alone, as by default, else for each request.
 */
import { FORWARDING, forwardingBit, forwardingLines, keepsForwarding } from "../wire/forwarded.ts";
import type { ForwardedConfig } from "../wire/forwarded.ts";
import type { RequestHead } from "../wire/http1.ts";

const SLASH = 47;
/** The line of the request's id stands behind these, and begins here: so that all is one copy. */
const ID_NAME = "x-request-id: ";

export class Forwarding {
  /** The lines of every request of a connection are the same, and nothing of the client's is left out. */
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
    return this.#lines(address, "", FORWARDING.none);
  }

  /** The lines for a parsed head; its own lines that shall not go on are marked so. */
  lines(buffer: Buffer, head: RequestHead, address: string): Buffer {
    let given: number = FORWARDING.none;
    for (let line = 0; line < head.lineCount; line++) {
      const bit = forwardingBit(buffer, head.lineStart[line] ?? 0, head.nameEnd[line] ?? 0);
      if (!keepsForwarding(bit, this.#config)) head.drop[line] = 1;
      else if (head.drop[line] === 0) given |= bit;
    }
    return this.#lines(address, hostOf(buffer, head), given);
  }

  #lines(address: string, host: string, given: number): Buffer {
    const lines = forwardingLines(this.#config, { address, scheme: this.#scheme, host }, given);
    return Buffer.from(lines + ID_NAME, "latin1");
  }
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
