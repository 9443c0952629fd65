/**
 * The fleet: which targets exist, and which of them answer.
 *
 * Targets come from four sources: static ones are configured and never forgotten; registered ones announce themselves
 * and are forgotten after too many failed polls; those known by gossip stay as long as the mesh holds them alive; and
 * discovered ones as long as the register that tells of them has them (discovered.ts). Each
 * target is polled on its own schedule, spread by jitter, and never twice at once. One that tells of itself is asked for
 * its vitals only when it falls silent; but that it can reach us does not say that we can reach it, so its serving port
 * is asked for a sign of life now and then. A target is routable from its first moment, unless the mesh says that it is not ready; it
 * becomes unhealthy at the `unhealthyAfter`-th failed poll in a row and healthy again at the first success.
 *
 * A node that was forgotten because it never answered, and announces itself again under the same incarnation, comes
 * back as unhealthy and is polled at once: a node that can reach us while we can't reach it must not be handed
 * requests anew each time.
 *
 * The mesh tells of a member once, not again and again. So what it tells of one that finds no place, or whose id belongs
 * to a target at another address, is kept (`targetsMax` of them) until there is a place, or that target is gone or does
 * not answer; the mesh's next word about the member takes its place, and that it is lost withdraws it.
 *
 * Pure: time comes in as nowMs, polls to carry out and events come out of `take()`. The shell carries each poll out
 * and answers every one by `polled`, whatever happened.
 */
import { MeshError } from "../base/errors.ts";
import type { Prng } from "../base/prng.ts";
import type { NodeSample } from "../score/sample.ts";
import { type Announcer, isAt, refusalOf } from "./admission.ts";
import { changesOf, type Place, placeOf, registrationOf, type Traits, traitsOf, withServed } from "./announcement.ts";
import { type Discovered, unclaimed } from "./discovered.ts";
import type { FleetEvent, FleetOutput, Poll, PollResult, RegisterResult } from "./event.ts";
import { failed, failures, sampled, succeeded } from "./health.ts";
import { Recent } from "./recent.ts";
import { formatHostPort, type Registration } from "./registration.ts";
import type { FleetConfig } from "./settings.ts";
import { type StaticUpstream, staticLabels, staticTargets } from "./static-targets.ts";
import { isRoutable, type Target, type TargetSource } from "./target.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };
/** A target and its schedule. */
type Member = Writable<Target> & { nextPollAtMs: number; slowPollAtMs: number };

const NOBODY: ReadonlySet<string> = new Set();
const NOTHING: Iterable<Member> = [];
/** The first polls of many static targets are spread over this much, or one interval if that is shorter. */
const FIRST_POLL_SPREAD_MS = 1000;
/** Each interval is drawn from 1 - JITTER to 1 + JITTER of the configured one. */
const JITTER = 0.1;
/** A target that tells of itself is polled once in so many intervals. */
const SLOW_POLLS = 6;

export class Fleet {
  readonly #config: FleetConfig;
  readonly #prng: Prng;
  readonly #members = new Map<string, Member>();
  readonly #byNode = new Map<string, Set<Member>>();
  /** Polls on their way, by id; the member they were made for, which may be gone or replaced by now. */
  readonly #polling = new Map<string, { member: Member; startedAtMs: number }>();
  /** Incarnations of registered targets that were forgotten for not answering. */
  readonly #forgotten: Recent<string, number>;
  /** What the mesh tells of members that are not in the fleet, or not as the mesh tells. */
  readonly #offers: Recent<string, Registration>;
  /** As they were told of last. */
  #discovered: readonly Discovered[] = [];
  /** Discovered ones for which there is no room, which was told of. */
  #roomless = new Set<string>();
  /** There may be a place for an offer, or one that was a discovered target's is another's. */
  #isFreed = false;
  readonly #changedIds = new Set<string>();
  #events: FleetEvent[] = [];
  /** The models of those that were told of in part, as far as they were told. */
  readonly #cut = new Map<string, readonly string[]>();
  #list: readonly Target[] | null = null;
  #nowMs = 0;
  /** No poll is due before. */
  #pollsDueAtMs = Number.POSITIVE_INFINITY;

