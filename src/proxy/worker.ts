/**
 * A data-plane worker: accepts on its own listening descriptor, relays, and reads the score table.
 *
 * It is started by one message, obeys the few others of protocol.ts, and decides nothing about targets. An exception
 * in it is a bug: the thread ends, and the main thread starts a successor on the same descriptor.
 *
 * Its settings may change while it works. All that is in it holds one copy, which is overwritten in place.
 */
import { unpack } from "msgpackr/unpack";
import { liveCopy, overwrite } from "../base/live.ts";
import { MeshError } from "../base/errors.ts";
import { RateLimit } from "../flow/rate-limit.ts";
import { Handshakes } from "../net/handshakes.ts";
import { Dialer } from "../net/dialer.ts";
import { alarmsOf } from "../net/stream.ts";
import { openPicker } from "../native.ts";
import { WorkerStats } from "../obs/worker-stats.ts";
import { FirstTokens } from "../score/first-tokens.ts";
import { ScoreTable } from "../score/table.ts";
import { Accepting } from "./accepting.ts";
import { clientHandlers } from "./client.ts";
import type { FrontConnection } from "./client.ts";
import { nowMs, tick } from "./clock.ts";
import { Content } from "./content.ts";
import type { WorkerContext } from "./context.ts";
import { Deadlines } from "./deadlines.ts";
import { Enforcement } from "./enforcement.ts";
import { Http2Front } from "./http2-front.ts";
import type { FromWorker, PolicyNews, RouteSnapshot, ToWorker, WorkerStart } from "./protocol.ts";
import { Decisions } from "./decisions.ts";
import { Dispatch, type ModelFlow } from "./dispatch.ts";
import { healthOf } from "./grpc-health.ts";
import { HealthWatches } from "./health-watches.ts";
import { Wires } from "./http2-wire.ts";
import { KnownHeads } from "./known-heads.ts";
import { openTransport } from "./lane.ts";
import { LateLine } from "./late-line.ts";
import { LoadReports } from "./load-reports.ts";
import { PrefixNotes } from "./prefix-notes.ts";
import { RestlessClients } from "./restless.ts";
import { Routes } from "./routes.ts";
import { Shadows } from "./shadows.ts";
import { Shares } from "./shares.ts";
import { openChoosing } from "./strategies.ts";
import { Tracer } from "./tracing.ts";

declare const self: Worker;

const SWEEP_MS = 250;
const ACCEPT_ON_MS = 10;
/** While draining, how long a handshake may take: who has begun one comes in, who says nothing is not waited for. */
const LAST_HANDSHAKES_MS = 1000;

interface RunningWorker {
  receive(message: ToWorker): void;
}

function post(message: FromWorker): void {
  self.postMessage(message);
}

