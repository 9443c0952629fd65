/**
 * An inference server beside the agent: what its adapter wants asked is asked when the watch (runtimes/watch.ts) says so,
 * and what comes of it is how the runtime is, what it serves and how busy it is. It waits for nothing and stalls nobody:
 * a runtime that hangs costs one connection and a timer.
 *
 * That it ended is known by the end of a kept connection, which a new one confirms: refused is down, taken is another
 * process or an impatient server. Both take a millisecond on one machine, and are told at once.
 */
import type { Adapter, Look, Port } from "../runtimes/adapter.ts";
import type { RuntimeKind, RuntimeReading } from "../runtimes/reading.ts";
import { isServing, type RuntimeStatus } from "../runtimes/state.ts";
import { Watch } from "../runtimes/watch.ts";
import { counted } from "./counted-adapter.ts";
import { ModelFeed } from "./model-feed.ts";
import { type ModelEvent, ModelLifecycle } from "./model-lifecycle.ts";
import { type AskFault, RuntimeClient } from "./runtime-client.ts";
import type { RuntimeCredentials, RuntimeDialers } from "./runtime-credentials.ts";
import { modelSamples } from "./runtime-sample.ts";
import type { RuntimeConfig } from "./runtime-settings.ts";
import type { RuntimeUrl } from "./runtime-url.ts";
import type { LoadHow, ModelChange, ModelStatus, Runtime, RuntimeAsks, RuntimeEndpoint } from "./runtime.ts";
import type { RuntimeSample } from "./sampler.ts";

export interface WatchedRuntimeOptions {
  readonly name: string;
  readonly adapter: Adapter;
  readonly urls: Readonly<Partial<Record<Port, RuntimeUrl>>>;
  readonly credentials: RuntimeCredentials;
  readonly dialers: RuntimeDialers;
  readonly config: RuntimeConfig;
  /** The agent ends it, so that its requests must have ended before. */
  readonly endsWithAgent: boolean;
  readonly tell: (event: RuntimeEvent) => void;
}

/** What happened to it, or to a model of it. */
export type RuntimeEvent =
  | { readonly about: "runtime"; readonly kind: RuntimeStatus["state"]; readonly cause: string }
  | ({ readonly about: "model" } & ModelEvent);

/** Kinds of failures that are counted apart; there are a handful. */
const FAILURES_MAX = 32;
const DRAIN_POLL_MS = 100;

export class WatchedRuntime implements Runtime {
  readonly name: string;
  readonly #options: WatchedRuntimeOptions;
  readonly #watch: Watch;
  readonly #client: RuntimeClient;
  readonly #feed: ModelFeed;
  readonly #lifecycle: ModelLifecycle;
  readonly #listeners = new Set<() => void>();
  readonly #figureListeners = new Set<() => void>();
  readonly #failures = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #models: readonly string[] = [];
  #toldState: RuntimeStatus["state"] = "connecting";
  /** Why nothing can be asked; "" where nothing is wrong. */
  #secretFault = "";
  #secretSinceMs = 0;
  #metricsSeconds: number | undefined;
  #metricsBytes: number | undefined;
  /** When it made the metrics that were read last, as nearly as one can tell. */
  #metricsAtMs: number | undefined;
  #isStopping = false;
  #isStopped = false;

