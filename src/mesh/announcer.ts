/**
 * Keeps a node registered at its routers: POST /register to each for each place at which it serves, again and again, and
 * POST /deregister for one that is no more, and at the end.
 *
 * Each router has a loop of its own: while it can't be reached, attempts follow one another with growing, jittered
 * pauses; once it has accepted, every `intervalMs`, so that a router which restarted learns of the node soon. One log
 * line tells when a router is lost or refuses, one when it accepts (again), none in between.
 *
 * The address told to a router is the advertised one; where the node serves on every address, it is the one from which
 * the router is reached.
 *
 * A router from before nodes had several endpoints refuses their names (NODE/NAME). It is told of the first in plain HTTP
 * as the node itself, as such routers hear it by gossip, until it takes all of them.
 */
import { formatHostPort, registrationJson, type Registration } from "../fleet/registration.ts";
import { isWildcard } from "../net/ip.ts";

/** The part of the log that the announcer needs. */
export interface AnnouncerLog {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}

/** One of the places at which a node serves. */
export interface AnnouncedPlace extends Omit<Registration, "address"> {
  /** Where requests reach it; may be a wildcard. */
  readonly host: string;
  readonly port: number;
  /** Its runtime takes requests; so does one of which nothing is said. */
  readonly ready?: boolean;
}

export interface AnnouncerOptions {
  /** Base URLs of the routers' admin APIs. */
  readonly urls: readonly string[];
  /** What it serves where, asked before each attempt: none while it serves nowhere. */
  readonly places: () => readonly AnnouncedPlace[];
  readonly log: AnnouncerLog;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly backoffMinMs?: number;
  readonly backoffMaxMs?: number;
}

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 2000;
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 10_000;
const DEREGISTER_MS = 1000;

/** idle: there is nothing to announce yet. */
type Outcome =
  /** `instead`: the one place that an older router was told of. */
  | { readonly kind: "accepted"; readonly instead?: string }
  | { readonly kind: "idle" }
  | { readonly kind: "refused" | "unreachable"; readonly why: string; readonly isOlder?: boolean };

export class Announcer {
  readonly #loops: Loop[];

  constructor(options: AnnouncerOptions) {
    this.#loops = options.urls.map((url) => new Loop(url, options));
  }

  start(): void {
    for (const loop of this.#loops) loop.announce();
  }

  /** Announces at once, for example since the models changed. */
  announceNow(): void {
    for (const loop of this.#loops) loop.announce();
  }

  /** The routers that accepted the node at the last attempt. */
  get registeredAt(): string[] {
    return this.#loops.filter((loop) => loop.state === "accepted").map((loop) => loop.url);
  }

  /** Takes the node off every router that knows it; resolves within about a second. */
  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }
}

/** The node at one router. */
class Loop {
  readonly url: string;
  state: "new" | Outcome["kind"] = "new";
  readonly #options: AnnouncerOptions;
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy: Promise<void> | null = null;
  #again = false;
  #failures = 0;
  /** The targets as which some attempt may have left the node known there. */
  readonly #known = new Set<string>();
  #instead: string | undefined;

  constructor(url: string, options: AnnouncerOptions) {
    this.url = url.replace(/\/+$/, "");
    this.#options = options;
  }

  announce(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#busy !== null) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#busy = this.#attempt().then((outcome) => {
      this.#busy = null;
      if (this.#stop.signal.aborted) return;
      this.#note(outcome);
      const waitMs = this.#again ? 0 : this.#pauseMs(outcome);
      this.#again = false;
      this.#timer = setTimeout(() => this.announce(), waitMs);
    });
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#busy;
    await this.#forget([...this.#known], AbortSignal.timeout(DEREGISTER_MS));
  }

