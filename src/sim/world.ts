/**
 * A mesh in simulated time: requests come to routers, which choose nodes by the strategies that routers run; nodes
 * compute them as `batching.ts` does. Everything that crosses the network takes its time: a request to its node, a
 * token back to its client, a node's sample to the routers.
 *
 * What a router knows of a node: its own requests there, exactly and at once (sent, first token seen, ended); everything
 * else from samples, which are old when they come. A sample less the router's own share at its moment is what others
 * have there. Of caches it knows what their events tell (`prefixes.ts`).
 *
 * Nodes may become slow, go down and come up again (`Incident`). What was at one that goes down has failed; so has what
 * comes while it is down. Its routers hear of each failure as of an answer. They try once more what has no token yet,
 * and send nothing there until a sample tells that it is back, with an empty cache.
 *
 * Deterministic: the same spec gives the same outcome, to the bit. Whatever hasn't ended an hour after the last request
 * came is lost.
 */
import { Prng } from "../base/prng.ts";
import { Alarms } from "./alarms.ts";
import type { Arrival } from "./arrival.ts";
import { Knowledge } from "./knowledge.ts";
import { EventQueue, NO_ENTRY } from "./event-queue.ts";
import { NodeSamples } from "./node-samples.ts";
import { isLateConfig } from "./router-spec.ts";
import type { Sent } from "./sent.ts";
import { type Incident, SimNode } from "./sim-node.ts";
import { SimRouter } from "./sim-router.ts";
import { outcomeOf, Tally, type Outcome, type Played } from "./tally.ts";
import { Ways } from "./ways.ts";
import type { WorldSpec } from "./world-spec.ts";

/** After the last request came. */
const GIVE_UP_MS = 3_600_000;

type Happens = (nowMs: number) => void;

/** Kinds of entries in the queue, and whom they concern. */
const WAKE = 0; // SimNode
const REACHED = 1; // Sent, and so the next three
const FIRST_SEEN = 2;
const END_SEEN = 3;
const FAILURE_SEEN = 4;
const HAPPENS = 5; // Happens: what is rare

export class World {
  readonly #spec: WorldSpec;
  readonly #events = new EventQueue<SimNode | Sent | Happens>();
  readonly #nodes: SimNode[];
  /** As a sample of this moment tells. */
  readonly #samples: NodeSamples;
  /** Of samples that all routers have seen. */
  readonly #spareSamples: NodeSamples[] = [];
  readonly #routers: SimRouter[];
  readonly #knowledge: Knowledge;
  readonly #alarms: Alarms | null;
  readonly #sent: (Sent | undefined)[] = [];
  readonly #tally: Tally;
  /** Decides which samples are lost. */
  readonly #losses: Prng;
  readonly #ways: Ways;
  #left: number;
  /** Requests that were sent a second time, which have numbers behind all others'. */
  #copies = 0;
  /** Of everything that was simulated: events of nodes, routers and the network. */
  events = 0;

  constructor(spec: WorldSpec) {
    this.#spec = spec;
    this.#left = spec.arrivals.length;
    this.#tally = new Tally(spec, this.#left);
    const { nodes, networkMs, router, routers } = spec;
    const prng = new Prng(spec.seed);
    const strategies = Array.from({ length: routers }, () => {
      const seed = prng.nextU32();
      return typeof router.strategy === "function" ? router.strategy(seed) : router.strategy;
    });
    this.#losses = new Prng(prng.nextU32());
    this.#ways = new Ways(spec, prng.nextU32());
    const needsCaches = strategies.some((strategy) => isLateConfig(strategy) || strategy.needsPrefixes);
    this.#knowledge = new Knowledge(spec, needsCaches);
    this.#nodes = nodes.map((config, place) => new SimNode(place, config, this.#knowledge.watch(place)));
    this.#samples = new NodeSamples(nodes.length);
    this.#routers = strategies.map((strategy, at) => {
      const waysMs = Float64Array.from(nodes, (_, node) =>
        typeof networkMs === "number" ? networkMs : networkMs(at, node),
      );
      const network = {
        place: at,
        deciding: this.#ways.deciding,
        tell: (to: number, packet: Uint8Array, nowMs: number) => this.#tell(at, to, packet, nowMs),
        send: (sent: Sent, nowMs: number) => this.#send(sent, nowMs),
        lost: () => this.#lost(),
        later: (atMs: number, happens: Happens) => void this.#at(atMs, happens),
        copyId: () => this.#spec.arrivals.length + this.#copies++,
        cancel: (sent: Sent, nowMs: number) => this.#cancel(sent, nowMs),
      };
      const wishes = { patienceMs: spec.ttftMs, gapMs: spec.itlMs, toldMs: this.#ways.toldMs, routers, ...router };
      return new SimRouter(strategy, wishes, nodes, waysMs, this.#knowledge.of(at), network);
    });
    const queue = {
      at: (atMs: number, happens: Happens) => this.#at(atMs, happens),
      remove: (entry: number) => this.#events.remove(entry),
    };
    this.#alarms = typeof router.strategy === "function" ? null : new Alarms(this.#routers, queue);
  }

