/**
 * Loading and unloading of models, wherever the call came in: at the node that is meant by its own runtime, at any other
 * through the mesh (mesh/calls.ts). Only these two methods travel so. Wiring only.
 */
import type { ModelLoader } from "./admin/control-plane.ts";
import { MeshError } from "./base/errors.ts";
import { didYouMean } from "./base/nearest.ts";
import { SCHEMA } from "./gen/services.js";
import type { Init, LoadModelRequest, LoadModelResponse, UnloadModelRequest } from "./gen/services.js";
import { joined, type MeshNode } from "./mesh/node-membership.ts";
import { decodeMessage } from "./wire/proto-reader.ts";
import { ProtoTypes } from "./wire/proto-schema.ts";
import { encodeMessage } from "./wire/proto-writer.ts";

export interface LocalRuntime {
  load(model: string, signal: AbortSignal): Promise<{ readonly changed: boolean; readonly models: readonly string[] }>;
  unload(
    model: string,
    drainMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly changed: boolean; readonly models: readonly string[] }>;
}

export interface ModelCallsOptions {
  /** This process, in the mesh. */
  readonly id: () => string;
  readonly node: () => MeshNode | null;
  /** Null where this process serves no models. */
  readonly runtime: LocalRuntime | null;
}

const PACKAGE = "infermesh.control.v1";
const LOAD = `/${PACKAGE}.ControlPlane/LoadModel`;
const UNLOAD = `/${PACKAGE}.ControlPlane/UnloadModel`;
/** For a caller without a deadline: large models take minutes to load. */
const TIMEOUT_MS = 600_000;
/** For who asks without saying how long requests may go on. */
const DRAIN_MS = 60_000;

const types = new ProtoTypes(SCHEMA);
const REQUESTS = {
  [LOAD]: types.message(`${PACKAGE}.LoadModelRequest`),
  [UNLOAD]: types.message(`${PACKAGE}.UnloadModelRequest`),
};
const RESPONSE = types.message(`${PACKAGE}.LoadModelResponse`);
type Path = keyof typeof REQUESTS;
type Call = Parameters<ModelLoader["load"]>[1];
type Answer = Promise<Init<LoadModelResponse>>;

export function modelCalls(options: ModelCallsOptions): ModelLoader {
  const run = async (path: Path, request: LoadModelRequest | UnloadModelRequest, call: Call): Answer => {
    drainIn(request);
    const node = request.node === "" ? options.id() : request.node;
    if (node !== options.id()) return forward(options, path, { ...request, node }, call);
    return here(options, path, request, call.signal);
  };
  return {
    load: (request, call) => run(LOAD, request, call),
    unload: (request, call) => run(UNLOAD, request, call),
  };
}

/** Answers other members' calls, once the node is in the mesh. */
export function serveModelCalls(options: ModelCallsOptions): void {
  joined(options.node()).calls.serve(async (path, bytes) => {
    if (path !== LOAD && path !== UNLOAD) throw new MeshError("not_supported", `${path} is not served to members`);
    const request = decodeMessage(REQUESTS[path], bytes);
    if ("bad" in request) throw new MeshError("bad_request", request.bad);
    const told = request.message as unknown as LoadModelRequest;
    return encodeMessage(RESPONSE, await here(options, path, told, AbortSignal.timeout(TIMEOUT_MS)));
  });
}

async function here(
  { id: ownId, runtime }: ModelCallsOptions,
  path: string,
  request: LoadModelRequest | UnloadModelRequest,
  signal: AbortSignal,
): Answer {
  const id = ownId();
  if (runtime === null) {
    throw new MeshError("not_supported", `${id} is a router, which serves no models; name a node (node: ID)`);
  }
  const { model } = request;
  const drainMs = drainIn(request);
  const change = path === LOAD ? runtime.load(model, signal) : runtime.unload(model, drainMs, signal);
  return { node: id, model, ...(await change) };
}

/** How long requests may go on: within the time that the whole call has. */
function drainIn(request: LoadModelRequest | UnloadModelRequest): number {
  const drainMs = ("drainMs" in request ? request.drainMs : undefined) ?? DRAIN_MS;
  if (drainMs >= 0 && drainMs < TIMEOUT_MS) return drainMs;
  throw new MeshError("bad_request", `drainMs is ${drainMs}; expected 0 to ${TIMEOUT_MS - 1}`, { param: "drainMs" });
}

async function forward(options: ModelCallsOptions, path: Path, request: object, call: Call): Answer {
  const { membership, calls } = joined(options.node());
  const { node } = request as { node: string };
  if (membership.member(node) === undefined) {
    const hint = didYouMean(
      node,
      membership.members().map(({ id }) => id),
    );
    throw new MeshError(
      "not_found",
      `there is no node ${JSON.stringify(node.slice(0, 128))} in the mesh${hint && `; ${hint}`}`,
    );
  }
  const leftMs = Math.min(TIMEOUT_MS, call.deadlineMs - performance.now());
  const answer = await calls.ask(node, path, encodeMessage(REQUESTS[path], request), Math.max(1, leftMs));
  const response = decodeMessage(RESPONSE, answer);
  if ("bad" in response) throw new MeshError("upstream_failed", `the answer of ${node} can't be read: ${response.bad}`);
  return response.message;
}