function start(options: WorkerStart): RunningWorker {
  const { index } = options;
  const settings = liveCopy(options.settings);
  const config = settings.proxy;
  const { transport, reason: transportReason } = openTransport(config);
  // The lane's descriptors are the process's: a thread that ends by an exception would leave them open, and their
  // clients waiting.
  process.on("exit", () => transport.destroy());
  const table = ScoreTable.attach(options.table);
  const { picker, reason } = openPicker(table, { isProven: options.isScorerProven });
  const replies = new Map<number, (status: number, body: string) => void>();
  let nextControl = 1;
  const tracer =
    options.tracing === null ? null : new Tracer(options.tracing, (packed) => post({ kind: "spans", index, packed }));
  const wires = new Wires((tell) => transport.later(tell));
  const routes = new Routes(new Dialer(transport, options.upstreamTls), wires);
  const alarm = alarmsOf(transport);
  const counters = WorkerStats.attach(options.stats).forWorker(index);
  const scheme = options.tls === null ? "http" : "https";
  const newContent = (): Content => new Content(settings, scheme, crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  const late = new LateLine<ModelFlow>(settings.flow.late, table, index, options.late, transport, counters, (news) =>
    post({ kind: "late", index, news }),
  );
  const notes = new PrefixNotes(alarm(), (packed) => post({ kind: "prefixes", index, packed }));
  const context: WorkerContext = {
    index,
    config,
    maxBodyBytes: settings.maxBodyBytes,
    allowRegister: settings.allowRegister,
    routes,
    table,
    firstTokens: FirstTokens.attach(options.firstTokens, table),
    decisions: new Decisions(table),
    ...openChoosing(options.prefixes, notes, {
      index,
      table,
      routes,
      picker,
      config,
      late,
      counters,
      notice: (text) => post({ kind: "notice", index, text }),
      enforcement: () => context.enforcement,
      patienceMs: () => settings.flow.late.patienceMs,
    }),
    shadows: new Shadows(() => context),
    counters,
    heads: new KnownHeads(),
    dispatch: new Dispatch(settings.flow, table, (model) => routes.rowsOf(model), alarm(), counters, late),
    late,
    deadlines: new Deadlines(alarm()),
    loads: new LoadReports(table, counters, alarm(), (packed) => post({ kind: "loads", index, packed })),
    wires,
    limits: new RateLimit(settings.flow.limit),
    watches: new HealthWatches((service) => healthOf(context, service)),
    restless: new RestlessClients(),
    paths: settings.paths,
    content: newContent(),
    enforcement: null,
    tracer,
    heldBytes: 0,
    draining: false,
    ebbing: false,
    quietMs: 0,
    refuses: false,
    control(path, body, reply) {
      const id = nextControl++;
      replies.set(id, reply);
      post({ kind: "control", index, id, path, body });
    },
  };
  const connections = new Set<FrontConnection>();
  const handshakes: Handshakes = new Handshakes({
    hasRoom: () => connections.size + handshakes.size < config.connectionsMax,
    get timeoutMs() {
      return context.draining && !context.ebbing
        ? Math.min(config.handshakeTimeoutMs, LAST_HANDSHAKES_MS)
        : config.handshakeTimeoutMs;
    },
  });
  let drainingSinceMs = 0;
  const applyRoutes = (packed: Uint8Array): void => {
    for (const model of routes.apply(unpack(packed) as RouteSnapshot, context.config)) {
      context.dispatch.forget(model);
      context.strategies.forget(model);
    }
    context.strategies.changed();
    post({ kind: "routed", index, version: context.routes.version });
  };
  const shares = new Shares(options.holder, options.holders, alarm(), (wants, refused) =>
    post({ kind: "wants", index, wants, refused }),
  );
  const enforcement = new Enforcement(shares, counters);
  const obey = (packed: Uint8Array): void => {
    enforcement.take(unpack(packed) as PolicyNews);
    context.enforcement = enforcement.isIdle ? null : enforcement;
    context.strategies.changed();
    late.review();
  };
  obey(options.policies);
  routes.setAliases(context.content.aliases);
  applyRoutes(options.routes);
  void context.strategies.user.follow();

  const handlers = clientHandlers(context, connections, (...of) => new Http2Front(context, ...of));
  const accepting = new Accepting(options, transport, handlers, handshakes);
  if (!options.waits) accepting.begin();

  const sweep = setInterval(() => {
    const now = tick();
    context.watches.look();
    handshakes.expire(now);
    context.shadows.expire(now);
    for (const connection of connections) connection.expire(now);
    context.routes.sweep(now);
    context.content.sweep(now);
    if (context.content.cache !== null) counters.cacheHolds(context.content.cache.size, context.content.cache.bytes);
    tracer?.flush();
    if (
      !context.draining ||
      context.ebbing ||
      connections.size + handshakes.size > 0 ||
      now - drainingSinceMs < SWEEP_MS
    )
      return;
    clearInterval(sweep);
    tracer?.flush(true);
    post({ kind: "drained", index });
  }, SWEEP_MS);

  post({
    kind: "ready",
    index,
    port: options.port,
    scorer: picker.kind,
    reason,
    transport: transport.kind,
    transportReason,
  });
  return {
    receive(message) {
      tick();
      switch (message.kind) {
        case "routes":
          applyRoutes(message.routes);
          break;
        case "explain": {
          const { ask, requestId } = message;
          const nodeOf = (row: number): string => context.routes.target(row)?.node ?? "";
          const modelOf = (model: number): string => context.routes.modelName(model);
          post({ kind: "explained", index, ask, decision: context.decisions.find(requestId, nodeOf, modelOf) });
          break;
        }
        case "policies":
          obey(message.news);
          break;
        case "grants":
          shares.granted(message.grants, message.holders);
          break;
        case "holders":
          shares.holders = message.holders;
          break;
        case "late-bound":
          late.bound(message.bound);
          break;
        case "control-reply":
          replies.get(message.id)?.(message.status, message.body);
          replies.delete(message.id);
          break;
        case "settings":
          overwrite(settings, message.settings);
          context.strategies.changed();
          void context.strategies.user.follow();
          context.maxBodyBytes = settings.maxBodyBytes;
          context.allowRegister = settings.allowRegister;
          if (context.content.differsFrom(settings)) {
            const before = context.content;
            context.content = newContent();
            routes.setAliases(context.content.aliases);
            // Whoever waits for an answer that nobody will find any more goes on by itself.
            before.sweep(Infinity);
            counters.cacheHolds(0, 0);
          }
          break;
        case "certificates":
          accepting.show(message.tls);
          break;
        case "accept":
          accepting.begin();
          break;
        case "spans-taken":
          tracer?.taken();
          break;
        case "ebb":
          context.quietMs = message.quietMs;
          context.ebbing = !context.draining;
          context.draining = true;
          break;
        case "drain":
          context.quietMs = message.quietMs;
          context.refuses = message.refuses;
          if (context.draining && !context.ebbing) break;
          context.draining = true;
          context.ebbing = false;
          drainingSinceMs = nowMs();
          // One more turn of the loop accepts what waits in the queue: without a successor it would be reset.
          setTimeout(() => accepting.stop(), ACCEPT_ON_MS);
          break;
        case "end":
          process.exit();
          break;
        case "crash":
          throw new MeshError("internal", "told to crash");
        case "start":
          throw new MeshError("internal", "a worker is started once");
      }
    },
  };
}

let running: RunningWorker | null = null;

self.onmessage = (event: MessageEvent<ToWorker>): void => {
  const message = event.data;
  if (running !== null) {
    running.receive(message);
  } else if (message.kind === "start") {
    try {
      running = start(message);
    } catch (error) {
      post({ kind: "failed", index: message.index, message: error instanceof Error ? error.message : String(error) });
    }
  } else if (message.kind === "end") {
    process.exit();
  }
};
