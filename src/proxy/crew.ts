/**
 * The main thread's side of the workers: starts them on descriptors that it keeps, replaces one that dies or is to be
 * replaced, tells all of them about new routes and settings, and drains them in the end.
 *
 * A seat is a worker's share of the listening sockets; a thread has a seat, and an index in the score table and in the
 * statistics, which no other living thread has. A seat is handed on without a failed request: its successor is started
 * on the same sockets first, under an index that is free; when it accepts, the old thread stops to, finishes what it has
 * and ends. So there are twice as many indexes as seats, and one round of replacements at a time.
 *
 * A worker that dies takes its connections along, but not its listening sockets, nor its counts: what it held in the
 * score table is given back, its statistics go on, and its successor accepts what waits in the sockets' queues. A
 * worker that dies within a second of its start, five times in a row, ends the router: restarting would not help.
 */
import { pack } from "msgpackr/pack";
import { MeshError } from "../base/errors.ts";
import { liveCopy, overwrite } from "../base/live.ts";
import type { FlowConfig } from "../flow/settings.ts";
import { adoptListeners, openListeners } from "../net/listen.ts";
import type { ListenAddress, Listeners } from "../net/listen.ts";
import type { TlsClientOptions, TlsIdentities } from "../net/tls-streams.ts";
import type { LateFigures } from "../obs/late-metrics.ts";
import type { WorkerStats } from "../obs/worker-stats.ts";
import { FirstTokens } from "../score/first-tokens.ts";
import { RowSides } from "../score/row-sides.ts";
import type { ScoreTable } from "../score/table.ts";
import type { Grant, Want } from "../policy/want.ts";
import type { Decision } from "./decisions.ts";
import { Inquiries } from "./inquiries.ts";
import { LateService } from "./late-service.ts";
import type { PrefixRows } from "./prefix-rows.ts";
import type { PolicyNews, RouteSnapshot, ToWorker, WorkerSettings } from "./protocol.ts";
import { checkStrategies } from "./strategy-module.ts";
import { type ThreadEvents, type ThreadStart, type Told, WorkerThread } from "./thread.ts";
import type { TracerSettings } from "./tracing.ts";

export interface CrewOptions {
  /** The worker's entry. Its URL is made in src/ itself: in the executable every module has the root's URL. */
  readonly entry: URL;
  readonly listen: ListenAddress;
  /** Listening sockets that a predecessor handed over; workers wait for `accept` then. */
  readonly inherited?: readonly number[] | undefined;
  /** Workers wait for `accept` in any case. */
  readonly waits?: boolean;
  readonly workers: number;
  readonly settings: WorkerSettings;
  /** Certificates to show on the port; null: it speaks plain HTTP. */
  readonly tls: TlsIdentities | null;
  readonly upstreamTls: TlsClientOptions;
  /** With `indexesFor(workers)` workers, as the statistics. */
  readonly table: ScoreTable;
  readonly stats: WorkerStats;
  /** Where workers note first tokens; absent: nobody learns from them. */
  readonly firstTokens?: FirstTokens;
  /** Absent: nothing is known of what targets have cached. */
  readonly prefixes?: PrefixRows | null;
  /** What is recorded of requests, and who takes the batches of finished spans; absent: nothing is. */
  readonly tracing?: TracerSettings & { take(packed: Uint8Array): void };
  /** What workers must know of policies; absent: there are none. */
  readonly policies?: CrewPolicies;
  /** Takes what targets told of their load (load-reports.ts). */
  loads?(packed: Float64Array): void;
  /** Answers a registration that came in on the data port. */
  control(path: string, body: string): Promise<{ status: number; body: string }>;
  /** Every worker routes by this version, or a later one. */
  routed(version: number): void;
  restarted(index: number, message: string): void;
  /** A worker tells something that people should know. */
  notice?(index: number, text: string): void;
  /** The workers can't be kept alive. */
  failed(error: MeshError): void;
}

export interface CrewPolicies {
  /** All that there are now, for a worker that starts. */
  all(): PolicyNews;
  /** Which name the `life`-th thread of this crew holds its shares of quotas by. */
  holder(life: number): string;
  /** How many workers all routers have. */
  holders(): number;
  /** A worker asks for shares, and tells how many requests each quota refused since it last told. */
  wanted(wants: readonly Want[], refused: readonly (readonly [quota: string, requests: number])[]): void;
}

