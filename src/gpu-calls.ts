/**
 * GetGpu and ClearGpu, wherever the call came in: the agent of the GPU's node answers. Who is asked without a node looks
 * for it: a router in the states that it hears, an agent among its own GPUs, then both in the mesh. Where a router can't
 * reach the agent it tells what it knows itself, and says so. Wiring only.
 */
import type { GpuAccess } from "./admin/control-plane.ts";
import { gpuJson } from "./admin/gpu-api.ts";
import { MeshError, toMeshError } from "./base/errors.ts";
import { onePerNode, type Target } from "./fleet/target.ts";
import type {
  ClearedGpu,
  ClearGpuRequest,
  ClearGpuResponse,
  GetGpuRequest,
  GetGpuResponse,
  Init,
} from "./gen/services.js";
import type { GpuWatch, WatchedReading } from "./gpu/watch.ts";
import { findGpu, soon } from "./gpu-search.ts";
import { GPU_NAME_LENGTH_MAX, gpuAndNode, matchGpu, type NamedGpu } from "./health/gpu-name.ts";
import type { HealthReason } from "./health/verdict.ts";
import { joined, type MeshNode } from "./mesh/node-membership.ts";
import type { Tell } from "./news.ts";
import { knownMember, NodeCall, type ServedCall } from "./node-calls.ts";
import type { GpuSample } from "./score/sample.ts";

export interface GpuCallsOptions {
  /** This process, in the mesh. */
  readonly id: () => string;
  readonly node: () => MeshNode | null;
  /** An agent's. */
  readonly gpus?: Pick<GpuWatch, "all" | "clear" | "foresee">;
  /** A router's. */
  readonly targets?: () => readonly Target[];
  /** What is ended by hand is told there. */
  readonly tell?: Tell;
}

/** For another process to answer on a member's behalf: less than a search gives to a router. */
const BEHALF_MS = 1000;
const NAMED_MAX = 8;

const GET = new NodeCall<GetGpuRequest, GetGpuResponse>("GetGpu");
const CLEAR = new NodeCall<ClearGpuRequest, ClearGpuResponse>("ClearGpu");

interface Wanted {
  readonly gpu: string;
  readonly node: string;
}

/** A GPU of a router's target. */
interface FleetGpu extends NamedGpu {
  readonly node: string;
  readonly sample: GpuSample;
}

interface OwnGpu extends NamedGpu {
  readonly known: WatchedReading;
}

export function gpuCalls(options: GpuCallsOptions): GpuAccess {
  return {
    get: async (request, { deadlineMs }) => get(options, wantedIn(request), soon(deadlineMs), true),
    async clear(request, { deadlineMs }) {
      const wanted = wantedIn(request);
      if (wanted.node === "" || wanted.node === options.id()) return clearHere(options, wanted.gpu, request.dryRun);
      const mesh = joined(options.node());
      knownMember(mesh, wanted.node);
      return CLEAR.askedOf(wanted.node, { ...request, ...wanted }, mesh, soon(deadlineMs));
    },
  };
}

/** What other members may ask for. An agent answers for itself alone, so that no question goes round. */
export function servedGpuCalls(options: GpuCallsOptions): readonly ServedCall[] {
  return [
    GET.servedBy(async (request) => {
      const wanted = wantedIn(request);
      if (options.gpus !== undefined) return getHere(options, wanted.gpu);
      return get(options, wanted, performance.now() + BEHALF_MS, false);
    }),
    CLEAR.servedBy(async (request) => clearHere(options, wantedIn(request).gpu, request.dryRun)),
  ];
}

/** `gpu` may say the node too. */
function wantedIn(request: { readonly node: string; readonly gpu: string }): Wanted {
  if (request.gpu.length > GPU_NAME_LENGTH_MAX) {
    const found = `gpu has ${request.gpu.length} characters; expected at most ${GPU_NAME_LENGTH_MAX}`;
    throw new MeshError("bad_request", found, { param: "gpu" });
  }
  const { gpu, node } = gpuAndNode(request.gpu);
  // A script whose variable is empty must not mean all GPUs, nor whoever is asked.
  if (request.gpu.includes("@") && (gpu === "" || node === "")) {
    throw new MeshError("bad_request", `gpu is "${request.gpu}"; expected INDEX@NODE with both`, { param: "gpu" });
  }
  if (node !== "" && request.node !== "" && node !== request.node) {
    const found = `gpu is of ${node}, and node says ${request.node.slice(0, 128)}; say one of them`;
    throw new MeshError("bad_request", found, { param: "gpu" });
  }
  return { gpu, node: request.node === "" ? node : request.node };
}

