/**
 * Nodes that publish their states and routers that read them, on a virtual clock and a network with seeded loss, delay,
 * duplication and (by the spread of delays) reordering: the real cores of src/signal/. The same seed gives the same run.
 */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type GpuSample, type ModelSample, type NodeSample, PLAIN_MODEL } from "../../src/score/sample.ts";
import { Publisher, type Send } from "../../src/signal/publisher.ts";
import { type SignalConfig, signalSettings } from "../../src/signal/settings.ts";
import { type Report, Subscriber } from "../../src/signal/subscriber.ts";
import { ASK, MESSAGE } from "../../src/signal/wire.ts";
import { Calendar } from "./mesh-queue.ts";

export interface StateWorldOptions {
  readonly seed: number;
  readonly agents: number;
  readonly routers: number;
  readonly gpus?: number;
  readonly models?: number;
  readonly config?: Partial<SignalConfig>;
  /** Of each datagram, 0..1. */
  readonly loss?: number;
  readonly duplication?: number;
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** How often a node's figures move. */
  readonly moveMs?: number;
}

/** IP and UDP headers, and the envelope of an encrypted datagram. */
export const OVERHEAD_BYTES = 28 + 40;
/** A network coordinate has as many numbers. */
export const PLACE = Array.from({ length: 11 }, (_, at) => at);
const LOOK = 0;
const WAKE = 1;
const TO_ROUTER = 2;
const TO_AGENT = 3;

export class Agent {
  readonly index: number;
  readonly address: string;
  readonly prng: Prng;
  publisher: Publisher;
  incarnation = 1;
  ready = true;
  draining = false;
  models: ModelSample[] = [];
  gpus: GpuSample[] = [];
  movedAtMs = 0;
  startedAtMs = 0;
  wakeAtMs = Infinity;

  constructor(index: number, address: string, prng: Prng, publisher: Publisher) {
    this.index = index;
    this.address = address;
    this.prng = prng;
    this.publisher = publisher;
  }

  sample(nowMs: number): NodeSample {
    return {
      ready: this.ready,
      draining: this.draining,
      runtimes: [],
      models: this.models,
      gpus: this.gpus,
      requestsInProgress: this.models.reduce((sum, model) => sum + model.runningRequests + model.waitingRequests, 0),
      failedResponses: 0,
      connectedPeers: 1000,
      backoffRequests: 0,
      cpuUsage: 0.1 + 0.1 * this.prng.next(),
      memoryUsage: 0.4,
      gpuUsage: 0.5,
      uptimeSeconds: (nowMs - this.startedAtMs) / 1000,
      version: "0.1.0",
    };
  }
}

export class StateWorld {
  readonly agents: Agent[] = [];
  readonly routers: { readonly address: string; readonly subscriber: Subscriber }[] = [];
  readonly config: SignalConfig;
  nowMs = 1_000_000;
  /** Datagrams and bytes from agents to routers, headers included. */
  packets = 0;
  bytes = 0;
  asks = 0;
  longest = 0;
  loss: number;
  onReport: (router: number, agent: Agent, report: Report) => void = () => {};
  readonly #options: StateWorldOptions;
  readonly #prng: Prng;
  readonly #calendar = new Calendar();
  readonly #byAddress = new Map<string, number>();

  constructor(options: StateWorldOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    this.loss = options.loss ?? 0;
    this.config = { ...defaultsOf(signalSettings), ...options.config };
    for (let index = 0; index < options.routers; index += 1) {
      this.routers.push({ address: `router-${index}`, subscriber: new Subscriber() });
    }
    for (let index = 0; index < options.agents; index += 1) {
      const address = `agent-${index}`;
      const agent = new Agent(index, address, new Prng(this.#prng.nextU32()), this.#publisher(address, 1));
      agent.models = Array.from({ length: options.models ?? 4 }, (_, at) => modelOf(at, agent.prng));
      agent.gpus = Array.from({ length: options.gpus ?? 8 }, (_, at) => gpuOf(index, at, agent.prng));
      this.agents.push(agent);
      this.#byAddress.set(address, index);
      this.#calendar.add(this.nowMs + this.#prng.next() * this.config.sampleIntervalMs, happening(LOOK, index));
    }
  }

  #publisher(address: string, incarnation: number): Publisher {
    const publisher = new Publisher(
      this.config,
      { id: address, incarnation },
      new Prng(this.#prng.nextU32()),
      OVERHEAD_BYTES,
    );
    for (const router of this.routers) publisher.addRouter(router.address);
    return publisher;
  }

  /** The node starts anew, and nobody is told by membership. */
  restart(agent: Agent): void {
    agent.incarnation += 1;
    agent.startedAtMs = this.nowMs;
    agent.publisher = this.#publisher(agent.address, agent.incarnation);
  }

  runFor(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.#calendar.nextAtMs <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.#calendar.nextAtMs);
      const { kind, node, other, bytes } = this.#calendar.pop();
      if (kind === LOOK) this.#look(this.agents[node]!);
      else if (kind === WAKE) this.#drain(this.agents[node]!);
      else if (kind === TO_ROUTER) this.#arrived(node, this.agents[other]!, bytes!);
      else {
        const agent = this.agents[node]!;
        agent.publisher.asked(this.routers[other]!.address);
        this.#drain(agent);
      }
    }
    this.nowMs = untilMs;
  }

  #look(agent: Agent): void {
    if (this.nowMs - agent.movedAtMs >= (this.#options.moveMs ?? 1000)) {
      agent.movedAtMs = this.nowMs;
      agent.models = agent.models.map((model) => moved(model, agent.prng));
      agent.gpus = agent.gpus.map((gpu) => warmed(gpu, agent.prng));
    }
    agent.publisher.offer(agent.sample(this.nowMs), PLACE, this.nowMs);
    this.#drain(agent);
    this.#calendar.add(this.nowMs + this.config.sampleIntervalMs, happening(LOOK, agent.index));
  }

  #drain(agent: Agent): void {
    const { sends, wakeAtMs } = agent.publisher.take(this.nowMs);
    for (const send of sends) this.#toRouter(agent, send);
    if (wakeAtMs === Infinity || wakeAtMs === agent.wakeAtMs) return;
    agent.wakeAtMs = wakeAtMs;
    this.#calendar.add(Math.max(this.nowMs, wakeAtMs), happening(WAKE, agent.index));
  }

