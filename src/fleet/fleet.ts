/**
 * The fleet: which targets exist, and which of them answer.
 *
 * Targets come from three sources: static ones are configured and never forgotten; registered ones announce themselves
 * and are forgotten after too many failed polls; those known by gossip stay as long as the mesh holds them alive. Each target is polled on its own
 * schedule, spread by jitter, and never twice at once. A target is routable from its first moment; it becomes
 * unhealthy at the `unhealthyAfter`-th failed poll in a row and healthy again at the first success.
 *
 * A node that was forgotten because it never answered, and announces itself again under the same incarnation, comes
 * back as unhealthy and is polled at once: a node that can reach us while we can't reach it must not be handed
 * requests anew each time.
 *
 * Pure: time comes in as nowMs, polls to carry out and events come out of `take()`. The shell carries each poll out
 * and answers every one by `polled`, whatever happened.
 */
import { MeshError } from "../base/errors.ts";
import type { Prng } from "../base/prng.ts";
import type { NodeSample } from "../score/sample.ts";
import { formatHostPort, parseHostPort, type Registration } from "./registration.ts";
import type { FleetConfig } from "./settings.ts";
import type { Target, TargetSource } from "./target.ts";

/** A target from flags or the configuration file; entries of one address are one target with several models. */
export interface StaticUpstream {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly weight: number;
}

/** A poll to carry out: `vitals` asks GET /metrics for a sample, `health` asks GET /health for any sign of life. */
export interface Poll {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly kind: "vitals" | "health";
  /** What the target is known to serve, for vitals that do not say. */
  readonly models: readonly string[];
}

export type PollResult =
  | { readonly ok: true; readonly sample: NodeSample | null; readonly rttMs: number }
  | { readonly ok: false; readonly error: string };

export interface FleetEvent {
  readonly kind: "joined" | "left" | "unhealthy" | "healthy" | "removed" | "refused" | "updated";
  readonly id: string;
  /** Why, in words fit for a log line. */
  readonly cause: string;
}

export type RegisterResult =
  | { readonly accepted: true; readonly first: boolean; readonly refused?: never }
  | { readonly accepted?: never; readonly refused: MeshError };

export interface FleetOutput {
  readonly polls: readonly Poll[];
  readonly events: readonly FleetEvent[];
  /** Whether anything that `targets()` shows is new since the last take. */
  readonly changed: boolean;
  /** Which targets changed: ids that joined, went, or read differently now. */
  readonly changedIds: readonly string[];
  /** When `wake` is due next; Infinity when nothing is. */
  readonly wakeAtMs: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
/** A target and its schedule. */
type Member = Writable<Target> & { nextPollAtMs: number };

/** The first polls of many static targets are spread over this much, or one interval if that is shorter. */
const FIRST_POLL_SPREAD_MS = 1000;
/** Each interval is drawn from 1 - JITTER to 1 + JITTER of the configured one. */
const JITTER = 0.1;

export class Fleet {
  readonly #config: FleetConfig;
  readonly #prng: Prng;
  readonly #members = new Map<string, Member>();
  /** Polls on their way, by id; the member they were made for, which may be gone or replaced by now. */
  readonly #polling = new Map<string, { member: Member; startedAtMs: number }>();
  /** Incarnations of registered targets that were forgotten for not answering; oldest first. */
  readonly #forgotten = new Map<string, number>();
  readonly #changedIds = new Set<string>();
  #events: FleetEvent[] = [];
  #list: readonly Target[] | null = null;
  #nowMs = 0;

  constructor(config: FleetConfig, prng: Prng) {
    this.#config = config;
    this.#prng = prng;
  }

