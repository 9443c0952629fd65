/** The metrics of tracing: what became of spans. */
import type { Exposition } from "./exposition.ts";
import { ROUTER_METRICS } from "./metric-names.ts";
import type { SpanFigures } from "./span-exporter.ts";

/** `read` knows nothing where nothing is recorded. */
export function addTracingMetrics(to: Exposition, read: () => SpanFigures | undefined): void {
  const now = to.once(read);
  to.add(ROUTER_METRICS.spans, () => {
    const figures = now();
    if (figures === undefined) return [];
    const { exported, dropped, failed } = figures;
    return Object.entries({ exported, dropped, failed }).map(([result, count]) => [{ result }, count] as const);
  });
  to.addOne(ROUTER_METRICS.spansWaiting, () => now()?.waiting);
}
