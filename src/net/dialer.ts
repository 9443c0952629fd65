/**
 * Connects to hosts by name or address.
 *
 * A name is looked up when it is first needed, and again when its answer is older than its time to live, at most
 * FRESH_MS: a service that moves is followed without a restart. While a lookup fails, the last answer is used on. A name
 * with several addresses is tried as RFC 8305 (happy eyeballs) has it: families in turns, the next address as soon as
 * one has failed, or after STAGGER_MS without an answer, and whichever opens first is taken.
 *
 * Limits: 8 addresses of a name; one lookup of a name at a time.
 */
import { parseIpv4, parseIpv6 } from "./ip.ts";
import { isUnixPath } from "./stream.ts";
import type { DialPlace, IpPlace, Stream, StreamHandlers, Transport } from "./stream.ts";
import { connectTls } from "./tls-streams.ts";
import type { TlsClientOptions } from "./tls-streams.ts";

const STAGGER_MS = 250;
const FRESH_MS = 30_000;
/** How long a failed lookup is not repeated. */
const FAILED_MS = 1000;
const ADDRESSES_MAX = 8;

export interface Answer {
  readonly address: string;
  readonly family: number;
  /** Seconds. */
  readonly ttl?: number;
}

export type Lookup = (host: string) => Promise<readonly Answer[]>;

interface Name {
  addresses: readonly string[];
  error: string;
  freshUntilMs: number;
  pending: Promise<void> | null;
}

const byBun: Lookup = (host) => Bun.dns.lookup(host);

export class Dialer {
  readonly #transport: Transport;
  readonly #tls: TlsClientOptions;
  readonly #lookup: Lookup;
  readonly #names = new Map<string, Name>();

  constructor(transport: Transport, tls: TlsClientOptions, lookup: Lookup = byBun) {
    this.#transport = transport;
    this.#tls = tls;
    this.#lookup = lookup;
  }

  /** As Transport.connect, for a host of any kind. */
  connect<T>(place: DialPlace, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void {
    const { host, port } = place;
    const dial: Dial<T> = place.tls
      ? (ip, ...rest) => connectTls({ ...place, ...ip }, host, this.#tls, ...rest, () => this.#transport.breathe())
      : (ip, ...rest) => this.#transport.connect(ip, ...rest);
    const isAddress = isUnixPath(host) || parseIpv4(host) !== null || parseIpv6(host) !== null;
    if (isAddress) return dial(place, data, handlers, settled);
    // Lookups end in promises.
    this.#transport.breathe();
    const name = this.#name(host);
    const race = new Race(dial, port, data, handlers, settled);
    if (name.addresses.length > 0) {
      if (performance.now() >= name.freshUntilMs) void this.#refresh(host, name);
      race.start(name.addresses);
    } else {
      void this.#refresh(host, name).then(() => race.start(name.addresses, name.error));
    }
    return () => race.giveUp();
  }

  #name(host: string): Name {
    const known = this.#names.get(host);
    if (known !== undefined) return known;
    const name: Name = { addresses: [], error: "", freshUntilMs: 0, pending: null };
    this.#names.set(host, name);
    return name;
  }

  #refresh(host: string, name: Name): Promise<void> {
    if (name.pending === null && (name.error === "" || performance.now() >= name.freshUntilMs)) {
      name.pending = this.#resolve(host, name).finally(() => {
        name.pending = null;
      });
    }
    return name.pending ?? Promise.resolve();
  }

  async #resolve(host: string, name: Name): Promise<void> {
    try {
      const answers = await this.#lookup(host);
      const ttlMs = Math.min(...answers.map(({ ttl }) => (ttl ?? 0) * 1000).filter((ms) => ms > 0), FRESH_MS);
      name.addresses = inTurns(answers).slice(0, ADDRESSES_MAX);
      name.error = name.addresses.length === 0 ? `${host} has no address` : "";
      name.freshUntilMs = performance.now() + (name.error === "" ? ttlMs : FAILED_MS);
    } catch (error) {
      name.error = `${host} can't be resolved: ${error instanceof Error ? error.message : String(error)}`;
      name.freshUntilMs = performance.now() + FAILED_MS;
    }
  }
}

/** IPv6 and IPv4 in turns, in the resolver's order. */
function inTurns(answers: readonly Answer[]): string[] {
  const first = answers.filter(({ family }) => family === answers[0]?.family).map(({ address }) => address);
  const second = answers.filter(({ family }) => family !== answers[0]?.family).map(({ address }) => address);
  const all: string[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    for (const address of [first[i], second[i]]) if (address !== undefined) all.push(address);
  }
  return [...new Set(all)];
}

type Dial<T> = (place: IpPlace, data: T, handlers: StreamHandlers<T>, settled: () => void) => () => void;

/** One connection, tried at several addresses. */
class Race<T> {
  readonly #dial: Dial<T>;
  readonly #port: number;
  readonly #data: T;
  readonly #handlers: StreamHandlers<T>;
  readonly #settled: () => void;
  readonly #running = new Set<() => void>();
  #waiting: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(dial: Dial<T>, port: number, data: T, handlers: StreamHandlers<T>, settled: () => void) {
    this.#dial = dial;
    this.#port = port;
    this.#data = data;
    this.#handlers = handlers;
    this.#settled = settled;
  }

  start(addresses: readonly string[], error = ""): void {
    if (this.#isOver) return;
    this.#waiting = [...addresses];
    if (this.#waiting.length === 0) this.#lost({ data: this.#data } as Stream<T>, new Error(error));
    else this.#next();
  }

  giveUp(): void {
    if (this.#isOver) return;
    this.#end();
    this.#settled();
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const giveUp of this.#running) giveUp();
    this.#running.clear();
  }

  #next(): void {
    clearTimeout(this.#timer);
    const host = this.#waiting.shift();
    if (host === undefined) return;
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#next(), STAGGER_MS);
    let giveUp = (): void => {};
    const handlers: StreamHandlers<T> = {
      ...this.#handlers,
      open: (stream) => {
        this.#running.delete(giveUp);
        if (this.#isOver) {
          // Another was faster; nobody knows of this one.
          handlers.close = () => {};
          stream.terminate();
          return;
        }
        this.#end();
        this.#settled();
        this.#handlers.open(stream);
      },
      connectError: (stream, error) => {
        this.#running.delete(giveUp);
        if (this.#isOver) return;
        if (this.#waiting.length > 0) this.#next();
        else if (this.#running.size === 0) this.#lost(stream, error);
      },
    };
    giveUp = this.#dial({ host, port: this.#port }, this.#data, handlers, () => {});
    this.#running.add(giveUp);
  }

  #lost(stream: Stream<T>, error: Error): void {
    this.#end();
    this.#settled();
    this.#handlers.connectError(stream, error);
  }
}
