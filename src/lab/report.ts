/** A page of results for a browser: all in one file, nothing from elsewhere, by daylight and by night. Pure. */
import { formatDuration } from "../base/units.ts";
import type { Figures, Result } from "../sim/figures.ts";
import { groupName, type Scenario, STRATEGIES, type StrategyName, type Work } from "../sim/scenario.ts";
import { count, type FigureColumn, figuresTable, htmlPage, legend, ms, percent, short, textTable } from "./page.ts";
import { barPlot, escapeHtml, type Line, linePlot } from "./plots.ts";

/** Ours, or what stands alone. */
const STRONG: StrategyName = "late";

export function reportOf(name: string, scenario: Scenario, results: readonly Result[]): string {
  const title = `Simulation of ${name}`;
  const groups = scenario.nodes.map(groupName);
  const all = results.map(({ figures }) => figures);
  const body = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(summary(scenario, all))}</p>`,
    legend(all.map(({ strategy }) => [strategy, colorOf(strategy)])),
    plots(scenario, results),
    "<h2>Figures</h2>",
    "<p>Times in milliseconds. The best of each column is in bold.</p>",
    figuresTable("strategy", all, ({ strategy }) => strategy, COLUMNS),
    "<h2>Utilisation by group of nodes</h2>",
    "<p>Part of the time while requests come in which nodes compute.</p>",
    textTable(
      ["strategy", ...groups],
      all.map((figures) => [figures.strategy, ...figures.utilisationByGroup.map(percent)]),
    ),
    "<h2>The scenario</h2>",
    scenarioTables(scenario),
    notes(),
  ];
  return htmlPage(title, body);
}

function summary({ cells, nodes, durationMs, seed, slo, routers }: Scenario, all: readonly Figures[]): string {
  const total = nodes.reduce((sum, group) => sum + group.count, 0);
  const where = cells === 1 ? "" : ` in each of ${cells} cells`;
  return [
    `${count(all[0]?.requests ?? 0)} requests in ${formatDuration(durationMs)} on ${count(total)} nodes,`,
    `${routers.count} ${routers.count === 1 ? "router" : "routers"}${where}, seed ${seed}.`,
    `A request is good when its first token is there within ${formatDuration(slo.ttftMs)} and the others come no more than ${formatDuration(slo.itlMs)} apart on average.`,
  ].join(" ");
}

const colorOf = (strategy: StrategyName): number => STRATEGIES.indexOf(strategy);

function plots(scenario: Scenario, results: readonly Result[]): string {
  const line = ({ figures: { strategy } }: Result, points: Line["points"]): Line => ({
    name: strategy,
    color: colorOf(strategy),
    isStrong: strategy === STRONG,
    points,
  });
  const over = (values: Float64Array): Line["points"] =>
    Array.from(values, (value, at) => [((at + 0.5) / values.length) * (scenario.durationMs / 1000), value]);
  const all = results.map(({ figures }) => figures);
  const bars = (value: (figures: Figures) => number, written: (figures: Figures) => string) =>
    all.map((figures) => ({
      name: figures.strategy,
      color: colorOf(figures.strategy),
      value: value(figures),
      written: written(figures),
    }));
  const ofTime = { label: "seconds", from: 0, to: scenario.durationMs / 1000, write: short };
  const priced = all.some(({ costBusy }) => costBusy !== null);
  return `<div class="plots">${[
    linePlot({
      title: "Time to first token: part of the requests that have it by then",
      x: { label: "milliseconds", isLog: true, write: short },
      y: { label: "requests", from: 0, to: 1, write: (part) => `${Math.round(part * 100)} %` },
      lines: results.map((result) => {
        const { ttftCdfMs } = result.curves;
        return line(
          result,
          ttftCdfMs.map((value, at) => [value, at / (ttftCdfMs.length - 1)]),
        );
      }),
    }),
    barPlot(
      "Goodput: part of the requests that are good",
      bars(
        ({ goodput }) => goodput,
        ({ goodput }) => `${(goodput * 100).toFixed(2)} %`,
      ),
      1,
    ),
    linePlot({
      title: "Utilisation: part of the nodes that compute",
      x: ofTime,
      y: { label: "nodes", from: 0, to: 1, write: (part) => `${Math.round(part * 100)} %` },
      lines: results.map((result) => line(result, over(result.curves.overTime.utilisation))),
    }),
    linePlot({
      title: "Queue: requests that wait for their prompt's turn",
      x: ofTime,
      y: { label: "requests", from: 0, write: short },
      lines: results.map((result) => line(result, over(result.curves.overTime.waiting))),
    }),
    barPlot(
      "Time to first token, p99",
      bars(
        ({ ttftMs }) => ttftMs.p99,
        ({ ttftMs }) => `${ms(ttftMs.p99)} ms`,
      ),
      Math.max(...all.map(({ ttftMs }) => ttftMs.p99)),
    ),
    priced
      ? barPlot(
          "Cost of 1,000 generated tokens: prices of nodes for the time in which they compute",
          bars(
            ({ costBusy }) => costBusy ?? 0,
            ({ costBusy }) => (costBusy ?? 0).toFixed(6),
          ),
          Math.max(...all.map(({ costBusy }) => costBusy ?? 0)),
        )
      : "",
  ].join("\n")}</div>`;
}

const money = (value: number): string => (Number.isFinite(value) ? value.toFixed(6) : "-");

const COLUMNS: readonly FigureColumn<Figures>[] = [
  { title: "requests", value: ({ requests }) => requests, write: count, better: 0 },
  { title: "good", value: ({ goodput }) => goodput, write: (part) => `${(part * 100).toFixed(2)} %`, better: 1 },
  { title: "refused", value: ({ refused }) => refused, write: count, better: 0 },
  { title: "lost", value: ({ lost }) => lost, write: count, better: 0 },
  { title: "TTFT mean", value: ({ ttftMs }) => ttftMs.mean, write: ms, better: -1 },
  { title: "p50", value: ({ ttftMs }) => ttftMs.p50, write: ms, better: -1 },
  { title: "p95", value: ({ ttftMs }) => ttftMs.p95, write: ms, better: -1 },
  { title: "p99", value: ({ ttftMs }) => ttftMs.p99, write: ms, better: -1 },
  { title: "p99.9", value: ({ ttftMs }) => ttftMs.p999, write: ms, better: -1 },
  { title: "ITL p50", value: ({ itlMs }) => itlMs.p50, write: ms, better: -1 },
  { title: "p95", value: ({ itlMs }) => itlMs.p95, write: ms, better: -1 },
  { title: "end to end p50", value: ({ endToEndMs }) => endToEndMs.p50, write: ms, better: -1 },
  { title: "p95", value: ({ endToEndMs }) => endToEndMs.p95, write: ms, better: -1 },
  { title: "cache hits", value: ({ cacheHitRate }) => cacheHitRate, write: percent, better: 0 },
  { title: "preempted", value: ({ preemptions }) => preemptions, write: count, better: 0 },
  { title: "utilisation", value: ({ utilisation }) => utilisation, write: percent, better: 0 },
  { title: "its spread", value: ({ utilisationSpread }) => utilisationSpread, write: percent, better: 0 },
  { title: "cost / 1k", value: ({ costBusy }) => costBusy ?? NaN, write: money, better: -1 },
  { title: "provisioned / 1k", value: ({ costProvisioned }) => costProvisioned ?? NaN, write: money, better: 0 },
];

function scenarioTables(scenario: Scenario): string {
  const { nodes, workload, failures, samples, network } = scenario;
  const groups = nodes.map((group) => [
    groupName(group),
    count(group.count),
    group.profile,
    group.slice,
    group.zone,
    String(group.pricePerHour),
  ]);
  const works = workload.map((work) => [
    work.name === "" ? work.kind : work.name,
    arrivalsText(work),
    ...lengths(work),
  ]);
  const failing = failures.map(({ kind, group, count: of, atMs, forMs }) => [
    kind,
    group === "" ? groupName(nodes[0]!) : group,
    String(of),
    formatDuration(kind === "cold" ? 0 : atMs),
    formatDuration(forMs),
  ]);
  return [
    textTable(["nodes", "count", "profile", "slice", "zone", "price / hour"], groups),
    textTable(["work", "arrivals", "prompts", "answers", "tenants"], works),
    failing.length === 0 ? "" : textTable(["failure", "group", "nodes", "at", "for"], failing),
    `<p>Samples every ${formatDuration(samples.everyMs)}, ${formatDuration(samples.delayMs)} old when they come${samples.loss > 0 ? `, ${percent(samples.loss)} of them lost` : ""}. ${formatDuration(network.withinMs)} to a node of the same zone, one way; ${formatDuration(network.betweenMs)} to others.</p>`,
  ].join("\n");
}

function arrivalsText({ arrivals, rate, burstFactor, burstMs, quietMs, trace, speed }: Work): string {
  if (arrivals === "trace") return `${trace}, ${speed} times as fast`;
  if (arrivals === "poisson") return `Poisson, ${count(rate)} a second`;
  return `bursts of ${formatDuration(burstMs)} every ${formatDuration(quietMs)}, ${burstFactor} times as many, ${count(rate)} a second on average`;
}

function lengths({
  arrivals,
  promptTokens,
  promptSigma,
  outputTokens,
  outputSigma,
  tenants,
  prefixTokens,
}: Work): string[] {
  if (arrivals === "trace") return ["as traced", "as traced", "as traced"];
  const of = (median: number, sigma: number): string =>
    sigma === 0 ? count(median) : `${count(median)}, sigma ${sigma}`;
  const shared = tenants === 0 ? "none" : `${count(tenants)} with ${count(prefixTokens)} tokens each`;
  return [of(promptTokens, promptSigma), of(outputTokens, outputSigma), shared];
}

function notes(): string {
  return `<p class="notes">TTFT: from a request's coming to its first token at the router. ITL: mean time between its tokens at the node. Cost: for 1,000 generated tokens, what nodes cost for the time in which they compute; provisioned: what all of them cost for the scenario's duration, whatever they do. Utilisation: of the time while requests come. Made by infermesh sim.</p>`;
}
