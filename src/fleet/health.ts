/** A target's health by its polls and its own word: failures in a row, what a success brings, and what is worth telling of either. */
import type { NodeSample } from "../score/sample.ts";
import type { FleetEvent } from "./event.ts";
import type { Target } from "./target.ts";

type Field = "state" | "failuresInRow" | "lastError" | "lastSample" | "sampledAtMs" | "rttMs";
/** What polls change of a target. */
export type Health = { -readonly [K in Field]: Target[K] };
type News = Pick<FleetEvent, "kind" | "cause">;

/** A poll was answered, or the node told of itself. */
export function succeeded(
  health: Health,
  sample: NodeSample | null,
  rttMs: number | undefined,
  sampledAtMs: number,
): News[] {
  const before = health.state;
  const wasReady = health.lastSample?.ready ?? true;
  const missed = health.failuresInRow;
  health.failuresInRow = 0;
  health.lastError = "";
  if (rttMs !== undefined) health.rttMs = rttMs;
  if (sample !== null) {
    health.lastSample = sample;
    health.sampledAtMs = sampledAtMs;
  }
  health.state = sample?.draining === true ? "draining" : "healthy";
  const news: News[] = [];
  if (before === "unhealthy") news.push({ kind: "healthy", cause: `answers again after ${missed} failed polls` });
  if (health.state === "draining" && before !== "draining") news.push({ kind: "updated", cause: "draining" });
  else if (before === "draining" && health.state === "healthy") {
    news.push({ kind: "updated", cause: "no longer draining" });
  } else if (sample !== null && sample.ready !== wasReady) {
    news.push({ kind: "updated", cause: sample.ready ? "ready" : "not ready" });
  }
  return news;
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