  /** Sets the static targets: new ones join, absent ones leave, the rest stay as they are. */
  setStatic(upstreams: readonly StaticUpstream[], nowMs: number): void {
    this.#now(nowMs);
    const wanted = staticTargets(upstreams);
    for (const member of this.#members.values()) {
      if (member.source === "static" && !wanted.has(member.id)) {
        this.#drop(member, "left", "no longer configured");
      }
    }
    for (const [id, { first, models }] of wanted) {
      const known = this.#members.get(id);
      if (known?.source === "static") {
        if (known.tls === first.tls) {
          this.#update(known, { models, weight: first.weight });
          continue;
        }
        this.#drop(known, "left", "configured anew");
      } else if (known !== undefined) {
        this.#drop(known, "left", "its id is the address of a configured target");
      }
      if (this.#isFull()) {
        this.#event("refused", id, `the fleet holds ${this.#config.targetsMax} targets already`);
        continue;
      }
      const spreadMs = Math.min(FIRST_POLL_SPREAD_MS, this.#config.pollIntervalMs);
      const place = { id, host: first.host, port: first.port, tls: first.tls, metricsPort: undefined };
      this.#join("static", place, { models, weight: first.weight }, this.#nowMs + this.#prng.next() * spreadMs);
    }
  }

  /** A node announces itself, or the mesh tells of it, for the first time or again. */
  register(registration: Registration, nowMs: number, source: "registered" | "gossip" = "registered"): RegisterResult {
    this.#now(nowMs);
    const { id } = registration;
    const address = parseHostPort(registration.address);
    if (address === null) return this.#refuse(id, "bad_request", `address "${registration.address}" is not host:port`);
    const known = this.#members.get(id);
    if (known?.source === "static") {
      return this.#refuse(id, "conflict", `"${id}" is the id of a configured target; choose another`);
    }
    const incarnation = registration.incarnation ?? known?.incarnation ?? 0;
    if (known !== undefined) {
      if (known.host === address.host && known.port === address.port) {
        // Whom the mesh knows is the mesh's to forget, though it may register as well.
        if (source === "gossip") known.source = source;
        this.#refresh(known, registration, incarnation);
        return { accepted: true, first: false };
      }
      if (known.state !== "unhealthy" && incarnation <= known.incarnation) {
        const standing = formatHostPort(known.host, known.port);
        return this.#refuse(
          id,
          "conflict",
          `"${id}" is in use by the node at ${standing}, which answers; choose another id, or wait until it is gone`,
        );
      }
      this.#drop(known, "left", `replaced by ${registration.address}`);
    } else if (this.#isFull()) {
      return this.#refuse(id, "over_capacity", `the fleet holds ${this.#config.targetsMax} targets already`);
    }
    const place = { id, ...address, tls: false, metricsPort: registration.metricsPort };
    const member = this.#join(source, place, traits(registration, incarnation), this.#nowMs);
    const forgotten = this.#forgotten.get(id);
    this.#forgotten.delete(id);
    if (forgotten !== undefined && incarnation <= forgotten) {
      member.state = "unhealthy";
      member.failuresInRow = this.#config.unhealthyAfter;
      member.lastError = "forgotten before for not answering; waiting for its first answer";
    }
    return { accepted: true, first: true };
  }

  /** A registered node takes its leave, or the mesh lost it. False when it is not known; static targets stay. */
  deregister(id: string, nowMs: number, cause = "deregistered"): boolean {
    this.#now(nowMs);
    const known = this.#members.get(id);
    if (known === undefined || known.source === "static") return false;
    this.#drop(known, "left", cause);
    return true;
  }

  /** How a poll ended. Every poll that `take` gave out is answered once. */
  polled(id: string, result: PollResult, nowMs: number): void {
    this.#now(nowMs);
    const polling = this.#polling.get(id);
    if (polling === undefined) return;
    this.#polling.delete(id);
    const { member, startedAtMs } = polling;
    // The answer of a target that is gone or replaced says nothing about its successor, which is due by itself.
    if (this.#members.get(id) !== member) return;
    const jitter = 1 + JITTER * (2 * this.#prng.next() - 1);
    member.nextPollAtMs = Math.max(this.#nowMs, startedAtMs + this.#config.pollIntervalMs * jitter);
    if (result.ok) this.#succeeded(member, result.sample, result.rttMs);
    else this.#failed(member, result.error);
  }

  /** Time has passed: polls that are due come out of the next `take`. */
  wake(nowMs: number): void {
    this.#now(nowMs);
  }

  take(): FleetOutput {
    const polls: Poll[] = [];
    let wakeAtMs = Number.POSITIVE_INFINITY;
    for (const member of this.#members.values()) {
      if (this.#polling.has(member.id)) continue;
      if (member.nextPollAtMs > this.#nowMs) {
        wakeAtMs = Math.min(wakeAtMs, member.nextPollAtMs);
        continue;
      }
      this.#polling.set(member.id, { member, startedAtMs: this.#nowMs });
      const vitals = member.metricsPort !== undefined;
      polls.push({
        id: member.id,
        host: member.host,
        port: member.metricsPort ?? member.port,
        tls: member.tls,
        kind: vitals ? "vitals" : "health",
        models: member.models,
      });
    }
    const events = this.#events;
    this.#events = [];
    const changedIds = [...this.#changedIds];
    this.#changedIds.clear();
    return { polls, events, changed: changedIds.length > 0, changedIds, wakeAtMs };
  }

  targets(): readonly Target[] {
    this.#list ??= [...this.#members.values()];
    return this.#list;
  }

  target(id: string): Target | undefined {
    return this.#members.get(id);
  }

  /** Late inputs never turn the clock back. */
  #now(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  #isFull(): boolean {
    return this.#members.size >= this.#config.targetsMax;
  }

  #succeeded(member: Member, sample: NodeSample | null, rttMs: number): void {
    const before = member.state;
    const wasReady = member.lastSample?.ready ?? true;
    const failures = member.failuresInRow;
    member.failuresInRow = 0;
    member.lastError = "";
    member.rttMs = rttMs;
    if (sample !== null) {
      member.lastSample = sample;
      member.sampledAtMs = this.#nowMs;
    }
    member.state = sample?.draining === true ? "draining" : "healthy";
    this.#changedIds.add(member.id);
    if (before === "unhealthy") this.#event("healthy", member.id, `answers again after ${failures} failed polls`);
    if (member.state === "draining" && before !== "draining") this.#event("updated", member.id, "draining");
    else if (before === "draining" && member.state === "healthy")
      this.#event("updated", member.id, "no longer draining");
    else if (sample !== null && sample.ready !== wasReady) {
      this.#event("updated", member.id, sample.ready ? "ready" : "not ready");
    }
  }

  #failed(member: Member, error: string): void {
    member.failuresInRow++;
    member.lastError = error;
    this.#changedIds.add(member.id);
    const failures = member.failuresInRow;
    if (failures >= this.#config.unhealthyAfter && member.state !== "unhealthy") {
      member.state = "unhealthy";
      this.#event("unhealthy", member.id, `${failures} failed polls in a row, the last: ${error}`);
    }
    if (member.source === "registered" && failures >= this.#config.removeAfter) {
      this.#forget(member.id, member.incarnation);
      this.#drop(member, "removed", `${failures} failed polls in a row, the last: ${error}`);
    }
  }

  #refresh(member: Member, registration: Registration, incarnation: number): void {
    member.registeredAtMs = this.#nowMs;
    member.metricsPort = registration.metricsPort;
    this.#update(member, traits(registration, Math.max(incarnation, member.incarnation)));
    // It claims to live: look now rather than at the next turn.
    if (member.state === "unhealthy") member.nextPollAtMs = this.#nowMs;
  }

  #update(member: Member, next: Partial<Writable<Target>>): void {
    const changes: ("models" | "weight" | "zone" | "labels")[] = [];
    for (const key of ["models", "weight", "zone", "labels"] as const) {
      const value = next[key];
      if (value !== undefined && JSON.stringify(value) !== JSON.stringify(member[key])) changes.push(key);
    }
    Object.assign(member, next);
    if (changes.length === 0) return;
    this.#changedIds.add(member.id);
    this.#event("updated", member.id, changes.map((key) => `${key}: ${describe(member, key)}`).join("; "));
  }

