/**
 * The late desk with a clock, the crew's threads and the mesh around it; what it decides is in late-desk.ts, and who decides
 * in flow/mesh-desk.ts. What is said to other routers goes out once a turn of the loop.
 */
import type { LateConfig } from "../flow/late-settings.ts";
import type { FlowConfig } from "../flow/settings.ts";
import type { PrefixIndex } from "../score/prefix-index.ts";
import { PrefixLookup } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import { LateDesk } from "./late-desk.ts";
import { LateMesh } from "./late-mesh.ts";
import type { LookUp } from "./late-model.ts";
import type { LateBound, LateNews } from "./late-news.ts";
import { PlaceKeys } from "./place-keys.ts";
import type { RouteSnapshot } from "./protocol.ts";

/** Of the longest wait that the queue allows, after which whoever waits goes first: the rest is for being served in. */
const OVERDUE_PART = 2 / 3;

/** A life of a line counts hundredths of a second. */
const LIFE_MS = 10;
const LIVES = 2 ** 32;

/** What the mesh does for it. */
interface Ways {
  readonly packetBytesMax: number;
  send(to: string, packet: Uint8Array): void;
  /** Others are to hear of this router's load, since one of them waits for places that were given back here. */
  freed(): void;
}

export class LateService {
  /** How many wait, by model, and last a count that goes on as long as the desk is at work: what workers look at. */
  readonly waiting: SharedArrayBuffer;
  readonly #waiting: Int32Array;
  readonly #config: LateConfig;
  readonly #desk: LateDesk;
  readonly #keys = new PlaceKeys({ models: [], rows: [] });
  #mesh: LateMesh | null = null;
  #ways: Ways | null = null;
  /** It decides for others no more. */
  #isEnding = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;

  /** `config` may change in place. */
  constructor(
    config: FlowConfig,
    table: ScoreTable,
    index: PrefixIndex | null,
    tell: (worker: number, bound: readonly LateBound[]) => void,
  ) {
    this.waiting = new SharedArrayBuffer((table.modelsMax + 1) * 4);
    this.#waiting = new Int32Array(this.waiting);
    this.#config = lateConfig(config);
    this.#desk = new LateDesk(this.#config, table, this.#waiting, () => Date.now(), lookUpIn(index), tell);
  }

  /** How many wait for the model, as far as this router knows. */
  held(model: number): number {
    return this.#waiting[model] ?? 0;
  }

  get desk(): LateDesk {
    return this.#desk;
  }

  heard(worker: number, news: LateNews): void {
    const nowMs = performance.now();
    this.#desk.heard(worker, news, nowMs);
    if (news.freed.some((model) => this.#desk.deciderOf(model, nowMs) !== "")) this.#ways?.freed();
    this.#schedule();
  }

  /** The worker is gone, and what it had claimed was given back. */
  gone(worker: number): void {
    this.#desk.gone(worker, performance.now());
    this.#schedule();
  }

  /** What there is to go to, as other routers may speak of it. */
  setRoutes(routes: RouteSnapshot): void {
    this.#keys.routes = routes;
  }

  /** Nothing is decided any more, until something is heard. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = Infinity;
  }

  // ---- the mesh

  join(self: string, ways: Ways): void {
    const firstLife = Math.trunc(((Date.now() - performance.now()) / LIFE_MS) % LIVES);
    this.#mesh = new LateMesh(this.#desk, this.#keys, this.#config, {
      self,
      packetBytesMax: ways.packetBytesMax,
      firstLife,
    });
    this.#mesh.mesh.offer(!this.#isEnding, performance.now());
    this.#ways = ways;
    this.#desk.share(this.#mesh);
    this.#served();
  }

  present(ids: readonly string[]): void {
    // Who is to decide alone knows nobody.
    this.#mesh?.mesh.present(this.#config.shared ? ids : [], performance.now());
    this.#served();
  }

  receive(from: string, packet: Uint8Array): void {
    this.#mesh?.mesh.receive(from, packet, performance.now());
    this.#served();
  }

  /** It is about to end: another router is to decide for its models from now on. */
  retire(): void {
    this.#isEnding = true;
    this.#mesh?.mesh.offer(false, performance.now());
    this.#served();
  }

  leave(): void {
    this.#mesh?.mesh.present([], performance.now());
    this.#mesh = null;
    this.#ways = null;
    this.#desk.share(null);
    this.#served();
  }

  #served(): void {
    this.#desk.serve(performance.now());
    this.#schedule();
  }

  #schedule(): void {
    const nowMs = performance.now();
    const atMs = Math.min(this.#desk.wakeAtMs, this.#mesh?.mesh.wakeAtMs(nowMs) ?? Infinity);
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(this.#wake, Math.max(0, atMs - nowMs));
  }

  readonly #wake = (): void => {
    this.#timerAtMs = Infinity;
    const nowMs = performance.now();
    this.#mesh?.mesh.wake(nowMs);
    if (this.#desk.wakeAtMs <= nowMs) this.#desk.wake(nowMs);
    else this.#desk.serve(nowMs);
    for (const { to, packet } of this.#mesh?.mesh.take(nowMs) ?? []) this.#ways?.send(to, packet);
    this.#schedule();
  };
}

/** Who has a prompt cached, by the index that workers write; nobody, where there is none. */
function lookUpIn(index: PrefixIndex | null): LookUp {
  if (index === null) return () => [];
  const lookup = new PrefixLookup(index);
  return ({ chain, blocks, tokensPerBlock, tokensLess }) => {
    lookup.ask(chain, blocks, tokensPerBlock, tokensLess);
    lookup.match();
    lookup.clear();
    const homes = lookup.homes();
    lookup.askNothing();
    return homes;
  };
}

/** What holds for requests that are held, which the queue's bounds hold for too. */
export function lateConfig({ late, queue }: FlowConfig): LateConfig {
  return Object.create(late, {
    waitMsMax: { get: () => Math.min(late.waitMsMax, queue.waitMsMax * OVERDUE_PART) },
  }) as LateConfig;
}