  constructor(options: WatchedRuntimeOptions) {
    const { name, adapter, urls, credentials, dialers, config, tell } = options;
    this.name = name;
    this.#options = options;
    this.#watch = new Watch(
      counted(adapter, (kind) => this.#count(kind)),
      config,
      performance.now(),
    );
    this.#client = new RuntimeClient({
      urls,
      credentials,
      dialers,
      closed: () => this.#happened((nowMs) => this.#watch.closed(nowMs)),
    });
    this.#feed = new ModelFeed({
      ask: (ask, limits, signal) => this.#client.askApart(ask, limits, signal),
      told: (news) => this.#happened((nowMs) => this.#watch.fed(news, nowMs)),
      ended: (isAbsent) => this.#happened((nowMs) => this.#watch.feedEnded(isAbsent, nowMs)),
    });
    this.#lifecycle = new ModelLifecycle({
      name,
      adapter,
      bytesMax: config.answerBytesMax,
      warmup: config.warmup,
      warmupTimeoutMs: config.warmupTimeoutMs,
      loadTimes: config,
      ask: (ask, limits, signal) => this.#client.askApart(ask, limits, signal),
      reading: () => this.reading,
      notServing: () => {
        const { state, message } = this.status;
        return isServing(state) ? "" : `it is ${state}${message === "" ? "" : `: ${message}`}`;
      },
      hurry: () => this.#happened((nowMs) => this.#watch.hurry(nowMs)),
      proved: (model, proof) => this.#happened((nowMs) => this.#watch.proved(model, proof, nowMs)),
      hasLooked: (sinceMs) => this.#watch.hasLookedAtModels(sinceMs),
      changed: () => this.#changed(),
      tell: (event) => tell({ about: "model", ...event }),
    });
  }

  /** Asks from now on. */
  begin(): this {
    this.#step();
    return this;
  }

  get kind(): RuntimeKind {
    return this.#options.adapter.kind;
  }

  get version(): string {
    return this.reading.version;
  }

  get status(): RuntimeStatus {
    if (this.#secretFault === "") return this.#watch.status;
    return { state: "denied", message: this.#secretFault, sinceMs: this.#secretSinceMs };
  }

  get reading(): RuntimeReading {
    return this.#watch.reading(performance.now());
  }

  get endpoints(): readonly RuntimeEndpoint[] {
    const { api, grpc } = this.#options.urls;
    return [api, grpc].flatMap((url): RuntimeEndpoint[] =>
      url === undefined
        ? []
        : [{ name: url.protocol, host: url.host, port: url.port, protocol: url.protocol, tls: url.tls }],
    );
  }

  /** While it does not serve they stay what they were: it serves them again when it is back, or others. */
  get models(): readonly string[] {
    return this.#models;
  }

  get modelStates(): readonly ModelStatus[] {
    const of = this.#lifecycle;
    return this.reading.models.map((one) => ({ model: one.model, state: of.stateOf(one), reason: of.reasonOf(one) }));
  }

  get asks(): RuntimeAsks {
    return { failures: this.#failures, metricsSeconds: this.#metricsSeconds, metricsBytes: this.#metricsBytes };
  }

  sample(): RuntimeSample {
    const { reading } = this;
    const of = this.#lifecycle;
    const figuresAgeMs = this.#metricsAtMs === undefined ? undefined : performance.now() - this.#metricsAtMs;
    const { runningRequests = 0, waitingRequests = 0, failedResponses = 0 } = reading.figures;
    return {
      ready: isServing(this.status.state) && !this.#isStopping,
      draining: this.#isStopping,
      models: modelSamples(reading, figuresAgeMs, (model) => ({
        reading: model,
        isServed: of.serves(model),
        state: of.stateOf(model),
        reason: of.reasonOf(model),
        loadSeconds: of.loadSecondsOf(model),
      })),
      requestsInProgress: runningRequests + waitingRequests,
      failedResponses,
    };
  }

  load(model: string, signal: AbortSignal, how?: LoadHow): Promise<ModelChange> {
    return this.#lifecycle.load(model, signal, how);
  }

  unload(model: string, drainMs: number, signal: AbortSignal): Promise<ModelChange> {
    return this.#lifecycle.unload(model, drainMs, signal);
  }

  watch(listener: () => void): void {
    this.#listeners.add(listener);
  }

  watchFigures(listener: () => void): void {
    this.#figureListeners.add(listener);
  }

  /** Wants no more requests, and waits for those it has where it ends with the agent; else it goes on by itself. */
  async stop(drainMs: number): Promise<void> {
    this.#isStopping = true;
    const untilMs = performance.now() + drainMs;
    const isBusy = (): boolean => isServing(this.status.state) && this.sample().requestsInProgress > 0;
    while (this.#options.endsWithAgent && isBusy() && performance.now() < untilMs) await Bun.sleep(DRAIN_POLL_MS);
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#lifecycle.stop();
    this.#feed.stop();
    this.#client.stop();
  }

  #happened(event: (nowMs: number) => void): void {
    if (this.#isStopped) return;
    event(performance.now());
    this.#step();
  }

  #step(): void {
    if (this.#isStopped) return;
    const { asks, connect, feed, changed, wakeAtMs } = this.#watch.take();
    for (const look of asks) void this.#ask(look);
    if (feed !== undefined) void this.#feed.read(feed);
    if (connect) void this.#connect();
    clearTimeout(this.#timer);
    if (wakeAtMs !== Infinity) {
      const waitMs = Math.max(0, Math.ceil(wakeAtMs - performance.now()));
      this.#timer = setTimeout(() => this.#happened((nowMs) => this.#watch.wake(nowMs)), waitMs);
    }
    if (changed) this.#changed();
  }

  async #connect(): Promise<void> {
    const why = await this.#client.connect("api", this.#options.config.timeoutMs);
    // The watch waits for no answer of one that is gone, and will ask anew.
    if (why !== "") this.#client.callOff();
    this.#happened((nowMs) => {
      if (why === "") this.#watch.connected(nowMs);
      else this.#watch.refused(why, nowMs);
    });
  }

  async #ask(look: Look): Promise<void> {
    const { timeoutMs, answerBytesMax: bytesMax } = this.#options.config;
    const startedMs = performance.now();
    const asked = await this.#client.ask(look.ask, { timeoutMs, bytesMax });
    const tookMs = performance.now() - startedMs;
    this.#happened((nowMs) => {
      this.#noteSecret(asked.ok ? "" : asked.kind === "secret" ? asked.message : this.#secretFault);
      if (!asked.ok) {
        this.#count(asked.kind);
        this.#failed(look, asked.kind, asked.message, nowMs);
        return;
      }
      if (look.role === "metrics") {
        this.#metricsSeconds = tookMs / 1000;
        this.#metricsBytes = asked.answer.body.length;
        if (asked.answer.status === 200) this.#metricsAtMs = startedMs + tookMs / 2;
      }
      this.#watch.answered(look, asked.answer, nowMs, tookMs);
      for (const listener of this.#figureListeners) listener();
    });
  }

  #failed(look: Look, kind: AskFault, message: string, nowMs: number): void {
    const { port } = look.ask;
    const isNobody = kind === "refused" || kind === "unreachable";
    if (isNobody && !this.#isApi(port)) {
      // Its other ports may be switched off: that is no reason to send no requests.
      this.#watch.failed(look, "too_large", `its ${port} port does not answer: ${message}`, nowMs);
    } else if (isNobody) this.#watch.refused(message, nowMs);
    else if (kind === "timeout" || kind === "too_large") this.#watch.failed(look, kind, message, nowMs);
    else this.#watch.failed(look, "broken", message, nowMs);
  }

  /** Whether it is the port that requests go to. */
  #isApi(port: Port): boolean {
    const { urls } = this.#options;
    return urls[port] === urls.api;
  }

  /** What can't be shown can't be asked for: it is denied before it is asked. */
  #noteSecret(fault: string): void {
    if (fault === this.#secretFault) return;
    this.#secretFault = fault;
    this.#secretSinceMs = performance.now();
    this.#changed();
  }

  #count(kind: string): void {
    if (this.#failures.size >= FAILURES_MAX && !this.#failures.has(kind)) return;
    this.#failures.set(kind, (this.#failures.get(kind) ?? 0) + 1);
  }

  #changed(): void {
    if (this.#isStopped) return;
    this.#lifecycle.looked();
    const { state, message } = this.status;
    if (isServing(state)) {
      this.#models = this.reading.models.filter((model) => this.#lifecycle.serves(model)).map(({ model }) => model);
    }
    if (state !== this.#toldState) {
      this.#toldState = state;
      this.#options.tell({ about: "runtime", kind: state, cause: message });
    }
    for (const listener of this.#listeners) listener();
  }
}
