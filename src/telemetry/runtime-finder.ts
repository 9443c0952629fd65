/**
 * Looks for inference servers at their usual ports on this machine (`--runtime auto`): who listens there is asked who it is
 * (runtimes/identify.ts), and what is known is told of. A port where nobody listens costs one refused connection a look.
 * One that listens and is nobody known is asked again ever more seldom, so that a server which still starts is found and
 * one which is something else is left alone. Ports that somebody looks after already are not looked at.
 */
import { type Identity, USUAL_PORTS } from "../runtimes/identify.ts";
import { identified } from "./identified.ts";
import { RuntimeClient, transport } from "./runtime-client.ts";
import { RuntimeCredentials, RuntimeDialers } from "./runtime-credentials.ts";
import { AUTO } from "./runtime-spec.ts";
import type { RuntimeUrl } from "./runtime-url.ts";

export interface FinderOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Whether somebody looks after a port already, or it is this process's own. */
  readonly isKnown: (port: number) => boolean;
  /** May throw where it can't be looked after: it is told of as unknown then, and found again later. */
  readonly found: (identity: Identity, url: RuntimeUrl) => void;
  /** There is a map for servers of OpenAI's API that have no adapter of their own. */
  readonly hasMap: boolean;
  /** Somebody listens whom nobody knows; told once for each. */
  readonly unknown: (port: number, why: string) => void;
  /** In tests. */
  readonly ports?: readonly number[];
}

/** Of a port where somebody else listens. */
const PAUSE_MAX_MS = 60_000;
/** Its answers are those of another node of the mesh. */
const MESH = "mesh";
const UNMAPPED =
  "it speaks OpenAI's API and is none that is known: name it by --runtime generic=URL, with a --runtime-map";

interface Place {
  readonly port: number;
  /** Looks since somebody unknown listens there. */
  strange: number;
  nextAtMs: number;
}

export class RuntimeFinder {
  readonly #options: FinderOptions;
  readonly #places: readonly Place[];
  readonly #clients = new Set<RuntimeClient>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: FinderOptions) {
    this.#options = options;
    const ports = options.ports ?? USUAL_PORTS.map(({ port }) => port);
    this.#places = ports.map((port) => ({ port, strange: 0, nextAtMs: 0 }));
  }

  /** Resolves after the first look at all ports; goes on looking until it is stopped. */
  async start(): Promise<void> {
    await this.#look();
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.start(), this.#options.intervalMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const client of this.#clients) client.stop();
  }

  async #look(): Promise<void> {
    const nowMs = performance.now();
    const due = this.#places.filter(({ port, nextAtMs }) => nowMs >= nextAtMs && !this.#options.isKnown(port));
    await Promise.all(due.map((place) => this.#lookAt(place)));
  }

  async #lookAt(place: Place): Promise<void> {
    const { port } = place;
    const url: RuntimeUrl = { protocol: "http", host: "127.0.0.1", port, tls: false, base: "" };
    const client = new RuntimeClient({
      urls: { api: url },
      credentials: new RuntimeCredentials(AUTO),
      dialers: new RuntimeDialers(transport, AUTO, "auto"),
    });
    this.#clients.add(client);
    const who = await this.#identified(client);
    this.#clients.delete(client);
    client.stop();
    if (this.#isStopped) return;
    const told = typeof who === "object" ? this.#tell(who, url) : who;
    if (told === undefined) {
      place.strange = 0;
    } else {
      if (place.strange === 0 && told !== MESH) this.#options.unknown(port, told);
      place.strange += 1;
      const pauseMs = Math.min(PAUSE_MAX_MS, this.#options.intervalMs * 2 ** Math.min(10, place.strange - 1));
      place.nextAtMs = performance.now() + pauseMs;
    }
  }

  /** Why it can't be looked after; undefined where it can. */
  #tell(identity: Identity, url: RuntimeUrl): string | undefined {
    try {
      this.#options.found(identity, url);
      return undefined;
    } catch (error) {
      return `it is ${identity.kind}, but can't be looked after: ${(error as Error).message}`;
    }
  }

  /** Undefined where nobody listens; why it is not known where somebody does. */
  async #identified(client: RuntimeClient): Promise<Identity | string | undefined> {
    const who = await identified(client, this.#options.timeoutMs);
    if ("absent" in who) return undefined;
    if ("stranger" in who) return who.isOfMesh === true ? MESH : who.stranger;
    return who.kind === "generic" && !this.#options.hasMap ? UNMAPPED : who;
  }
}
