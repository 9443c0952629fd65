// Generated from proto/ by scripts/generate-proto.ts: never edit. source 4137af251a1fdb028e9d683b output 248e5d65c7824120e1fd028e
import type { ProtoSchema } from "../wire/proto-schema.ts";

export const SCHEMA: ProtoSchema;

/** What a message is made from: any part of it. */
export type Init<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer U)[]
    ? readonly Init<U>[]
    : T extends object
      ? { readonly [K in keyof T]?: Init<T[K]> | undefined }
      : T;

export type ModelStatus =
  | "MODEL_STATUS_UNSPECIFIED"
  | "MODEL_STATUS_LOADING"
  | "MODEL_STATUS_READY"
  | "MODEL_STATUS_DRAINING"
  | "MODEL_STATUS_FAILED"
  | "MODEL_STATUS_AVAILABLE"
  | "MODEL_STATUS_WARMING"
  | "MODEL_STATUS_UNLOADING"
  | number;

export type GpuHealth =
  | "GPU_HEALTH_UNSPECIFIED"
  | "GPU_HEALTH_HEALTHY"
  | "GPU_HEALTH_DEGRADED"
  | "GPU_HEALTH_QUARANTINED"
  | number;

export type GrpcHealthCheckResponseServingStatus =
  | "UNKNOWN"
  | "SERVING"
  | "NOT_SERVING"
  | "SERVICE_UNKNOWN"
  | number;

/** What an error tells beside its code and message; in google.rpc.Status's details for gRPC, in `details` for JSON. */
export interface ErrorDetail {
  /** The mesh's own code, such as "no_quorum" or "conflict": docs/api.md lists them. */
  readonly code: string;
  /** Whose fault it is: "client", "upstream", "mesh" or "self". */
  readonly source: string;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** The field at fault. */
  readonly param: string;
  readonly retryAfterSeconds?: number | undefined;
  /** Of a conflict: which of the writes, counted from 0, and the policy as it is now; none when it does not exist. */
  readonly write?: number | undefined;
  readonly current?: Policy | undefined;
}

/** What a router knows of a node as a place to send requests to. */
export interface Target {
  /** "unknown", "healthy", "unhealthy" or "draining". */
  readonly state: string;
  readonly routable: boolean;
  /** "gossip", "registered" or "static". */
  readonly source: string;
  readonly address: string;
  readonly weight: number;
  readonly inFlight: number;
  readonly inFlightTokens: number;
  /** Requests there of the other routers, as they told of them. */
  readonly othersInFlight: number;
  readonly rttMs?: number | undefined;
  readonly sampledAgoMs?: number | undefined;
  readonly failuresInRow: number;
  readonly lastError: string;
  /** What clients see in x-infermesh-node: the node's id, or of a node with several endpoints NODE/ENDPOINT. */
  readonly id: string;
  /** Its name among the node's; empty where it has none. */
  readonly endpoint: string;
  /** "http" or "grpc". */
  readonly protocol: string;
  readonly tls: boolean;
  /** Those of the endpoint. */
  readonly models: readonly string[];
}

export interface Node {
  readonly id: string;
  /** "agent", "router", "client" or "unknown". */
  readonly role: string;
  /** "alive", "suspect", "failed" or "left" for a member of the mesh; "target" for one that only a router knows. */
  readonly status: string;
  /** It is the process that is asked. */
  readonly self: boolean;
  readonly zone: string;
  readonly labels: { readonly [key: string]: string };
  readonly version: string;
  readonly incarnation: number;
  readonly models: readonly string[];
  /** "host:port" each; empty where it serves nothing of the kind. */
  readonly gossipAddress: string;
  readonly apiAddress: string;
  readonly servingAddress: string;
  /** As the node itself says; absent while it has not. */
  readonly healthy?: boolean | undefined;
  readonly leaving?: boolean | undefined;
  /** As a policy of kind "node" says. */
  readonly cordoned: boolean;
  readonly draining: boolean;
  /** Why, as the policy says. */
  readonly reason: string;
  readonly rttMs?: number | undefined;
  /** How long it has had its status. */
  readonly sinceMs?: number | undefined;
  readonly seenAgoMs?: number | undefined;
  /** Routers only. Of a node with several endpoints one that requests can be sent to, where there is such. */
  readonly target?: Target | undefined;
  /** Its newest state, where it is known here. */
  readonly state?: NodeState | undefined;
  /** Routers only: a target for each endpoint of the node. */
  readonly targets: readonly Target[];
}

export interface ListNodesRequest {
  /** Empty: every role. */
  readonly role: string;
  /** Nodes that serve this model. */
  readonly model: string;
  readonly zone: string;
  /** Labels that a node must have, all of them. */
  readonly selector: { readonly [key: string]: string };
  /** With `state`, which is long. */
  readonly withState: boolean;
}

export interface ListNodesResponse {
  readonly nodes: readonly Node[];
}

export interface GetNodeRequest {
  readonly id: string;
}

export interface GetNodeResponse {
  readonly node?: Node | undefined;
}

