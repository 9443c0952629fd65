/**
 * How a node finds the mesh: seeds from --join and a file, names among them by DNS, and the core of swim/seeds.ts that
 * says which of them to ask when. The membership asks them; a node that finds nobody says so, and why.
 *
 * Names and the file's seeds that are known are asked at once, whatever still has to be looked up.
 */
import { isIP } from "node:net";
import type { Prng } from "../base/prng.ts";
import { formatDuration, parseAddress } from "../base/units.ts";
import { assert } from "../base/assert.ts";
import type { JoinResult, SwimEvent } from "../swim/event.ts";
import { type SeedNews, Seeds } from "../swim/seeds.ts";
import { parseSeed, type Seed } from "./seed.ts";
import { SeedFile } from "./seed-file.ts";
import { type Resolver, SeedNames, systemResolver } from "./seed-names.ts";

const LOOK_MS = 5000;
/** Seeds that a warning names. */
const NAMED_MAX = 5;

export interface SeedSources {
  /** Seeds as --join takes them. */
  readonly join: readonly string[];
  /** A file of seeds; "" for none. */
  readonly joinFile: string;
  /** Stands for DNS in tests. */
  readonly resolver?: Resolver;
}

export interface DiscoveryOptions extends SeedSources {
  readonly prng: Prng;
  /** Whether "host:port" leads to this very node. */
  readonly isOwn: (address: string) => boolean;
  /** What the socket is bound to: "::" reaches both families, another one its own. */
  readonly host: string;
  /** Asks each for the mesh; the end of each is told by `ended`. */
  readonly ask: (addresses: readonly string[]) => void;
  readonly onWarning: (message: string) => void;
  readonly onInfo: (message: string) => void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #given: readonly Seed[];
  readonly #names: SeedNames;
  readonly #file: SeedFile | undefined;
  readonly #core: Seeds;
  #failures: readonly { readonly seed: string; readonly why: string }[] = [];
  /** Some seed leads to this node. */
  #isSeed = false;
  #isTold = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = true;

  constructor(options: DiscoveryOptions) {
    const { join, joinFile, prng, resolver = systemResolver, onWarning } = options;
    this.#options = options;
    this.#given = join.map(seedOf);
    this.#names = new SeedNames(resolver, prng);
    this.#core = new Seeds(prng, performance.now());
    const onChange = (): void => this.#step((now) => this.#core.look(now));
    if (joinFile !== "") this.#file = new SeedFile({ path: joinFile, onChange, onWarning });
  }

  start(): void {
    if (this.#given.length === 0 && this.#file === undefined) return;
    this.#stopped = false;
    void this.#file?.start();
    this.#step(() => {});
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#file?.stop();
  }

  /** The membership has changed. */
  told(event: SwimEvent): void {
    if (!this.#stopped && this.#core.told(event)) this.#wakeIn(0);
  }

  /** A seed was asked; `why` says in short what became of it where it did not let us in. */
  ended(address: string, result: JoinResult, why: string): void {
    this.#step((now) => this.#core.ended(address, result, why, now));
  }

  /** One input. What is to be done for it and its neighbours is done in the next turn, since it may lead to more. */
  #step(input: (nowMs: number) => void): void {
    if (this.#stopped) return;
    input(performance.now());
    this.#wakeIn(0);
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#wake(), ms);
  }

  #wake(): void {
    const nowMs = performance.now();
    this.#core.wake(nowMs);
    const { joins, lookUp, news, wakeAtMs } = this.#core.take();
    // What follows may end in this turn and ask for another.
    if (wakeAtMs !== Number.POSITIVE_INFINITY) this.#wakeIn(Math.ceil(wakeAtMs - nowMs));
    for (const one of news) this.#say(one);
    if (lookUp) void this.#look();
    if (joins.length > 0) this.#options.ask(joins);
  }

  async #look(): Promise<void> {
    const looking = this.#names.look(this.#seeds(), LOOK_MS);
    this.#replace();
    await looking;
    this.#replace();
    this.#step((now) => this.#core.looked(now));
  }

  #seeds(): readonly Seed[] {
    return [...this.#given, ...(this.#file?.seeds ?? [])];
  }

  #replace(): void {
    const { isOwn, host } = this.#options;
    const { addresses, failures } = this.#names.found(this.#seeds());
    const others = addresses.filter((address) => !isOwn(address));
    const isReachable = reachableFrom(host);
    const unfit = others.filter((address) => !isReachable(address));
    const why = `--gossip is bound to ${isIP(host) === 4 ? "IPv4" : "IPv6"} only`;
    this.#failures = [...failures, ...unfit.map((seed) => ({ seed, why }))];
    this.#isSeed = others.length < addresses.length;
    this.#step((now) => this.#core.replace(others.filter(isReachable), now));
  }

  #say(news: SeedNews): void {
    const { joinFile, onWarning, onInfo } = this.#options;
    if (news.kind === "found") {
      if (this.#isTold) onInfo(`found the mesh after ${seconds(news.afterMs)}`);
      this.#isTold = false;
      return;
    }
    const failed = [
      ...this.#failures.map(({ seed, why }) => `${seed} (${why})`),
      ...news.unreached.map(({ address, why }) => `${address} (${why === "" ? "no answer yet" : why})`),
    ];
    if (this.#file !== undefined && this.#file.fault !== "") failed.push(`${joinFile} (${this.#file.fault})`);
    // The first node of a mesh is its only seed, and not to be pitied.
    if (failed.length === 0 && this.#isSeed) return;
    this.#isTold = true;
    const more = failed.length > NAMED_MAX ? ` and ${failed.length - NAMED_MAX} more` : "";
    const where =
      failed.length === 0 ? `: ${joinFile} names none` : ` at ${failed.slice(0, NAMED_MAX).join(", ")}${more}`;
    onWarning(`no member of the mesh answers${where}, for ${seconds(news.forMs)}; trying on`);
  }
}

/** The addresses of the seeds as far as they are known within `limitMs`; what is wrong is told by nobody here. */
export async function firstLook(
  { join, joinFile, resolver }: SeedSources,
  prng: Prng,
  limitMs: number,
): Promise<string[]> {
  const file = joinFile === "" ? undefined : new SeedFile({ path: joinFile, onChange() {}, onWarning() {} });
  await file?.look();
  const seeds = [...join.map(seedOf), ...(file?.seeds ?? [])];
  const names = new SeedNames(resolver ?? systemResolver, prng);
  await names.look(seeds, limitMs);
  return names.found(seeds).addresses;
}

function seedOf(text: string): Seed {
  const seed = parseSeed(text);
  assert(seed !== undefined, `"${text}" is no seed`);
  return seed;
}

function reachableFrom(bound: string): (address: string) => boolean {
  return (address) => bound === "::" || isIP(parseAddress(address)?.host ?? "") === isIP(bound);
}

function seconds(ms: number): string {
  return formatDuration(Math.max(1, Math.round(ms / 1000)) * 1000);
}
