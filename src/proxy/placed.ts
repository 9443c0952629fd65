/** What a placement is given beside its table: who the targets are, what others have in flight, whose counts begin anew. */
import type { Target } from "../fleet/target.ts";
import type { Load } from "../signal/flights.ts";

/** What a target had in flight from all routers, as far as it was known here, when its sample was taken. */
export type LoadMark = ReadonlyMap<string, Load>;

/** What the other routers have in flight at a place. */
export type Others = (key: number) => Load;

/** Counts by row and by model, which begin anew when the number is given to another. */
export interface Resettable {
  resetRow(row: number): void;
  resetModel(model: number): void;
}

/** A target by its id; undefined when it left. */
export type Find = (id: string) => Target | undefined;

export function finder(targets: readonly Target[]): Find {
  const byId = new Map(targets.map((target) => [target.id, target]));
  return (id) => byId.get(id);
}
