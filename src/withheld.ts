/**
 * Runtimes that would serve, and are to get no requests all the same: those on a quarantined GPU, and the one whose process
 * the agent runs while that process is not ready.
 */
import type { ExecPlane } from "./exec-plane.ts";
import type { GpuWatch } from "./gpu/watch.ts";
import type { ServedPlace } from "./served-places.ts";

/** Why a runtime is to get none, by its name; "" for one that may get some. */
export type WhyNot = (runtime: string) => string;

/** A reason travels among the words of the node's state, which have so many characters. */
const WORDS_MAX = 240;
const NOT_READY = "the process that the agent runs for it is not ready";

/** `started`: the runtime of the agent's process; undefined where that stands for all of them. */
export function whyWithheld(
  watch: Pick<GpuWatch, "quarantines">,
  exec: Pick<ExecPlane, "isReady"> | null,
  started: string | undefined,
): WhyNot {
  return (runtime) => {
    const reason = watch.quarantines.get(runtime)?.reason;
    if (reason !== undefined) return reason.length > WORDS_MAX ? `${reason.slice(0, WORDS_MAX - 3)}...` : reason;
    return exec?.isReady === false && (started ?? runtime) === runtime ? NOT_READY : "";
  };
}

/** Places as the mesh is told of them before there is a state. */
export function withheldPlaces(places: readonly ServedPlace[], whyNot: WhyNot): readonly ServedPlace[] {
  return places.map((place) => (place.ready && whyNot(place.runtime) !== "" ? { ...place, ready: false } : place));
}

/** The process that the agent started, for GPUs to be tied by it. */
export function startedBy(
  exec: Pick<ExecPlane, "summary"> | null,
  runtime: string | undefined,
): { readonly runtime: string; readonly pid: number } | undefined {
  const pid = exec?.summary.pid ?? null;
  return pid === null || runtime === undefined ? undefined : { runtime, pid };
}
