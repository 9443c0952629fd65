/**
 * An agent's GPUs in its JSON API: all that is read of each, what the rules of health make of it, whether its source
 * answers, and what runs on it. What is not known is left out. Described in docs/api.md.
 */
import type { Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import type { GpuReading } from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";
import type { Verdict } from "../health/verdict.ts";
import { allowOnly } from "./app.ts";

/** One GPU, as what watches it knows it. */
export interface KnownGpu {
  readonly reading: GpuReading;
  /** By the clock of `performance.now()`. */
  readonly verdict: Verdict;
  readonly source: SourceState;
  /** The figures are of now. */
  readonly isFresh: boolean;
  readonly runtimes: readonly string[];
  readonly models: readonly string[];
}

export interface GpuView {
  /** The node's id. */
  readonly node: string;
  all(): readonly KnownGpu[];
  /** Of everything that reads GPUs, also of what finds none. */
  states(): readonly SourceState[];
}

export function gpuRoutes(app: Hono, view: GpuView): void {
  app.get("/gpus", (c) =>
    c.json({ node: view.node, sources: view.states(), gpus: view.all().map((gpu) => gpuJson(gpu, view.node)) }),
  );
  app.get("/gpus/:uuid{.+}", (c) => {
    const uuid = c.req.param("uuid");
    const gpu = view.all().find(({ reading }) => isNamed(reading, uuid));
    if (gpu === undefined) throw noSuchGpu(uuid);
    return c.json(gpuJson(gpu, view.node));
  });
  const read = "GET, HEAD";
  allowOnly(app, { "/gpus": read, "/gpus/*": read });
}

export function noSuchGpu(uuid: string): MeshError {
  return new MeshError(
    "not_found",
    `there is no GPU ${JSON.stringify(uuid.slice(0, 128))}; GET /gpus lists those there are`,
  );
}

/** By its own name, or by that of one of its MIG devices. */
function isNamed({ uuid, load }: GpuReading, name: string): boolean {
  return uuid === name || (load?.slices ?? []).some((slice) => slice.uuid === name);
}

/** As documented; also what GetGpu tells. */
export function gpuJson({ reading, verdict, source, isFresh, runtimes, models }: KnownGpu, node: string): object {
  const { uuid, identity, load, traffic, wear } = reading;
  return {
    uuid,
    node,
    index: identity.index,
    name: identity.name,
    health: verdict.health,
    healthSinceMs: unixOf(verdict.sinceMs),
    reasons: verdict.reasons.map((reason) => ({ ...reason, sinceMs: unixOf(reason.sinceMs) })),
    isFresh,
    runtimes,
    models,
    source,
    identity,
    load,
    traffic,
    wear,
  };
}

function unixOf(atMs: number): number {
  return Math.round(Date.now() - (performance.now() - atMs));
}
