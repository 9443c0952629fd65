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
import { Heap, type HeapItem } from "../base/heap.ts";
import { Prng } from "../base/prng.ts";
import type { Arrival } from "./arrival.ts";
import { Batcher, type BatchingConfig, type BatchingStats } from "./batching.ts";
import { Alarm, Happening, type Happens, type Incident, SimNode } from "./sim-node.ts";
import { SimRouter, type RouterSpec, type Sent } from "./sim-router.ts";
import { outcomeOf, Tally, type Outcome, type Played, type Served } from "./tally.ts";

export interface WorldSpec {
  readonly arrivals: readonly Arrival[];
  readonly nodes: readonly BatchingConfig[];
  readonly routers: number;
  readonly router: RouterSpec;
  readonly seed: number;
  /** One way, between a router and a node; a client is at its router. */
  readonly networkMs: number | ((router: number, node: number) => number);
  /** What each way takes longer, on average (exponential); 0. */
  readonly jitterMs?: number;
  readonly sampleEveryMs: number;
  /** From a sample's moment to the routers. */
  readonly sampleDelayMs: number;
  /** Part of the samples that a router never gets; none. */
  readonly sampleLoss?: number;
  /**
   * Where it is given, one router decides for all, as each tells it of what it does, and this is a message's way among
   * them. Clients hear from their own.
   */
  readonly deskMs?: number;
  readonly incidents?: readonly Incident[];
  /** A request is good that has its first token by then, and the others no further apart on average. */
  readonly ttftMs: number;
  readonly itlMs: number;
  /** Called with each sample; null for nodes that are down. */
  readonly watch?: (nowMs: number, nodes: readonly (BatchingStats | null)[], routers: readonly SimRouter[]) => void;
}

/** After the last request came. */
const GIVE_UP_MS = 3_600_000;

export class World {
  readonly #spec: WorldSpec;
  readonly #events = new Heap<HeapItem & { readonly happens: Happens }>();
  readonly #nodes: SimNode[];
  readonly #routers: SimRouter[];
  readonly #alarms: Alarm[];
  readonly #sent: (Sent | undefined)[] = [];
  readonly #tally: Tally;
  /** Decides which samples are lost. */
  readonly #losses: Prng;
  readonly #jitter: Prng;
  #left: number;
  /** Of everything that was simulated: events of nodes, routers and the network. */
  events = 0;

