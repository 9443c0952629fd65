/** What everything in one worker shares: made at its start, changed only by its own thread. */
import type { RateLimit } from "../flow/rate-limit.ts";
import type { WorkerCounters } from "../obs/worker-counters.ts";
import type { FirstTokens } from "../score/first-tokens.ts";
import type { Picker, PickRequest } from "../score/pick.ts";
import type { ScoreTable } from "../score/table.ts";
import type { ApiConfig } from "../wire/api-access.ts";
import type { Content } from "./content.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Decisions } from "./decisions.ts";
import type { Dispatch, ModelFlow } from "./dispatch.ts";
import type { Enforcement } from "./enforcement.ts";
import type { HealthWatches } from "./health-watches.ts";
import type { Wires } from "./http2-wire.ts";
import type { KnownHeads } from "./known-heads.ts";
import type { LateLine } from "./late-line.ts";
import type { LoadReports } from "./load-reports.ts";
import type { RestlessClients } from "./restless.ts";
import type { Routes } from "./routes.ts";
import type { Prefixes } from "./prefixes.ts";
import type { ProxyConfig } from "./settings.ts";
import type { Copies } from "./copies.ts";
import type { Strategies } from "./strategies.ts";
import type { Tracer } from "./tracing.ts";

export interface WorkerContext {
  readonly index: number;
  /** Changes in place when the configuration is loaded anew: read a value where it is used. */
  readonly config: ProxyConfig;
  maxBodyBytes: number;
  allowRegister: boolean;
  readonly routes: Routes;
  readonly table: ScoreTable;
  /** Where first tokens are noted, for rates to be learnt from. */
  readonly firstTokens: FirstTokens;
  /** The last choices. */
  readonly decisions: Decisions;
  readonly picker: Picker;
  readonly pick: PickRequest;
  /** Copies of requests for revisions in the shadow. */
  readonly shadows: Copies;
  /** How each model's targets are chosen. */
  readonly strategies: Strategies;
  /** Who has prompts' beginnings cached; null: nobody asks for that. */
  readonly prefixes: Prefixes | null;
  readonly counters: WorkerCounters;
  readonly heads: KnownHeads;
  readonly dispatch: Dispatch;
  /** To the desk that binds late; null: there is none. */
  readonly late: LateLine<ModelFlow> | null;
  readonly deadlines: Deadlines;
  readonly loads: LoadReports;
  readonly wires: Wires;
  readonly limits: RateLimit;
  readonly watches: HealthWatches;
  readonly restless: RestlessClients;
  /** Which paths may pass. */
  readonly paths: ApiConfig;
  /** What is done to requests and answers on their way; another one when the configuration is loaded anew. */
  content: Content;
  /** The policies as far as they concern requests; null: there are none. */
  enforcement: Enforcement | null;
  /** Null: no request is recorded. */
  readonly tracer: Tracer | null;
  /** Bytes of requests held by this worker, against `bufferBytesMax`. */
  heldBytes: number;
  /** No new connections: those that are open close behind their next answer, or when they are quiet. */
  draining: boolean;
  /** While draining: connections are accepted all the same, since whoever sends them has yet to hear of the end. */
  ebbing: boolean;
  /** While draining: how long a connection must be without a request to count as quiet. */
  quietMs: number;
  /** While draining: a new request is refused, since nobody takes this router's place. */
  refuses: boolean;
  /** Asks the main thread's control API; the reply comes back once. */
  control(path: string, body: string, reply: (status: number, body: string) => void): void;
}