export interface ChangeNodeRequest {
  readonly id: string;
  /** For people. */
  readonly reason: string;
  /** The policy's revision that the change is based on, 0 for "there is none"; any other is a conflict. By default the one that it has: what else the policy says is kept. */
  readonly ifRevision?: number | undefined;
  /** Not needed: doing it twice is doing it once. */
  readonly idempotencyKey: string;
  /** Checks, warns, and changes nothing. */
  readonly dryRun: boolean;
  /** The node may be one that nobody knows (yet); else that is refused. */
  readonly allowUnknown: boolean;
}

export interface WriteResponse {
  /** As they are now, in the order of the writes, without those deleted. */
  readonly policies: readonly Policy[];
  readonly deleted: readonly PolicyKey[];
  /** Of the store after the write. */
  readonly revision: number;
  /** Something is different now. */
  readonly changed: boolean;
  /** An earlier call with the same key had done it. */
  readonly alreadyApplied: boolean;
  /** What is probably not meant: unknown names, selectors that match nothing. */
  readonly warnings: readonly string[];
  readonly dryRun: boolean;
}

export interface ModelNode {
  readonly id: string;
  /** As of Target.state; the member's status where no router is asked. */
  readonly state: string;
  readonly routable: boolean;
  /** Its figures of this model, where they are known here. */
  readonly modelState?: ModelState | undefined;
}

export interface Model {
  readonly id: string;
  readonly nodes: readonly ModelNode[];
  readonly routableNodes: number;
  /** Nodes wanted and missing by its pin. */
  readonly missingReplicas: number;
  readonly pin?: Policy | undefined;
}

export interface ListModelsRequest {
  /** Models that this node serves. */
  readonly node: string;
}

export interface ListModelsResponse {
  readonly models: readonly Model[];
}

export interface GetModelRequest {
  readonly id: string;
}

export interface GetModelResponse {
  readonly model?: Model | undefined;
  /** All policies that decide about this model. */
  readonly policies: readonly Policy[];
}

export interface PinModelRequest {
  readonly model: string;
  readonly revision: string;
  readonly nodes: readonly string[];
  readonly selector: { readonly [key: string]: string };
  readonly minReplicas?: number | undefined;
  readonly maxReplicas?: number | undefined;
  /** As in SetPolicyRequest. */
  readonly ifRevision?: number | undefined;
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
}

export interface UnpinModelRequest {
  readonly model: string;
  /** As in SetPolicyRequest. */
  readonly ifRevision?: number | undefined;
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
}

export interface ListPinsRequest {
  /** Only the pin of this model. */
  readonly model: string;
  /** As in GetPolicyRequest. */
  readonly local: boolean;
}

export interface LoadModelRequest {
  /** Empty: the process that is asked. */
  readonly node: string;
  readonly model: string;
  readonly revision: string;
  /** Where the runtime shall take it from, as the runtime understands it: a path, or a name. Empty: where it looks by itself. */
  readonly source: string;
  /** Of a LoRA adapter: the model that it adapts. */
  readonly parent: string;
  /** By its name on the node. Empty: the only one, or the one that knows the model. */
  readonly runtime: string;
}

export interface UnloadModelRequest {
  /** Empty: the process that is asked. */
  readonly node: string;
  readonly model: string;
  /** How long its requests may go on before they are cut off; by default as long as they take, within the call's deadline. */
  readonly drainMs?: number | undefined;
  /** By its name on the node. Empty: the one that has the model. */
  readonly runtime: string;
}

export interface LoadModelResponse {
  readonly node: string;
  readonly model: string;
  /** False when it was so before. */
  readonly changed: boolean;
  /** What the node serves now. */
  readonly models: readonly string[];
}

export interface GetGpuRequest {
  /** Empty: whichever node has it. */
  readonly node: string;
  /** Its index, its UUID or that of one of its MIG slices, or the beginning of one that no other GPU has. INDEX@NODE names the node too. */
  readonly gpu: string;
}

export interface GetGpuResponse {
  readonly node: string;
  /** JSON, described in docs/api.md: identity, load, traffic, wear, health with reasons, what reads it. */
  readonly gpu: string;
  /** Why this is only what the process that was asked knows itself; empty where the node's agent told it. */
  readonly partial: string;
}

export interface ClearGpuRequest {
  /** Empty: the process that is asked. */
  readonly node: string;
  /** As in GetGpuRequest; empty: each GPU of the node. */
  readonly gpu: string;
  /** Tells what would end, and ends nothing. */
  readonly dryRun: boolean;
}

export interface ClearedGpu {
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
  /** Reasons that ended, in words. */
  readonly ended: readonly string[];
  /** It was lost, and is not looked for any more. */
  readonly forgotten: boolean;
  /** "healthy", "degraded" or "quarantined", as it is then. */
  readonly health: string;
  /** Reasons that remain, in words. */
  readonly remaining: readonly string[];
}

export interface ClearGpuResponse {
  readonly node: string;
  /** Those with something that ended, or that are not well. */
  readonly gpus: readonly ClearedGpu[];
  /** Something ended. */
  readonly changed: boolean;
  readonly dryRun: boolean;
}

