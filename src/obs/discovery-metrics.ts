/** The metrics of what a router has found in Kubernetes, by source. */
import type { Exposition } from "./exposition.ts";
import { DISCOVERY_METRICS } from "./discovery-metric-names.ts";

export interface DiscoveryFigures {
  readonly source: string;
  /** It is watched now. */
  readonly isHeard: boolean;
  /** Why it is not; "" where it is. */
  readonly failure: string;
  readonly objects: number;
  readonly targets: Readonly<Record<"ready" | "unready" | "draining", number>>;
  readonly ageSeconds: number;
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  readonly failures: number;
}

export function addDiscoveryMetrics(to: Exposition, read: () => readonly DiscoveryFigures[]): void {
  const now = to.once(read);
  const each = (figure: (of: DiscoveryFigures) => number) => () =>
    now().map((of) => [{ source: of.source }, figure(of)] as const);
  to.add(DISCOVERY_METRICS.targets, () =>
    now().flatMap(({ source, targets }) =>
      Object.entries(targets).map(([condition, count]) => [{ source, condition }, count] as const),
    ),
  );
  to.add(
    DISCOVERY_METRICS.heard,
    each(({ isHeard }) => (isHeard ? 1 : 0)),
  );
  to.add(
    DISCOVERY_METRICS.age,
    each(({ ageSeconds }) => ageSeconds),
  );
  to.add(
    DISCOVERY_METRICS.objects,
    each(({ objects }) => objects),
  );
  to.add(
    DISCOVERY_METRICS.lists,
    each(({ lists }) => lists),
  );
  to.add(
    DISCOVERY_METRICS.watches,
    each(({ watches }) => watches),
  );
  to.add(
    DISCOVERY_METRICS.events,
    each(({ events }) => events),
  );
  to.add(
    DISCOVERY_METRICS.failures,
    each(({ failures }) => failures),
  );
}