  constructor(spec: WorldSpec) {
    this.#spec = spec;
    this.#tally = new Tally(spec);
    this.#left = spec.arrivals.length;
    const engines = spec.nodes.map((config) => new Batcher(config));
    this.#nodes = engines.map((_, place) => new SimNode(place, engines, (node, nowMs) => this.#woken(node, nowMs)));
    const prng = new Prng(spec.seed);
    const network = {
      send: (sent: Sent, nowMs: number) => this.#send(sent, nowMs),
      lost: () => this.#lost(),
    };
    const { networkMs } = spec;
    this.#routers = Array.from({ length: spec.routers }, (_, router) => {
      const wayMs = (node: number): number => (typeof networkMs === "number" ? networkMs : networkMs(router, node));
      const waysMs = Float64Array.from(engines, (_engine, node) => wayMs(node));
      return new SimRouter(
        { patienceMs: spec.ttftMs, gapMs: spec.itlMs, ...spec.router },
        engines,
        waysMs,
        prng.nextU32(),
        network,
      );
    });
    this.#losses = new Prng(prng.nextU32());
    this.#jitter = new Prng(prng.nextU32());
    this.#alarms = this.#routers.map((router) => new Alarm((nowMs) => router.serve(nowMs)));
  }

  run(): Outcome {
    return outcomeOf([this.play()]);
  }

  play(): Played {
    const { arrivals, sampleEveryMs } = this.#spec;
    let next = 0;
    this.#at(0, (nowMs) => this.#sample(nowMs, sampleEveryMs));
    for (const incident of this.#spec.incidents ?? []) {
      this.#at(incident.atMs, (nowMs) => this.#befall(incident, nowMs));
    }
    const giveUpMs = (arrivals.at(-1)?.atMs ?? 0) + GIVE_UP_MS;
    let nowMs = 0;
    while (this.#left > 0) {
      const first = this.#events.peek();
      const arrival = arrivals[next];
      if (arrival !== undefined && (first === undefined || arrival.atMs <= first.heapKey)) {
        nowMs = arrival.atMs;
        this.events += 1;
        this.#arrive(next, arrival, nowMs);
        next += 1;
      } else {
        if (first === undefined || first.heapKey > giveUpMs) break;
        this.#events.pop();
        nowMs = first.heapKey;
        this.events += 1;
        first.happens(nowMs);
      }
      this.#setAlarms(nowMs);
    }
    while (this.#left > 0) this.#lost();
    return this.#tally.played(
      nowMs,
      this.#nodes.map((node) => node.stats(nowMs)),
    );
  }

  #setAlarms(nowMs: number): void {
    for (const [index, { wakeAtMs }] of this.#routers.entries()) {
      const alarm = this.#alarms[index]!;
      if (alarm.heapKey === wakeAtMs && (alarm.heapIndex >= 0 || wakeAtMs === Infinity)) continue;
      this.#events.remove(alarm);
      alarm.heapKey = Math.max(nowMs, wakeAtMs);
      if (wakeAtMs < Infinity) this.#events.push(alarm);
    }
  }

  #at(atMs: number, happens: Happens): void {
    this.#events.push(new Happening(atMs, happens));
  }

  /** How long it takes this time. */
  #wayMs({ router, target }: Sent): number {
    const { jitterMs = 0 } = this.#spec;
    return router.wayMs(target) + this.#deskMs + (jitterMs === 0 ? 0 : this.#jitter.exponential(jitterMs));
  }

  get #deskMs(): number {
    return this.#spec.deskMs ?? 0;
  }

  #arrive(id: number, arrival: Arrival, nowMs: number): void {
    const { routers, deskMs } = this.#spec;
    if (deskMs === undefined) this.#routers[id % routers]!.take(id, arrival, nowMs);
    else this.#at(nowMs + deskMs, (atMs) => this.#routers[0]!.take(id, arrival, atMs));
  }

  /** A router sends a request to a node. */
  #send(sent: Sent, nowMs: number): void {
    this.#sent[sent.id] = sent;
    this.#at(nowMs + this.#wayMs(sent), (atMs) => {
      const node = this.#nodes[sent.target]!;
      if (node.isDown) {
        this.#fail(sent, atMs);
        return;
      }
      node.here.add(sent);
      const { promptTokens, outputTokens, hashes } = sent.arrival;
      node.engine.submit({ id: sent.id, promptTokens, outputTokens, hashes, stream: false }, atMs);
      this.#reschedule(node, atMs);
    });
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
      this.#at(Math.max(nowMs, atMs + this.#wayMs(sent)), (seenMs) => {
        // One that has no other token has ended at the same moment.
        if (!sent.isDecoding && !sent.hasFailed) sent.router.firstToken(sent, seenMs);
      });
    }
    for (const end of finished) {
      const sent = this.#sent[end.id]!;
      node.here.delete(sent);
      this.#at(Math.max(nowMs, end.endedAtMs + this.#wayMs(sent)), (seenMs) => this.#ended(sent, { ...end, seenMs }));
    }
    if (wakeAtMs === node.heapKey && node.heapIndex >= 0) return;
    this.#events.remove(node);
    node.heapKey = Math.max(nowMs, wakeAtMs);
    if (wakeAtMs < Infinity) this.#events.push(node);
  }

  #ended(sent: Sent, served: Served): void {
    this.#sent[sent.id] = undefined;
    this.#left -= 1;
    sent.router.ended(sent, served.seenMs);
    // What the desk hears has been with the client by the way to the desk.
    const seenMs = served.seenMs - this.#deskMs;
    this.#tally.served(sent.arrival, { ...served, seenMs }, sent.firstSeenMs - this.#deskMs);
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
    this.#at(nowMs + this.#wayMs(sent), (seenMs) => sent.router.failed(sent, seenMs));
  }

  #lost(): void {
    this.#left -= 1;
    this.#tally.lost();
  }

  #sample(nowMs: number, everyMs: number): void {
    const { sampleLoss = 0, sampleDelayMs } = this.#spec;
    const samples = this.#nodes.map(({ engine, isDown }) => (isDown ? null : engine.stats(nowMs)));
    this.#spec.watch?.(nowMs, samples, this.#routers);
    const seen = this.#routers.map((router) => {
      const got = sampleLoss === 0 ? samples : samples.map((each) => (this.#losses.next() < sampleLoss ? null : each));
      return { got, mark: router.mark(nowMs) };
    });
    this.#at(nowMs + sampleDelayMs, (seenMs) => {
      for (const [index, { got, mark }] of seen.entries()) this.#routers[index]!.sampled(got, mark, seenMs);
    });
    this.#at(nowMs + everyMs, (atMs) => this.#sample(atMs, everyMs));
  }
}
