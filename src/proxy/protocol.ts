/** What the router's main thread and its workers say to each other. Workers never decide about targets; main never relays. */
import type { Protocol } from "../base/settings-urls.ts";
import type { TlsClientOptions, TlsIdentities } from "../net/tls-streams.ts";
import type { SplitRole } from "../fleet/role.ts";
import type { FlowConfig } from "../flow/settings.ts";
import type { Change, Item } from "../policy/item.ts";
import type { Grant, Want } from "../policy/want.ts";
import type { ApiConfig } from "../wire/api-access.ts";
import type { ContentSettings } from "./content.ts";
import type { Decision } from "./decisions.ts";
import type { LateBound, LateNews } from "./late-news.ts";
import type { PrefixStart } from "./prefixes.ts";
import type { ProxyConfig } from "./settings.ts";
import type { TracerSettings } from "./tracing.ts";

/** One routable pair of target and model: a row of the score table, and where its requests go. */
export interface RouteRow {
  readonly row: number;
  readonly model: number;
  readonly protocol: Protocol;
  /** The target's id, which clients see as `x-infermesh-node`. */
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Relative capacity, 1 is usual: for ways to balance that don't go by the row's figures. */
  readonly weight: number;
  /** It tells of its load in its answers, if a request asks for that. */
  readonly tellsLoad: boolean;
  /** It computes a part of requests; undefined: all of them. */
  readonly role?: SplitRole;
  /** Of a model whose requests are split by that: the revision that it serves; undefined: none that is named. */
  readonly revision?: string;
}

/**
 * A model that some target of one protocol serves, or served a moment ago. Those of its targets that compute a part of
 * requests, or serve a revision that requests are split among, have a number of their own, under the same name.
 */
export interface RouteModel {
  readonly id: number;
  readonly name: string;
  readonly protocol: Protocol;
  /**
   * Its rows compute a part of requests, as poolOf names it, or are of a revision (revisionPool); undefined: neither.
   */
  readonly pool?: string;
  /** Unix seconds at which the router first heard of it. */
  readonly created: number;
}

/** Everything a worker knows of the mesh: sent whole at each change, packed by msgpackr. */
export interface RouteSnapshot {
  readonly version: number;
  readonly models: readonly RouteModel[];
  readonly rows: readonly RouteRow[];
}

/** What a worker is told of the policies that concern requests: all of them, or what is new; packed by msgpackr. */
export type PolicyNews = { readonly revision: number } & (
  | { readonly items: readonly Item[] }
  | { readonly changes: readonly Change[] }
);

/** What a worker is told of the configuration: at its start, and whole at each change. */
export interface WorkerSettings extends ContentSettings {
  readonly maxBodyBytes: number;
  readonly allowRegister: boolean;
  readonly proxy: ProxyConfig;
  readonly flow: FlowConfig;
  readonly paths: ApiConfig;
}

/** What a worker needs once, at its start. */
export interface WorkerStart {
  readonly kind: "start";
  /** Its place in the score table and in the statistics, which no other living thread has. */
  readonly index: number;
  readonly table: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  /** Where first tokens are noted (score/first-tokens.ts). */
  readonly firstTokens: SharedArrayBuffer;
  /** How many requests wait at the late desk, int32 by model. */
  readonly late: SharedArrayBuffer;
  /** Null: nothing is known of what targets have cached. */
  readonly prefixes: PrefixStart | null;
  /** Listening descriptors to adopt; null: listen by oneself on `host` and `port` with SO_REUSEPORT. */
  readonly fds: readonly number[] | null;
  readonly host: string;
  readonly port: number;
  /** Accepts only when it is told to. */
  readonly waits: boolean;
  readonly settings: WorkerSettings;
  /** Certificates to show on the port; null: it speaks plain HTTP. */
  readonly tls: TlsIdentities | null;
  readonly upstreamTls: TlsClientOptions;
  /** Null: no request is recorded. */
  readonly tracing: TracerSettings | null;
  /** A packed RouteSnapshot. */
  readonly routes: Uint8Array;
  /** Packed PolicyNews of all that there are. */
  readonly policies: Uint8Array;
  /** By which name its shares of quotas are held: no other life of any worker has it. */
  readonly holder: string;
  /** How many workers all routers have. */
  readonly holders: number;
  /** The main thread has found that the C scorer answers as it should. */
  readonly isScorerProven: boolean;
}

export type ToWorker =
  | WorkerStart
  | { readonly kind: "routes"; readonly routes: Uint8Array }
  /** Packed PolicyNews. */
  | { readonly kind: "policies"; readonly news: Uint8Array }
  /** The store's answer to what this worker wanted. */
  | { readonly kind: "grants"; readonly grants: readonly Grant[]; readonly holders: number }
  /** So many workers have all routers now. */
  | { readonly kind: "holders"; readonly holders: number }
  /** The late desk bound these requests. */
  | { readonly kind: "late-bound"; readonly bound: readonly LateBound[] }
  | { readonly kind: "control-reply"; readonly id: number; readonly status: number; readonly body: string }
  /** What is remembered of this request's choice? */
  | { readonly kind: "explain"; readonly ask: number; readonly requestId: string }
  /** A batch of spans has been taken. */
  | { readonly kind: "spans-taken" }
  /** Use these settings from the next request on. */
  | { readonly kind: "settings"; readonly settings: WorkerSettings }
  /** Show these certificates from the next handshake on. */
  | { readonly kind: "certificates"; readonly tls: TlsIdentities }
  /** Begin to accept: it was started to wait for this. */
  | { readonly kind: "accept" }
  /**
   * Stop accepting, finish what is in flight, then answer "drained". Connections are closed behind the answer to their
   * next request, or when nothing came on them for `quietMs`; with `refuses` that next request is not served any more.
   */
  | { readonly kind: "drain"; readonly quietMs: number; readonly refuses: boolean }
  /** It will be told to drain soon: close connections as then, but go on to accept others. */
  | { readonly kind: "ebb"; readonly quietMs: number }
  /** Close what is left, and end. */
  | { readonly kind: "end" }
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
  /** Shares of quotas to ask the store for; and how many requests each quota refused since it last told. */
  | {
      readonly kind: "wants";
      readonly index: number;
      readonly wants: readonly Want[];
      readonly refused: readonly (readonly [quota: string, requests: number])[];
    }
  | { readonly kind: "explained"; readonly index: number; readonly ask: number; readonly decision: Decision | null }
  /** A batch of finished spans, as obs/spans.ts packs it. */
  | { readonly kind: "spans"; readonly index: number; readonly packed: Uint8Array }
  /** What targets told of their load, as load-reports.ts packs it. */
  | { readonly kind: "loads"; readonly index: number; readonly packed: Float64Array }
  | { readonly kind: "late"; readonly index: number; readonly news: LateNews }
  /** Which prompts were sent where, as prefix-notes.ts packs it; while there are other routers. */
  | { readonly kind: "prefixes"; readonly index: number; readonly packed: Int32Array }
  /** Something that people should know. */
  | { readonly kind: "notice"; readonly index: number; readonly text: string }
  | { readonly kind: "drained"; readonly index: number }
  | { readonly kind: "failed"; readonly index: number; readonly message: string };