export interface SetPolicyRequest {
  /** May be left out: the spec says it. */
  readonly kind: string;
  readonly name: string;
  /** The policy's revision that the change is based on, 0 for "there is none"; any other is a conflict. */
  readonly ifRevision?: number | undefined;
  /** A call with the key of an earlier one changes nothing and is answered as that one was. */
  readonly idempotencyKey: string;
  /** Checks, warns, and changes nothing. */
  readonly dryRun: boolean;
  readonly pin?: Pin | undefined;
  readonly quota?: Quota | undefined;
  readonly acl?: Acl | undefined;
  readonly balance?: Balance | undefined;
  readonly scaling?: Scaling | undefined;
  readonly slo?: Slo | undefined;
  readonly priority?: Priority | undefined;
  readonly node?: NodePolicy | undefined;
}

export interface GetPolicyRequest {
  readonly kind: string;
  readonly name: string;
  /** Answers from what is known here, without asking the control nodes: also without their majority. */
  readonly local: boolean;
}

export interface GetPolicyResponse {
  readonly policy?: Policy | undefined;
  /** Of the store. */
  readonly revision: number;
}

export interface DeletePolicyRequest {
  readonly kind: string;
  readonly name: string;
  /** As in SetPolicyRequest. */
  readonly ifRevision?: number | undefined;
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
}

export interface ListPoliciesRequest {
  /** Empty: every kind. */
  readonly kind: string;
  readonly namePrefix: string;
  /** As in GetPolicyRequest. */
  readonly local: boolean;
}

export interface ListPoliciesResponse {
  /** By kind and name. */
  readonly policies: readonly Policy[];
  readonly revision: number;
}

export interface PolicyWrite {
  readonly put?: Policy | undefined;
  readonly delete?: PolicyKey | undefined;
  readonly ifRevision?: number | undefined;
}

export interface ApplyPoliciesRequest {
  readonly writes: readonly PolicyWrite[];
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
}

export interface Event {
  /** Rises with each event of a process, and over its restarts. */
  readonly number: number;
  readonly atMs: number;
  /** "node.joined", "model.loaded", "policy.changed", "gpu.degraded", "routing.unhealthy" and so on. */
  readonly type: string;
  /** What it is about: a node's id, a model, a policy's KIND/NAME. */
  readonly subject: string;
  /** In words. */
  readonly message: string;
  /** "node", "model", "zone", "kind" and whatever else there is to select by. */
  readonly labels: { readonly [key: string]: string };
}

export interface SubscribeEventsRequest {
  /** Events after this number; absent: from now on; 0: all that is still kept. */
  readonly since?: number | undefined;
  /** "node.joined", or "node" for all that begin with "node."; empty: every type. */
  readonly types: readonly string[];
  /** Labels that an event must have, all of them. */
  readonly labels: { readonly [key: string]: string };
}

export interface SubscribeEventsResponse {
  readonly event?: Event | undefined;
  readonly missed?: SubscribeEventsResponseMissed | undefined;
  readonly position?: SubscribeEventsResponsePosition | undefined;
  /** To go on after this message. */
  readonly next: number;
}

/** So many events that nobody can tell any more came before this. */
export interface SubscribeEventsResponseMissed {
  readonly count: number;
}

/** Where the stream stands; first of all, and again while nothing happens. */
export interface SubscribeEventsResponsePosition {
  /** The number of the first event since the start of the process: another one than before tells of a restart. */
  readonly first: number;
}

export interface ExplainRouteRequest {
  /** Either a model, for a request as it would be sent now, */
  readonly model: string;
  readonly promptTokens?: number | undefined;
  /** or a request of the past, by its x-request-id. */
  readonly requestId: string;
  /** With a model: whose request it would be, "" for one without a tenant. Absent: whether somebody may is not looked at. */
  readonly tenant?: string | undefined;
}

export interface Term {
  /** "prefill", "active", "queue", "kv", "penalty". */
  readonly name: string;
  readonly seconds: number;
  /** How it came about, in words. */
  readonly detail: string;
}

export interface Candidate {
  readonly node: string;
  readonly address: string;
  /** It may be chosen. */
  readonly eligible: boolean;
  /** Why not, in words. */
  readonly reason: string;
  /** The sum of the terms: the time to the first token that is expected. */
  readonly seconds: number;
  readonly terms: readonly Term[];
  readonly activeRequests: number;
  readonly queuedTokens: number;
  readonly capacity: number;
  readonly chosen: boolean;
  /** How much of many requests like this one would go there as things are, 0 to 1: where chance or turns decide, several have some. */
  readonly share: number;
  readonly weight: number;
  /** How fast it is taken to be, of one that serves the model; for a request of the past as of now. */
  readonly rates?: LearntRates | undefined;
}

/** What a target's rates are taken for, and how that came about. */
export interface LearntRates {
  /** Prompt tokens a second: what is reckoned with, what the target or the settings tell, and what first tokens of this router's requests alone tell. */
  readonly prefillUsed: number;
  readonly prefillTold: number;
  readonly prefillLearnt: number;
  /** How much the last counts, 0 to 1; from how many requests it comes, of which older ones count less. */
  readonly confidence: number;
  readonly requests: number;
  /** Since the last of these; absent: there was none. */
  readonly seenAgoMs?: number | undefined;
  /** Between two tokens of an answer: seconds for a batch of none, and those that each request adds, from so many streams. */
  readonly stepSeconds: number;
  readonly stepSecondsPerRequest: number;
  readonly streams: number;
}

