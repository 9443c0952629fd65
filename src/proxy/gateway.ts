/** A router's choice for gateways outside of it: places by their cost, and claims on the score table by the main thread. */
import { isRoutable, type Target } from "../fleet/target.ts";
import type { ScoreTable } from "../score/table.ts";
import type { Candidate, Explainer } from "./explain.ts";

const DECISECOND_MS = 100;

/** Where chance or turns decide, somebody else comes first each time: by their shares. */
function drawn(candidates: readonly Candidate[], chance: number): readonly Candidate[] {
  let left = chance;
  const first = candidates.find(({ share }) => share > 0 && (left -= share) < 0);
  return first === undefined ? candidates : [first, ...candidates.filter((one) => one !== first)];
}

/** As admin/scoring-service.ts wants it. */
export function gatewayScorer(
  explainer: Explainer,
  table: ScoreTable,
  targets: () => readonly Target[],
  random: () => number = Math.random,
) {
  // The last of the table's workers is the main thread.
  const self = table.workersMax - 1;
  return {
    score: (model: string, promptTokens: number, excluded: readonly string[]): readonly Candidate[] =>
      drawn(explainer.explain(model, { promptTokens, excluded }).candidates, random()),
    begin: (row: number, promptTokens: number): boolean => table.tryBegin(self, row, promptTokens),
    endPrompt: (row: number, promptTokens: number): void => table.endPrefill(self, row, promptTokens),
    end: (row: number): void => table.end(self, row),
    eject: (row: number, ms: number): void =>
      table.eject(row, table.nowDeciseconds(Date.now()) + Math.ceil(ms / DECISECOND_MS)),
    obstacle: (): string => (targets().some(isRoutable) ? "" : "no node can be sent requests now"),
  };
}