  #join(
    source: TargetSource,
    place: Pick<Target, "id" | "host" | "port" | "tls" | "metricsPort">,
    given: Partial<Target>,
    firstPollAtMs: number,
  ): Member {
    const member: Member = {
      models: [],
      weight: 1,
      zone: "",
      labels: {},
      incarnation: 0,
      ...given,
      ...place,
      source,
      state: "unknown",
      failuresInRow: 0,
      lastError: "",
      lastSample: undefined,
      sampledAtMs: undefined,
      rttMs: undefined,
      registeredAtMs: this.#nowMs,
      nextPollAtMs: firstPollAtMs,
    };
    this.#members.set(member.id, member);
    this.#list = null;
    this.#changedIds.add(member.id);
    this.#event("joined", member.id, `${source} at ${formatHostPort(member.host, member.port)}`);
    return member;
  }

  #drop(member: Member, kind: "left" | "removed", cause: string): void {
    this.#members.delete(member.id);
    this.#list = null;
    this.#changedIds.add(member.id);
    this.#event(kind, member.id, cause);
  }

  #forget(id: string, incarnation: number): void {
    this.#forgotten.delete(id);
    this.#forgotten.set(id, incarnation);
    for (const oldest of this.#forgotten.keys()) {
      if (this.#forgotten.size <= this.#config.targetsMax) break;
      this.#forgotten.delete(oldest);
    }
  }

  #refuse(id: string, code: "bad_request" | "conflict" | "over_capacity", message: string): RegisterResult {
    this.#event("refused", id, message);
    return { refused: new MeshError(code, message, { source: "client" }) };
  }

  #event(kind: FleetEvent["kind"], id: string, cause: string): void {
    this.#events.push({ kind, id, cause });
  }
}

/** What a registration says beyond its place. */
function traits(registration: Registration, incarnation: number): Partial<Writable<Target>> {
  return {
    models: [...registration.models],
    weight: registration.weight ?? 1,
    zone: registration.zone ?? "",
    labels: { ...registration.labels },
    incarnation,
  };
}

/**
 * Groups entries by address. A target has one weight: entries of one address with other weights are targets of their
 * own, named after their model too.
 */
function staticTargets(upstreams: readonly StaticUpstream[]): Map<string, { first: StaticUpstream; models: string[] }> {
  const targets = new Map<string, { first: StaticUpstream; models: string[] }>();
  for (const upstream of upstreams) {
    const address = formatHostPort(upstream.host, upstream.port);
    const same = targets.get(address);
    const fits = same === undefined || (same.first.weight === upstream.weight && same.first.tls === upstream.tls);
    const id = fits ? address : `${address}/${upstream.model}`;
    const target = targets.get(id);
    if (target === undefined) targets.set(id, { first: upstream, models: [upstream.model] });
    else if (!target.models.includes(upstream.model)) target.models.push(upstream.model);
  }
  return targets;
}

function describe(target: Target, key: "models" | "weight" | "zone" | "labels"): string {
  const value = target[key];
  if (key === "models") return target.models.length === 0 ? "none" : target.models.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