export interface ExplainRouteResponse {
  readonly requestId: string;
  readonly model: string;
  readonly promptTokens: number;
  /** When it was decided. */
  readonly atMs: number;
  /** The node chosen, or the likeliest where chance decides; empty: none. */
  readonly winner: string;
  /** Why, in words. */
  readonly reason: string;
  /** The likeliest and cheapest first, then those that can't be chosen, then some that do not serve the model. */
  readonly candidates: readonly Candidate[];
  /** How requests of the model are balanced: "late", "ttft" or another strategy (docs/strategies.md). */
  readonly strategy: string;
}

export interface ForgetRatesRequest {
  /** Empty: of every node, and of every model. */
  readonly node: string;
  readonly model: string;
}

export interface ForgetRatesResponse {
  /** Pairs of a target and a model of which something was learnt. */
  readonly forgotten: number;
}

export interface GetRecommendationsRequest {
  /** Empty: of every model. */
  readonly model: string;
}

export interface Recommendation {
  readonly model: string;
  /** That serve it now, and that should. */
  readonly replicas: number;
  readonly wanted: number;
  /** Why, in words. */
  readonly why: string;
  /** Which policy asks for it: "scaling/MODEL" or "pin/MODEL". */
  readonly policy: string;
}

export interface GetRecommendationsResponse {
  /** By model: one for each scaling policy, also where nothing is to be changed, and one for each pin that lacks replicas. */
  readonly recommendations: readonly Recommendation[];
  /** Of the policies that they follow from. */
  readonly revision: number;
}

export interface ControlMember {
  /** Hexadecimal; of etcd its own ids. */
  readonly member: string;
  /** The mesh's name of its node; empty while unknown. */
  readonly node: string;
  readonly address: string;
  /** "leader", "follower", "learner" or "unknown". */
  readonly role: string;
  /** The last entry of the log that the leader knows it to have, and whether the leader has heard of it lately: where the process that is asked can know. */
  readonly matchIndex?: number | undefined;
  readonly active?: boolean | undefined;
}

export interface GetStoreStatusRequest {
}

export interface GetStoreStatusResponse {
  /** "embedded", "follower" or "etcd". */
  readonly engine: string;
  readonly cluster: string;
  /** The id of the node that leads; empty: nobody does. */
  readonly leader: string;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Of the policies, and how many there are. */
  readonly revision: number;
  readonly items: number;
  readonly members: readonly ControlMember[];
  /** A write could be taken now, as far as the process that is asked can tell. */
  readonly writable: boolean;
  /** Why not, in a sentence; empty while all is well. */
  readonly alarm: string;
  readonly logBytes: number;
  /** A change of members is under way: until it is done, the majority of those before counts as well. */
  readonly changing: boolean;
}

export interface AddControlMemberRequest {
  readonly node: string;
  /** "host:port" of its control port; by default where the mesh knows it. */
  readonly address: string;
}

export interface RemoveControlMemberRequest {
  readonly node: string;
}

export interface TransferLeadershipRequest {
  readonly node: string;
}

export interface ControlMembersResponse {
  readonly members: readonly ControlMember[];
  readonly leader: string;
}

export interface SaveSnapshotRequest {
}

export interface SaveSnapshotResponse {
  readonly snapshot: Uint8Array;
  readonly revision: number;
}

export interface RestoreSnapshotRequest {
  readonly snapshot: Uint8Array;
}

export interface RestoreSnapshotResponse {
  readonly revision: number;
}

/** Where a model is to be served. Either nodes or a selector, or neither for "wherever it is". */
export interface Pin {
  /** The revision to serve: a commit, a tag, a date. Empty: any. */
  readonly revision: string;
  /** Ids of nodes. */
  readonly nodes: readonly string[];
  /** Labels that a node must have, all of them. */
  readonly selector: { readonly [key: string]: string };
  /** At least so many nodes should serve it. */
  readonly minReplicas?: number | undefined;
  /** At most so many, at least 1. */
  readonly maxReplicas?: number | undefined;
}

/** How much a tenant may use of a model; at least one of the limits, each above zero. */
export interface Quota {
  readonly requestsPerSecond?: number | undefined;
  /** Prompt and output tokens together. */
  readonly tokensPerMinute?: number | undefined;
  /** Requests under way at once. */
  readonly concurrency?: number | undefined;
}

/** Who may do what with a model. */
export interface Acl {
  /** "allow" or "deny". */
  readonly effect: string;
  /** For people: told to who is refused. */
  readonly reason: string;
}

/** How requests for a model are spread over its nodes. */
export interface Balance {
  /** "late", "ttft", "round-robin" or another one of docs/strategies.md. */
  readonly strategy: string;
  /** Relative capacity by node, above zero; 1 is usual. */
  readonly weights: { readonly [key: string]: number };
  /** "any", "prefer" or "only": what it counts that a node stands in the router's own zone. */
  readonly zone?: string | undefined;
  readonly session?: Session | undefined;
  /** Shares of requests, each above 0 and at most 1 together, by the label `revision` of the nodes that get them. */
  readonly split: { readonly [key: string]: number };
  readonly shadow?: Shadow | undefined;
}