  async #forget(ids: readonly string[], signal: AbortSignal): Promise<void> {
    for (const id of ids) {
      this.#known.delete(id);
      await this.#post("/deregister", { id }, signal).catch(() => {
        // The router finds out by its polls.
      });
    }
  }

  async #attempt(): Promise<Outcome> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const places = this.#options.places();
      const outcome = await this.#registerAll(places, signal, timeoutMs);
      const instead = "isOlder" in outcome ? asOne(places) : undefined;
      const told = instead === undefined ? places : [instead.place];
      const now = instead === undefined ? outcome : await this.#registerAll(told, signal, timeoutMs);
      // After what takes their place, so that there is no moment without either.
      await this.#forget([...this.#known.difference(new Set(told.map(({ id }) => id)))], signal);
      return now.kind === "accepted" && instead !== undefined ? { ...now, instead: instead.name } : now;
    } catch (error) {
      return { kind: "unreachable", why: error instanceof Error ? error.message : String(error) };
    }
  }

  async #registerAll(places: readonly AnnouncedPlace[], signal: AbortSignal, timeoutMs: number): Promise<Outcome> {
    for (const place of places) {
      const failure = await this.#register(place, signal, timeoutMs);
      if (failure !== undefined) return failure;
    }
    return { kind: places.length === 0 ? "idle" : "accepted" };
  }

  async #register(
    { host, port, ready: _ready, ...registration }: AnnouncedPlace,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<Outcome | undefined> {
    const reachable = isWildcard(host) ? await localAddress(this.url, timeoutMs) : host;
    const address = formatHostPort(reachable.replace(/^\[|\]$/g, ""), port);
    this.#known.add(registration.id);
    const answer = await this.#post("/register", registrationJson({ ...registration, address }), signal);
    if (answer.status === 200 || answer.status === 201) return undefined;
    const why = `answered ${answer.status}${answer.message === "" ? "" : `: ${answer.message}`}`;
    const isOlder = registration.node !== undefined && answer.status === 400 && knowsNoEndpoints(answer.message);
    return { kind: answer.status >= 500 ? "unreachable" : "refused", why, ...(isOlder ? { isOlder } : {}) };
  }

  async #post(path: string, body: unknown, signal: AbortSignal): Promise<{ status: number; message: string }> {
    const response = await fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "manual",
      proxy: false,
      signal,
    });
    const text = await response.text();
    return { status: response.status, message: errorMessage(text) };
  }

  #note(outcome: Outcome): void {
    const before = this.state;
    this.state = outcome.kind;
    if (outcome.kind === "accepted") {
      this.#failures = 0;
      if (before !== "accepted" || this.#instead !== outcome.instead) this.#noteAccepted(outcome.instead);
      return;
    }
    if (outcome.kind === "idle") return;
    this.#failures++;
    if (before === outcome.kind) return;
    if (outcome.kind === "refused") {
      this.#options.log.warn("router refuses the registration", { url: this.url, why: outcome.why });
    } else if (before === "new") {
      // Nothing is wrong yet: the router may simply start later than the node.
      this.#options.log.info("no router there yet; trying on", { url: this.url, why: outcome.why });
    } else {
      this.#options.log.warn("router lost; trying on", { url: this.url, why: outcome.why });
    }
  }

  #noteAccepted(instead: string | undefined): void {
    this.#instead = instead;
    if (instead === undefined) this.#options.log.info("registered at router", { url: this.url });
    else {
      const why =
        "it is older than nodes with several endpoints; the others get no requests from it until it is upgraded";
      this.#options.log.warn("registered at router with one endpoint alone", { url: this.url, endpoint: instead, why });
    }
  }

  #pauseMs(outcome: Outcome): number {
    const intervalMs = this.#options.intervalMs ?? INTERVAL_MS;
    if (outcome.kind !== "unreachable") return intervalMs * (0.9 + 0.2 * Math.random());
    const minMs = this.#options.backoffMinMs ?? BACKOFF_MIN_MS;
    const maxMs = this.#options.backoffMaxMs ?? BACKOFF_MAX_MS;
    const pauseMs = Math.min(maxMs, minMs * 2 ** Math.min(30, this.#failures - 1));
    return pauseMs * (0.5 + 0.5 * Math.random());
  }
}

/** What a router says that knows no NODE/NAME; others name the form. */
function knowsNoEndpoints(message: string): boolean {
  return message.startsWith("id is ") && !message.includes("NODE/ENDPOINT");
}

/** The place that stands for the node where only one can be told of: in plain HTTP, and ready if there is such. */
function asOne(places: readonly AnnouncedPlace[]): { place: AnnouncedPlace; name: string } | undefined {
  const plain = places.filter(({ protocol = "http", tls = false }) => protocol === "http" && !tls);
  const first = plain.find(({ ready }) => ready !== false) ?? plain[0];
  if (first === undefined) return undefined;
  const { node, endpoint, protocol: _protocol, tls: _tls, ...place } = first;
  return { place: { ...place, id: node ?? first.id }, name: endpoint ?? first.id };
}

/** The local address of a connection to a URL's host: the one by which that host reaches us. */
export async function localAddress(url: string, timeoutMs: number): Promise<string> {
  const { hostname, port, protocol } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error("connecting timed out")), timeoutMs);
  try {
    const connecting = Bun.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
      socket: {
        open(socket) {
          resolve(socket.localAddress.replace(/^::ffff:/i, ""));
          socket.end();
        },
        data() {},
        connectError(_socket, error) {
          reject(error);
        },
      },
    });
    connecting.catch(reject);
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** The message of a JSON error body, or nothing. */
function errorMessage(text: string): string {
  try {
    const message: unknown = JSON.parse(text)?.error?.message;
    return typeof message === "string" ? message.slice(0, 500) : "";
  } catch {
    return "";
  }
}
