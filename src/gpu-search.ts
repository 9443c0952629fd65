/**
 * Which node has a GPU of that name, where who is asked doesn't know: the nearest routers, which hear of the GPUs of many
 * nodes, and then the agents, each of its own. A router may not have heard of a node yet, and an older one may not be able
 * to answer: that ends no search, nor does one that hangs, for each has but a part of the time. Nobody who is asked by a
 * member asks on, so that no question goes round.
 */
import { MeshError, toMeshError } from "./base/errors.ts";
import type { GetGpuRequest, GetGpuResponse, Init } from "./gen/services.js";
import type { MeshNode } from "./mesh/node-membership.ts";
import type { NodeCall } from "./node-calls.ts";
import { decodeMeta } from "./swim/meta.ts";

/** For another process to answer; nothing of this takes long. */
const ANSWER_MS = 5000;
const ROUTERS_ASKED_MAX = 3;
const AGENTS_ASKED_MAX = 64;

interface Search {
  readonly gpu: string;
  readonly mesh: MeshNode;
  readonly call: NodeCall<GetGpuRequest, GetGpuResponse>;
  readonly deadlineMs: number;
  /** Whose GPUs have been looked through, besides this process's own. */
  readonly isKnown: (node: string) => boolean;
}

type Answer = Init<GetGpuResponse>;

/** Until when others are waited for. The rest of the caller's time is for telling him what is known here. */
export function soon(deadlineMs: number): number {
  const nowMs = performance.now();
  return nowMs + Math.min(ANSWER_MS, 0.8 * (deadlineMs - nowMs));
}

/** The answer of its node, or of a router; else the error that tells most of why there is none, undefined where nobody was asked. */
export async function findGpu(search: Search): Promise<Answer | MeshError | undefined> {
  let missing: MeshError | undefined;
  let failed: MeshError | undefined;
  const missed = (error: unknown): void => {
    const told = toMeshError(error);
    // It may be several: no other node knows better which is meant.
    if (told.code === "bad_request") throw told;
    if (told.code === "not_found") missing ??= told;
    else if (told.code !== "not_supported") failed ??= told;
  };
  const routers = nearest(search, "router").slice(0, ROUTERS_ASKED_MAX);
  for (const [at, router] of routers.entries()) {
    const nowMs = performance.now();
    // One part for each router that is left, and one for the agents.
    const shareMs = (search.deadlineMs - nowMs) / (routers.length - at + 1);
    try {
      return await ask({ ...search, deadlineMs: nowMs + shareMs }, router);
    } catch (error) {
      missed(error);
    }
  }
  const agents = nearest(search, "agent").filter((id) => !search.isKnown(id));
  const told = await Promise.allSettled(agents.slice(0, AGENTS_ASKED_MAX).map((id) => ask(search, id)));
  const found = told.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  if (found.length > 1) throw ambiguous(search.gpu, found);
  if (found[0] !== undefined) return found[0];
  // What one agent says of its own GPUs alone says little of the mesh's.
  const fromRouters = missing;
  for (const one of told) if (one.status === "rejected") missed(one.reason);
  return fromRouters ?? failed;
}

function ask({ call, mesh, gpu, deadlineMs }: Search, id: string): Promise<Answer> {
  return call.askedOf(id, { gpu }, mesh, deadlineMs);
}

function nearest({ mesh: { membership } }: Search, role: "agent" | "router"): string[] {
  const members = membership.members().filter(({ id, status, meta }) => {
    return id !== membership.id && status === "alive" && decodeMeta(meta)?.role === role;
  });
  return members.toSorted((a, b) => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity)).map(({ id }) => id);
}

function ambiguous(gpu: string, found: readonly Answer[]): MeshError {
  const nodes = found.map(({ node }) => node).join(", ");
  return new MeshError("bad_request", `${JSON.stringify(gpu.slice(0, 128))} may be of ${nodes}; say which`, {
    param: "gpu",
  });
}
