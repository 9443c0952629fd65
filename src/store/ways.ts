/**
 * The ways to other nodes of the control plane: one link to each address that is needed, opened when it is, and opened
 * again after it broke, with a growing pause. Messages to a node that can't be reached are lost, which the consensus is
 * made for; its owner is told, so that it does not go on as if they had arrived.
 *
 * An address that nobody has used for `UNUSED_MS` has its link closed.
 */
import { MeshError } from "../base/errors.ts";
import { parseAddress } from "../base/units.ts";
import { codeOf, orCrash } from "../net/crash.ts";
import { type AskOptions, type CallHandlers, Calls } from "./calls.ts";
import { Link, type LinkIdentity } from "./link.ts";

const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 2000;
const UNUSED_MS = 60_000;
const CONNECT_MS = 3000;

export interface WaysOptions {
  readonly identity: LinkIdentity;
  readonly handlers: CallHandlers;
  /** A link broke or could not be opened. */
  readonly onBroken: (address: string, why: string) => void;
}

class Way {
  /** Open, or being introduced. */
  link: Link | null = null;
  calls: Calls | null = null;
  /** Resolves when the link is open; rejects when it could not be opened. */
  opening: Promise<Calls> | null = null;
  pauseMs = PAUSE_MS_MIN;
  notBeforeMs = 0;
  usedMs = 0;
  /** Why it could not be opened last. */
  why = "";
}

export class Ways {
  readonly #options: WaysOptions;
  readonly #ways = new Map<string, Way>();
  readonly #sweeper = setInterval(() => this.#sweep(), UNUSED_MS / 4);
  #stopped = false;

  constructor(options: WaysOptions) {
    this.#options = options;
    this.#sweeper.unref();
  }

  /** Sends a message of the consensus; false where there is no open link: one is being opened then. */
  message(address: string, bytes: Uint8Array): boolean {
    const way = this.#way(address);
    if (way.calls?.link.isOpen === true) {
      way.calls.message(bytes);
      return true;
    }
    this.#open(address, way).catch(() => {});
    return false;
  }

  /** Asks the node at that address; rejects with a MeshError. */
  async ask(address: string, method: string, body: unknown, options: AskOptions = {}): Promise<unknown> {
    const way = this.#way(address);
    const calls = way.calls?.link.isOpen === true ? way.calls : await this.#open(address, way);
    return calls.ask(method, body, options);
  }

  /** Closes all links; they are opened anew when they are needed, with this node's identity as it is then. */
  renew(why: string): void {
    for (const way of this.#ways.values()) {
      // Also one that has just said who this node was.
      way.link?.close(why);
      way.notBeforeMs = 0;
    }
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#sweeper);
    for (const way of this.#ways.values()) way.link?.close("this node is stopping");
  }

  #way(address: string): Way {
    let way = this.#ways.get(address);
    if (way === undefined) this.#ways.set(address, (way = new Way()));
    way.usedMs = performance.now();
    return way;
  }

  #open(address: string, way: Way): Promise<Calls> {
    if (way.opening !== null) return way.opening;
    const place = parseAddress(address);
    const refusal = (why: string): Promise<never> =>
      Promise.reject(new MeshError("upstream_failed", `the control node at ${address}: ${why}`));
    if (this.#stopped) return refusal("this node is stopping");
    if (place === undefined) return refusal("that is no address");
    if (performance.now() < way.notBeforeMs) return refusal(way.why);
    const { promise, resolve, reject } = Promise.withResolvers<Calls>();
    way.opening = promise;
    promise.catch(() => {});
    let link: Link | null = null;
    let isSettled = false;
    const lost = (why: string): void => {
      clearTimeout(timer);
      way.calls?.closed(why);
      way.calls = null;
      way.link = null;
      way.opening = null;
      way.why = why;
      way.notBeforeMs = performance.now() + way.pauseMs;
      way.pauseMs = Math.min(way.pauseMs * 2, PAUSE_MS_MAX);
      if (!isSettled) reject(new MeshError("upstream_failed", `the control node at ${address}: ${why}`));
      isSettled = true;
      this.#options.onBroken(address, why);
    };
    let isOver = false;
    const once = (why: string): void => {
      if (isOver) return;
      isOver = true;
      lost(why);
    };
    const timer = setTimeout(() => {
      if (link === null) once(`no connection within ${CONNECT_MS} ms`);
    }, CONNECT_MS);
    Bun.connect({
      hostname: place.host === "" ? "127.0.0.1" : place.host,
      port: place.port,
      socket: {
        open: (socket) =>
          orCrash(() => {
            if (this.#stopped) once("this node is stopping");
            if (isOver) return socket.terminate();
            socket.setNoDelay(true);
            way.link = link = new Link(socket, "opener", this.#options.identity, {
              open: (opened) => {
                clearTimeout(timer);
                way.pauseMs = PAUSE_MS_MIN;
                way.opening = null;
                way.calls = new Calls(opened, this.#options.handlers);
                isSettled = true;
                resolve(way.calls);
              },
              frame: (_link, frame) => way.calls?.frame(frame),
              closed: (_link, why) => once(why),
            });
          }),
        data: (_socket, bytes) => orCrash(() => link?.data(bytes)),
        drain: () => orCrash(() => link?.drain()),
        end: () => orCrash(() => link?.close("it closed the connection")),
        close: () =>
          orCrash(() => (link === null ? once("the connection was cut") : link.close("the connection was cut"))),
        error: (_socket, error) => orCrash(() => link?.close(error.message)),
        connectError: (_socket, error) => orCrash(() => once(reason(error))),
      },
    }).catch((error: unknown) => once(reason(error)));
    return promise;
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const [address, way] of this.#ways) {
      if (nowMs - way.usedMs < UNUSED_MS || way.opening !== null || (way.calls?.isBusy ?? false)) continue;
      this.#ways.delete(address);
      way.calls?.link.close("it is not needed any more");
    }
  }
}

function reason(error: unknown): string {
  if (codeOf(error) === "ECONNREFUSED") return "connection refused";
  return error instanceof Error ? error.message : String(error);
}
