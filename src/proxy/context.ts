/** What everything in one worker shares: made at its start, changed only by its own thread. */
import type { RateLimit } from "../flow/rate-limit.ts";
import type { WorkerCounters } from "../obs/worker-stats.ts";
import type { Picker, PickRequest } from "../score/pick.ts";
import type { ScoreTable } from "../score/table.ts";
import type { ApiConfig } from "../wire/api-access.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Routes } from "./routes.ts";
import type { ProxyConfig } from "./settings.ts";
import type { Tracer } from "./tracing.ts";

export interface WorkerContext {
  readonly index: number;
  readonly config: ProxyConfig;
  readonly maxBodyBytes: number;
  readonly allowRegister: boolean;
  readonly routes: Routes;
  readonly table: ScoreTable;
  readonly picker: Picker;
  readonly pick: PickRequest;
  readonly counters: WorkerCounters;
  readonly dispatch: Dispatch;
  readonly limits: RateLimit;
  /** Which paths may pass. */
  readonly paths: ApiConfig;
  /** Null: no request is recorded. */
  readonly tracer: Tracer | null;
  /** Bytes of requests held by this worker, against `bufferBytesMax`. */
  heldBytes: number;
  /** No new requests: connections close as soon as they are quiet. */
  draining: boolean;
  /** Asks the main thread's control API; the reply comes back once. */
  control(path: string, body: string, reply: (status: number, body: string) => void): void;
}
