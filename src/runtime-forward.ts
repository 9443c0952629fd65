/**
 * The way to runtimes that listen on this machine alone, as Ollama and llama-server do by default, for routers on other
 * machines. One that listens on every address is reached by the node's own; for one that does not, a port is opened at the
 * address by which the mesh knows the node, and its bytes are relayed (net/relay.ts): for routers of the mesh, unless
 * --runtime-forward says that anyone may come, or nobody.
 *
 * Where the node itself is known by a loopback address, everything is on one machine, and nothing is done.
 */
import type { Log } from "./obs/log.ts";
import { isLoopback } from "./net/ip.ts";
import { answersAt, TcpRelay } from "./net/relay.ts";
import { toMeshError } from "./base/errors.ts";
import type { RuntimeEndpoint } from "./telemetry/runtime.ts";

export interface RuntimeForwardOptions {
  readonly mode: "routers" | "anyone" | "off";
  /** The host by which others know this node; "" while it is not known. */
  readonly host: () => string;
  readonly endpoints: () => readonly RuntimeEndpoint[];
  /** Whether a router of the mesh is there. */
  readonly isRouter: (address: string) => boolean;
  /** Ways are other ones than before. */
  readonly changed: () => void;
  readonly log: Pick<Log, "info" | "warn" | "debug">;
  /** Whether a host is of this machine alone. */
  readonly isAlone?: (host: string) => boolean;
}

interface Way {
  /** `open`: by the node's own address; `closed`: others can't reach it. */
  readonly kind: "open" | "relayed" | "closed";
  readonly host: string;
  readonly port: number;
  readonly relay?: TcpRelay;
}

const LOOK_MS = 2000;
const ANSWER_MS = 1000;
const HINT = "have the runtime listen on the node's address or on all, or leave out --runtime-forward off";

export class RuntimeForward {
  readonly #options: RuntimeForwardOptions;
  readonly #isAlone: (host: string) => boolean;
  readonly #ways = new Map<string, Way>();
  readonly #timer: ReturnType<typeof setInterval>;
  #looking: Promise<void> | null = null;
  #isStopped = false;

  constructor(options: RuntimeForwardOptions) {
    this.#options = options;
    this.#isAlone = options.isAlone ?? isLoopback;
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Where routers are to be sent instead; undefined: to the endpoint itself. */
  wayTo({ host, port }: RuntimeEndpoint): { readonly host: string; readonly port: number } | undefined {
    const way = this.#ways.get(`${host} ${port}`);
    return way === undefined || way.kind === "closed" ? undefined : { host: way.host, port: way.port };
  }

  /** What is relayed, and what can't be reached, for people. */
  get summary(): readonly { readonly runtime: string; readonly from: string; readonly kind: string }[] {
    return [...this.#ways].map(([key, { kind, host, port }]) => ({
      runtime: key.replace(" ", ":"),
      from: kind === "closed" ? "" : `${host}:${port}`,
      kind,
    }));
  }

  /** Looks for ways that are not known yet; one look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const { relay } of this.#ways.values()) relay?.stop();
    this.#ways.clear();
  }

  async #look(): Promise<void> {
    const { host, endpoints, changed } = this.#options;
    const own = host();
    if (own === "" || this.#isAlone(own)) return;
    let isChanged = false;
    const locals = endpoints().filter((one) => this.#isAlone(one.host) || one.host.startsWith("/"));
    for (const endpoint of locals) isChanged = (await this.#consider(endpoint, own)) || isChanged;
    const wanted = new Set(locals.map((one) => `${one.host} ${one.port}`));
    for (const [key, { relay }] of this.#ways) {
      if (wanted.has(key)) continue;
      relay?.stop();
      this.#ways.delete(key);
      isChanged = true;
    }
    if (isChanged && !this.#isStopped) changed();
  }

  /** Whether its way is another one than before. */
  async #consider(endpoint: RuntimeEndpoint, own: string): Promise<boolean> {
    const key = `${endpoint.host} ${endpoint.port}`;
    const { mode, log } = this.#options;
    const known = this.#ways.get(key);
    if (known?.relay !== undefined) return false;
    // One that is not there says nothing of who could reach it.
    if (!(await answersAt(endpoint, ANSWER_MS))) return false;
    const isOpen = !endpoint.host.startsWith("/") && (await answersAt({ host: own, port: endpoint.port }, ANSWER_MS));
    if (this.#isStopped) return false;
    const at = `${endpoint.host}:${endpoint.port}`;
    if (isOpen) return this.#take(key, { kind: "open", host: own, port: endpoint.port });
    if (mode === "off") {
      if (known?.kind === "closed") return false;
      log.warn("other machines can't reach a runtime: it listens on this one alone", { runtime: at, hint: HINT });
      return this.#take(key, { kind: "closed", host: endpoint.host, port: endpoint.port });
    }
    try {
      const relay = await this.#relay(endpoint, own);
      log.info("a runtime that listens on this machine alone is forwarded", {
        runtime: at,
        from: `${own}:${relay.port}`,
        for: mode === "anyone" ? "anyone" : "routers of the mesh",
      });
      return this.#take(key, { kind: "relayed", host: own, port: relay.port, relay });
    } catch (error) {
      if (known?.kind === "closed") return false;
      log.warn("other machines can't reach a runtime, and it can't be forwarded", {
        runtime: at,
        error: toMeshError(error).message,
        hint: HINT,
      });
      return this.#take(key, { kind: "closed", host: endpoint.host, port: endpoint.port });
    }
  }

  #take(key: string, way: Way): boolean {
    const known = this.#ways.get(key);
    this.#ways.set(key, way);
    return known?.kind !== way.kind || known.host !== way.host || known.port !== way.port;
  }

  async #relay({ host, port }: RuntimeEndpoint, own: string): Promise<TcpRelay> {
    const { mode, isRouter, log } = this.#options;
    const open = (at: string): Promise<TcpRelay> =>
      TcpRelay.open({
        host: at,
        port: 0,
        to: { host, port },
        isAllowed: (address) => mode === "anyone" || address === own || this.#isAlone(address) || isRouter(address),
        refused: (address) => log.debug("a connection to a forwarded runtime was refused", { from: address }),
      });
    // Behind a translation of addresses the node's own is no address of this machine.
    const relay = await open(own).catch(() => open("0.0.0.0"));
    if (this.#isStopped) relay.stop();
    return relay;
  }
}
