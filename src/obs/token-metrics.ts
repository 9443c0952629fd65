/** Metrics of what the models' answers were made of. */
import { addedByName, type HistogramReading } from "./buckets.ts";
import type { Exposition } from "./exposition.ts";
import { ROUTER_METRICS } from "./metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

type Models = () => readonly { readonly id: number; readonly name: string }[];

export function addTokenMetrics(out: Exposition, stats: WorkerStats, models: Models): void {
  const byModel = (read: (model: number) => HistogramReading) =>
    function* () {
      const readings = addedByName(models().map(({ id, name }) => [name, read(id)]));
      for (const [model, reading] of readings) yield [{ model }, reading] as const;
    };
  out.addHistogram(
    ROUTER_METRICS.firstToken,
    byModel((model) => stats.firstTokens(model)),
  );
  out.addHistogram(
    ROUTER_METRICS.tokenGap,
    byModel((model) => stats.tokenGaps(model)),
  );
  out.add(ROUTER_METRICS.tokens, function* () {
    const sums = new Map<string, { prompt: number; completion: number }>();
    for (const { id, name } of models()) {
      const { prompt, completion } = stats.tokens(id);
      const before = sums.get(name) ?? { prompt: 0, completion: 0 };
      sums.set(name, { prompt: before.prompt + prompt, completion: before.completion + completion });
    }
    for (const [model, { prompt, completion }] of sums) {
      if (prompt + completion === 0) continue;
      yield [{ model, kind: "prompt" }, prompt] as const;
      yield [{ model, kind: "completion" }, completion] as const;
    }
  });
}