  run(): Outcome {
    return outcomeOf([this.play()]);
  }

  play(): Played {
    const { arrivals, sampleEveryMs } = this.#spec;
    let next = 0;
    this.#at(0, (nowMs) => this.#sample(nowMs, sampleEveryMs));
    this.#knowledge.tell(0, (atMs, happens) => this.#at(atMs, happens));
    for (const incident of this.#spec.incidents ?? []) {
      this.#at(incident.atMs, (nowMs) => this.#befall(incident, nowMs));
    }
    const giveUpMs = (arrivals.at(-1)?.atMs ?? 0) + GIVE_UP_MS;
    const events = this.#events;
    let nowMs = 0;
    while (this.#left > 0) {
      const arrival = arrivals[next];
      const { nextMs } = events;
      if (arrival !== undefined && arrival.atMs <= nextMs) {
        nowMs = arrival.atMs;
        this.events += 1;
        this.#arrive(next, arrival, nowMs);
        next += 1;
      } else {
        // Nothing is left, or too late.
        if (nextMs > giveUpMs) break;
        events.take();
        nowMs = nextMs;
        this.events += 1;
        this.#happens(events.kind, events.whom!, nowMs);
      }
      this.#alarms?.set(nowMs);
    }
    while (this.#left > 0) this.#lost();
    return this.#tally.played(
      nowMs,
      this.#nodes.map((node) => node.stats(nowMs)),
    );
  }

