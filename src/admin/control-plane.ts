/**
 * The ControlPlane service: every method in one place, each given to the part that knows it. Agents and routers serve it
 * alike; what only one of them can do is told by the other as UNIMPLEMENTED, with whom to ask.
 */
import { MeshError } from "../base/errors.ts";
import type {
  ClearGpuRequest,
  ClearGpuResponse,
  ControlPlane as ControlPlaneMethods,
  ExplainRouteRequest,
  ExplainRouteResponse,
  ForgetRatesRequest,
  GetGpuRequest,
  GetGpuResponse,
  Init,
  LoadModelRequest,
  LoadModelResponse,
  UnloadModelRequest,
} from "../gen/services.js";
import { EventService } from "./event-service.ts";
import type { EventJournal, Watchers } from "./events.ts";
import { NodeService, type NodeServiceOptions } from "./node-service.ts";
import { adviceFor } from "../policy/advice.ts";
import { type Advice, recommendationsIn } from "./recommendations.ts";
import type { PolicyAccess } from "./policy-access.ts";
import { PolicyService } from "./policy-service.ts";
import type { Call, ServiceOf } from "./services.ts";
import { StoreService } from "./store-service.ts";

/** What a node's runtime can do; throws `not_supported` where the runtime can't. */
export interface ModelLoader {
  load(request: LoadModelRequest, call: Call): Promise<Init<LoadModelResponse>>;
  unload(request: UnloadModelRequest, call: Call): Promise<Init<LoadModelResponse>>;
}

/** The GPUs of the mesh, each told by its own agent. */
export interface GpuAccess {
  get(request: GetGpuRequest, call: Call): Promise<Init<GetGpuResponse>>;
  clear(request: ClearGpuRequest, call: Call): Promise<Init<ClearGpuResponse>>;
}

export interface ControlPlaneOptions extends Omit<NodeServiceOptions, "policies"> {
  /** The store of the policies; null while, or where, there is none. */
  policies(): PolicyAccess | null;
  /** "host:port" where a node takes the links of control nodes; "" where the mesh does not know. */
  controlAddress(node: string): string;
  readonly events: EventJournal;
  readonly models: ModelLoader;
  readonly gpus: GpuAccess;
  /** Routers only. */
  readonly explain?: ((request: ExplainRouteRequest) => Promise<Init<ExplainRouteResponse>>) | undefined;
  /** How many targets' rates it forgot. */
  readonly forgetRates?: ((request: ForgetRatesRequest) => number) | undefined;
  readonly advice?: (() => Advice) | undefined;
}

export function controlPlane(options: ControlPlaneOptions, watchers: Watchers): ServiceOf<ControlPlaneMethods<Call>> {
  const policies = (): PolicyAccess => options.policies() ?? withoutStore();
  const nodes = new NodeService({ ...options, policies });
  const decided = new PolicyService({
    policies,
    warnings(writes, items) {
      const known = { ...nodes.known(), items };
      return writes.flatMap((write) => adviceFor(write, known));
    },
    knownNode: (id) => nodes.knownNode(id),
  });
  const store = new StoreService({
    policies,
    knownNode: (id) => nodes.knownNode(id),
    controlAddress: (node) => options.controlAddress(node),
  });
  const events = new EventService(options.events, watchers);
  return {
    listNodes: (request) => nodes.listNodes(request),
    getNode: (request) => nodes.getNode(request),
    drainNode: (request, call) => decided.changeNode(request, call, { draining: true }),
    undrainNode: (request, call) => decided.changeNode(request, call, { draining: false }),
    cordonNode: (request, call) => decided.changeNode(request, call, { cordoned: true }),
    uncordonNode: (request, call) => decided.changeNode(request, call, { cordoned: false }),
    listModels: (request) => nodes.listModels(request),
    getModel: (request) => nodes.getModel(request),
    pinModel: (request, call) => decided.pinModel(request, call),
    unpinModel: (request, call) => decided.unpinModel(request, call),
    listPins: (request, call) => decided.listPins(request, call),
    loadModel: (request, call) => options.models.load(named(request), call),
    unloadModel: (request, call) => options.models.unload(named(request), call),
    getGpu: (request, call) => options.gpus.get(request, call),
    clearGpu: (request, call) => options.gpus.clear(request, call),
    setPolicy: (request, call) => decided.setPolicy(request, call),
    getPolicy: (request, call) => decided.getPolicy(request, call),
    deletePolicy: (request, call) => decided.deletePolicy(request, call),
    listPolicies: (request, call) => decided.listPolicies(request, call),
    applyPolicies: (request, call) => decided.applyPolicies(request, call),
    subscribeEvents: (request, call) => events.subscribeEvents(request, call),
    explainRoute: async (request) => (options.explain ?? onlyRouters)(request),
    forgetRates: async (request) => ({ forgotten: (options.forgetRates ?? onlyRouters)(request) }),
    getRecommendations: async ({ model }) =>
      recommendationsIn((options.advice ?? onlyRouters)(), model, () => nodes.known().models),
    getStoreStatus: () => store.getStoreStatus(),
    addControlMember: (request, call) => store.addControlMember(request, call),
    removeControlMember: (request, call) => store.removeControlMember(request, call),
    transferLeadership: (request, call) => store.transferLeadership(request, call),
    saveSnapshot: (request, call) => store.saveSnapshot(request, call),
    restoreSnapshot: (request, call) => store.restoreSnapshot(request, call),
  };
}

function named<T extends { readonly model: string }>(request: T): T {
  if (request.model !== "") return request;
  throw new MeshError("bad_request", "model is missing; expected a model's name", { param: "model" });
}

function withoutStore(): never {
  throw new MeshError(
    "starting",
    "this process has no policies: it is starting, has found no control node yet, or was started with --control off",
  );
}

function onlyRouters(): never {
  throw new MeshError("not_supported", "an agent chooses no nodes; ask a router's --api port");
}
