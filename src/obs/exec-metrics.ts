/** The metrics of the process that an agent runs as its runtime: none without one. */
import { EXEC_METRICS } from "./agent-metric-names.ts";
import type { Exposition } from "./exposition.ts";

export interface ExecFigures {
  readonly state: string;
  readonly restarts: number;
  /** By why. */
  readonly exits: ReadonlyMap<string, number>;
  /** Undefined until it was ready once. */
  readonly readySeconds: number | undefined;
}

export const EXEC_STATES = ["stopped", "starting", "ready", "failing", "backoff", "crash-looping", "stopping"];

export function addExecMetrics(out: Exposition, read: () => ExecFigures): void {
  const now = out.once(read);
  out.add(EXEC_METRICS.state, () => EXEC_STATES.map((state) => [{ state }, Number(state === now().state)] as const));
  out.addOne(EXEC_METRICS.restarts, () => now().restarts);
  out.add(EXEC_METRICS.exits, () => [...now().exits].map(([reason, count]) => [{ reason }, count] as const));
  out.addOne(EXEC_METRICS.ready, () => now().readySeconds);
}