/** `isFirst`: nobody else asked this process, so it may look for the GPU elsewhere. */
async function get(
  options: GpuCallsOptions,
  wanted: Wanted,
  deadlineMs: number,
  isFirst: boolean,
): Promise<Init<GetGpuResponse>> {
  const { gpu, node } = wanted;
  if (gpu === "") {
    throw new MeshError("bad_request", "gpu is missing; expected INDEX@NODE, a UUID or its beginning", {
      param: "gpu",
    });
  }
  if (node === options.id()) return getHere(options, gpu);
  if (node !== "") return getThere(options, { gpu, node }, deadlineMs);
  if (options.targets !== undefined) {
    const fleet = fleetGpus(options.targets());
    const found = orError(() => theOne(gpu, fleet, ({ index, node: at }) => `${index}@${at}`, "here"));
    if (found instanceof MeshError) {
      if (found.code !== "not_found" || !isFirst) throw found;
      return search(options, gpu, deadlineMs, found);
    }
    return getThere(
      options,
      { gpu: found.uuid === "" ? String(found.index) : found.uuid, node: found.node },
      deadlineMs,
    );
  }
  if (matchGpu(gpu, ownGpus(options)).kind !== "none") return getHere(options, gpu);
  return search(options, gpu, deadlineMs, undefined);
}

function orError<T>(work: () => T): T | MeshError {
  try {
    return work();
  } catch (error) {
    return toMeshError(error);
  }
}

function getHere(options: GpuCallsOptions, gpu: string): Init<GetGpuResponse> {
  const node = options.id();
  const { known } = theOne(gpu, ownGpus(options), ({ index, uuid }) => `${index} (${uuid})`, `at ${node}`);
  return { node, gpu: JSON.stringify(gpuJson(known, node)) };
}

async function getThere(options: GpuCallsOptions, wanted: Wanted, deadlineMs: number): Promise<Init<GetGpuResponse>> {
  // As of now: a node that does not answer may be none of the fleet's any more when that is certain.
  const known = fleetGpus((options.targets?.() ?? []).filter(({ node }) => node === wanted.node));
  try {
    const mesh = joined(options.node());
    knownMember(mesh, wanted.node);
    return await GET.askedOf(wanted.node, wanted, mesh, deadlineMs);
  } catch (error) {
    const match = matchGpu(wanted.gpu, known);
    if (match.kind !== "one") throw error;
    const { node, sample } = match.gpu;
    const partial = `only what ${options.id()} knows of it: ${toMeshError(error).message}`;
    return { node, gpu: JSON.stringify(sampledJson(sample, node)), partial };
  }
}

/** Wherever it is in the mesh; `missing` says that it is not here, which holds where nobody else knows better. */
async function search(
  options: GpuCallsOptions,
  gpu: string,
  deadlineMs: number,
  missing: MeshError | undefined,
): Promise<Init<GetGpuResponse>> {
  const mesh = options.node();
  const heard = new Set(fleetGpus(options.targets?.() ?? []).map(({ node }) => node));
  const isKnown = (node: string): boolean => heard.has(node);
  const found = mesh === null ? undefined : await findGpu({ gpu, mesh: joined(mesh), call: GET, deadlineMs, isKnown });
  if (found !== undefined && !(found instanceof MeshError)) return found;
  const told = missing ?? found;
  if (told !== undefined) throw told;
  const shown = JSON.stringify(gpu.slice(0, 128));
  const why = `there is no GPU ${shown} at ${options.id()}, and no router in the mesh that knows those of other nodes`;
  throw new MeshError("not_found", `${why}; say INDEX@NODE`);
}

/** The GPU that is meant; throws a MeshError that tells which there are where it is none, or several. */
function theOne<T extends NamedGpu>(word: string, gpus: readonly T[], name: (gpu: T) => string, where: string): T {
  const match = matchGpu(word, gpus);
  if (match.kind === "one") return match.gpu;
  const shown = JSON.stringify(word.slice(0, 128));
  const listed = (some: readonly T[]): string => {
    const names = some.slice(0, NAMED_MAX).map(name).join(", ");
    return some.length > NAMED_MAX ? `${names} and ${some.length - NAMED_MAX} more` : names;
  };
  if (match.kind === "several") {
    throw new MeshError("bad_request", `${shown} may be ${listed(match.gpus)}; say which`, { param: "gpu" });
  }
  const there = gpus.length === 0 ? "; there is none" : `; there are ${listed(gpus)}`;
  const hint = match.near === undefined ? there : `; did you mean ${match.near}?`;
  throw new MeshError("not_found", `there is no GPU ${shown} ${where}${hint}`);
}

