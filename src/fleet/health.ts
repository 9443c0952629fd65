/** A target's health by its polls and its own word: failures in a row, what a success brings, and what is worth telling of either. */
import type { NodeSample } from "../score/sample.ts";
import type { FleetEvent } from "./event.ts";
import type { Target } from "./target.ts";

type Field = "state" | "failuresInRow" | "lastError" | "lastSample" | "sampledAtMs" | "rttMs";
/** What polls change of a target. */
export type Health = { -readonly [K in Field]: Target[K] };
type News = Pick<FleetEvent, "kind" | "cause">;

/** A poll was answered, perhaps with a sample of that time. */
export function succeeded(health: Health, sample: NodeSample | null, rttMs: number, sampledAtMs: number): News[] {
  const missed = health.failuresInRow;
  const news: News[] = [];
  health.failuresInRow = 0;
  health.lastError = "";
  if (health.state === "unhealthy") {
    health.state = "unknown";
    news.push({ kind: "healthy", cause: `answers again after ${missed} failed polls` });
  }
  return [...news, ...sampled(health, sample ?? undefined, rttMs, sampledAtMs)];
}

/**
 * The node told of itself, or an answer did (undefined: it told nothing but that it lives). One that polls don't reach
 * stays unhealthy all the same: that it can reach us does not say that we can reach it.
 */
export function sampled(
  health: Health,
  sample: NodeSample | undefined,
  rttMs: number | undefined,
  sampledAtMs: number,
): News[] {
  const before = health.state;
  const wasReady = health.lastSample?.ready ?? true;
  if (rttMs !== undefined) health.rttMs = rttMs;
  if (sample !== undefined) {
    health.lastSample = sample;
    health.sampledAtMs = sampledAtMs;
  }
  if (before === "unhealthy") return [];
  health.state = health.lastSample?.draining === true ? "draining" : "healthy";
  if (health.state === "draining" && before !== "draining") return [{ kind: "updated", cause: "draining" }];
  if (before === "draining" && health.state === "healthy") return [{ kind: "updated", cause: "no longer draining" }];
  if (sample === undefined || sample.ready === wasReady) return [];
  return [{ kind: "updated", cause: sample.ready ? "ready" : "not ready" }];
}

/** A poll failed. */
export function failed(health: Health, error: string, unhealthyAfter: number): News[] {
  health.failuresInRow++;
  health.lastError = error;
  if (health.failuresInRow < unhealthyAfter || health.state === "unhealthy") return [];
  health.state = "unhealthy";
  return [{ kind: "unhealthy", cause: failures(health) }];
}

/** Why it is held for lost, in words. */
export function failures({ failuresInRow, lastError }: Health): string {
  return `${failuresInRow} failed polls in a row, the last: ${lastError}`;
}
