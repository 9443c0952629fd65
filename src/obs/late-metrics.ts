/** The metrics of binding late: what workers count, and what the desk thinks of targets. */
import type { Exposition } from "./exposition.ts";
import { LATE_METRICS } from "./late-metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

/** What routers' desks have to do with one another. */
export interface SharedDeskFigures {
  /** Others that take part now. */
  readonly routers: number;
  /** Requests of this router that wait at others, and of others that wait here or have no first token yet. */
  readonly asked: number;
  readonly guests: number;
  readonly boundThere: number;
  readonly boundHere: number;
  readonly declined: number;
  readonly broken: number;
  readonly malformed: number;
}

/** What the desk knows now. */
export interface LateFigures {
  /** How many wait, by the model's number. */
  readonly waiting: ReadonlyMap<number, number>;
  /** Of this router's part in deciding for the mesh; null: it decides alone. */
  readonly shared: SharedDeskFigures | null;
  readonly rows: readonly { readonly row: number; readonly msPerToken: number; readonly busyMs: number }[];
}

export interface LatePlaces {
  places(): Iterable<{ readonly target: string; readonly model: string; readonly row: number }>;
  models(): Iterable<{ readonly id: number; readonly name: string }>;
}

export function addLateMetrics(
  to: Exposition,
  stats: WorkerStats,
  placement: LatePlaces,
  late: () => LateFigures,
): void {
  to.add(LATE_METRICS.waiting, () => {
    const { waiting } = late();
    const byName = new Map<string, number>();
    // One of two protocols is two models of one name.
    for (const { id, name } of placement.models()) {
      const count = waiting.get(id);
      if (count !== undefined) byName.set(name, (byName.get(name) ?? 0) + count);
    }
    return [...byName].map(([model, count]) => [{ model }, count] as const);
  });
  to.add(LATE_METRICS.bound, () => [
    [{ how: "at-once" }, stats.count("lateAtOnce")],
    [{ how: "late" }, stats.count("lateBound")],
    [{ how: "alone" }, stats.count("lateAlone")],
    [{ how: "unreached" }, stats.count("lateUnreached")],
  ]);
  to.addHistogram(LATE_METRICS.wait, () => [[{}, stats.lateWaits()]]);
  to.addOne(LATE_METRICS.messages, () => stats.count("lateMessages"));
  const byRow = (read: (row: LateFigures["rows"][number]) => number) =>
    function* () {
      const rows = new Map(late().rows.map((one) => [one.row, one]));
      for (const { target, model, row } of placement.places()) {
        const known = rows.get(row);
        if (known !== undefined) yield [{ target, model }, read(known)] as const;
      }
    };
  to.add(
    LATE_METRICS.pace,
    byRow(({ msPerToken }) => msPerToken / 1000),
  );
  to.add(
    LATE_METRICS.busy,
    byRow(({ busyMs }) => busyMs / 1000),
  );
  addDeskMetrics(to, () => late().shared);
}

function addDeskMetrics(to: Exposition, shared: () => SharedDeskFigures | null): void {
  to.add(LATE_METRICS.deskRouters, () => {
    const figures = shared();
    return figures === null ? [] : [[{}, figures.routers]];
  });
  to.add(LATE_METRICS.deskRequests, () => {
    const figures = shared();
    if (figures === null) return [];
    return [
      [{ whose: "own" }, figures.asked],
      [{ whose: "others" }, figures.guests],
    ];
  });
  to.add(LATE_METRICS.deskBound, () => {
    const figures = shared();
    if (figures === null) return [];
    return [
      [{ where: "there" }, figures.boundThere],
      [{ where: "here" }, figures.boundHere],
    ];
  });
  to.add(LATE_METRICS.deskTroubles, () => {
    const figures = shared();
    if (figures === null) return [];
    return [
      [{ what: "silent" }, figures.broken],
      [{ what: "declined" }, figures.declined],
      [{ what: "malformed" }, figures.malformed],
    ];
  });
}