/** Requests of one session go to one node, while that costs little. */
export interface Session {
  /** The field of a request's head that names the session. */
  readonly field: string;
  /** By how much the node may be behind the best one. */
  readonly slackMs?: number | undefined;
}

/** Copies of requests, whose answers nobody gets. */
export interface Shadow {
  /** The label `revision` of the nodes that get them, and nothing else unless the split says so. */
  readonly revision: string;
  /** Of the requests, above 0 and at most 1. */
  readonly share: number;
}

export interface ScalingTarget {
  /** "queue-seconds", "kv-usage" or "running-requests". */
  readonly metric: string;
  readonly value: number;
}

/** How many nodes a model should have, by its load: makes recommendations, starts nothing. */
export interface Scaling {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly target?: ScalingTarget | undefined;
}

/** What requests are promised. */
export interface Slo {
  /** "latency" or "throughput". */
  readonly class: string;
  readonly deadlineMs?: number | undefined;
  /** Time to the first token. */
  readonly ttftMs?: number | undefined;
}

export interface Priority {
  /** 0 to 3, 0 being served first, as the header x-infermesh-priority has it. */
  readonly priority: number;
}

/** What an operator has decided about a node. */
export interface NodePolicy {
  /** Takes no new requests unless a client names it. */
  readonly cordoned?: boolean | undefined;
  /** Takes no new requests and finishes what it has. */
  readonly draining?: boolean | undefined;
  readonly reason: string;
}

/** One policy: its kind is the field of `spec` that is set. */
export interface Policy {
  /** "pin", "quota", "acl", "balance", "scaling", "slo", "priority" or "node". May be left out where a spec is given. */
  readonly kind: string;
  /** What it is about, by kind: a model (pin, balance, scaling, slo), TENANT/MODEL (quota, slo, priority), SUBJECT/MODEL/ACTION (acl), a tenant (priority), a node's id (node). At most 253 characters. */
  readonly name: string;
  readonly pin?: Pin | undefined;
  readonly quota?: Quota | undefined;
  readonly acl?: Acl | undefined;
  readonly balance?: Balance | undefined;
  readonly scaling?: Scaling | undefined;
  readonly slo?: Slo | undefined;
  readonly priority?: Priority | undefined;
  readonly node?: NodePolicy | undefined;
  /** Given by the store: the revisions of its last change and of its making, and when it was changed. */
  readonly revision: number;
  readonly createdRevision: number;
  readonly updatedAtMs: number;
}

export interface PolicyKey {
  readonly kind: string;
  readonly name: string;
}

export interface ScoreTargetsRequest {
  readonly model: string;
  readonly promptTokens: number;
  /** Nodes that are not wanted, such as those that were tried. */
  readonly exclude: readonly string[];
}

export interface ScoredTarget {
  readonly node: string;
  /** "host:port" to send to. */
  readonly address: string;
  /** Expected time to the first token. */
  readonly seconds: number;
  readonly eligible: boolean;
  /** Why not, in words. */
  readonly reason: string;
}

export interface ScoreTargetsResponse {
  /** The best first. */
  readonly targets: readonly ScoredTarget[];
}

export interface AdmitRequest {
  readonly model: string;
  readonly promptTokens: number;
  readonly exclude: readonly string[];
  /** After so long without an outcome the request is taken for lost; 0: 10 min. At most 1 h. */
  readonly leaseMs: number;
}

export interface AdmitResponse {
  /** For ReportOutcome. */
  readonly ticket: string;
  readonly node: string;
  readonly address: string;
  readonly seconds: number;
}

export interface ReportOutcomeRequest {
  readonly ticket: string;
  /** The first token has come: the prompt is computed. The ticket stays. */
  readonly firstToken: boolean;
  /** It is over: "success", "failure" or "cancelled". Empty while it goes on. */
  readonly outcome: string;
}

export interface ReportOutcomeResponse {
  /** False when the ticket was known no more: its lease had ended, or its outcome was told before. */
  readonly known: boolean;
}

export interface HealthCheckRequest {
  /** Empty: the router; else a model. */
  readonly model: string;
}

export interface HealthCheckResponse {
  /** Requests can be sent. */
  readonly serving: boolean;
  readonly routableNodes: number;
  readonly reason: string;
}

/** What a state is about. Empty means not said. */
export interface Labels {
  readonly model: string;
  /** The model's revision: a commit, a tag, a date. */
  readonly revision: string;
  /** Quantisation, for example "fp8" or "awq-int4". */
  readonly quant: string;
  /** The serving runtime, for example "vllm", "sglang", "tgi", "mock". */
  readonly runtime: string;
  readonly node: string;
  readonly gpuUuid: string;
  /** MIG profile, for example "3g.40gb". */
  readonly migProfile: string;
  readonly tenant: string;
  readonly zone: string;
  /** Anything else that an operator wants to select by. */
  readonly custom: { readonly [key: string]: string };
}

/** One quantile of a distribution. */
export interface Quantile {
  /** In (0, 1): 0.5, 0.95, 0.99. */
  readonly quantile: number;
  readonly seconds: number;
}

