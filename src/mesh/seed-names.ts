/**
 * From seeds to addresses by DNS: all A and AAAA records of a name, and of an SRV name the addresses of its targets with
 * their ports. A name that can't be resolved now keeps the addresses that it had: DNS that fails is no reason to lose
 * the mesh.
 *
 * Limits: `LOOKUPS_MAX` at once, `TARGETS_MAX` targets of an SRV name (of more, a random choice at each look). A lookup
 * that takes longer than a look may is not begun again; its answer serves when it comes.
 */
import { lookup, resolveSrv } from "node:dns/promises";
import { isIP } from "node:net";
import { MeshError } from "../base/errors.ts";
import type { Prng } from "../base/prng.ts";
import { formatAddress } from "../base/units.ts";
import { codeOf } from "../net/crash.ts";
import { formatSeed, type Seed } from "./seed.ts";

const LOOKUPS_MAX = 16;
const TARGETS_MAX = 64;

/** DNS, or what stands for it in tests. Both reject with an error that has a code. */
export interface Resolver {
  /** All addresses, IPv4 and IPv6. */
  addresses(name: string): Promise<readonly string[]>;
  services(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
}

/** The system's: for addresses also /etc/hosts and search domains; SRV names must be whole. */
export const systemResolver: Resolver = {
  addresses: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  services: (name) => resolveSrv(name),
};

/** What is known of one name. */
interface Known {
  addresses: readonly string[];
  /** Why the last lookup brought nothing; "" when it did. */
  why: string;
  pending: Promise<void> | undefined;
}

export class SeedNames {
  readonly #resolver: Resolver;
  readonly #prng: Prng;
  readonly #known = new Map<string, Known>();

  constructor(resolver: Resolver, prng: Prng) {
    this.#resolver = resolver;
    this.#prng = prng;
  }

  /** Looks every name up; resolves when all have been, or after `limitMs`. */
  async look(seeds: readonly Seed[], limitMs: number): Promise<void> {
    const names = new Map(seeds.filter(isName).map((seed) => [formatSeed(seed), seed]));
    for (const text of this.#known.keys()) if (!names.has(text)) this.#known.delete(text);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([eachOf([...names], ([text, seed]) => this.#lookUp(text, seed)), late]);
    clearTimeout(timer);
  }

  /** "host:port" of all seeds as far as they are known, and the names that last brought nothing, with why. */
  found(seeds: readonly Seed[]): { addresses: string[]; failures: { seed: string; why: string }[] } {
    const addresses = new Set<string>();
    const failures = new Map<string, string>();
    for (const seed of seeds) {
      const text = formatSeed(seed);
      if (!isName(seed)) {
        addresses.add(text);
        continue;
      }
      const known = this.#known.get(text);
      for (const address of known?.addresses ?? []) addresses.add(address);
      const why = known?.pending === undefined ? (known?.why ?? "") : "DNS takes long";
      if (why !== "") failures.set(text, why);
    }
    return { addresses: [...addresses], failures: [...failures].map(([seed, why]) => ({ seed, why })) };
  }

  #lookUp(text: string, seed: Seed): Promise<void> {
    let known = this.#known.get(text);
    if (known === undefined) {
      known = { addresses: [], why: "", pending: undefined };
      this.#known.set(text, known);
    }
    known.pending ??= this.#resolve(seed, known);
    return known.pending;
  }

  /** Never rejects. */
  async #resolve(seed: Seed, known: Known): Promise<void> {
    try {
      const found = seed.kind === "srv" ? await this.#ofServices(seed.name) : await this.#ofName(seed.host, seed.port);
      if (found.length > 0) known.addresses = found;
      known.why = found.length > 0 ? "" : "the name has no address";
    } catch (error) {
      known.why = wordsOf(error);
    }
    known.pending = undefined;
  }

  async #ofName(name: string, port: number): Promise<string[]> {
    const found = await this.#resolver.addresses(name);
    return found.filter((host) => isIP(host) !== 0).map((host) => formatAddress({ host, port }));
  }

  /** A target that can't be resolved is left out while there are others. */
  async #ofServices(name: string): Promise<string[]> {
    // "." as a target means that the service is not there.
    const targets = (await this.#resolver.services(name)).filter((target) => target.name !== "" && target.name !== ".");
    while (targets.length > TARGETS_MAX) targets.splice(this.#prng.int(targets.length), 1);
    const found: string[] = [];
    const faults: unknown[] = [];
    await eachOf(targets, async ({ name: host, port }) => {
      try {
        found.push(...(await this.#ofName(host, port)));
      } catch (error) {
        faults.push(error);
      }
    });
    if (found.length === 0 && faults.length > 0) {
      throw new MeshError("upstream_failed", `${targets[0]?.name}, one of its targets: ${wordsOf(faults[0])}`);
    }
    return found;
  }
}

function isName(seed: Seed): boolean {
  return seed.kind === "srv" || isIP(seed.host) === 0;
}

/** Does it for each item, so many at once. */
async function eachOf<T>(items: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await one(item);
  };
  await Promise.all(Array.from({ length: Math.min(LOOKUPS_MAX, items.length) }, worker));
}

function wordsOf(error: unknown): string {
  if (error instanceof MeshError) return error.message;
  const code = codeOf(error);
  if (code === "ENOTFOUND" || code === "ENODATA" || code === "EAI_NONAME") return "no such name";
  if (code === "EAI_AGAIN" || code === "ETIMEOUT" || code === "ECONNREFUSED") return "DNS does not answer";
  return code === "" ? String(error) : `DNS answers ${code}`;
}
