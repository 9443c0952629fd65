/** The metrics of what happens when targets fail or are full, and of the cache: what the workers count once. */
import type { Exposition } from "./exposition.ts";
import { addLateMetrics, type LateFigures, type LatePlaces } from "./late-metrics.ts";
import { ROUTER_METRICS } from "./metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

export function addFlowMetrics(to: Exposition, stats: WorkerStats, places: LatePlaces, late: () => LateFigures): void {
  to.addOne(ROUTER_METRICS.retries, () => stats.retries());
  to.addOne(ROUTER_METRICS.hedges, () => stats.hedges());
  to.addOne(ROUTER_METRICS.hedgesWon, () => stats.count("hedgesWon"));
  to.addOne(ROUTER_METRICS.hedgeWaste, () => stats.count("hedgeWaste"));
  to.add(ROUTER_METRICS.shadows, () => [
    [{ result: "sent" }, stats.count("shadowsSent")],
    [{ result: "skipped" }, stats.count("shadowsSkipped")],
    [{ result: "failed" }, stats.count("shadowsFailed")],
  ]);
  to.add(ROUTER_METRICS.modules, () => [
    [{ result: "threw" }, stats.count("moduleThrew")],
    [{ result: "slow" }, stats.count("moduleSlow")],
    [{ result: "invalid" }, stats.count("moduleInvalid")],
    [{ result: "agreed" }, stats.count("moduleAgreed")],
    [{ result: "differed" }, stats.count("moduleDiffered")],
  ]);
  to.addOne(ROUTER_METRICS.fallbacks, () => stats.count("fallbacks"));
  to.addOne(ROUTER_METRICS.waiting, () => stats.count("waiting"));
  to.addOne(ROUTER_METRICS.queued, () => stats.count("queued"));
  to.add(ROUTER_METRICS.turnedAway, () => [
    [{ reason: "refused" }, stats.count("refused")],
    [{ reason: "pushed-out" }, stats.count("pushedOut")],
    [{ reason: "expired" }, stats.count("expired")],
  ]);
  to.addOne(ROUTER_METRICS.breakerOpenings, () => stats.count("breakerOpenings"));
  to.add(ROUTER_METRICS.cacheRequests, () => [
    [{ result: "hit" }, stats.count("cacheHits")],
    [{ result: "shared" }, stats.count("cacheShares")],
    [{ result: "miss" }, stats.count("cacheMisses")],
  ]);
  to.add(ROUTER_METRICS.loadReports, () => [
    [{ result: "used" }, stats.count("loadsUsed")],
    [{ result: "unknown" }, stats.count("loadsUnknown")],
    [{ result: "malformed" }, stats.count("loadsMalformed")],
  ]);
  to.addOne(ROUTER_METRICS.cacheEntries, () => stats.count("cacheEntries"));
  to.addOne(ROUTER_METRICS.cacheBytes, () => stats.count("cacheBytes"));
  addLateMetrics(to, stats, places, late);
}
