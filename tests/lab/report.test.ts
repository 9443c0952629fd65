/** A report is one page that needs nothing else, whatever it is of. */
import { describe, expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import { csvOf } from "../../src/lab/csv.ts";
import { barPlot, escapeHtml, linePlot } from "../../src/lab/plots.ts";
import { reportOf } from "../../src/lab/report.ts";
import { type Result, resultOf } from "../../src/sim/figures.ts";
import { playCell } from "../../src/sim/scenario-world.ts";
import { type Scenario, scenarioSettings } from "../../src/sim/scenario.ts";

function played(tree: Record<string, unknown>): { scenario: Scenario; results: Result[] } {
  const scenario = parseSection(scenarioSettings, tree).value!;
  const results = (["round-robin", "late"] as const).map((strategy) =>
    resultOf(scenario, strategy, [playCell(scenario, strategy, 0, new Map())], 1),
  );
  return { scenario, results };
}

const WORK = { rate: 20, outputTokens: 20 };

describe("a report", () => {
  test("stands alone, and tells of every strategy, group, kind of work and failure", () => {
    const { scenario, results } = played({
      duration: "5s",
      nodes: [
        { name: "fast", pricePerHour: 2, count: 2 },
        { name: "old", profile: "l40s-8b" },
      ],
      workload: [
        { ...WORK, name: "talk" },
        { ...WORK, kind: "asr", arrivals: "bursts" },
      ],
      failures: [{ kind: "slow", group: "old" }],
    });
    const page = reportOf("<b>.yaml", scenario, results);
    expect(page).toStartWith("<!doctype html>");
    expect(page).not.toMatch(/https?:|<script|<link|<img|src=|@import|url\(/);
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(page).toContain("Simulation of &lt;b&gt;.yaml");
    for (const word of ["round-robin", "late", "fast", "old", "talk", "asr", "slow", "Cost of"])
      expect(page).toContain(word);
    // Six plots: three of lines, three of bars.
    expect(page.match(/<figure>/g)?.length).toBe(6);
    expect(page.match(/<polyline/g)?.length).toBe(6);
  });

  test("of nodes without prices, and of nothing served, has dashes and no cost", () => {
    const { scenario, results } = played({
      duration: "2s",
      workload: [{ ...WORK, promptTokens: 1_000_000, promptSigma: 0, tokensMax: 1_000_000 }],
    });
    expect(results[0]!.figures.served).toBe(0);
    const page = reportOf("none.yaml", scenario, results);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
    expect(page).not.toContain("Cost of 1,000");
  });

  test("its figures as CSV: a line a strategy, as many cells as heads", () => {
    const { results } = played({ duration: "2s", nodes: [{ name: "a.b" }], workload: [WORK] });
    const lines = csvOf(
      results.map(({ figures }) => figures),
      ["a.b"],
    )
      .trimEnd()
      .split("\n");
    expect(lines.length).toBe(3);
    expect(lines[0]).toContain("utilisation.a.b");
    expect(new Set(lines.map((line) => line.split(",").length)).size).toBe(1);
  });
});

describe("plots", () => {
  const axis = { label: "x", write: String };

  test("hold whatever they are given: nothing, one point, points that are no numbers", () => {
    for (const points of [
      [],
      [[1, 1]],
      [
        [NaN, 1],
        [2, NaN],
        [3, 3],
      ],
      [
        [0, 0],
        [5, 0],
      ],
    ] as [number, number][][]) {
      for (const isLog of [false, true]) {
        const svg = linePlot({
          title: "t",
          x: { ...axis, isLog },
          y: axis,
          lines: [{ name: "n", color: 0, isStrong: true, points }],
        });
        expect(svg).not.toMatch(/NaN|Infinity/);
      }
    }
    expect(barPlot("t", [{ name: "n", color: 0, value: NaN, written: "-" }], 0)).not.toMatch(/NaN|Infinity/);
  });

  test("points are where they belong", () => {
    const points: [number, number][] = [
      [0, 0],
      [10, 1],
    ];
    const svg = linePlot({
      title: "t",
      x: { ...axis, from: 0, to: 10 },
      y: { ...axis, from: 0, to: 1 },
      lines: [{ name: "n", color: 3, isStrong: false, points }],
    });
    expect(svg).toContain('points="64.0,292.0 704.0,12.0"');
    expect(svg).toContain("var(--c3)");
  });

  test("names are text", () => {
    expect(escapeHtml(`<a href="x">&'`)).toBe("&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  });
});
