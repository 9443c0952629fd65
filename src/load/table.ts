/** A report as a table for people, and all requests as CSV. */
import type { LoadReport } from "./report.ts";
import type { Spread } from "./spread.ts";
import type { Row, Tally } from "./tally.ts";

const COLUMNS = ["mean", "p50", "p90", "p95", "p99", "p999", "max"] as const;
const TITLES = ["mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
const NAME_WIDTH = 24;
const CELL_WIDTH = 10;

/** Words of servers must be made printable by who prints it. */
export function loadTable(report: LoadReport): string[] {
  const { ok, failed, unfinished, warmUpRequests } = report;
  const fact = (name: string, value: string) => `${name.padEnd(NAME_WIDTH)}${value}`;
  const spreads: readonly (readonly [string, Spread])[] = [
    ["TTFT", report.ttftMs],
    ["ITL, mean of a request", report.itlMs],
    ["ITL, each gap", report.gapMs],
    ["end to end", report.endMs],
    ["behind schedule", report.behindMs],
    ["generator's own lag", report.lagMs],
  ];
  const counted = [
    `${report.requests} in ${figure(report.durationMs / 1000)} s`,
    `${ok} ok`,
    `${failed} failed`,
    ...(unfinished > 0 ? [`${unfinished} unfinished`] : []),
    ...(warmUpRequests > 0 ? [`${warmUpRequests} more in the warm-up`] : []),
  ];
  const lines = [
    fact("target", `${report.url}  ${report.model}`),
    fact("workload", report.workload),
    fact("requests", counted.join(", ")),
    fact("rate", `${figure(report.duePerSecond)} due/s, ${figure(report.okPerSecond)} answered/s`),
    fact("goodput", `${percent(report.goodput)} ${sloWords(report)}, ${figure(report.goodPerSecond)} good/s`),
    fact("tokens", tokenWords(report)),
    "",
    `${"milliseconds".padEnd(NAME_WIDTH)}${TITLES.map((title) => title.padStart(CELL_WIDTH)).join("")}`,
    ...spreads
      .filter(([, { count }]) => count > 0)
      .map(([name, spread]) => {
        const cells = COLUMNS.map((column) => figure(spread[column]).padStart(CELL_WIDTH));
        return `${name.padEnd(NAME_WIDTH)}${cells.join("")}`;
      }),
  ];
  if (report.late > 0) {
    lines.push(
      "",
      `${report.late} of ${report.requests} requests were sent more than 5 ms behind schedule, or never: ${LATE_WORDS}`,
    );
  }
  if (report.isLagging) lines.push("", lagWords(report));
  if (report.nodes.some(({ node }) => node !== "")) {
    lines.push("", "node".padEnd(NAME_WIDTH) + "requests".padStart(CELL_WIDTH) + "tokens".padStart(CELL_WIDTH));
    for (const { node, requests, outputTokens } of report.nodes) {
      const cells = [String(requests), String(outputTokens)].map((cell) => cell.padStart(CELL_WIDTH));
      lines.push(`${(node === "" ? "-" : node).padEnd(NAME_WIDTH)}${cells.join("")}`);
    }
  }
  if (report.errors.length > 0) {
    lines.push("", "errors".padEnd(NAME_WIDTH) + "requests".padStart(CELL_WIDTH));
    for (const { kind, count, words } of report.errors) {
      lines.push(`${kind.padEnd(NAME_WIDTH)}${String(count).padStart(CELL_WIDTH)}  ${words}`.trimEnd());
    }
  }
  return lines;
}

/** Said to all who look at a run that its own generator spoilt. */
export function lagWords({ lagMs }: LoadReport): string {
  return `The generator was late by p99 ${figure(lagMs.p99)} ms: it could not keep up, so don't trust this run. More --workers, a lower rate, or another machine may help.`;
}

const LATE_WORDS = "latencies count from when they were due. More --connections, or --workers, may help.";

function sloWords({ slo }: LoadReport): string {
  const end = slo.endMs > 0 ? `, all <= ${figure(slo.endMs)} ms` : "";
  return `(TTFT <= ${figure(slo.ttftMs)} ms, ITL <= ${figure(slo.itlMs)} ms${end})`;
}

function tokenWords(report: LoadReport): string {
  const cached = report.hitRate === null ? "" : `, ${percent(report.hitRate)} of the prompts' from caches`;
  return `${report.promptTokens} in prompts, ${report.outputTokens} generated, ${figure(report.outputTokensPerSecond)} generated/s${cached}`;
}

function percent(share: number | null): string {
  return share === null ? "-" : `${(share * 100).toFixed(1)}%`;
}

/** Three digits and more, as many as mean something. */
function figure(value: number | null): string {
  if (value === null) return "-";
  if (Number.isInteger(value) || Math.abs(value) >= 100) return String(Math.round(value));
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

export const CSV_HEAD =
  "number,due_ms,sent_ms,first_ms,end_ms,itl_ms,prompt_tokens,output_tokens,cached_tokens,status,node,outcome,warm_up,lag_ms";

/** A line each, in the order in which they ended; an empty cell: there is none. */
export function* csvLines(tally: Tally): Generator<string> {
  yield CSV_HEAD;
  for (let index = 0; index < tally.rows; index += 1) yield csvLine(tally.row(index));
}

function csvLine(row: Row): string {
  const ms = (value: number) => (Number.isNaN(value) ? "" : value.toFixed(3));
  const count = (value: number) => (value < 0 ? "" : String(value));
  return [
    row.number,
    ms(row.dueMs),
    ms(row.sentMs),
    ms(row.firstMs),
    ms(row.endMs),
    ms(row.itlMs),
    count(row.promptTokens),
    count(row.outputTokens),
    count(row.cachedTokens),
    row.status === 0 ? "" : row.status,
    quoted(row.node),
    row.failure === "" ? "ok" : quoted(row.failure),
    row.isWarmUp ? 1 : 0,
    ms(row.lagMs),
  ].join(",");
}

/** The same as JSON, an object a line; null: there is none. */
export function* jsonLines(tally: Tally): Generator<string> {
  for (let index = 0; index < tally.rows; index += 1) {
    const { failure, ...row } = tally.row(index);
    const { promptTokens, outputTokens, cachedTokens, status } = row;
    const known = (count: number) => (count < 0 ? null : count);
    const counts = {
      promptTokens: known(promptTokens),
      outputTokens: known(outputTokens),
      cachedTokens: known(cachedTokens),
    };
    // What is not a number becomes null of itself.
    yield JSON.stringify({
      ...row,
      ...counts,
      status: status === 0 ? null : status,
      outcome: failure === "" ? "ok" : failure,
    });
  }
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