  #happens(kind: number, whom: SimNode | Sent | Happens, nowMs: number): void {
    switch (kind) {
      case WAKE:
        (whom as SimNode).entry = NO_ENTRY;
        this.#woken(whom as SimNode, nowMs);
        break;
      case REACHED:
        this.#reached(whom as Sent, nowMs);
        break;
      case FIRST_SEEN: {
        const sent = whom as Sent;
        // One that has no other token has ended at the same moment.
        if (!sent.isDecoding && !sent.hasFailed && !sent.isOver) this.#routerOf(sent).firstToken(sent, nowMs);
        break;
      }
      case END_SEEN:
        if (!(whom as Sent).isOver) this.#ended(whom as Sent, nowMs);
        break;
      case FAILURE_SEEN:
        if (!(whom as Sent).isOver) this.#routerOf(whom as Sent).failed(whom as Sent, nowMs);
        break;
      default:
        (whom as Happens)(nowMs);
    }
  }

  #at(atMs: number, happens: Happens): number {
    return this.#events.push(atMs, HAPPENS, happens);
  }

  /** How long it takes this time. */
  #wayMs(sent: Sent): number {
    return this.#ways.ms(this.#routerOf(sent).wayMs(sent.target));
  }

  /** A router says something to another. */
  #tell(from: number, to: number, packet: Uint8Array, nowMs: number): void {
    this.#at(nowMs + this.#spec.deskMs!, (atMs) => this.#routers[to]!.heard(from, packet, atMs));
  }

  #routerOf({ router }: Sent): SimRouter {
    return this.#routers[router]!;
  }

  #arrive(id: number, arrival: Arrival, nowMs: number): void {
    const router = this.#routers[this.#ways.routerOf(id, arrival)]!;
    if (this.#ways.ownerMs === 0) router.take(id, arrival, nowMs);
    else this.#at(nowMs + this.#ways.ownerMs, (atMs) => router.take(id, arrival, atMs));
  }

  /** A router sends a request to a node. */
  #send(sent: Sent, nowMs: number): void {
    this.#sent[sent.id] = sent;
    this.#events.push(nowMs + this.#wayMs(sent), REACHED, sent);
  }

  /** A router wants no more of a request that it sent twice. */
  #cancel(sent: Sent, nowMs: number): void {
    this.#tally.hedged(sent.freshTokens);
    this.#at(nowMs + this.#routerOf(sent).wayMs(sent.target), (atMs) => {
      const node = this.#nodes[sent.target]!;
      if (!node.here.delete(sent)) return;
      node.engine.cancel(sent.id, atMs);
      this.#reschedule(node, atMs);
    });
  }

  #reached(sent: Sent, nowMs: number): void {
    if (sent.isOver) return;
    const node = this.#nodes[sent.target]!;
    if (node.isDown) {
      this.#fail(sent, nowMs);
      return;
    }
    node.here.add(sent);
    const { promptTokens, outputTokens, hashes } = sent.arrival;
    node.engine.submit({ id: sent.id, promptTokens, outputTokens, hashes, stream: false }, nowMs);
    this.#reschedule(node, nowMs);
  }

  #woken(node: SimNode, nowMs: number): void {
    node.engine.wake(nowMs);
    this.#reschedule(node, nowMs);
  }

  /** Tells what the node has made, and when it is to be looked at again. */
  #reschedule(node: SimNode, nowMs: number): void {
    const { tokens, finished, wakeAtMs } = node.engine.take();
    for (const { id, first, atMs } of tokens) {
      const sent = this.#sent[id]!;
      if (first > 0) continue;
      this.#events.push(Math.max(nowMs, atMs + this.#wayMs(sent)), FIRST_SEEN, sent);
    }
    for (const end of finished) {
      const sent = this.#sent[end.id]!;
      sent.end = end;
      node.here.delete(sent);
      this.#events.push(Math.max(nowMs, end.endedAtMs + this.#wayMs(sent)), END_SEEN, sent);
    }
    this.#samples.note(node);
    if (wakeAtMs === node.wakeAtMs && node.entry !== NO_ENTRY) return;
    if (node.entry !== NO_ENTRY) this.#events.remove(node.entry);
    node.wakeAtMs = Math.max(nowMs, wakeAtMs);
    node.entry = wakeAtMs < Infinity ? this.#events.push(node.wakeAtMs, WAKE, node) : NO_ENTRY;
  }

  #ended(sent: Sent, nowMs: number): void {
    this.#sent[sent.id] = undefined;
    this.#left -= 1;
    this.#routerOf(sent).ended(sent, nowMs);
    // What the owner hears has been with the client by the way to the owner.
    const { ownerMs } = this.#ways;
    this.#tally.served(sent.arrival, sent.end!, sent.firstSeenMs - ownerMs, nowMs - ownerMs);
  }

  #befall(incident: Incident, nowMs: number): void {
    const node = this.#nodes[incident.node]!;
    // What it made by now is on its way.
    if (!node.isDown) this.#woken(node, nowMs);
    if (incident.kind === "slow") {
      node.pace = incident.factor;
      node.engine.setPace(node.pace, nowMs);
    } else if (incident.kind === "down") {
      for (const sent of node.here) this.#fail(sent, nowMs);
      node.replace(nowMs);
    }
    if (incident.kind !== "slow") node.isDown = incident.kind === "down";
    this.#reschedule(node, nowMs);
  }

  #fail(sent: Sent, nowMs: number): void {
    this.#events.push(nowMs + this.#wayMs(sent), FAILURE_SEEN, sent);
  }

  #lost(): void {
    this.#left -= 1;
    this.#tally.lost();
  }

  #sample(nowMs: number, everyMs: number): void {
    const { sampleLoss = 0, sampleDelayMs } = this.#spec;
    const samples = (this.#spareSamples.pop() ?? new NodeSamples(this.#nodes.length)).set(this.#samples);
    this.#spec.watch?.(nowMs, this.#nodes, this.#routers);
    const seen = this.#routers.map((router) => {
      const lost =
        sampleLoss === 0 ? null : Uint8Array.from(this.#nodes, () => (this.#losses.next() < sampleLoss ? 1 : 0));
      return { router, lost, mark: router.mark(nowMs) };
    });
    this.#at(nowMs + sampleDelayMs, (seenMs) => {
      for (const { router, lost, mark } of seen) router.sampled(samples, lost, mark, seenMs);
      this.#spareSamples.push(samples);
    });
    this.#at(nowMs + everyMs, (atMs) => this.#sample(atMs, everyMs));
  }
}