function ownGpus({ id, gpus }: GpuCallsOptions): readonly OwnGpu[] {
  if (gpus === undefined) {
    throw new MeshError("not_supported", `${id()} is a router, which has no GPUs; name a node (node: ID)`);
  }
  return gpus.all.map((known) => ({
    known,
    index: known.reading.identity.index,
    uuid: known.reading.uuid,
    slices: (known.reading.load?.slices ?? []).map(({ uuid }) => uuid),
  }));
}

function fleetGpus(targets: readonly Target[]): readonly FleetGpu[] {
  return onePerNode(targets).flatMap(({ node, lastSample }) => {
    const gpus = lastSample?.gpus ?? [];
    return gpus.flatMap((sample) => {
      if (sample.migProfile !== undefined) return [];
      const slices = gpus.filter(({ index, migProfile }) => index === sample.index && migProfile !== undefined);
      const { index, uuid } = sample;
      return [{ node, index, uuid, slices: slices.map((slice) => slice.uuid), sample }];
    });
  });
}

/** As its agent would tell it, as far as a router knows. */
function sampledJson(sample: GpuSample, node: string): object {
  const { index, uuid, name, models, health, healthReason, healthSinceMs, memoryTotalBytes } = sample;
  const { utilization, memoryUsedBytes, powerWatts, powerLimitWatts, temperatureCelsius, throttleReasons } = sample;
  const isIll = health === "degraded" || health === "quarantined";
  const reason = { text: healthReason, severity: health, sinceMs: healthSinceMs };
  return {
    uuid,
    node,
    index,
    name,
    health,
    healthSinceMs,
    reasons: isIll && healthReason !== undefined ? [reason] : [],
    isFresh: false,
    models,
    identity: { index, name, memoryTotalBytes },
    load: { utilization, memoryUsedBytes, powerWatts, powerLimitWatts, temperatureCelsius, throttleReasons },
  };
}

function clearHere(options: GpuCallsOptions, gpu: string, dryRun: boolean): Init<ClearGpuResponse> {
  const node = options.id();
  const own = ownGpus(options);
  const meant = gpu === "" ? own : [theOne(gpu, own, ({ index, uuid }) => `${index} (${uuid})`, `at ${node}`)];
  const cleared = new Set(dryRun ? [] : options.gpus?.clear(gpu === "" ? undefined : meant[0]?.uuid));
  const after = new Map(ownGpus(options).map((one) => [one.uuid, one.known]));
  const told = meant.map(({ known }) => {
    const { uuid } = known.reading;
    return dryRun ? foreseen(options, known) : clearedGpu(known, cleared.has(uuid) ? after.get(uuid) : known);
  });
  const gpus = told.filter((one) => isCleared(one) || one.health !== "healthy");
  for (const one of dryRun ? [] : gpus.filter(isCleared)) {
    const what = one.forgotten === true ? "it was lost, and is not looked for any more" : (one.ended ?? []).join("; ");
    const labels = { node, gpu: one.uuid ?? "" };
    options.tell?.({ type: "gpu.cleared", id: one.uuid ?? "", cause: `ended by hand: ${what}`, labels });
  }
  return { node, gpus, changed: gpus.some(isCleared), dryRun };
}

function isCleared({ ended = [], forgotten = false }: Init<ClearedGpu>): boolean {
  return forgotten || ended.length > 0;
}

/** What it would come to, as far as can be told before: a rule that would find the same anew is not asked. */
function foreseen({ gpus }: GpuCallsOptions, known: WatchedReading): Init<ClearedGpu> {
  const after = gpus?.foresee(known.reading.uuid);
  if (after === undefined) return clearedGpu(known, undefined);
  const { reasons } = after;
  return clearedGpu(known, {
    ...known,
    verdict: { ...known.verdict, reasons, health: reasons[0]?.severity ?? "healthy" },
  });
}

/** `after`: undefined for one that is not there any more. */
function clearedGpu(before: WatchedReading, after: WatchedReading | undefined): Init<ClearedGpu> {
  const { uuid, identity } = before.reading;
  const left = after?.verdict.reasons ?? [];
  const key = ({ rule, text }: HealthReason): string => `${rule} ${text}`;
  const isLeft = new Set(left.map(key));
  return {
    uuid,
    index: identity.index,
    name: identity.name,
    ended: before.verdict.reasons.filter((reason) => !isLeft.has(key(reason))).map(({ text }) => text),
    forgotten: after === undefined,
    health: after?.verdict.health ?? "healthy",
    remaining: left.map(({ text }) => text),
  };
}