export interface ModelState {
  /** `runtime` is the kind of the runtime that serves it, where that is known. */
  readonly labels?: Labels | undefined;
  readonly status: ModelStatus;
  readonly runningRequests: number;
  readonly waitingRequests: number;
  /** Prompt tokens that wait for their prefill, the rest of half-done prompts included. */
  readonly queuedPrefillTokens?: number | undefined;
  /** Used fraction of the KV cache. */
  readonly kvUsage?: number | undefined;
  readonly kvCapacityTokens?: number | undefined;
  readonly prefillTokensPerSecond?: number | undefined;
  /** Of the whole batch, not of one request. */
  readonly decodeTokensPerSecond?: number | undefined;
  /** How many requests the runtime batches at most. */
  readonly slots?: number | undefined;
  /** Time to first token and time between tokens over the last window. */
  readonly timeToFirstToken: readonly Quantile[];
  readonly interTokenLatency: readonly Quantile[];
  /** Which of the node's runtimes serves it, by name; empty where the node has one only. */
  readonly runtime: string;
  /** Why it failed, in words. */
  readonly reason: string;
  /** The model whose weights it adapts, such as a LoRA adapter's; empty for one that stands alone. */
  readonly parent: string;
  /** Tokens of prompt and answer together at most. */
  readonly contextTokensMax?: number | undefined;
  /** What it can be asked for: "chat", "completions", "embeddings", ...; empty: not told. */
  readonly capabilities: readonly string[];
  /** Share of the last window's prompt tokens that was in the cache. */
  readonly cacheHitRate?: number | undefined;
  /** Requests that were put back to the queue for want of KV cache. */
  readonly preemptionsPerSecond?: number | undefined;
  /** How long what is accepted will take. */
  readonly workLeftSeconds?: number | undefined;
  /** Of one that is not loaded and takes requests all the same, since its runtime loads what it is asked for: how long that takes, or still takes. */
  readonly loadSeconds?: number | undefined;
  /** How old its load was when the state was taken; absent: it was of that moment. */
  readonly figuresAgeSeconds?: number | undefined;
}

/** A place where a runtime takes requests. */
export interface Endpoint {
  /** Unique on the node. */
  readonly name: string;
  /** "host:port". */
  readonly address: string;
  /** "http" or "grpc". */
  readonly protocol: string;
  readonly tls: boolean;
}

/** One runtime of a node that has several, or whose runtime is told of. */
export interface RuntimeState {
  /** Unique on the node. */
  readonly name: string;
  /** "vllm", "triton", ... */
  readonly kind: string;
  readonly version: string;
  readonly ready: boolean;
  readonly draining: boolean;
  /** "connecting", "starting", "ready", "slow", "unresponsive", "down", "foreign" or "denied". */
  readonly state: string;
  /** What that means, in words. */
  readonly message: string;
  /** Since when. */
  readonly sinceMs: number;
  readonly endpoints: readonly Endpoint[];
}

export interface GpuState {
  readonly labels?: Labels | undefined;
  readonly index: number;
  readonly name: string;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  /** Busy fraction of the last sampling period. */
  readonly utilization?: number | undefined;
  readonly powerWatts?: number | undefined;
  readonly powerLimitWatts?: number | undefined;
  readonly temperatureCelsius?: number | undefined;
  /** Why the clocks are below what was asked for, in the vendor's words, lower case: "power_cap", "hw_thermal". */
  readonly throttleReasons: readonly string[];
  readonly health: GpuHealth;
  /** Why it is not healthy, in words: "XID 79: GPU has fallen off the bus". */
  readonly healthReason?: string | undefined;
  /** Since when its health is what it is. */
  readonly healthSinceMs?: number | undefined;
  /** Models of the node that run on it; empty where none does, or where that is not known. */
  readonly models: readonly string[];
  /** Names of the node's runtimes that are on it, or may be; empty where none is, or where that is not told. */
  readonly runtimes: readonly string[];
}

/** What a node says about itself as a process. */
export interface Vitals {
  readonly requestsInProgress: number;
  /** Fractions of the machine. */
  readonly cpuUsage?: number | undefined;
  readonly memoryUsage?: number | undefined;
  /** Mean over the node's GPUs. */
  readonly gpuUsage?: number | undefined;
  readonly failedResponses: number;
  readonly connectedPeers: number;
  /** Requests answered "try again later" since the start. */
  readonly backoffRequests: number;
  readonly uptimeSeconds: number;
}

export interface Addresses {
  /** "host:port" each; empty where the node does not serve it. */
  readonly serve: string;
  readonly api: string;
  readonly metrics: string;
  readonly gossip: string;
}

export interface NodeState {
  readonly id: string;
  /** Grows at every start of the node: of two states with one id, the higher incarnation is the living one. */
  readonly incarnation: number;
  /** "gpu", "router", ...: what the operator called it. */
  readonly role: string;
  readonly version: string;
  readonly zone: string;
  readonly ready: boolean;
  /** When the samples below were taken, by the node's own clock. */
  readonly observedAtMs: number;
  readonly addresses?: Addresses | undefined;
  readonly vitals?: Vitals | undefined;
  readonly models: readonly ModelState[];
  readonly gpus: readonly GpuState[];
  /** The node's own labels, as given by --label. */
  readonly labels?: Labels | undefined;
  /** It finishes what it has and wants nothing new; absent in the states of earlier versions, whose models say so. */
  readonly draining?: boolean | undefined;
  readonly runtimes: readonly RuntimeState[];
}

