/** A page of results for a browser: all in one file, nothing from elsewhere, by daylight and by night. Pure. */
import { formatDuration } from "../base/units.ts";
import type { Figures, Result } from "../sim/figures.ts";
import { groupName, type Scenario, STRATEGIES, type StrategyName, type Work } from "../sim/scenario.ts";
import { barPlot, escapeHtml, type Line, linePlot } from "./plots.ts";
import { STYLE } from "./report-style.ts";

/** Ours, or what stands alone. */
const STRONG: StrategyName = "late";

export function reportOf(name: string, scenario: Scenario, results: readonly Result[]): string {
  const title = `Simulation of ${name}`;
  const groups = scenario.nodes.map(groupName);
  const all = results.map(({ figures }) => figures);
  const body = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(summary(scenario, all))}</p>`,
    legend(all),
    plots(scenario, results),
    "<h2>Figures</h2>",
    "<p>Times in milliseconds. The best of each column is in bold.</p>",
    figuresTable(all),
    "<h2>Utilisation by group of nodes</h2>",
    "<p>Part of the time while requests come in which nodes compute.</p>",
    table(
      ["strategy", ...groups],
      all.map((figures) => [figures.strategy, ...figures.utilisationByGroup.map(percent)]),
    ),
    "<h2>The scenario</h2>",
    scenarioTables(scenario),
    notes(),
  ];
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title><style>${STYLE}</style>`;
  return `<!doctype html>\n<html lang="en"><head>${head}</head><body><main>\n${body.join("\n")}\n</main></body></html>\n`;
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

function legend(all: readonly Figures[]): string {
  const items = all.map(
    ({ strategy }) => `<li><i style="background:var(--c${colorOf(strategy)})"></i>${strategy}</li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

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
          ttftCdfMs.map((ms, at) => [ms, at / (ttftCdfMs.length - 1)]),
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

interface Column {
  readonly title: string;
  readonly value: (figures: Figures) => number;
  readonly write: (value: number) => string;
  /** 1: more is better, -1: less is; 0: neither. */
  readonly better: -1 | 0 | 1;
}

/** As an axis has it. */
const short = (value: number): string => Number(value.toPrecision(6)).toLocaleString("en");
const percent = (part: number): string => (Number.isFinite(part) ? `${(part * 100).toFixed(1)} %` : "-");
const ms = (value: number): string => (Number.isFinite(value) ? value.toFixed(value < 99.5 ? 1 : 0) : "-");
const count = (value: number): string => value.toLocaleString("en");
const money = (value: number): string => (Number.isFinite(value) ? value.toFixed(6) : "-");

const COLUMNS: readonly Column[] = [
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

function figuresTable(all: readonly Figures[]): string {
  const best = COLUMNS.map(({ value, better }) => {
    const known = all.map(value).filter(Number.isFinite);
    if (better === 0 || known.length < 2) return NaN;
    return better === 1 ? Math.max(...known) : Math.min(...known);
  });
  const rows = all.map((figures) => {
    const cells = COLUMNS.map(({ value, write }, at) => {
      const of = value(figures);
      const text = escapeHtml(write(of));
      return `<td>${of === best[at] ? `<b>${text}</b>` : text}</td>`;
    });
    return `<tr><th scope="row">${figures.strategy}</th>${cells.join("")}</tr>`;
  });
  const head = `<tr><th scope="col">strategy</th>${COLUMNS.map(({ title }) => `<th scope="col">${title}</th>`).join("")}</tr>`;
  return `<div class="wide"><table><thead>${head}</thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join("");
  const body = rows.map(([first = "", ...rest]) => {
    return `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map((text) => `<td>${escapeHtml(text)}</td>`).join("")}</tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

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
    table(["nodes", "count", "profile", "slice", "zone", "price / hour"], groups),
    table(["work", "arrivals", "prompts", "answers", "tenants"], works),
    failing.length === 0 ? "" : table(["failure", "group", "nodes", "at", "for"], failing),
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
