/** Loading and unloading of models, wherever the call came in, by the runtime of the node that is meant. Wiring only. */
import type { ModelLoader } from "./admin/control-plane.ts";
import { MeshError } from "./base/errors.ts";
import type { Init, LoadModelRequest, LoadModelResponse, UnloadModelRequest } from "./gen/services.js";
import { joined, type MeshNode } from "./mesh/node-membership.ts";
import type { ModelChange } from "./telemetry/runtime.ts";
import { knownMember, NodeCall, type ServedCall, TIMEOUT_MS } from "./node-calls.ts";

/** Which runtime of the node, "" for whichever has it; and for loading from where, and what it adapts. */
export interface LoadWish {
  readonly runtime: string;
  readonly source: string;
  readonly parent: string;
}

export interface LocalRuntime {
  load(model: string, signal: AbortSignal, wish: LoadWish): Promise<ModelChange>;
  unload(model: string, drainMs: number, signal: AbortSignal, runtime: string): Promise<ModelChange>;
}

export interface ModelCallsOptions {
  /** This process, in the mesh. */
  readonly id: () => string;
  readonly node: () => MeshNode | null;
  /** Null where this process serves no models. */
  readonly runtime: LocalRuntime | null;
}

/** For who asks without saying how long requests may go on. */
const DRAIN_MS = 60_000;

const LOAD = new NodeCall<LoadModelRequest, LoadModelResponse>("LoadModel");
const UNLOAD = new NodeCall<UnloadModelRequest, LoadModelResponse>("UnloadModel");

type Answer = Promise<Init<LoadModelResponse>>;

export function modelCalls(options: ModelCallsOptions): ModelLoader {
  return {
    async load(request, { signal, deadlineMs }) {
      const node = elsewhere(options, request.node);
      return node === undefined
        ? loadHere(options, request, signal)
        : LOAD.askedOf(node, { ...request, node }, meshWith(options, node), deadlineMs);
    },
    async unload(request, { signal, deadlineMs }) {
      drainIn(request);
      const node = elsewhere(options, request.node);
      return node === undefined
        ? unloadHere(options, request, signal)
        : UNLOAD.askedOf(node, { ...request, node }, meshWith(options, node), deadlineMs);
    },
  };
}

/** What other members may ask for. */
export function servedModelCalls(options: ModelCallsOptions): readonly ServedCall[] {
  return [
    LOAD.servedBy((request, signal) => loadHere(options, request, signal)),
    UNLOAD.servedBy((request, signal) => unloadHere(options, request, signal)),
  ];
}

/** The node that is meant; undefined where that is this process. */
function elsewhere({ id }: ModelCallsOptions, node: string): string | undefined {
  return node === "" || node === id() ? undefined : node;
}

function meshWith(options: ModelCallsOptions, node: string): MeshNode {
  const mesh = joined(options.node());
  knownMember(mesh, node);
  return mesh;
}

async function loadHere(options: ModelCallsOptions, request: LoadModelRequest, signal: AbortSignal): Answer {
  const { model, source, parent, runtime } = request;
  const change = await runtimeOf(options).load(model, signal, { source, parent, runtime });
  return { node: options.id(), model, ...change };
}

async function unloadHere(options: ModelCallsOptions, request: UnloadModelRequest, signal: AbortSignal): Answer {
  const { model, runtime } = request;
  const change = await runtimeOf(options).unload(model, drainIn(request), signal, runtime);
  return { node: options.id(), model, ...change };
}

function runtimeOf({ id, runtime }: ModelCallsOptions): LocalRuntime {
  if (runtime !== null) return runtime;
  throw new MeshError("not_supported", `${id()} is a router, which serves no models; name a node (node: ID)`);
}

/** How long requests may go on: within the time that the whole call has. */
function drainIn({ drainMs = DRAIN_MS }: UnloadModelRequest): number {
  if (drainMs >= 0 && drainMs < TIMEOUT_MS) return drainMs;
  throw new MeshError("bad_request", `drainMs is ${drainMs}; expected 0 to ${TIMEOUT_MS - 1}`, { param: "drainMs" });
}