/** What is different of one model on one node; what is absent is as it was. */
export interface ModelStateDelta {
  /** Says which: `model` at least. */
  readonly labels?: Labels | undefined;
  readonly status?: ModelStatus | undefined;
  readonly runningRequests?: number | undefined;
  readonly waitingRequests?: number | undefined;
  readonly queuedPrefillTokens?: number | undefined;
  readonly kvUsage?: number | undefined;
  readonly kvCapacityTokens?: number | undefined;
  readonly prefillTokensPerSecond?: number | undefined;
  readonly decodeTokensPerSecond?: number | undefined;
  readonly slots?: number | undefined;
  /** Replace those of before, where there are any. */
  readonly timeToFirstToken: readonly Quantile[];
  readonly interTokenLatency: readonly Quantile[];
  /** The model is served no more. */
  readonly removed: boolean;
  /** Names of fields that are not known any more. */
  readonly unknown: readonly string[];
  readonly runtime?: string | undefined;
  readonly reason?: string | undefined;
  readonly parent?: string | undefined;
  readonly contextTokensMax?: number | undefined;
  /** Replace those of before, where there are any. */
  readonly capabilities: readonly string[];
  readonly cacheHitRate?: number | undefined;
  readonly preemptionsPerSecond?: number | undefined;
  readonly workLeftSeconds?: number | undefined;
  readonly loadSeconds?: number | undefined;
}

export interface ReportModelStateRequest {
  /** The node that is spoken of; the same in all reports of a stream. */
  readonly node: string;
  readonly sequence: number;
  /** All that there is: what is not in it is served no more. */
  readonly full: boolean;
  readonly models: readonly ModelStateDelta[];
  /** When it was measured, by the reporter's clock. */
  readonly observedAtMs: number;
  /** After so long without a report the stream's word is forgotten; 0: 15 s. At least 1 s, at most 10 min. */
  readonly ttlMs: number;
}

/** As ModelStateDelta, of one GPU. */
export interface GpuStateDelta {
  /** Says which: `gpu_uuid` at least. */
  readonly labels?: Labels | undefined;
  readonly index?: number | undefined;
  readonly name?: string | undefined;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly utilization?: number | undefined;
  readonly powerWatts?: number | undefined;
  readonly powerLimitWatts?: number | undefined;
  readonly temperatureCelsius?: number | undefined;
  /** Replace those of before, where there are any. */
  readonly throttleReasons: readonly string[];
  readonly health?: GpuHealth | undefined;
  readonly removed: boolean;
  readonly unknown: readonly string[];
  readonly healthReason?: string | undefined;
  readonly healthSinceMs?: number | undefined;
  /** Replace those of before, where there are any. */
  readonly models: readonly string[];
}

export interface ReportGpuStateRequest {
  readonly node: string;
  readonly sequence: number;
  readonly full: boolean;
  readonly gpus: readonly GpuStateDelta[];
  readonly observedAtMs: number;
  readonly ttlMs: number;
}

export interface ReportAck {
  /** The report that is answered. */
  readonly sequence: number;
  /** It was taken. */
  readonly applied: boolean;
  /** A full report is wanted next. */
  readonly fullWanted: boolean;
  /** What of it was left out, and why. */
  readonly faults: readonly string[];
}

export interface GetModelStatesRequest {
  /** Empty: every model. */
  readonly model: string;
  readonly node: string;
}

export interface GetModelStatesResponse {
  readonly states: readonly ModelState[];
}

export interface GetGpuStatesRequest {
  /** Empty: every node. */
  readonly node: string;
}

export interface GetGpuStatesResponse {
  readonly states: readonly GpuState[];
}

export interface ListNodeStatesRequest {
  /** Empty: every node. */
  readonly node: string;
}

export interface ListNodeStatesResponse {
  readonly nodes: readonly NodeState[];
}

export interface GrpcHealthCheckRequest {
  /** "" for the router, else a model's name. */
  readonly service: string;
}

export interface GrpcHealthCheckResponse {
  readonly status: GrpcHealthCheckResponseServingStatus;
}

