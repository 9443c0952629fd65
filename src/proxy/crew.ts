/**
 * The main thread's side of the workers: starts them on descriptors that it keeps, replaces one that dies, tells all
 * of them about new routes, and drains them in the end.
 *
 * A worker that dies takes its connections along, but not its listening socket, nor its counts: what it held in the
 * score table is given back, its statistics go on, and its successor accepts what waits in the socket's queue. A
 * worker that dies within a second of its start, five times in a row, ends the router: restarting would not help.
 */
import { pack } from "msgpackr/pack";
import { MeshError } from "../base/errors.ts";
import { openListeners } from "../net/listen.ts";
import type { ListenAddress, Listeners } from "../net/listen.ts";
import type { WorkerStats } from "../obs/worker-stats.ts";
import type { ScoreTable } from "../score/table.ts";
import type { FromWorker, RouteSnapshot, ToWorker, WorkerStart } from "./protocol.ts";
import type { FlowConfig } from "../flow/settings.ts";
import type { ApiConfig } from "../wire/api-access.ts";
import type { ProxyConfig } from "./settings.ts";
import type { TracerSettings } from "./tracing.ts";

export interface CrewOptions {
  /** The worker's entry. Its URL is made in src/ itself: in the executable every module has the root's URL. */
  readonly entry: URL;
  readonly listen: ListenAddress;
  readonly workers: number;
  readonly maxBodyBytes: number;
  readonly allowRegister: boolean;
  readonly proxy: ProxyConfig;
  readonly flow: FlowConfig;
  readonly paths: ApiConfig;
  readonly table: ScoreTable;
  readonly stats: WorkerStats;
  /** What is recorded of requests, and who takes the batches of finished spans; absent: nothing is. */
  readonly tracing?: TracerSettings & { take(packed: Uint8Array): void };
  /** Answers a registration that came in on the data port. */
  control(path: string, body: string): Promise<{ status: number; body: string }>;
  /** Every worker routes by this version, or a later one. */
  routed(version: number): void;
  restarted(index: number, message: string): void;
  /** The workers can't be kept alive. */
  failed(error: MeshError): void;
}

interface Seat {
  worker: Worker;
  /** Settles the start, whichever of a seat's workers gets there. */
  readonly ready: PromiseWithResolvers<void>;
  startedMs: number;
  quickDeaths: number;
  routed: number;
  drained: boolean;
}

const QUICK_DEATH_MS = 1000;
const QUICK_DEATHS_MAX = 5;

export class Crew {
  readonly port: number;
  readonly #options: CrewOptions;
  readonly #listeners: Listeners | null;
  readonly #seats: Seat[] = [];
  #routes: Uint8Array;
  #scorer = "";
  #scorerReason = "";
  #transport = "";
  #transportReason = "";
  #restarts = 0;
  #started = false;
  #draining = false;
  #onDrained: (() => void) | null = null;

  private constructor(options: CrewOptions, listeners: Listeners | null, routes: RouteSnapshot) {
    this.#options = options;
    this.#listeners = listeners;
    this.#routes = pack(routes);
    this.port = listeners?.port ?? options.listen.port;
  }

