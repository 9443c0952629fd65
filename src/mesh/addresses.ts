/**
 * From "host:port" to where packets go. Addresses are looked up in a table, since gossip names the same ones over and
 * over; names are resolved by DNS and kept for a while, and an answer that has grown old serves on while the next one
 * is on its way, so that sending waits for DNS only once.
 *
 * Limits: as many texts and names as `ENTRIES_MAX` and `NAMES_MAX`; beyond them the table of texts starts anew, and
 * the name that was asked for first goes.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { parseAddress } from "../base/units.ts";

const ENTRIES_MAX = 16_384;
const NAMES_MAX = 1024;
const FRESH_MS = 30_000;
/** A name that does not exist is not asked for at every packet. */
const FAILED_MS = 3000;

/** An IP address and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What one socket can reach. */
export type Families = "ipv4" | "ipv6" | "both";

export type Lookup = (name: string) => Promise<readonly string[]>;

/** A name's address: undefined before the first answer, "" when there is none that the socket can reach. */
interface Name {
  address: string | undefined;
  untilMs: number;
  asking: Promise<void> | undefined;
}

export class Addresses {
  readonly #families: Families;
  readonly #lookup: Lookup;
  readonly #nowMs: () => number;
  readonly #texts = new Map<string, Endpoint | "bad">();
  readonly #names = new Map<string, Name>();

  constructor(families: Families, options: { readonly lookup?: Lookup; readonly nowMs?: () => number } = {}) {
    this.#families = families;
    this.#lookup = options.lookup ?? lookUp;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Where `to` is; "later" while its name is being resolved, "bad" if it is nowhere. */
  find(to: string): Endpoint | "later" | "bad" {
    const parsed = this.#parse(to);
    if (parsed === "bad" || isIP(parsed.host) !== 0) return parsed;
    const name = this.#ask(parsed.host);
    if (name.address === undefined) return "later";
    return name.address === "" ? "bad" : { host: name.address, port: parsed.port };
  }

  /** The same, after the name is resolved; "bad" as well when that takes longer than it may. */
  async resolve(to: string, timeoutMs: number): Promise<Endpoint | "bad"> {
    const found = this.find(to);
    if (found !== "later") return found;
    const parsed = this.#parse(to);
    if (parsed === "bad") return parsed;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([this.#names.get(parsed.host)?.asking, late]);
    clearTimeout(timer);
    const after = this.find(to);
    return after === "later" ? "bad" : after;
  }

  /** The IP address or name, if this socket can reach it; a name's addresses are looked at when they are known. */
  #parse(to: string): Endpoint | "bad" {
    const known = this.#texts.get(to);
    if (known !== undefined) return known;
    const parsed = parseAddress(to);
    const right = parsed !== undefined && parsed.host !== "" && parsed.port !== 0 && this.#reaches(parsed.host);
    const entry = right ? parsed : "bad";
    if (this.#texts.size >= ENTRIES_MAX) this.#texts.clear();
    this.#texts.set(to, entry);
    return entry;
  }

  #reaches(host: string): boolean {
    const version = isIP(host);
    return version === 0 || this.#families === "both" || (version === 4) === (this.#families === "ipv4");
  }

  #ask(host: string): Name {
    let name = this.#names.get(host);
    if (name === undefined) {
      const oldest = this.#names.size < NAMES_MAX ? undefined : this.#names.keys().next().value;
      if (oldest !== undefined) this.#names.delete(oldest);
      name = { address: undefined, untilMs: 0, asking: undefined };
      this.#names.set(host, name);
    }
    if (name.asking === undefined && this.#nowMs() >= name.untilMs) name.asking = this.#resolveName(host, name);
    return name;
  }

  async #resolveName(host: string, name: Name): Promise<void> {
    let found: string | undefined;
    try {
      found = (await this.#lookup(host)).find((address) => isIP(address) !== 0 && this.#reaches(address));
    } catch {
      // No such name, or no answer: the old address serves on, if there is one.
    }
    name.asking = undefined;
    name.address = found ?? name.address ?? "";
    name.untilMs = this.#nowMs() + (found === undefined ? FAILED_MS : FRESH_MS);
  }
}

async function lookUp(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