export interface ControlPlane<Call> {
  /** The nodes of the mesh as the process that is asked sees it. */
  listNodes(request: ListNodesRequest, call: Call): Promise<Init<ListNodesResponse>>;
  /** One node, with all that is known of it. */
  getNode(request: GetNodeRequest, call: Call): Promise<Init<GetNodeResponse>>;
  /** Sends no new requests to a node; those that it has are finished. */
  drainNode(request: ChangeNodeRequest, call: Call): Promise<Init<WriteResponse>>;
  undrainNode(request: ChangeNodeRequest, call: Call): Promise<Init<WriteResponse>>;
  /** Sends no new requests to a node but those that name it. */
  cordonNode(request: ChangeNodeRequest, call: Call): Promise<Init<WriteResponse>>;
  uncordonNode(request: ChangeNodeRequest, call: Call): Promise<Init<WriteResponse>>;
  /** The models that nodes serve, or that a pin names. */
  listModels(request: ListModelsRequest, call: Call): Promise<Init<ListModelsResponse>>;
  getModel(request: GetModelRequest, call: Call): Promise<Init<GetModelResponse>>;
  /** Decides where a model is served. */
  pinModel(request: PinModelRequest, call: Call): Promise<Init<WriteResponse>>;
  unpinModel(request: UnpinModelRequest, call: Call): Promise<Init<WriteResponse>>;
  listPins(request: ListPinsRequest, call: Call): Promise<Init<ListPoliciesResponse>>;
  /** Has a node's runtime load a model; answers when that is done. */
  loadModel(request: LoadModelRequest, call: Call): Promise<Init<LoadModelResponse>>;
  /** Has a node's runtime unload a model once its requests are finished. */
  unloadModel(request: UnloadModelRequest, call: Call): Promise<Init<LoadModelResponse>>;
  /** All that is known of one GPU, told by the agent of its node whoever is asked. */
  getGpu(request: GetGpuRequest, call: Call): Promise<Init<GetGpuResponse>>;
  /** Ends by hand what is wrong with GPUs of a node and does not end by itself. What the readings still say stays. */
  clearGpu(request: ClearGpuRequest, call: Call): Promise<Init<ClearGpuResponse>>;
  /** Makes or replaces one policy. */
  setPolicy(request: SetPolicyRequest, call: Call): Promise<Init<WriteResponse>>;
  getPolicy(request: GetPolicyRequest, call: Call): Promise<Init<GetPolicyResponse>>;
  deletePolicy(request: DeletePolicyRequest, call: Call): Promise<Init<WriteResponse>>;
  listPolicies(request: ListPoliciesRequest, call: Call): Promise<Init<ListPoliciesResponse>>;
  /** Many changes at once: all of them or none. */
  applyPolicies(request: ApplyPoliciesRequest, call: Call): Promise<Init<WriteResponse>>;
  /** What happens, as it happens. */
  subscribeEvents(request: SubscribeEventsRequest, call: Call): AsyncIterable<Init<SubscribeEventsResponse>>;
  /** Every candidate for a request with each term of its score, and why the winner won. Routers only. */
  explainRoute(request: ExplainRouteRequest, call: Call): Promise<Init<ExplainRouteResponse>>;
  /** Forgets what the router that is asked has learnt of its targets' rates from its own requests. Routers only. */
  forgetRates(request: ForgetRatesRequest, call: Call): Promise<Init<ForgetRatesResponse>>;
  /** How many replicas models should have, by scaling policies and by pins that are not fulfilled, as the router that is asked sees it: for whoever starts and stops nodes. Routers only. */
  getRecommendations(request: GetRecommendationsRequest, call: Call): Promise<Init<GetRecommendationsResponse>>;
  /** The store that holds the policies. */
  getStoreStatus(request: GetStoreStatusRequest, call: Call): Promise<Init<GetStoreStatusResponse>>;
  addControlMember(request: AddControlMemberRequest, call: Call): Promise<Init<ControlMembersResponse>>;
  removeControlMember(request: RemoveControlMemberRequest, call: Call): Promise<Init<ControlMembersResponse>>;
  transferLeadership(request: TransferLeadershipRequest, call: Call): Promise<Init<ControlMembersResponse>>;
  /** All policies, as bytes that RestoreSnapshot takes. */
  saveSnapshot(request: SaveSnapshotRequest, call: Call): Promise<Init<SaveSnapshotResponse>>;
  /** Replaces all policies by those of a snapshot. */
  restoreSnapshot(request: RestoreSnapshotRequest, call: Call): Promise<Init<RestoreSnapshotResponse>>;
}

export interface Scoring<Call> {
  scoreTargets(request: ScoreTargetsRequest, call: Call): Promise<Init<ScoreTargetsResponse>>;
  admit(request: AdmitRequest, call: Call): Promise<Init<AdmitResponse>>;
  reportOutcome(request: ReportOutcomeRequest, call: Call): Promise<Init<ReportOutcomeResponse>>;
  healthCheck(request: HealthCheckRequest, call: Call): Promise<Init<HealthCheckResponse>>;
}

export interface StatePlane<Call> {
  reportModelState(requests: AsyncIterable<ReportModelStateRequest>, call: Call): AsyncIterable<Init<ReportAck>>;
  reportGpuState(requests: AsyncIterable<ReportGpuStateRequest>, call: Call): AsyncIterable<Init<ReportAck>>;
  getModelStates(request: GetModelStatesRequest, call: Call): Promise<Init<GetModelStatesResponse>>;
  getGpuStates(request: GetGpuStatesRequest, call: Call): Promise<Init<GetGpuStatesResponse>>;
  listNodeStates(request: ListNodeStatesRequest, call: Call): Promise<Init<ListNodeStatesResponse>>;
}

export interface GrpcHealth<Call> {
  check(request: GrpcHealthCheckRequest, call: Call): Promise<Init<GrpcHealthCheckResponse>>;
  watch(request: GrpcHealthCheckRequest, call: Call): AsyncIterable<Init<GrpcHealthCheckResponse>>;
}