  #toRouter(agent: Agent, { to, packet }: Send): void {
    this.packets += 1;
    this.bytes += packet.length + OVERHEAD_BYTES;
    if (packet[0] !== MESSAGE.snapshot) this.longest = Math.max(this.longest, packet.length);
    const router = Number(to.slice(to.indexOf("-") + 1));
    this.#carry(happening(TO_ROUTER, router, agent.index, packet));
  }

  #carry(item: ReturnType<typeof happening>): void {
    const { duplication = 0 } = this.#options;
    if (this.#prng.next() < this.loss) return;
    this.#calendar.add(this.nowMs + this.#tripMs(), item);
    if (this.#prng.next() < duplication) this.#calendar.add(this.nowMs + this.#tripMs(), item);
  }

  #tripMs(): number {
    return (this.#options.delayMs ?? 0.2) + this.#prng.exponential(this.#options.jitterMs ?? 0.3);
  }

  #arrived(index: number, agent: Agent, packet: Uint8Array): void {
    const { subscriber } = this.routers[index]!;
    subscriber.receive(agent.address, packet, this.nowMs);
    const { reports, asks } = subscriber.take();
    for (const report of reports) this.onReport(index, agent, report);
    for (const to of asks) {
      this.asks += 1;
      this.#carry(happening(TO_AGENT, this.#byAddress.get(to)!, index, ASK));
    }
  }
}

function happening(kind: number, node: number, other = 0, bytes?: Uint8Array) {
  return { kind, node, other, bytes };
}

function modelOf(at: number, prng: Prng): ModelSample {
  return {
    ...PLAIN_MODEL,
    model: `meta-llama/Llama-3.${at}-70B-Instruct`,
    runningRequests: prng.int(64),
    waitingRequests: prng.int(4),
    queuedPrefillTokens: prng.int(20_000),
    kvUsage: prng.next(),
    kvCapacityTokens: 412_160,
    prefillTokensPerSecond: 8000 + prng.int(8000),
    decodeTokensPerSecond: 1000 + prng.int(1000),
    slots: 256,
  };
}

function gpuOf(node: number, at: number, prng: Prng): GpuSample {
  const hex = (digits: number): string =>
    (prng.next() * 16 ** digits).toString(16).slice(0, digits).padEnd(digits, "0");
  return {
    index: at,
    uuid: `GPU-${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${String(node).padStart(6, "0")}${hex(6)}`,
    name: "NVIDIA H100 80GB HBM3",
    migProfile: undefined,
    utilization: prng.next(),
    memoryUsedBytes: prng.int(80_000) * 2 ** 20,
    memoryTotalBytes: 81_559 * 2 ** 20,
    powerWatts: 100 + prng.int(600),
    powerLimitWatts: 700,
    temperatureCelsius: 40 + prng.int(40),
    throttleReasons: [],
    health: "healthy",
    healthReason: undefined,
    healthSinceMs: undefined,
    models: [],
  };
}

/** A busy node's second: everything moves. */
function moved(model: ModelSample, prng: Prng): ModelSample {
  const step = (value: number, by: number): number => Math.max(0, Math.round(value + by * prng.normal()));
  return {
    ...model,
    runningRequests: step(model.runningRequests, 4),
    waitingRequests: step(model.waitingRequests, 1),
    queuedPrefillTokens: step(model.queuedPrefillTokens ?? 0, 2000),
    kvUsage: Math.min(1, Math.max(0, (model.kvUsage ?? 0) + 0.02 * prng.normal())),
    prefillTokensPerSecond: step(model.prefillTokensPerSecond ?? 0, 300),
    decodeTokensPerSecond: step(model.decodeTokensPerSecond ?? 0, 50),
  };
}

function warmed(gpu: GpuSample, prng: Prng): GpuSample {
  return {
    ...gpu,
    utilization: prng.next(),
    memoryUsedBytes: Math.max(0, (gpu.memoryUsedBytes ?? 0) + Math.round(100 * 2 ** 20 * prng.normal())),
    powerWatts: 300 + 300 * prng.next(),
    temperatureCelsius: 60 + 10 * prng.next(),
  };
}
