import { expect, test } from "bun:test";
import fc from "fast-check";
import { loadPage } from "../../src/lab/load-page.ts";
import { Flight } from "../../src/load/flight.ts";
import { readReport } from "../../src/load/report-file.ts";
import { type LoadReport, reportOf } from "../../src/load/report.ts";
import { Tally } from "../../src/load/tally.ts";

function made(): LoadReport {
  const tally = new Tally();
  tally.start(0, 0);
  for (let number = 0; number < 20; number += 1) {
    const planned = { dueMs: number * 100, promptTokens: 10, outputTokens: 5, hashes: [] };
    const flight = new Flight(number, planned, planned.dueMs, false);
    flight.sentMs = flight.dueMs + 1;
    flight.lagMs = 1;
    flight.firstMs = flight.dueMs + 20;
    flight.lastMs = flight.endMs = flight.dueMs + 60;
    flight.events = 5;
    flight.node = `node-${number % 2}`;
    flight.failure = number % 7 === 6 ? "status 503" : "";
    flight.words = "full";
    tally.ended(flight);
  }
  const about = { url: "http://x", model: "m", workload: "w", seed: 1, startedAtMs: 1e12, isStopped: false };
  return reportOf(tally, { ttftMs: 100, itlMs: 20, endMs: 0 }, about);
}

test("what was written is read again, and no more than that", () => {
  const report = made();
  expect(readReport(JSON.stringify(report))).toEqual(report);
  expect(readReport(JSON.stringify({ ...report, more: 1 }))).toEqual(report);
});

test("what is no report is told, with where", () => {
  const report = made();
  for (const [text, why] of [
    ["{", "is no JSON"],
    ["[]", "is no report of infermesh load"],
    [JSON.stringify({ kind: "infermesh-load", version: 1 }), "version 1"],
    [JSON.stringify({ ...report, ttftMs: { ...report.ttftMs, p95: "fast" } }), "ttftMs.p95 is no number or null"],
    [JSON.stringify({ ...report, nodes: [{}] }), "nodes[0].node is no text"],
    [JSON.stringify({ ...report, requests: -1 }), "requests is no count"],
    [JSON.stringify({ ...report, startedAtMs: 1e300 }), "startedAtMs is no time"],
    [JSON.stringify({ ...report, course: { sliceMs: 0, slices: [] } }), "sliceMs is not above 0"],
    [JSON.stringify({ ...report, endCdfMs: Array.from({ length: 10_001 }, () => 1) }), "more than 10000 entries"],
    [JSON.stringify(report).replace('"url":"http://x"', '"__proto__":{"url":"x"}'), "url is no text"],
  ] as const) {
    const read = readReport(text);
    expect(typeof read === "string" ? read : "a report").toContain(why);
  }
});

test("whatever stands in a file, there is a fault or a page of it", () => {
  const report = made();
  const names = Object.keys(report);
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(null, 1e308, -1e308, "<script>", "\u0000", [], {}));
  fc.assert(
    fc.property(fc.constantFrom(...names), odd, (name, value) => {
      const read = readReport(JSON.stringify({ ...report, [name]: value }));
      if (typeof read === "string") return;
      const page = loadPage([
        { name: "a", report: read },
        { name: "b", report },
      ]);
      expect(page).not.toMatch(/<script|NaN|undefined/);
    }),
    { numRuns: 300 },
  );
  fc.assert(fc.property(fc.string(), (text) => void readReport(text)));
});
