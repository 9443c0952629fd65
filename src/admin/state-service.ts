/**
 * The StatePlane service: states of models and GPUs as adapters report them, and the states that are known here, those
 * of the mesh's own nodes among them. Where a report and a node speak of the same, the node's word counts.
 *
 * Limits: 64 report streams at a port, 4,096 streams' words kept, of 64 MiB together.
 */
import { MeshError } from "../base/errors.ts";
import type {
  GetGpuStatesRequest,
  GetGpuStatesResponse,
  GetModelStatesRequest,
  GetModelStatesResponse,
  Init,
  ListNodeStatesRequest,
  ListNodeStatesResponse,
  ModelState,
  NodeState,
  ReportAck,
  ReportGpuStateRequest,
  ReportModelStateRequest,
  StatePlane,
} from "../gen/services.js";
import type { MessageType, ProtoTypes } from "../wire/proto-schema.ts";
import type { Call } from "./services.ts";
import { type Delta, type Kept, type Report, ReportedStates } from "./state-reports.ts";

export interface StateSource {
  /** States of the nodes that speak for themselves. */
  states(): readonly object[];
  /** What adapters say of a node now. */
  reported?(state: Init<NodeState>): void;
}

type Kind = "models" | "gpus";

/** A reporter that does not say how a model is means that it is served. */
const UNSERVED: ReadonlySet<Init<ModelState>["status"]> = new Set([
  "MODEL_STATUS_LOADING",
  "MODEL_STATUS_FAILED",
  "MODEL_STATUS_AVAILABLE",
  "MODEL_STATUS_WARMING",
  "MODEL_STATUS_UNLOADING",
]);
const STREAMS_MAX = 64;
const KEPT_MAX = 4096;
const NODE_CHARS_MAX = 128;
/** Beyond that, what is over is forgotten at once. */
const FORGET_BYTES = 32 * 1024 * 1024;

export class StateService implements StatePlane<Call> {
  readonly #source: StateSource;
  readonly #types: { readonly [K in Kind]: MessageType };
  /** By kind and node. */
  readonly #reports = new Map<string, ReportedStates>();
  readonly #held: Kept = { bytes: 0 };
  #streams = 0;

  constructor(types: ProtoTypes, source: StateSource) {
    this.#source = source;
    this.#types = {
      models: types.message("infermesh.state.v1.ModelState"),
      gpus: types.message("infermesh.state.v1.GpuState"),
    };
  }

  async *reportModelState(requests: AsyncIterable<ReportModelStateRequest>): AsyncGenerator<Init<ReportAck>> {
    yield* this.#report("models", requests, ({ models }) => models);
  }

  async *reportGpuState(requests: AsyncIterable<ReportGpuStateRequest>): AsyncGenerator<Init<ReportAck>> {
    yield* this.#report("gpus", requests, ({ gpus }) => gpus);
  }

  async getModelStates({ model, node }: GetModelStatesRequest): Promise<Init<GetModelStatesResponse>> {
    const states = this.#nodes(node).flatMap((state) => state.models ?? []);
    return { states: states.filter(({ labels }) => model === "" || labels?.model === model) };
  }

  async getGpuStates({ node }: GetGpuStatesRequest): Promise<Init<GetGpuStatesResponse>> {
    return { states: this.#nodes(node).flatMap((state) => state.gpus ?? []) };
  }

  async listNodeStates({ node }: ListNodeStatesRequest): Promise<Init<ListNodeStatesResponse>> {
    return { nodes: this.#nodes(node) };
  }

  async *#report<T extends Omit<Report, "deltas">>(
    kind: Kind,
    requests: AsyncIterable<T>,
    deltasOf: (request: T) => readonly object[],
  ): AsyncGenerator<Init<ReportAck>> {
    if (this.#streams >= STREAMS_MAX) {
      throw new MeshError("over_capacity", `${STREAMS_MAX} streams report states here already; end one of them`);
    }
    this.#streams += 1;
    let node: string | null = null;
    try {
      for await (const request of requests) {
        node ??= nodeOf(request.node);
        if (request.node !== node) {
          throw new MeshError("bad_request", `node is ${request.node.slice(0, 60)}; this stream speaks of ${node}`);
        }
        const nowMs = performance.now();
        const report: Report = { ...request, deltas: deltasOf(request) as readonly Delta[] };
        const ack = this.#kept(kind, node, nowMs).take(report, nowMs);
        if (ack.applied) this.#source.reported?.(this.#stateOf(node, nowMs));
        yield ack;
      }
    } finally {
      this.#streams -= 1;
    }
  }

  #kept(kind: Kind, node: string, nowMs: number): ReportedStates {
    const key = `${kind} ${node}`;
    if (this.#held.bytes > FORGET_BYTES) this.#forgetOld(nowMs);
    const known = this.#reports.get(key);
    if (known !== undefined) return known;
    if (this.#reports.size >= KEPT_MAX) {
      this.#forgetOld(nowMs);
    }
    if (this.#reports.size >= KEPT_MAX) {
      throw new MeshError("over_capacity", `states of ${KEPT_MAX} nodes are reported here already`);
    }
    const keyOf = ({ labels }: Delta): string => (kind === "models" ? labels?.model : labels?.gpuUuid) ?? "";
    const made = new ReportedStates(node, this.#types[kind], keyOf, this.#held);
    this.#reports.set(key, made);
    return made;
  }

  #forgetOld(nowMs: number): void {
    for (const [key, report] of this.#reports) {
      if (report.untilMs > nowMs) continue;
      report.clear();
      this.#reports.delete(key);
    }
  }

  /** What adapters say of a node. */
  #stateOf(node: string, nowMs: number): Init<NodeState> {
    const models = this.#reports.get(`models ${node}`);
    const gpus = this.#reports.get(`gpus ${node}`);
    const states = (models?.states(nowMs) ?? []) as readonly Init<ModelState>[];
    return {
      id: node,
      ready: states.some(({ status, loadSeconds }) => !UNSERVED.has(status) || typeof loadSeconds === "number"),
      observedAtMs: Math.max(models?.observedAtMs ?? 0, gpus?.observedAtMs ?? 0),
      models: states,
      gpus: gpus?.states(nowMs) ?? [],
    };
  }

  #nodes(node: string): Init<NodeState>[] {
    const own: readonly Init<NodeState>[] = this.#source.states();
    const ids = new Set(own.map(({ id }) => id));
    const nowMs = performance.now();
    const told = new Set([...this.#reports.values()].filter(({ untilMs }) => nowMs < untilMs).map((one) => one.node));
    const reported = [...told].filter((id) => !ids.has(id)).map((id) => this.#stateOf(id, nowMs));
    return [...own, ...reported].filter(({ id }) => node === "" || id === node);
  }
}

function nodeOf(node: string): string {
  if (node !== "" && node.length <= NODE_CHARS_MAX) return node;
  throw new MeshError("bad_request", `node is ${node === "" ? "missing" : "too long"}; expected a node's id`, {
    param: "node",
  });
}
