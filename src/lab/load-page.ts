/** A page of one run of `infermesh load`, or of several side by side, in the looks of a simulation's. Pure. */
import { formatDuration } from "../base/units.ts";
import type { LoadReport } from "../load/report.ts";
import { lagWords } from "../load/table.ts";
import { type ColoredRun, loadPlots, RUN_COLORS } from "./load-plots.ts";
import { count, type FigureColumn, figuresTable, htmlPage, legend, ms, percent, short, textTable } from "./page.ts";
import { escapeHtml } from "./plots.ts";

/** As many as have a colour of their own; those that are told apart best come first. */
export const RUNS_MAX = 12;

export interface NamedRun {
  readonly name: string;
  readonly report: LoadReport;
}

/** At least one, at most RUNS_MAX. */
export function loadPage(runs: readonly NamedRun[]): string {
  const [first] = runs;
  const isAlone = runs.length === 1;
  const title = isAlone ? `Load on ${first?.report.url ?? ""}` : `${runs.length} runs of load`;
  const colored = runs.map((run, at): ColoredRun => ({ ...run, color: RUN_COLORS + (at % RUNS_MAX) }));
  const lagging = runs.filter(({ report }) => report.isLagging);
  return htmlPage(title, [
    `<h1>${escapeHtml(title)}</h1>`,
    ...(isAlone ? runs.map(({ report }) => `<p>${escapeHtml(summary(report))}</p>`) : []),
    ...lagging.map(({ name, report }) => {
      const whose = isAlone ? "" : `${name}: `;
      return `<p class="warning">${escapeHtml(whose + lagWords(report))}</p>`;
    }),
    ...(isAlone ? [] : [legend(colored.map(({ name, color }) => [name, color]))]),
    loadPlots(colored),
    "<h2>Figures</h2>",
    `<p>Times in milliseconds.${isAlone ? "" : " The best of each column is in bold."}</p>`,
    figuresTable("run", runs, ({ name }) => name, COLUMNS),
    errors(runs),
    nodes(runs),
    "<h2>What was asked</h2>",
    asked(runs),
    NOTES,
  ]);
}

function summary({ requests, durationMs, goodput, slo, ok, failed, unfinished, isStopped, model }: LoadReport): string {
  const end = slo.endMs > 0 ? ` and all of it within ${formatDuration(slo.endMs)}` : "";
  return [
    `${count(requests)} requests for ${model} in ${(durationMs / 1000).toFixed(1)} s: ${count(ok)} answered, ${count(failed)} failed${unfinished > 0 ? `, ${count(unfinished)} more unfinished` : ""}${isStopped ? "; the run was stopped" : ""}.`,
    `${goodput === null ? "None" : percent(goodput)} of them good: the first token within ${formatDuration(slo.ttftMs)} of when the request was due, the others no more than ${formatDuration(slo.itlMs)} apart on average${end}.`,
  ].join(" ");
}

const whole = (value: number): string => (Number.isFinite(value) ? short(Math.round(value * 10) / 10) : "-");
const figure =
  (of: (report: LoadReport) => number | null) =>
  ({ report }: NamedRun): number =>
    of(report) ?? Number.NaN;

const COLUMNS: readonly FigureColumn<NamedRun>[] = [
  { title: "requests", value: figure(({ requests }) => requests), write: count, better: 0 },
  { title: "failed", value: figure(({ failed }) => failed), write: count, better: -1 },
  { title: "due / s", value: figure(({ duePerSecond }) => duePerSecond), write: whole, better: 0 },
  { title: "answered / s", value: figure(({ okPerSecond }) => okPerSecond), write: whole, better: 1 },
  { title: "good", value: figure(({ goodput }) => goodput), write: percent, better: 1 },
  { title: "good / s", value: figure(({ goodPerSecond }) => goodPerSecond), write: whole, better: 1 },
  { title: "TTFT p50", value: figure(({ ttftMs }) => ttftMs.p50), write: ms, better: -1 },
  { title: "p95", value: figure(({ ttftMs }) => ttftMs.p95), write: ms, better: -1 },
  { title: "p99", value: figure(({ ttftMs }) => ttftMs.p99), write: ms, better: -1 },
  { title: "p99.9", value: figure(({ ttftMs }) => ttftMs.p999), write: ms, better: -1 },
  { title: "ITL p50", value: figure(({ itlMs }) => itlMs.p50), write: ms, better: -1 },
  { title: "p95", value: figure(({ itlMs }) => itlMs.p95), write: ms, better: -1 },
  { title: "each gap p99", value: figure(({ gapMs }) => gapMs.p99), write: ms, better: -1 },
  { title: "end to end p50", value: figure(({ endMs }) => endMs.p50), write: ms, better: -1 },
  { title: "p95", value: figure(({ endMs }) => endMs.p95), write: ms, better: -1 },
  { title: "p99", value: figure(({ endMs }) => endMs.p99), write: ms, better: -1 },
  {
    title: "tokens / s",
    value: figure(({ outputTokensPerSecond }) => outputTokensPerSecond),
    write: whole,
    better: 1,
  },
  { title: "cached", value: figure(({ hitRate }) => hitRate), write: percent, better: 0 },
  { title: "behind p99", value: figure(({ behindMs }) => behindMs.p99), write: ms, better: 0 },
  { title: "generator's lag p99", value: figure(({ lagMs }) => lagMs.p99), write: ms, better: 0 },
];

function errors(runs: readonly NamedRun[]): string {
  const rows = runs.flatMap(({ name, report }) =>
    report.errors.map(({ kind, count: of, words }) => [kind, name, count(of), words]),
  );
  if (rows.length === 0) return "";
  return `<h2>Errors</h2>\n${textTable(["kind", "run", "requests", "first words of the server"], rows, true)}`;
}

function nodes(runs: readonly NamedRun[]): string {
  const rows = runs.flatMap(({ name, report }) =>
    report.nodes
      .filter(({ node }) => node !== "")
      .map(({ node, requests, outputTokens }) => [node, name, count(requests), count(outputTokens)]),
  );
  return rows.length === 0
    ? ""
    : `<h2>Nodes that answered</h2>\n${textTable(["node", "run", "requests", "tokens"], rows)}`;
}

function asked(runs: readonly NamedRun[]): string {
  const rows = runs.map(({ name, report }) => [
    name,
    report.url,
    report.model,
    report.workload,
    String(report.seed),
    new Date(report.startedAtMs).toISOString(),
  ]);
  return textTable(["run", "target", "model", "workload", "seed", "started"], rows, true);
}

const NOTES = `<p class="notes">Latencies count from when a request was due, not from when it was sent: a server that stands still is charged for all that it kept waiting. TTFT: to the first event with text. ITL: of each request the mean time between its tokens. Good: within the objective; failed requests are not. Behind: how much later than due requests were sent; the generator's lag is the part of it that this side alone made. Made by infermesh load.</p>`;