/** One seat, for people. */
export interface SeatView {
  readonly index: number;
  /** Since its present thread was started. */
  readonly startedAgoMs: number;
}

interface Successor {
  readonly thread: WorkerThread;
  readonly ready: PromiseWithResolvers<void>;
  /** How long its predecessor may take to finish what it has. */
  readonly timeoutMs: number;
}

/** A worker's share of the listening sockets, and who works there. */
interface Seat {
  readonly number: number;
  /** undefined before its first, and when it died while its successor starts. */
  thread: WorkerThread | undefined;
  /** Who is to take its place, until it can. */
  next: Successor | undefined;
  /** Settles its first start, whichever of its threads gets there. */
  readonly started: PromiseWithResolvers<void>;
  quickDeaths: number;
}

const QUICK_DEATH_MS = 1000;
const QUICK_DEATHS_MAX = 5;
/** A thread that hands its seat on closes connections on which nothing came for as long: the next request is near else. */
const QUIET_MS = 2000;

const NO_POLICIES: PolicyNews = { revision: 0, items: [] };

/** Indexes that as many workers need: while all of them are replaced, old and new ones live at a time. */
export function indexesFor(workers: number): number {
  return workers * 2;
}

export class Crew {
  readonly port: number;
  readonly #options: CrewOptions;
  readonly #listeners: Listeners | null;
  readonly #seats: readonly Seat[];
  readonly #threads = new Set<WorkerThread>();
  readonly #inquiries = new Inquiries();
  readonly #flow: FlowConfig;
  readonly #late: LateService;
  readonly #firstTokens: FirstTokens;
  /** The lowest last. */
  readonly #freeIndexes: number[];
  readonly #events: ThreadEvents;
  #settings: WorkerSettings;
  #tls: TlsIdentities | null;
  #routes: Uint8Array;
  #lives = 0;
  #deaths = 0;
  #replacements = 0;
  #started = false;
  #waits: boolean;
  #draining = false;
  /** The version of the newest routes, and of those that every thread uses. */
  #newest: number;
  #routed = -1;
  #onRouted: (() => void)[] = [];
  readonly #drained = Promise.withResolvers<true>();