  constructor(config: FleetConfig, prng: Prng) {
    this.#config = config;
    this.#prng = prng;
    this.#forgotten = new Recent(config.targetsMax);
    this.#offers = new Recent(config.targetsMax);
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
          this.#update(known, { models, weight: first.weight, labels: staticLabels(first) });
          continue;
        }
        this.#drop(known, "left", "configured anew");
      } else if (known !== undefined) {
        this.#displace(known, "its id is the address of a configured target");
      }
      if (this.#isFull()) {
        this.#event("refused", id, `the fleet holds ${this.#config.targetsMax} targets already`);
        continue;
      }
      const spreadMs = Math.min(FIRST_POLL_SPREAD_MS, this.#config.pollIntervalMs);
      const { host, port, tls, protocol } = first;
      const place = { id, host, port, tls, protocol, metricsPort: undefined };
      const given = { models, weight: first.weight, labels: staticLabels(first) };
      this.#join("static", place, given, this.#nowMs + this.#prng.next() * spreadMs);
    }
  }

  /** What a register tells of now, all of it: new ones join, absent ones leave, the others are what it says. */
  setDiscovered(discovered: readonly Discovered[], nowMs: number): void {
    this.#now(nowMs);
    this.#discovered = discovered;
    this.#settleDiscovered();
  }

  #settleDiscovered(): void {
    const wanted = new Map(unclaimed(this.#discovered, this.#members.values()).map((one) => [one.id, one]));
    for (const member of this.#members.values()) {
      if (member.source !== "k8s") continue;
      const one = wanted.get(member.id);
      if (one === undefined) this.#drop(member, "left", this.#whyGone(member));
      else if (!isAt(member, one)) this.#drop(member, "left", `replaced at ${formatHostPort(one.host, one.port)}`);
    }
    const roomless = new Set<string>();
    for (const [id, one] of wanted) {
      const { models, zone, labels, condition } = one;
      const known = this.#members.get(id);
      if (known !== undefined) this.#update(known, { models, zone, labels, condition });
      else if (this.#isFull()) roomless.add(id);
      else this.#discover(one);
    }
    for (const id of roomless) {
      if (this.#roomless.has(id)) continue;
      this.#event("refused", id, `the fleet holds ${this.#config.targetsMax} targets already`);
    }
    this.#roomless = roomless;
  }

  #whyGone({ id }: Member): string {
    const isTold = this.#discovered.some((one) => one.id === id);
    return isTold ? "somebody announces itself at its place" : "it is no longer in Kubernetes";
  }

  #discover(one: Discovered): void {
    const { id, host, port, tls, protocol, ...traits } = one;
    const spreadMs = Math.min(FIRST_POLL_SPREAD_MS, this.#config.pollIntervalMs);
    const place = { id, host, port, tls, protocol, metricsPort: undefined };
    this.#join("k8s", place, traits, this.#nowMs + this.#prng.next() * spreadMs);
  }

  /** A node announces itself, or the mesh tells of it, for the first time or again. */
  register(registration: Registration, nowMs: number, source: Announcer = "registered"): RegisterResult {
    this.#now(nowMs);
    const { id, address } = registration;
    const waiting = this.#offers.get(id);
    if (source === "gossip") this.#offers.delete(id);
    else if (waiting !== undefined) this.#isFreed = true;
    const refusal = this.#refusal(registration, source);
    if (refusal === undefined) return { accepted: true, first: this.#admit(registration, source) };
    if (source === "gossip" && refusal.code !== "bad_request") this.#offers.set(id, registration);
    // What waits already was told of.
    if (source !== "gossip" || waiting?.address !== address) this.#event("refused", id, refusal.message);
    return { refused: new MeshError(refusal.code, refusal.message, { source: "client" }) };
  }

  /**
   * A registered node takes its leave, or one of its endpoints does, or the mesh lost a node. False when there is none;
   * static targets stay. Of the node those whose ids are in `keep` stay too.
   */
  deregister(
    id: string,
    nowMs: number,
    source: Announcer = "registered",
    cause = "deregistered",
    keep: ReadonlySet<string> = NOBODY,
  ): boolean {
    this.#now(nowMs);
    const isMeant = (one: { readonly id: string; readonly node?: string | undefined }): boolean =>
      (one.id === id || one.node === id) && !keep.has(one.id);
    if (source === "gossip")
      for (const offer of this.#offers.values()) if (isMeant(offer)) this.#offers.delete(offer.id);
    // A node that announced itself at an address of its own is not the mesh's to lose.
    const lost = [...this.targetsOf(id), this.#members.get(id)].filter(
      (one) =>
        one !== undefined &&
        isMeant(one) &&
        one.source !== "static" &&
        one.source !== "k8s" &&
        (source !== "gossip" || one.source === source),
    );
    for (const one of new Set(lost)) this.#drop(one as Member, "left", cause);
    return lost.length > 0;
  }

  /** How a poll ended. Every poll that `take` gave out is answered once. Whether it was of what is there now. */
  polled(id: string, result: PollResult, nowMs: number): boolean {
    this.#now(nowMs);
    const polling = this.#polling.get(id);
    if (polling === undefined) return false;
    this.#polling.delete(id);
    const { member, startedAtMs } = polling;
    // The answer of a target that is gone or replaced says nothing about its successor, which is due by itself.
    if (this.#members.get(id) !== member) {
      this.#pollsDueAtMs = this.#nowMs;
      return false;
    }
    const jitter = 1 + JITTER * (2 * this.#prng.next() - 1);
    const intervalMs = this.#config.pollIntervalMs * jitter;
    member.slowPollAtMs = Math.max(this.#nowMs, startedAtMs + intervalMs * SLOW_POLLS);
    this.#pollBy(member, Math.max(this.#nowMs, startedAtMs + intervalMs));
    this.#changedIds.add(id);
    // What the node told since is newer than the answer.
    const isOvertaken = member.streamed && (member.sampledAtMs ?? -Infinity) >= startedAtMs;
    const sample = result.ok && !isOvertaken ? result.sample : null;
    if (sample !== null) member.streamed = false;
    const news = result.ok
      ? succeeded(member, sample, result.rttMs, this.#nowMs)
      : failed(member, result.error, this.#config.unhealthyAfter);
    this.#complete(member);
    for (const { kind, cause } of news) this.#event(kind, id, cause);
    // One that does not answer makes way for another of its id.
    if (member.state === "unhealthy" && news.length > 0) this.#isFreed = true;
    if (result.ok || member.source !== "registered" || member.failuresInRow < this.#config.removeAfter) return true;
    this.#forgotten.set(id, member.incarnation);
    this.#drop(member, "removed", failures(member));
    return true;
  }

  /**
   * A member of the mesh told of itself, unasked, at that time and over a way of that round trip (undefined: not known);
   * or an adapter told of a target that is no member. False when it is not this fleet's target, or when something newer
   * is known.
   */
  reported(
    id: string,
    sample: NodeSample,
    sampledAtMs: number,
    rttMs: number | undefined,
    nowMs: number,
    by: "itself" | "adapter" = "itself",
  ): boolean {
    this.#now(nowMs);
    const member = this.#members.get(id);
    if (member === undefined || (member.source === "gossip") !== (by === "itself")) return false;
    if (sampledAtMs < (member.sampledAtMs ?? -Infinity)) return false;
    const wasRoutable = isRoutable(member);
    const isFirst = member.lastSample === undefined;
    member.streamed = true;
    const news = sampled(member, sample, rttMs, sampledAtMs);
    this.#complete(member);
    if (member.failuresInRow === 0) {
      // When it falls silent it is asked, and now and then all the same.
      const silentAtMs = this.#nowMs + this.#config.pollIntervalMs;
      member.nextPollAtMs = Math.max(member.nextPollAtMs, Math.min(silentAtMs, member.slowPollAtMs));
    }
    for (const { kind, cause } of news) this.#event(kind, id, cause);
    // Its figures change all the time; whoever wants those is told of each by its own way.
    if (isFirst || news.length > 0 || isRoutable(member) !== wasRoutable) this.#changedIds.add(id);
    return true;
  }

  /** Time has passed: polls that are due come out of the next `take`. */
  wake(nowMs: number): void {
    this.#now(nowMs);
  }

  take(): FleetOutput {
    if (this.#isFreed) this.#reconsider();
    const polls = this.#nowMs < this.#pollsDueAtMs ? [] : this.#duePolls();
    const events = this.#events;
    this.#events = [];
    const changedIds = [...this.#changedIds];
    this.#changedIds.clear();
    return { polls, events, changed: changedIds.length > 0, changedIds, wakeAtMs: this.#pollsDueAtMs };
  }

  #duePolls(): Poll[] {
    const polls: Poll[] = [];
    this.#pollsDueAtMs = Number.POSITIVE_INFINITY;
    for (const member of this.#members.values()) {
      if (this.#polling.has(member.id)) continue;
      if (member.nextPollAtMs > this.#nowMs) {
        this.#pollsDueAtMs = Math.min(this.#pollsDueAtMs, member.nextPollAtMs);
        continue;
      }
      this.#polling.set(member.id, { member, startedAtMs: this.#nowMs });
      const { id, host, port, tls, protocol, models, metricsPort } = member;
      const isTelling = member.streamed && this.#nowMs - (member.sampledAtMs ?? 0) < this.#config.pollIntervalMs;
      const wantsVitals = metricsPort !== undefined && !isTelling;
      polls.push({
        id,
        host,
        tls,
        protocol,
        models,
        ...(wantsVitals ? { port: metricsPort, kind: "vitals" } : { port, kind: "health" }),
      });
    }
    return polls;
  }

  /** Reports only put polls off, so the earliest time that was ever set is looked at first. */
  #pollBy(member: Member, atMs: number): void {
    member.nextPollAtMs = atMs;
    this.#pollsDueAtMs = Math.min(this.#pollsDueAtMs, atMs);
  }

  targets(): readonly Target[] {
    this.#list ??= [...this.#members.values()];
    return this.#list;
  }

  target(id: string): Target | undefined {
    return this.#members.get(id);
  }

  /** Those of one node. */
  targetsOf(node: string): readonly Target[] {
    return [...(this.#byNode.get(node) ?? NOTHING)];
  }

  /** Late inputs never turn the clock back. */
  #now(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  #refusal(registration: Registration, source: Announcer): ReturnType<typeof refusalOf> {
    const known = this.#members.get(registration.id);
    return refusalOf(registration, source, known, this.#isFull() ? this.#config.targetsMax : undefined);
  }

  /** Nothing speaks against it; whether it is new. */
  #admit(registration: Registration, source: Announcer): boolean {
    const { id, node = id, endpoint = "" } = registration;
    const address = placeOf(registration)!;
    const found = this.#members.get(id);
    if (found?.source === "k8s") this.#drop(found, "left", "it announces itself");
    const known = this.#members.get(id);
    const incarnation = registration.incarnation ?? known?.incarnation ?? 0;
    if (known !== undefined && isAt(known, address)) {
      // Whom the mesh knows is the mesh's to forget, though it may register as well.
      if (source === "gossip") known.source = source;
      this.#refresh(known, registration, incarnation);
      return false;
    }
    if (known !== undefined && source !== "gossip") this.#displace(known, `replaced by ${registration.address}`);
    else if (known !== undefined) this.#drop(known, "left", `replaced by ${registration.address}`);
    const place: Place = { id, ...address };
    // Whom the mesh tells of will tell of itself: many that are told at once are asked one after the other.
    const spreadMs = source === "gossip" ? this.#prng.next() * this.#config.pollIntervalMs : 0;
    const traits = { node, endpoint, ...traitsOf(registration, incarnation) };
    const member = this.#join(source, place, traits, this.#nowMs + spreadMs);
    this.#noteCut(registration);
    const forgotten = this.#forgotten.get(id);
    this.#forgotten.delete(id);
    if (forgotten !== undefined && incarnation <= forgotten) {
      member.state = "unhealthy";
      member.failuresInRow = this.#config.unhealthyAfter;
      member.lastError = "forgotten before for not answering; waiting for its first answer";
    }
    return true;
  }

  /** Takes in what was told of before, where there is a place for it now; what makes way for that frees another place. */
  #reconsider(): void {
    while (this.#isFreed) {
      this.#isFreed = false;
      for (const offer of this.#offers.values()) {
        if (this.#refusal(offer, "gossip") !== undefined) continue;
        this.#offers.delete(offer.id);
        this.#admit(offer, "gossip");
      }
      if (this.#discovered.length > 0) this.#settleDiscovered();
    }
  }

  #isFull(): boolean {
    return this.#members.size >= this.#config.targetsMax;
  }

  #refresh(member: Member, registration: Registration, incarnation: number): void {
    member.registeredAtMs = this.#nowMs;
    member.metricsPort = registration.metricsPort;
    member.endpoint = registration.endpoint ?? "";
    this.#noteCut(registration);
    const traits = traitsOf(registration, Math.max(incarnation, member.incarnation));
    const models = this.#cut.has(member.id) ? withServed(traits.models, member.lastSample) : traits.models;
    this.#update(member, { ...traits, models });
    // It claims to live: look now rather than at the next turn.
    if (member.state === "unhealthy") this.#pollBy(member, this.#nowMs);
  }

  #noteCut({ id, isCut, models }: Registration): void {
    if (isCut === true) this.#cut.set(id, models);
    else this.#cut.delete(id);
  }

  /** Its sample names what there was no room for. */
  #complete(member: Member): void {
    const told = this.#cut.get(member.id);
    if (told === undefined) return;
    const models = withServed(told, member.lastSample);
    const isSame = models.length === member.models.length && models.every((model, at) => model === member.models[at]);
    if (!isSame) this.#update(member, { models });
  }

  #update(member: Member, next: Partial<Traits>): void {
    const changes = changesOf(member, next);
    Object.assign(member, next);
    if (changes === "") return;
    this.#changedIds.add(member.id);
    this.#event("updated", member.id, changes);
  }

  #join(source: TargetSource, place: Place, given: Partial<Target>, firstPollAtMs: number): Member {
    const member: Member = {
      models: [],
      weight: 1,
      zone: "",
      labels: {},
      incarnation: 0,
      condition: "ready",
      node: place.id,
      endpoint: "",
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
      streamed: false,
      nextPollAtMs: firstPollAtMs,
      slowPollAtMs: firstPollAtMs,
    };
    this.#pollBy(member, firstPollAtMs);
    this.#members.set(member.id, member);
    const siblings = this.#byNode.get(member.node);
    if (siblings === undefined) this.#byNode.set(member.node, new Set([member]));
    else siblings.add(member);
    this.#list = null;
    if (source !== "k8s" && this.#discovered.length > 0) this.#isFreed = true;
    this.#changedIds.add(member.id);
    this.#event("joined", member.id, `${source} at ${formatHostPort(member.host, member.port)}`);
    return member;
  }

  /** Another target takes its id; if the mesh holds it for alive, it may come back. */
  #displace(member: Member, cause: string): void {
    if (member.source === "gossip") this.#offers.set(member.id, registrationOf(member));
    this.#drop(member, "left", cause);
  }

  #drop(member: Member, kind: "left" | "removed", cause: string): void {
    this.#members.delete(member.id);
    this.#cut.delete(member.id);
    const siblings = this.#byNode.get(member.node);
    siblings?.delete(member);
    if (siblings?.size === 0) this.#byNode.delete(member.node);
    this.#list = null;
    this.#isFreed = true;
    this.#changedIds.add(member.id);
    this.#event(kind, member.id, cause);
  }

  #event(kind: FleetEvent["kind"], id: string, cause: string): void {
    this.#events.push({ kind, id, cause });
  }
}
