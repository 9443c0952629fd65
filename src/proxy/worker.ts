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
import { openPicker } from "../native.ts";
import { WorkerStats } from "../obs/worker-stats.ts";
import { PickRequest } from "../score/pick.ts";
import { ScoreTable } from "../score/table.ts";
import { clientHandlers } from "./client.ts";
import type { ClientConnection } from "./client.ts";
import { nowMs, tick } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { FromWorker, RouteSnapshot, ToWorker, WorkerStart } from "./protocol.ts";
import { Routes } from "./routes.ts";

declare const self: Worker;

const SWEEP_MS = 250;
const ACCEPT_ON_MS = 10;

interface RunningWorker {
  receive(message: ToWorker): void;
}

function post(message: FromWorker): void {
  self.postMessage(message);
}

function start(options: WorkerStart): RunningWorker {
  const { index, settings } = options;
  const config = liveCopy(settings.proxy);
  const table = ScoreTable.attach(options.table);
  const { picker, reason } = openPicker(table);
  const replies = new Map<number, (status: number, body: string) => void>();
  let nextControl = 1;
  const context: WorkerContext = {
    index,
    config,
    maxBodyBytes: settings.maxBodyBytes,
    allowRegister: settings.allowRegister,
    routes: new Routes(),
    table,
    picker,
    pick: new PickRequest(),
    counters: WorkerStats.attach(options.stats).forWorker(index),
    heldBytes: 0,
    draining: false,
    quietMs: 0,
    refuses: false,
    control(path, body, reply) {
      const id = nextControl++;
      replies.set(id, reply);
      post({ kind: "control", index, id, path, body });
    },
  };
  const connections = new Set<ClientConnection>();
  let drainingSinceMs = 0;
  const applyRoutes = (packed: Uint8Array): void => {
    context.routes.apply(unpack(packed) as RouteSnapshot, context.config);
    post({ kind: "routed", index, version: context.routes.version });
  };
  applyRoutes(options.routes);

  const socket = clientHandlers(context, connections);
  let listeners: { stop(force: boolean): void }[] = [];
  const accept = (): void => {
    listeners = placesOf(options).map((where) =>
      // `fd` adopts a socket that listens already; bun-types does not know it.
      Bun.listen({ ...where, socket } as unknown as Bun.TCPSocketListenOptions<ClientConnection>),
    );
  };
  if (!options.waits) accept();

  const sweep = setInterval(() => {
    const now = tick();
    for (const connection of connections) connection.expire(now);
    context.routes.sweep(now);
    if (!context.draining || connections.size > 0 || now - drainingSinceMs < SWEEP_MS) return;
    clearInterval(sweep);
    post({ kind: "drained", index });
  }, SWEEP_MS);

  post({ kind: "ready", index, port: options.port, scorer: picker.kind, reason });
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
        case "settings":
          overwrite(config, message.settings.proxy);
          context.maxBodyBytes = message.settings.maxBodyBytes;
          context.allowRegister = message.settings.allowRegister;
          break;
        case "accept":
          accept();
          break;
        case "drain":
          context.quietMs = message.quietMs;
          context.refuses = message.refuses;
          if (context.draining) break;
          context.draining = true;
          drainingSinceMs = nowMs();
          // One more turn of the loop accepts what waits in the queue: without a successor it would be reset.
          setTimeout(() => {
            for (const listener of listeners) listener.stop(false);
          }, ACCEPT_ON_MS);
          break;
        case "crash":
          throw new MeshError("internal", "told to crash");
        case "start":
          throw new MeshError("internal", "a worker is started once");
      }
    },
  };
}

/** Where it listens: on descriptors, or on an address of its own. */
function placesOf({ fds, host, port }: WorkerStart): object[] {
  return fds?.map((fd) => ({ fd })) ?? [{ hostname: host === "" ? "::" : host, port, reusePort: true }];
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
