/**
 * A data-plane worker: accepts on its own listening descriptor, relays, and reads the score table.
 *
 * It is started by one message, obeys the few others of protocol.ts, and decides nothing about targets. An exception
 * in it is a bug: the thread ends, and the main thread starts a successor on the same descriptor.
 */
import { unpack } from "msgpackr/unpack";
import { MeshError } from "../base/errors.ts";
import { RateLimit } from "../flow/rate-limit.ts";
import { BunTransport } from "../net/bun-streams.ts";
import { Dialer } from "../net/dialer.ts";
import { EpollTransport } from "../net/epoll.ts";
import type { Transport } from "../net/stream.ts";
import { openPicker } from "../native.ts";
import { WorkerStats } from "../obs/worker-stats.ts";
import { PickRequest } from "../score/pick.ts";
import { ScoreTable } from "../score/table.ts";
import { clientHandlers } from "./client.ts";
import type { ClientConnection } from "./client.ts";
import { nowMs, tick } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { FromWorker, RouteSnapshot, ToWorker, WorkerStart } from "./protocol.ts";
import { Dispatch } from "./dispatch.ts";
import { Routes } from "./routes.ts";
import type { ProxyConfig } from "./settings.ts";
import { Tracer } from "./tracing.ts";

declare const self: Worker;

const SWEEP_MS = 250;
const ACCEPT_ON_MS = 10;

interface RunningWorker {
  receive(message: ToWorker): void;
}

function post(message: FromWorker): void {
  self.postMessage(message);
}

/** The epoll lane where it can be had and is not refused, else Bun's sockets, with the reason. */
function openTransport({ transport }: ProxyConfig): { transport: Transport; reason: string } {
  if (transport === "bun") return { transport: new BunTransport(), reason: "asked for" };
  const lane = EpollTransport.open();
  return "reason" in lane ? { transport: new BunTransport(), reason: lane.reason } : { transport: lane, reason: "" };
}

function start(options: WorkerStart): RunningWorker {
  const { index } = options;
  const { transport, reason: transportReason } = openTransport(options.proxy);
  // The lane's descriptors are the process's: a thread that ends by an exception would leave them open, and their
  // clients waiting.
  process.on("exit", () => transport.destroy());
  const table = ScoreTable.attach(options.table);
  const { picker, reason } = openPicker(table);
  const replies = new Map<number, (status: number, body: string) => void>();
  let nextControl = 1;
  const tracer =
    options.tracing === null ? null : new Tracer(options.tracing, (packed) => post({ kind: "spans", index, packed }));
  const routes = new Routes(new Dialer(transport));
  const wakeAt = (atMs: number): void => transport.wakeAt(atMs);
  const context: WorkerContext = {
    index,
    config: options.proxy,
    maxBodyBytes: options.maxBodyBytes,
    allowRegister: options.allowRegister,
    routes,
    table,
    picker,
    pick: new PickRequest(),
    counters: WorkerStats.attach(options.stats).forWorker(index),
    dispatch: new Dispatch(options.flow, table, (model) => routes.rowsOf(model), wakeAt),
    limits: new RateLimit(options.flow.limit),
    paths: options.paths,
    tracer,
    heldBytes: 0,
    draining: false,
    control(path, body, reply) {
      const id = nextControl++;
      replies.set(id, reply);
      post({ kind: "control", index, id, path, body });
    },
  };
  const connections = new Set<ClientConnection>();
  let drainingSinceMs = 0;
  const applyRoutes = (packed: Uint8Array): void => {
    for (const model of routes.apply(unpack(packed) as RouteSnapshot, context.config)) context.dispatch.forget(model);
    post({ kind: "routed", index, version: context.routes.version });
  };
  applyRoutes(options.routes);

  const handlers = clientHandlers(context, connections);
  const stopAccepting =
    options.fd === null
      ? new BunTransport().listen({ host: options.host, port: options.port }, handlers)
      : transport.adopt(options.fd, handlers);

  const sweep = setInterval(() => {
    const now = tick();
    for (const connection of connections) connection.expire(now);
    context.routes.sweep(now);
    tracer?.flush();
    if (!context.draining || connections.size > 0 || now - drainingSinceMs < SWEEP_MS) return;
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
        case "control-reply":
          replies.get(message.id)?.(message.status, message.body);
          replies.delete(message.id);
          break;
        case "spans-taken":
          tracer?.taken();
          break;
        case "drain":
          context.draining = true;
          drainingSinceMs = nowMs();
          // One more turn of the loop accepts what waits in the queue: it would be reset otherwise.
          setTimeout(stopAccepting, ACCEPT_ON_MS);
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
  }
};
