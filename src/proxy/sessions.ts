/**
 * Session affinity: requests of one session go to the same target, while that costs little. Nothing is remembered of a
 * session: its target is the one that a hash of both ranks first among those that may be chosen (rendezvous hashing), so
 * that all workers and routers agree without a word, and a target that leaves moves its own sessions alone. It is taken
 * in place of the one that the strategy chose where it is expected to be behind that one by no more than the slack.
 */
import type { PickRequest } from "../score/pick.ts";
import type { ScoreTable } from "../score/table.ts";
import { costOf, figuresOf } from "../score/terms.ts";

/** Where rows lead, as the routes know it. */
interface Routes {
  rowsOf(model: number): readonly number[];
  target(row: number): { readonly hash: number; readonly weight: number } | undefined;
}

/** What a policy says of a model's sessions. */
export interface Sessions {
  readonly field: string;
  readonly slackMs?: number;
}

export const SLACK_MS = 500;

/** FNV-1a of the text, mixed; never 0. */
export function sessionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixed(hash) || 1;
}

function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** The row of the request's session, of those that it may go to now; `otherwise`: there is none. */
export function homeOfSession(table: ScoreTable, routes: Routes, pick: PickRequest, otherwise: number): number {
  let home = otherwise;
  let rank = -Infinity;
  for (const row of routes.rowsOf(pick.model)) {
    const target = routes.target(row);
    if (target === undefined || isExcluded(pick, row)) continue;
    const of = rankOf(pick.session, target.hash, target.weight);
    if (of <= rank || costOf(figuresOf(table, row), 0, pick.nowDeciseconds).obstacle !== "") continue;
    rank = of;
    home = row;
  }
  return home;
}

/** The row for the request's session: `picked`, or the session's own; then the answer in `pick` is of that one. */
export function rowOfSession(
  table: ScoreTable,
  routes: Routes,
  pick: PickRequest,
  picked: number,
  { slackMs = SLACK_MS }: Sessions,
): number {
  const home = homeOfSession(table, routes, pick, picked);
  if (home === picked) return picked;
  const cachedTokens = pick.prefix?.tokensOf(home) ?? 0;
  const { missWeight, promptTokens } = pick;
  const cached = { cachedTokens, missWeight };
  const { seconds } = costOf(figuresOf(table, home), promptTokens, pick.nowDeciseconds, 0, cached);
  if (seconds > pick.cost + slackMs / 1000) return picked;
  pick.answer(seconds, 1, pick.torn);
  pick.cachedTokens = cachedTokens;
  return home;
}

/** By weight: a target of weight 2 is first of twice as many sessions. */
function rankOf(session: number, target: number, weight: number): number {
  const draw = (mixed(session ^ Math.imul(target, 0x9e3779b1)) + 1) / (2 ** 32 + 1);
  return -Math.log(draw) === 0 ? Infinity : weight / -Math.log(draw);
}

function isExcluded(pick: PickRequest, row: number): boolean {
  const { excludedCount } = pick;
  for (let index = 0; index < excludedCount; index += 1) if (pick.excludedRow(index) === row) return true;
  return false;
}
