/** What the router's main thread and its workers say to each other. Workers never decide about targets; main never relays. */
import type { FlowConfig } from "../flow/settings.ts";
import type { ApiConfig } from "../wire/api-access.ts";
import type { ProxyConfig } from "./settings.ts";
import type { TracerSettings } from "./tracing.ts";

/** One routable pair of target and model: a row of the score table, and where its requests go. */
export interface RouteRow {
  readonly row: number;
  readonly model: number;
  /** The target's id, which clients see as `x-infermesh-node`. */
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** A model that some target serves, or served a moment ago. */
export interface RouteModel {
  readonly id: number;
  readonly name: string;
  /** Unix seconds at which the router first heard of it. */
  readonly created: number;
}

/** Everything a worker knows of the mesh: sent whole at each change, packed by msgpackr. */
export interface RouteSnapshot {
  readonly version: number;
  readonly models: readonly RouteModel[];
  readonly rows: readonly RouteRow[];
}

/** What a worker needs once, at its start. */
export interface WorkerStart {
  readonly kind: "start";
  readonly index: number;
  readonly table: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  /** A listening descriptor to adopt; null: listen by oneself on `host` and `port` with SO_REUSEPORT. */
  readonly fd: number | null;
  readonly host: string;
  readonly port: number;
  readonly maxBodyBytes: number;
  readonly allowRegister: boolean;
  readonly proxy: ProxyConfig;
  readonly flow: FlowConfig;
  readonly paths: ApiConfig;
  /** Null: no request is recorded. */
  readonly tracing: TracerSettings | null;
  /** A packed RouteSnapshot. */
  readonly routes: Uint8Array;
}

export type ToWorker =
  | WorkerStart
  | { readonly kind: "routes"; readonly routes: Uint8Array }
  | { readonly kind: "control-reply"; readonly id: number; readonly status: number; readonly body: string }
  /** A batch of spans has been taken. */
  | { readonly kind: "spans-taken" }
  /** Stop accepting, finish what is in flight, then answer "drained". */
  | { readonly kind: "drain" }
  /** For tests of the respawn: fail as a bug would. */
  | { readonly kind: "crash" };

export type FromWorker =
  | {
      readonly kind: "ready";
      readonly index: number;
      readonly port: number;
      readonly scorer: string;
      readonly reason: string;
      /** What carries the streams, and why not the epoll lane. */
      readonly transport: string;
      readonly transportReason: string;
    }
  /** The worker routes by snapshot `version` from now on. */
  | { readonly kind: "routed"; readonly index: number; readonly version: number }
  /** A registration that came in on the data port, for the control API to answer. */
  | {
      readonly kind: "control";
      readonly index: number;
      readonly id: number;
      readonly path: string;
      readonly body: string;
    }
  /** A batch of finished spans, as obs/spans.ts packs it. */
  | { readonly kind: "spans"; readonly index: number; readonly packed: Uint8Array }
  | { readonly kind: "drained"; readonly index: number }
  | { readonly kind: "failed"; readonly index: number; readonly message: string };