  /** Opens the listening sockets and starts the workers; resolves when all of them accept. */
  static async start(options: CrewOptions, routes: RouteSnapshot): Promise<Crew> {
    const listeners = openListeners(options.listen, options.workers);
    if (listeners === null && options.listen.port === 0) {
      throw new MeshError(
        "config_invalid",
        "this platform can't share a port that the kernel chooses: give --listen a port",
      );
    }
    const crew = new Crew(options, listeners, routes);
    for (let index = 0; index < options.workers; index++) crew.#seat(index);
    await Promise.all(crew.#seats.map(({ ready }) => ready.promise));
    crew.#started = true;
    return crew;
  }

  get scorer(): { kind: string; reason: string } {
    return { kind: this.#scorer, reason: this.#scorerReason };
  }

  /** What carries the workers' streams, and why not the epoll lane. */
  get transport(): { kind: string; reason: string } {
    return { kind: this.#transport, reason: this.#transportReason };
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Tells every worker the new routes. */
  setRoutes(routes: RouteSnapshot): void {
    this.#routes = pack(routes);
    for (const seat of this.#seats) send(seat.worker, { kind: "routes", routes: this.#routes });
  }

  /** Makes worker `index` fail as a bug would. */
  crash(index: number): void {
    const seat = this.#seats[index];
    if (seat !== undefined) send(seat.worker, { kind: "crash" });
  }

  /** Stops accepting and lets what is in flight end; resolves when all is done, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true;
    for (const seat of this.#seats) send(seat.worker, { kind: "drain" });
    this.#listeners?.close();
    const clean = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#onDrained = () => {
        clearTimeout(timer);
        resolve(true);
      };
      if (this.#seats.every((seat) => seat.drained)) this.#onDrained();
    });
    for (const seat of this.#seats) seat.worker.terminate();
    return clean;
  }

  /** Starts worker `index`. */
  #seat(index: number): void {
    const options = this.#options;
    const worker = new Worker(options.entry.href);
    const before = this.#seats[index];
    const ready = before?.ready ?? Promise.withResolvers<void>();
    this.#seats[index] = {
      worker,
      ready,
      startedMs: performance.now(),
      quickDeaths: before?.quickDeaths ?? 0,
      routed: -1,
      drained: false,
    };
    let message = "the thread ended";
    worker.onmessage = (event: MessageEvent<FromWorker>) => {
      const from = event.data;
      if (from.kind === "ready") {
        this.#scorer = from.scorer;
        this.#scorerReason = from.reason;
        this.#transport = from.transport;
        this.#transportReason = from.transportReason;
        ready.resolve();
      } else if (from.kind === "failed") {
        this.#fail(index, `worker ${index} could not start: ${from.message}`);
      } else {
        this.#received(worker, from);
      }
    };
    worker.addEventListener("error", (event) => {
      message = withoutFrame(event.message);
      event.preventDefault();
    });
    worker.addEventListener("close", () => this.#died(index, worker, message));
    const start: WorkerStart = {
      kind: "start",
      index,
      table: options.table.buffer,
      stats: options.stats.buffer,
      fd: this.#listeners?.duplicate(index) ?? null,
      host: options.listen.host,
      port: this.port,
      maxBodyBytes: options.maxBodyBytes,
      allowRegister: options.allowRegister,
      proxy: options.proxy,
      flow: options.flow,
      paths: options.paths,
      tracing: tracerSettings(options),
      routes: this.#routes,
    };
    send(worker, start);
  }

  /** A worker can't be had: the start fails, or the router does. */
  #fail(index: number, message: string): void {
    const error = new MeshError("internal", message);
    if (this.#started) this.#options.failed(error);
    else this.#seats[index]?.ready.reject(error);
  }

  #received(worker: Worker, message: FromWorker): void {
    switch (message.kind) {
      case "routed": {
        const seat = this.#seats[message.index];
        if (seat === undefined || seat.worker !== worker) return;
        seat.routed = message.version;
        this.#options.routed(Math.min(...this.#seats.map(({ routed }) => routed)));
        break;
      }
      case "control":
        void this.#options.control(message.path, message.body).then(({ status, body }) => {
          send(worker, { kind: "control-reply", id: message.id, status, body });
        });
        break;
      case "spans":
        this.#options.tracing?.take(message.packed);
        send(worker, { kind: "spans-taken" });
        break;
      case "drained": {
        const seat = this.#seats[message.index];
        if (seat !== undefined) seat.drained = true;
        if (this.#seats.every(({ drained }) => drained)) this.#onDrained?.();
        break;
      }
      default:
        break;
    }
  }

  #died(index: number, worker: Worker, message: string): void {
    const seat = this.#seats[index];
    if (seat === undefined || seat.worker !== worker) return;
    this.#options.table.clearWorker(index);
    this.#options.stats.forWorker(index).clearGauges();
    if (this.#draining) {
      seat.drained = true;
      if (this.#seats.every(({ drained }) => drained)) this.#onDrained?.();
      return;
    }
    seat.quickDeaths = performance.now() - seat.startedMs < QUICK_DEATH_MS ? seat.quickDeaths + 1 : 0;
    if (seat.quickDeaths >= QUICK_DEATHS_MAX) {
      this.#fail(index, `worker ${index} keeps dying at its start: ${message}`);
      return;
    }
    this.#restarts++;
    this.#options.restarted(index, message);
    this.#seat(index);
  }
}

/** What a worker needs of it: functions don't travel. */
function tracerSettings({ tracing }: CrewOptions): TracerSettings | null {
  if (tracing === undefined) return null;
  const { sample, batchSpansMax, workerSpansMax } = tracing;
  return { sample, batchSpansMax, workerSpansMax };
}

const MESSAGE_LENGTH_MAX = 2000;

/** Bun puts lines of (minified) source before an error's name: what tells something is what comes after. */
function withoutFrame(message: string): string {
  const at = message.search(/^[A-Za-z]*(?:Error|error): /m);
  return message.slice(Math.max(0, at)).slice(0, MESSAGE_LENGTH_MAX);
}

function send(worker: Worker, message: ToWorker): void {
  worker.postMessage(message);
}
