/**
 * The router's targets in motion, in its main thread: what is configured, registered, told by the mesh, polled and
 * reported of them goes through the fleet into the score table and the workers' routes. Wiring only.
 */
import type { RouterConfig } from "./config.ts";
import { liveCopy, overwrite } from "./base/live.ts";
import { Prng } from "./base/prng.ts";
import { registrationOf, registrationsOf } from "./fleet/announcement.ts";
import type { Discovered } from "./fleet/discovered.ts";
import { Fleet } from "./fleet/fleet.ts";
import type { Poll, RegisterResult } from "./fleet/event.ts";
import { partOf, pollPart } from "./fleet/part.ts";
import type { Registration } from "./fleet/registration.ts";
import type { FleetConfig } from "./fleet/settings.ts";
import { isRoutable, type Target } from "./fleet/target.ts";
import { type MeshNode, targetsOf } from "./mesh/node-membership.ts";
import { Poller } from "./mesh/poller.ts";
import type { TlsClientOptions } from "./net/tls-streams.ts";
import type { Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import type { Placement } from "./proxy/placement.ts";
import type { RouteSnapshot } from "./proxy/protocol.ts";
import type { NodeSample } from "./score/sample.ts";
import type { Report } from "./signal/subscriber.ts";
import type { Member, SwimEvent } from "./swim/event.ts";
import { TargetNews } from "./target-news.ts";

/** Between changes of the fleet and new routes: many nodes that join at once make one snapshot. */
const SYNC_DELAY_MS = 5;
/** Up to some sixty members, a probe meets each more often than this. */
const MEASURED_FRESH_MS = 60_000;

export interface TargetsOptions {
  readonly config: RouterConfig;
  readonly placement: Placement;
  readonly log: Log;
  /** What targets in TLS are shown, and must show. */
  readonly upstreamTls: TlsClientOptions;
  /** The mesh, once this router is in it. */
  readonly node: () => MeshNode | null;
  /** What happened, for whoever asks. */
  readonly tell: Tell;
  /** Workers must learn of new routes. */
  readonly onRoutes: (routes: RouteSnapshot) => void;
}

export class Targets {
  readonly #options: TargetsOptions;
  /** What the fleet and the poller hold; it is overwritten when the configuration is loaded anew. */
  readonly #config: FleetConfig;
  readonly #fleet: Fleet;
  readonly #poller: Poller;
  readonly #changedIds = new Set<string>();
  readonly #news: TargetNews;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  /** What the timer waits for. */
  #wakeAtMs = Number.NaN;
  #syncTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: TargetsOptions) {
    const { config } = options;
    this.#options = options;
    this.#news = new TargetNews({ ...options, target: (id) => this.get(id), of: (node) => this.of(node) });
    const fleet = liveCopy(config.fleet);
    this.#config = fleet;
    this.#fleet = new Fleet(fleet, new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1));
    this.#poller = new Poller({
      get timeoutMs() {
        return fleet.pollTimeoutMs;
      },
      tls: options.upstreamTls,
    });
    this.#fleet.setStatic(config.upstreams, performance.now());
    for (const { id } of this.#fleet.targets()) this.#changedIds.add(id);
    this.#place();
  }

  all(): readonly Target[] {
    return this.#fleet.targets();
  }

  get(id: string): Target | undefined {
    return this.#fleet.target(id);
  }

  /** Those of a node. */
  of(node: string): readonly Target[] {
    return this.#fleet.targetsOf(node);
  }

  /** The configured targets are these now, and the fleet's knobs. */
  configure(config: Pick<RouterConfig, "fleet" | "upstreams">): void {
    overwrite(this.#config, config.fleet);
    this.#fleet.setStatic(config.upstreams, performance.now());
    this.step();
  }

  /** What another router must be told of those that were discovered. */
  allDiscovered(): Discovered[] {
    return this.all()
      .filter(({ source }) => source === "k8s")
      .map(({ id, node, endpoint, host, port, tls, protocol, models, zone, labels, condition }) => {
        return { id, node, endpoint, host, port, tls, protocol, models, zone, labels, condition };
      });
  }

  /** What another router must be told to go on with the targets that announced themselves. */
  registrations(): Registration[] {
    return this.all()
      .filter(({ source }) => source !== "static" && source !== "k8s")
      .map((target) => {
        const condition = target.state === "draining" ? "draining" : isRoutable(target) ? "ready" : "unready";
        return { ...registrationOf(target), condition };
      });
  }

  /**
   * Takes what a predecessor of a like version knew; throws a MeshError for anything else. Whoever is still in the mesh
   * will be the mesh's again as soon as that is heard from.
   */
  inherit(told: unknown): void {
    for (const registration of registrationsOf(told)) this.#fleet.register(registration, performance.now());
    this.settle();
  }

  /** Whatever is known of targets is in the routes now. */
  settle(): void {
    this.step();
    this.#sync();
  }

  register(registration: Registration): RegisterResult {
    const result = this.#fleet.register(registration, performance.now());
    this.step();
    return result;
  }

  /** What a cluster's register tells of now, all of it. */
  discovered(all: readonly Discovered[]): void {
    this.#fleet.setDiscovered(all, performance.now());
    this.step();
  }

  /** A discovered target was asked, and told of itself. */
  watched(id: string, sample: NodeSample): void {
    const target = this.#fleet.target(id);
    const nowMs = performance.now();
    if (target?.source !== "k8s") return;
    if (!this.#fleet.reported(id, sample, nowMs, target.rttMs, nowMs, "adapter")) return;
    const { placement } = this.#options;
    placement.sampled(target, placement.mark(target), target.rttMs, nowMs);
    this.step();
  }

  /** False when no such node is registered. */
  deregister(id: string): boolean {
    const isKnown = this.#fleet.deregister(id, performance.now());
    this.step();
    return isKnown;
  }

  /** What the mesh says of an agent becomes a target. */
  told({ id, kind, cause }: SwimEvent): void {
    if (kind === "failed" || kind === "left") {
      this.#fleet.deregister(id, performance.now(), "gossip", `${kind} by gossip: ${cause}`);
    } else if (kind === "joined" || kind === "updated" || kind === "alive-again") {
      const member = this.#options.node()?.membership.member(id);
      if (member !== undefined) this.#member(member);
    }
    this.step();
  }

  #member(member: Member): void {
    const { id } = member;
    const { registrations, misfits } = targetsOf(member);
    for (const { id: target, faults } of misfits) {
      this.#options.log.warn("a member can't be a target", { member: id, target, why: faults.join("; ") });
    }
    const nowMs = performance.now();
    const places = new Set(registrations.map((one) => one.id));
    // What can't be read any more goes on as it was.
    if (misfits.length === 0) this.#fleet.deregister(id, nowMs, "gossip", "it serves elsewhere now", places);
    for (const registration of registrations) this.#fleet.register(registration, nowMs, "gossip");
  }

  /** A node sent its state. */
  reported({ id, sample, observedAtMs }: Report): void {
    this.#sampled(id, sample, observedAtMs, this.#wayMs(id), "itself");
  }

  /** An adapter told of a target that does not tell of itself. */
  adapted(id: string, sample: NodeSample): void {
    this.#sampled(id, sample, performance.now(), undefined, "adapter");
  }

  /** Each of the node's targets has its part of the sample. */
  #sampled(node: string, sample: NodeSample, atMs: number, wayMs: number | undefined, by: "itself" | "adapter"): void {
    const { placement } = this.#options;
    const nowMs = performance.now();
    let isNew = false;
    for (const target of this.#fleet.targetsOf(node)) {
      const { id, rttMs } = target;
      const way = by === "itself" ? wayMs : rttMs;
      if (!this.#fleet.reported(id, partOf(target, sample), atMs, way, nowMs, by)) continue;
      placement.sampled(target, placement.mark(target), way, nowMs);
      isNew = true;
    }
    if (!isNew) return;
    this.#news.gpus(node, sample.gpus);
    this.step();
  }

  /** Other routers told of their load at these places. */
  loadsChanged(keys: readonly number[]): void {
    this.#options.placement.loadsChanged(keys, (id) => this.#fleet.target(id), performance.now());
  }

  /** Lets what is due happen: input -> step -> polls, events and routes out. */
  step(): void {
    this.#fleet.wake(performance.now());
    const output = this.#fleet.take();
    this.#news.happened(output.events);
    if (!this.#stopped) for (const poll of output.polls) void this.#poll(poll);
    for (const id of output.changedIds) this.#changedIds.add(id);
    if (output.changed) this.#syncTimer ??= setTimeout(() => this.#sync(), SYNC_DELAY_MS);
    if (output.wakeAtMs === this.#wakeAtMs) return;
    this.#wakeAtMs = output.wakeAtMs;
    clearTimeout(this.#wakeTimer);
    if (this.#stopped || output.wakeAtMs === Number.POSITIVE_INFINITY) return;
    const wake = (): void => {
      this.#wakeAtMs = Number.NaN;
      this.step();
    };
    this.#wakeTimer = setTimeout(wake, Math.max(1, output.wakeAtMs - performance.now()));
  }

  /** No polls begin any more. */
  drain(): void {
    this.#stopped = true;
    clearTimeout(this.#wakeTimer);
  }

  stop(): void {
    this.drain();
    clearTimeout(this.#syncTimer);
    this.#poller.stop();
  }

  async #poll(poll: Poll): Promise<void> {
    const { placement } = this.#options;
    const target = this.#fleet.target(poll.id);
    const mark = target === undefined ? new Map<string, never>() : placement.mark(target);
    const result = pollPart(await this.#poller.poll(poll), target);
    // The mesh measures the way by small probes; a poll's round trip holds the making of its answer too.
    const rttMs = this.#wayMs(target?.node ?? poll.id);
    const nowMs = performance.now();
    const told = result.ok && rttMs !== undefined ? { ...result, rttMs } : result;
    const isOfNow = this.#fleet.polled(poll.id, told, nowMs);
    const polled = this.#fleet.target(poll.id);
    if (result.ok && isOfNow && polled !== undefined) {
      placement.reached(polled);
      this.#news.gpus(polled.node, result.sample?.gpus ?? []);
      if (!polled.streamed) placement.sampled(polled, mark, polled.rttMs, nowMs);
    }
    this.step();
  }

  /** The round trip to a member as it was measured of late, else by the mesh's coordinates. */
  #wayMs(id: string): number | undefined {
    const membership = this.#options.node()?.membership;
    const member = membership?.member(id);
    if (membership === undefined || member === undefined) return undefined;
    const { rttMs, answeredAtMs = -Infinity } = member;
    const isFresh = performance.now() - answeredAtMs < MEASURED_FRESH_MS;
    return isFresh ? rttMs : (membership.distance(membership.id, id) ?? rttMs);
  }

  #place(): RouteSnapshot | null {
    const ids = [...this.#changedIds];
    this.#changedIds.clear();
    const unixSeconds = Math.floor(Date.now() / 1000);
    return this.#options.placement.sync(ids, (id) => this.#fleet.target(id), performance.now(), unixSeconds);
  }

  #sync(): void {
    const { placement, log, onRoutes } = this.#options;
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    const routes = this.#place();
    this.#news.models(this.all());
    if (placement.homeless > 0) {
      log.warn("the score table is full", {
        without: placement.homeless,
        hint: "raise table.targetsMax or table.modelsMax",
      });
    }
    if (routes !== null) onRoutes(routes);
  }
}
