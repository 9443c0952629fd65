/** The plots of runs of `infermesh load`: one alone shows more of itself, several show each a line. Pure. */
import type { Slice } from "../load/course.ts";
import type { LoadReport } from "../load/report.ts";
import { ms, percent, short } from "./page.ts";
import { barPlot, type Line, type LinePlot, linePlot } from "./plots.ts";

export interface ColoredRun {
  readonly name: string;
  readonly report: LoadReport;
  readonly color: number;
}

/** Theirs are this and the next ones (report-style.ts). */
export const RUN_COLORS = 100;
const BLUE = RUN_COLORS;
const RED = RUN_COLORS + 1;
const GREEN = RUN_COLORS + 2;
const GREY = RUN_COLORS + 11;
const ERRORS_MAX = 12;
const PART = { label: "requests", from: 0, to: 1, write: (part: number) => `${Math.round(part * 100)} %` };

export function loadPlots(runs: readonly ColoredRun[]): string {
  const [only] = runs;
  const own = runs.length === 1 && only !== undefined ? ofOne(only.report) : ofSeveral(runs);
  const distributions = [
    distribution("Time to first token: part of the answers that have it by then", runs, (report) => report.ttftCdfMs),
    distribution(
      "Time between tokens, mean of a request: part of the answers that are below",
      runs,
      (report) => report.itlCdfMs,
    ),
    distribution("End to end: part of the answers that are whole by then", runs, (report) => report.endCdfMs),
  ];
  return `<div class="plots">${[...distributions, ...own].join("\n")}</div>`;
}

function distribution(
  title: string,
  runs: readonly ColoredRun[],
  cdf: (report: LoadReport) => readonly number[],
): string {
  const lines = runs.map(({ name, report, color }): Line => {
    const values = cdf(report);
    const points = values.map((value, at): [number, number] => [value, at / Math.max(1, values.length - 1)]);
    return { name, color, isStrong: runs.length === 1, points };
  });
  return linePlot({ title, x: { label: "milliseconds", isLog: true, write: short }, y: PART, lines });
}

function ofOne(report: LoadReport): string[] {
  const { sliceMs } = report.course;
  const line = (name: string, color: number, of: (slice: Slice) => number | null): Line => ({
    name,
    color,
    isStrong: false,
    points: pointsOf(report, of),
  });
  const rate = (count: (slice: Slice) => number) => (slice: Slice) => (count(slice) * 1000) / sliceMs;
  const shown = report.errors.slice(0, ERRORS_MAX);
  return [
    overTime(
      "Time to first token, by when requests were due",
      "milliseconds",
      [report],
      [line("p50", BLUE, ({ ttftP50Ms }) => ttftP50Ms), line("p95", RED, ({ ttftP95Ms }) => ttftP95Ms)],
    ),
    overTime(
      "Requests: offered, answered, good, failed",
      "a second",
      [report],
      [
        line(
          "due",
          GREY,
          rate(({ due }) => due),
        ),
        line(
          "answered",
          BLUE,
          rate(({ ok }) => ok),
        ),
        line(
          "good, of those due",
          GREEN,
          rate(({ good }) => good),
        ),
        line(
          "failed",
          RED,
          rate(({ failed }) => failed),
        ),
      ],
    ),
    overTime(
      "Time between tokens, by when requests were due",
      "milliseconds",
      [report],
      [line("p50", BLUE, ({ itlP50Ms }) => itlP50Ms), line("p95", RED, ({ itlP95Ms }) => itlP95Ms)],
    ),
    overTime(
      "Tokens of the answers that ended",
      "a second",
      [report],
      [
        line(
          "tokens",
          BLUE,
          rate(({ outputTokens }) => outputTokens),
        ),
      ],
    ),
    shown.length === 0
      ? ""
      : barPlot(
          "Errors by kind",
          shown.map(({ kind, count }) => ({ name: kind, color: RED, value: count, written: String(count) })),
          Math.max(...shown.map(({ count }) => count)),
        ),
  ];
}

function ofSeveral(runs: readonly ColoredRun[]): string[] {
  const reports = runs.map(({ report }) => report);
  const lines = (of: (slice: Slice, sliceMs: number) => number | null): Line[] =>
    runs.map(({ name, report, color }) => ({
      name,
      color,
      isStrong: false,
      points: pointsOf(report, (slice) => of(slice, report.course.sliceMs)),
    }));
  const bars = (
    title: string,
    of: (report: LoadReport) => number | null,
    write: (value: number) => string,
    max = 0,
  ) => {
    const values = runs.map(({ report }) => of(report) ?? Number.NaN);
    const most = max > 0 ? max : Math.max(0, ...values.filter(Number.isFinite));
    return barPlot(
      title,
      runs.map(({ name, color }, at) => ({ name, color, value: values[at]!, written: write(values[at]!) })),
      most,
    );
  };
  return [
    overTime(
      "Time to first token, p95, by when requests were due",
      "milliseconds",
      reports,
      lines(({ ttftP95Ms }) => ttftP95Ms),
      false,
    ),
    overTime(
      "Requests offered",
      "a second",
      reports,
      lines(({ due }, sliceMs) => (due * 1000) / sliceMs),
      false,
    ),
    overTime(
      "Requests answered",
      "a second",
      reports,
      lines(({ ok }, sliceMs) => (ok * 1000) / sliceMs),
      false,
    ),
    overTime(
      "Requests failed",
      "a second",
      reports,
      lines(({ failed }, sliceMs) => (failed * 1000) / sliceMs),
      false,
    ),
    bars("Goodput: part of the requests that are good", ({ goodput }) => goodput, percent, 1),
    bars("Time to first token, p99", ({ ttftMs }) => ttftMs.p99, unit),
    bars("Failed requests", ({ failed }) => failed, String),
  ];
}

const unit = (value: number): string => (Number.isFinite(value) ? `${ms(value)} ms` : "-");

/** In the middle of each slice; where nothing is known there is no point. */
function pointsOf({ course }: LoadReport, of: (slice: Slice) => number | null): Line["points"] {
  return course.slices.map((slice) => [(slice.fromMs + course.sliceMs / 2) / 1000, of(slice) ?? Number.NaN]);
}

function overTime(
  title: string,
  label: string,
  runs: readonly LoadReport[],
  lines: readonly Line[],
  isKeyed = lines.length > 1,
): string {
  const times = runs.flatMap(({ course: { slices, sliceMs } }) =>
    slices.flatMap(({ fromMs }) => [fromMs / 1000, (fromMs + sliceMs) / 1000]),
  );
  const [from, to] = times.length === 0 ? [0, 1] : [Math.min(...times), Math.max(...times)];
  const x: LinePlot["x"] = { label: "seconds", from, to, write: short };
  return linePlot({ title, x, y: { label, from: 0, write: short }, lines, isKeyed });
}
