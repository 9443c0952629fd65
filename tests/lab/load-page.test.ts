/** A page of runs of load needs nothing else, whatever it is of. */
import { describe, expect, test } from "bun:test";
import { loadPage, RUNS_MAX } from "../../src/lab/load-page.ts";
import { STYLE } from "../../src/lab/report-style.ts";
import { Flight } from "../../src/load/flight.ts";
import { type LoadReport, reportOf } from "../../src/load/report.ts";
import { Tally } from "../../src/load/tally.ts";

function reportWith(requests: number, failure: (number: number) => string, lagMs = 0): LoadReport {
  const tally = new Tally();
  tally.start(0, 0);
  for (let number = 0; number < requests; number += 1) {
    const planned = { dueMs: number * 50, promptTokens: 10, outputTokens: 5, hashes: [] };
    const flight = new Flight(number, planned, planned.dueMs, false);
    flight.sentMs = flight.dueMs;
    flight.lagMs = lagMs;
    flight.firstMs = flight.dueMs + 20 + (number % 10);
    flight.lastMs = flight.endMs = flight.dueMs + 80;
    flight.events = 5;
    flight.node = "<node>";
    flight.failure = failure(number);
    flight.words = "<b>full</b>";
    tally.ended(flight);
  }
  const about = { url: "http://x/<y>", model: "m", workload: "w", seed: 1, startedAtMs: 1e12, isStopped: false };
  return reportOf(tally, { ttftMs: 100, itlMs: 20, endMs: 0 }, about);
}

const ALONE = /(?:src|href)=|<script|<link|<img|@import|url\(/;
const ODD = /NaN|undefined|Infinity|\[object/;

describe("a page", () => {
  test("of one run stands alone and has its plots, errors, nodes and what was asked", () => {
    const page = loadPage([{ name: "run", report: reportWith(100, (at) => (at % 4 === 0 ? "status 503" : "")) }]);
    expect(page).toStartWith("<!doctype html>");
    expect(page).not.toMatch(ALONE);
    expect(page).not.toMatch(ODD);
    // Three distributions, four courses, one of errors.
    expect(page.match(/<figure>/g)?.length).toBe(8);
    for (const word of ["http://x/&lt;y&gt;", "&lt;node&gt;", "&lt;b&gt;full&lt;/b&gt;", "status 503", "75.0 %", "p95"])
      expect(page).toContain(word);
    expect(page).not.toContain("could not keep up");
  });

  test("of several has a line of each in each plot, and the best in bold", () => {
    const runs = ["one", "two & more", "three"].map((name, at) => ({
      name,
      report: reportWith(50 + at * 100, (number) => (number % (2 + at) === 0 ? "timeout" : ""), at === 1 ? 40 : 0),
    }));
    const page = loadPage(runs);
    expect(page).not.toMatch(ALONE);
    expect(page).not.toMatch(ODD);
    // Seven plots of lines, three lines each.
    expect(page.match(/<polyline/g)?.length).toBe(21);
    expect(page).toContain("two &amp; more: The generator was late by p99 40 ms");
    expect(page.match(/class="warning"/g)?.length).toBe(1);
    expect(page).toMatch(/<td><b>74\.8 %<\/b><\/td>/);
  });

  test("has every colour that it uses, by day and by night, and one for each run", () => {
    const report = reportWith(20, (at) => (at === 3 ? "timeout" : ""));
    const runs = Array.from({ length: RUNS_MAX }, (_, at) => ({ name: `run ${at}`, report }));
    for (const page of [loadPage(runs), loadPage(runs.slice(0, 1))]) {
      const used = new Set([...page.matchAll(/var\((--c\d+)\)/g)].map(([, name]) => name!));
      for (const name of used) expect(STYLE.split(`${name}:`)).toHaveLength(3);
    }
    const [light = ""] = STYLE.split("@media");
    const colors = Array.from({ length: RUNS_MAX }, (_, at) => new RegExp(`--c${100 + at}: (#\\w+);`).exec(light)?.[1]);
    expect(new Set(colors).size).toBe(RUNS_MAX);
  });

  test("of a run in which nothing came to be has dashes", () => {
    for (const report of [reportWith(0, () => ""), reportWith(5, () => "connection refused")]) {
      const page = loadPage([{ name: "run", report }]);
      expect(page).not.toMatch(ODD);
      expect(page).toContain("<td>-</td>");
    }
  });
});