  private constructor(options: CrewOptions, listeners: Listeners | null, routes: RouteSnapshot) {
    this.#options = options;
    this.#listeners = listeners;
    this.#settings = only(options.settings);
    this.#flow = liveCopy(options.settings.flow);
    this.#firstTokens = options.firstTokens ?? FirstTokens.create(options.table);
    this.#late = new LateService(this.#flow, options.table, options.prefixes?.index ?? null, (index, bound) => {
      for (const thread of this.#threads) if (thread.index === index) thread.send({ kind: "late-bound", bound });
    });
    this.#tls = options.tls;
    this.#late.setRoutes(routes);
    this.#routes = pack(routes);
    this.#newest = routes.version;
    this.#waits = options.waits === true || options.inherited !== undefined;
    this.port = listeners?.port ?? options.listen.port;
    this.#freeIndexes = Array.from({ length: options.table.workersMax }, (_, index) => index).reverse();
    this.#seats = Array.from({ length: options.workers }, (_, number) => {
      const started = Promise.withResolvers<void>();
      return { number, thread: undefined, next: undefined, started, quickDeaths: 0 };
    });
    this.#events = {
      started: (thread) => this.#ready(thread),
      failed: (thread, message) => this.#failed(thread, message),
      received: (thread, message) => this.#received(thread, message),
      ended: (thread, why) => this.#ended(thread, why),
    };
  }

  /** Opens the listening sockets, or takes the inherited ones, and starts the workers; resolves when all of them run. */
  static async start(options: CrewOptions, routes: RouteSnapshot): Promise<Crew> {
    const { listen, workers, inherited } = options;
    await checkStrategies(options.settings.proxy);
    const listeners = inherited === undefined ? openListeners(listen, workers) : adoptListeners(inherited);
    if (listeners === null && options.listen.port === 0) {
      throw new MeshError(
        "config_invalid",
        "this platform can't share a port that the kernel chooses: give --listen a port",
      );
    }
    const crew = new Crew(options, listeners, routes);
    for (const seat of crew.#seats) seat.thread = crew.#open(seat);
    await Promise.all(crew.#seats.map(({ started }) => started.promise));
    crew.#started = true;
    return crew;
  }

  get scorer(): { kind: string; reason: string } {
    const { scorer = "", scorerReason = "" } = this.#seats[0]?.thread ?? {};
    return { kind: scorer, reason: scorerReason };
  }

  /** Its workers in a line of the log: what carries their streams, and why not the epoll lane. */
  get facts(): Readonly<Record<string, string | number>> {
    const { scorer, workers } = this;
    const { transport = "", transportReason = "" } = this.#seats[0]?.thread ?? {};
    return {
      workers,
      scorer: scorer.kind,
      ...(scorer.kind === "c" ? {} : { reason: scorer.reason }),
      transport,
      ...(transport === "epoll" ? {} : { transportReason }),
    };
  }

  /** Its sockets are the main thread's, and can be handed on. */
  get sharesSockets(): boolean {
    return this.#listeners !== null;
  }

  get workers(): number {
    return this.#seats.length;
  }

  /** Workers that died and were replaced. */
  get restarts(): number {
    return this.#deaths;
  }

  /** Workers that were replaced in order. */
  get replacements(): number {
    return this.#replacements;
  }

  /** Threads that have handed their seats on and finish what they have. */
  get retiring(): number {
    return [...this.#threads].filter((thread) => this.#seatOf(thread) === undefined).length;
  }

  /** Requests that wait for the model, to be bound late, as far as this router knows. */
  heldFor(model: number): number {
    return this.#late.held(model);
  }

  /** The router that decides where those go; "": this one. */
  deciderOf(model: number): string {
    return this.#late.desk.deciderOf(model, performance.now());
  }

  /** Its desk, for the mesh. */
  get shared(): LateService {
    return this.#late;
  }

  /** What is known of requests that are bound late. */
  get late(): LateFigures {
    return this.#late.desk.figures(performance.now());
  }

  seats(): SeatView[] {
    const nowMs = performance.now();
    return this.#seats.map(({ number, thread }) => {
      const startedAgoMs = Math.round(nowMs - (thread?.startedMs ?? nowMs));
      return { index: number, startedAgoMs };
    });
  }

  /** Descriptors of the listening sockets, for another process; the caller closes them. Empty where workers listen by themselves. */
  descriptors(): number[] {
    const listeners = this.#listeners;
    return Array.from({ length: listeners?.count ?? 0 }, (_, index) => listeners!.duplicate(index));
  }

  /** Workers that waited begin to accept. */
  accept(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#tell({ kind: "accept" });
  }

  /** Tells every worker the new routes. */
  setRoutes(routes: RouteSnapshot): void {
    this.#late.setRoutes(routes);
    this.#routes = pack(routes);
    this.#newest = routes.version;
    this.#tell({ kind: "routes", routes: this.#routes });
  }

  /** Tells every worker what is new of the policies. */
  tellPolicies(news: PolicyNews): void {
    this.#tell({ kind: "policies", news: pack(news) });
  }

  /** Tells every worker how many all routers have: what it begins with of a quota goes by that. */
  tellHolders(holders: number): void {
    this.#tell({ kind: "holders", holders });
  }

  /** Tells every worker which shares of quotas the store granted to it. */
  grant(grants: readonly Grant[]): void {
    const holders = this.#options.policies?.holders() ?? 1;
    const own = Map.groupBy(grants, ({ holder }) => holder);
    for (const thread of this.#threads) thread.send({ kind: "grants", grants: own.get(thread.holder) ?? [], holders });
  }

  /** Resolves when every worker routes by the routes of now. */
  async settled(): Promise<void> {
    for (const wanted = this.#newest; this.#routed < wanted;) {
      await new Promise<void>((resolve) => this.#onRouted.push(resolve));
    }
  }

  /** Tells every worker the new settings. */
  configure(settings: WorkerSettings): void {
    this.#settings = only(settings);
    overwrite(this.#flow, settings.flow);
    this.#tell({ kind: "settings", settings: this.#settings });
  }

  /** Shows these certificates from now on; the port speaks TLS already. */
  show(tls: TlsIdentities): void {
    this.#tls = tls;
    this.#tell({ kind: "certificates", tls });
  }

  /** The last choice for the request of this id that a worker remembers; null where none does. */
  decision(requestId: string): Promise<Decision | null> {
    return this.#inquiries.ask(this.#threads, requestId);
  }

  /** Makes the worker of a seat fail as a bug would. */
  crash(seat: number): void {
    this.#seats[seat]?.thread?.send({ kind: "crash" });
  }

  /**
   * Replaces every worker, one after the other; resolves when the last seat is handed on. The old threads end when what
   * they have in flight has, or after `timeoutMs`. Rejects with a MeshError while an earlier round is under way, and when
   * a successor can't start, whose seat stays with its old thread.
   */
  async replaceAll(timeoutMs: number): Promise<void> {
    if (this.#draining) throw new MeshError("draining", "the router is stopping");
    if (this.retiring > 0 || this.#seats.some(({ next }) => next !== undefined)) {
      throw new MeshError("conflict", "workers of an earlier restart still finish what they have; try again later");
    }
    for (const seat of this.#seats) {
      if (this.#draining) return;
      const ready = Promise.withResolvers<void>();
      seat.next = { thread: this.#open(seat), ready, timeoutMs };
      await ready.promise;
    }
  }

  /** Soon it will drain: connections end as they fall quiet, and others are accepted all the same. */
  ebb(): void {
    this.#late.retire();
    this.#tell({ kind: "ebb", quietMs: QUIET_MS });
  }

  /** Stops accepting and lets what is in flight end; resolves when all is done, or after `timeoutMs`. */
  drain(timeoutMs: number): Promise<boolean> {
    return this.#end(timeoutMs, { kind: "drain", quietMs: 0, refuses: true });
  }

  /** The same for workers whose sockets somebody else serves now: connections get one more answer, if they ask for it. */
  retire(timeoutMs: number): Promise<boolean> {
    return this.#end(timeoutMs, { kind: "drain", quietMs: QUIET_MS, refuses: false });
  }

  async #end(timeoutMs: number, order: ToWorker): Promise<boolean> {
    this.#draining = true;
    this.#late.retire();
    this.#tell(order);
    this.#listeners?.close();
    this.#lookWhetherDrained();
    const late = Promise.withResolvers<false>();
    const timer = setTimeout(() => late.resolve(false), timeoutMs);
    const clean = await Promise.race([this.#drained.promise, late.promise]);
    clearTimeout(timer);
    this.#late.stop();
    for (const thread of this.#threads) thread.end();
    return clean;
  }

  #tell(message: ToWorker): void {
    for (const thread of this.#threads) thread.send(message);
  }

  /** Starts a thread for a seat. */
  #open(seat: Seat): WorkerThread {
    const { entry, listen, table, stats, policies, prefixes = null } = this.#options;
    const index = this.#freeIndexes.pop();
    if (index === undefined) throw new MeshError("internal", "there is no index for one more worker");
    const start: ThreadStart = {
      kind: "start",
      index,
      table: table.buffer,
      stats: stats.buffer,
      firstTokens: this.#firstTokens.buffer,
      late: this.#late.waiting,
      prefixes: prefixes?.start() ?? null,
      fds: this.#descriptorsOf(seat),
      host: listen.host,
      port: this.port,
      waits: this.#waits,
      settings: this.#settings,
      tls: this.#tls,
      upstreamTls: this.#options.upstreamTls,
      tracing: tracerSettings(this.#options),
      routes: this.#routes,
      policies: pack(policies?.all() ?? NO_POLICIES),
      holder: policies?.holder(++this.#lives) ?? "",
      holders: policies?.holders() ?? 1,
    };
    const thread = new WorkerThread(entry, start, this.#events);
    this.#threads.add(thread);
    return thread;
  }

  /** Inherited sockets may be more or fewer than the seats: none is left without a worker, nor a worker without one. */
  #descriptorsOf({ number }: Seat): number[] | null {
    const listeners = this.#listeners;
    if (listeners === null) return null;
    const all = Array.from({ length: listeners.count }, (_, index) => index);
    const own = all.filter((index) => index % this.workers === number);
    return (own.length > 0 ? own : [number % listeners.count]).map((index) => listeners.duplicate(index));
  }

  #seatOf(thread: WorkerThread): Seat | undefined {
    return this.#seats.find((seat) => seat.thread === thread || seat.next?.thread === thread);
  }

  #ready(thread: WorkerThread): void {
    const seat = this.#seatOf(thread);
    if (seat === undefined) return;
    if (seat.next?.thread === thread) {
      const { ready, timeoutMs } = seat.next;
      seat.thread?.retire(QUIET_MS, timeoutMs);
      seat.thread = thread;
      seat.next = undefined;
      this.#replacements++;
      ready.resolve();
    }
    seat.started.resolve();
  }

  /** A worker can't be had: its replacement fails, or the start, or the router. */
  #failed(thread: WorkerThread, message: string): void {
    const seat = this.#seatOf(thread);
    // The seat stays with whom it has: `ended` tells that the attempt is over.
    if (seat?.next?.thread === thread) thread.end();
    else if (seat !== undefined) this.#fail(seat, `worker ${seat.number} could not start: ${message}`);
  }

  #fail(seat: Seat, message: string): void {
    const error = new MeshError("internal", message);
    if (this.#started) this.#options.failed(error);
    else seat.started.reject(error);
  }

  #received(thread: WorkerThread, message: Told): void {
    switch (message.kind) {
      case "routed":
        thread.routed = message.version;
        this.#tellRouted();
        break;
      case "explained":
        this.#inquiries.answered(message.ask, message.decision);
        break;
      case "control":
        void this.#options.control(message.path, message.body).then(({ status, body }) => {
          thread.send({ kind: "control-reply", id: message.id, status, body });
        });
        break;
      case "wants":
        this.#options.policies?.wanted(message.wants, message.refused);
        break;
      case "spans":
        this.#options.tracing?.take(message.packed);
        thread.send({ kind: "spans-taken" });
        break;
      case "loads":
        this.#options.loads?.(message.packed);
        break;
      case "prefixes":
        this.#options.prefixes?.noted(message.packed);
        break;
      case "late":
        this.#late.heard(thread.index, message.news);
        break;
      case "notice":
        this.#options.notice?.(message.index, message.text);
        break;
      case "drained":
        thread.drained = true;
        if (this.#draining) this.#lookWhetherDrained();
        else thread.end();
        break;
    }
  }

  /** Threads that finish what they have may still choose a target for it. */
  #tellRouted(): void {
    const versions = [...this.#threads].map(({ routed }) => routed);
    if (versions.length === 0) return;
    this.#routed = Math.min(...versions);
    this.#options.routed(this.#routed);
    for (const resolve of this.#onRouted.splice(0)) resolve();
  }

  #lookWhetherDrained(): void {
    if ([...this.#threads].every(({ drained }) => drained)) this.#drained.resolve(true);
  }

  #ended(thread: WorkerThread, why: string): void {
    const seat = this.#seatOf(thread);
    this.#threads.delete(thread);
    this.#options.table.clearWorker(thread.index);
    new RowSides(this.#options.table).clearWorker(thread.index);
    this.#late.gone(thread.index);
    this.#options.stats.forWorker(thread.index).clearGauges();
    this.#freeIndexes.push(thread.index);
    this.#freeIndexes.sort((a, b) => b - a);
    if (this.#draining) {
      seat?.next?.ready.resolve();
      this.#lookWhetherDrained();
    } else if (seat?.next?.thread === thread) {
      const { ready } = seat.next;
      seat.next = undefined;
      // Its predecessor died meanwhile.
      if (seat.thread === undefined) seat.thread = this.#open(seat);
      ready.reject(new MeshError("internal", `the successor of worker ${seat.number} could not start: ${why}`));
    } else if (seat !== undefined) {
      this.#died(seat, thread, why);
    } else {
      this.#tellRouted();
    }
  }

  #died(seat: Seat, thread: WorkerThread, why: string): void {
    seat.quickDeaths = performance.now() - thread.startedMs < QUICK_DEATH_MS ? seat.quickDeaths + 1 : 0;
    if (seat.quickDeaths >= QUICK_DEATHS_MAX) {
      this.#fail(seat, `worker ${seat.number} keeps dying at its start: ${why}`);
      return;
    }
    this.#deaths++;
    this.#options.restarted(seat.number, why);
    // One that is to take its place anyway will.
    seat.thread = seat.next === undefined ? this.#open(seat) : undefined;
  }
}

/** Without what else a router's configuration holds. */
function only(settings: WorkerSettings): WorkerSettings {
  const { maxBodyBytes, allowRegister, proxy, flow, paths, aliases, rewrite, cache, forwarded, security } = settings;
  const { upstreamKeys } = settings;
  return {
    maxBodyBytes,
    allowRegister,
    proxy,
    flow,
    paths,
    aliases,
    rewrite,
    upstreamKeys,
    cache,
    forwarded,
    security,
  };
}

/** What a worker needs of it: functions don't travel. */
function tracerSettings({ tracing }: CrewOptions): TracerSettings | null {
  if (tracing === undefined) return null;
  const { sample, batchSpansMax, workerSpansMax } = tracing;
  return { sample, batchSpansMax, workerSpansMax };
}
