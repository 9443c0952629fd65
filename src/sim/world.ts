/**
 * A mesh in simulated time: requests come to routers, which choose nodes by the strategies that routers run; nodes
 * compute them as `batching.ts` does. Everything that crosses the network takes its time: a request to its node, a
 * token back to its client, a node's sample to the routers.
 *
 * What a router knows of a node: its own requests there, exactly and at once (sent, first token seen, ended); everything
 * else from samples, which are old when they come. A sample less the router's own share at its moment is what others
 * have there. Of caches it knows what their events tell (`prefixes.ts`).
 *
 * Deterministic: the same spec gives the same outcome, to the bit.
 */
import { Heap, type HeapItem } from "../base/heap.ts";
import { Prng } from "../base/prng.ts";
import type { Arrival } from "./arrival.ts";
import { Batcher, type BatchingConfig } from "./batching.ts";
import { SimRouter, type RouterSpec, type Sent } from "./sim-router.ts";
import { Tally, type Outcome, type Served } from "./tally.ts";

export interface WorldSpec {
  readonly arrivals: readonly Arrival[];
  readonly nodes: readonly BatchingConfig[];
  readonly routers: number;
  readonly router: RouterSpec;
  readonly seed: number;
  /** One way, between a router and a node; a client is at its router. */
  readonly networkMs: number;
  readonly sampleEveryMs: number;
  /** From a sample's moment to the routers. */
  readonly sampleDelayMs: number;
  /** A request is good that has its first token by then, and the others no further apart on average. */
  readonly ttftMs: number;
  readonly itlMs: number;
}

type Happens = (nowMs: number) => void;

class Happening implements HeapItem {
  heapIndex = -1;
  heapKey: number;
  readonly happens: Happens;

  constructor(atMs: number, happens: Happens) {
    this.heapKey = atMs;
    this.happens = happens;
  }
}

/** A router that is to look at what it holds. */
class Alarm implements HeapItem {
  heapIndex = -1;
  heapKey = Infinity;
  readonly happens: Happens;

  constructor(happens: Happens) {
    this.happens = happens;
  }
}

class Node implements HeapItem {
  heapIndex = -1;
  heapKey = Infinity;
  readonly engine: Batcher;
  readonly happens: Happens;

  constructor(config: BatchingConfig, happens: (node: Node, nowMs: number) => void) {
    this.engine = new Batcher(config);
    this.happens = (nowMs) => happens(this, nowMs);
  }
}

export class World {
  readonly #spec: WorldSpec;
  readonly #events = new Heap<HeapItem & { readonly happens: Happens }>();
  readonly #nodes: Node[];
  readonly #routers: SimRouter[];
  readonly #alarms: Alarm[];
  readonly #sent: (Sent | undefined)[] = [];
  readonly #tally: Tally;
  #left: number;
  /** Of everything that was simulated: events of nodes, routers and the network. */
  events = 0;

  constructor(spec: WorldSpec) {
    this.#spec = spec;
    this.#tally = new Tally(spec);
    this.#left = spec.arrivals.length;
    this.#nodes = spec.nodes.map((config) => new Node(config, (node, nowMs) => this.#woken(node, nowMs)));
    const prng = new Prng(spec.seed);
    const engines = this.#nodes.map(({ engine }) => engine);
    this.#routers = Array.from({ length: spec.routers }, () => {
      return new SimRouter(spec.router, engines, spec.networkMs, prng.nextU32(), (sent, nowMs) =>
        this.#send(sent, nowMs),
      );
    });
    this.#alarms = this.#routers.map((router) => new Alarm((nowMs) => router.serve(nowMs)));
  }

  run(): Outcome {
    const { arrivals, routers, sampleEveryMs } = this.#spec;
    let next = 0;
    this.#at(0, (nowMs) => this.#sample(nowMs, sampleEveryMs));
    let nowMs = 0;
    while (this.#left > 0) {
      const first = this.#events.peek();
      const arrival = arrivals[next];
      if (arrival !== undefined && (first === undefined || arrival.atMs <= first.heapKey)) {
        nowMs = arrival.atMs;
        this.events += 1;
        this.#routers[next % routers]!.take(next, arrival, nowMs);
        next += 1;
      } else {
        if (first === undefined) break;
        this.#events.pop();
        nowMs = first.heapKey;
        this.events += 1;
        first.happens(nowMs);
      }
      this.#setAlarms(nowMs);
    }
    return this.#tally.outcome(
      nowMs,
      this.#nodes.map(({ engine }) => engine.stats(nowMs)),
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

  /** A router sends a request to a node. */
  #send(sent: Sent, nowMs: number): void {
    this.#sent[sent.id] = sent;
    this.#at(nowMs + this.#spec.networkMs, (atMs) => {
      const node = this.#nodes[sent.target]!;
      const { promptTokens, outputTokens, hashes } = sent.arrival;
      node.engine.submit({ id: sent.id, promptTokens, outputTokens, hashes, stream: false }, atMs);
      this.#reschedule(node, atMs);
    });
  }

  #woken(node: Node, nowMs: number): void {
    node.engine.wake(nowMs);
    this.#reschedule(node, nowMs);
  }

  /** Tells what the node has made, and when it is to be looked at again. */
  #reschedule(node: Node, nowMs: number): void {
    const { tokens, finished, wakeAtMs } = node.engine.take();
    const { networkMs } = this.#spec;
    for (const { id, first, atMs } of tokens) {
      const sent = this.#sent[id]!;
      if (first > 0) continue;
      this.#at(Math.max(nowMs, atMs + networkMs), (seenMs) => {
        // One that has no other token has ended at the same moment.
        if (!sent.isDecoding) sent.router.firstToken(sent, seenMs);
      });
    }
    for (const end of finished) {
      const sent = this.#sent[end.id]!;
      this.#at(Math.max(nowMs, end.endedAtMs + networkMs), (seenMs) => this.#ended(sent, { ...end, seenMs }));
    }
    if (wakeAtMs === node.heapKey && node.heapIndex >= 0) return;
    this.#events.remove(node);
    node.heapKey = Math.max(nowMs, wakeAtMs);
    if (wakeAtMs < Infinity) this.#events.push(node);
  }

  #ended(sent: Sent, served: Served): void {
    this.#sent[sent.id] = undefined;
    this.#left -= 1;
    this.#tally.served(sent.arrival, served, this.#spec.networkMs);
    sent.router.ended(sent, served.seenMs);
  }

  #sample(nowMs: number, everyMs: number): void {
    const samples = this.#nodes.map(({ engine }) => engine.stats(nowMs));
    const marks = this.#routers.map((router) => router.mark());
    this.#at(nowMs + this.#spec.sampleDelayMs, (seenMs) => {
      for (const [index, router] of this.#routers.entries()) router.sampled(samples, marks[index]!, seenMs);
    });
    this.#at(nowMs + everyMs, (atMs) => this.#sample(atMs, everyMs));
  }
}
