/** `infermesh sim` by the executable: its threads, its files, its faults. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXECUTABLE, ownEnvironment } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-sim-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sim(...args: string[]): { code: number; out: string; err: string } {
  const done = Bun.spawnSync([EXECUTABLE, "sim", ...args], { env: ownEnvironment(), cwd: folder });
  return { code: done.exitCode, out: done.stdout.toString(), err: done.stderr.toString() };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const TINY = `duration: 5s
cells: 2
nodes:
  - {name: fast, count: 2, pricePerHour: 3}
  - {name: slow, profile: l40s-8b, count: 2, pricePerHour: 1}
workload:
  - rate: 20
    outputTokens: 30
`;

describe("infermesh sim", () => {
  test("generates sizes that are valid, and no others", () => {
    for (const size of ["small", "medium", "large"]) {
      const { code, out } = sim("generate", size);
      expect(code).toBe(0);
      expect(sim("validate", file(`${size}.yaml`, out))).toEqual({ code: 0, out: "valid\n", err: "" });
    }
    expect(sim("generate", "huge")).toMatchObject({ code: 2, out: "" });
    expect(sim("generate")).toMatchObject({ code: 2, out: "" });
  });

  test("tells all faults of a scenario, each with its place", () => {
    const path = file(
      "wrong.yaml",
      "sead: 3\nnodes:\n  - count: 0\nworkload:\n  - arrivals: trace\n    trace: none.csv\n",
    );
    const { code, out, err } = sim("validate", path);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain("2 faults");
    expect(err).toContain("sead: found 3 (wrong.yaml, line 1); no such key; did you mean seed?");
    expect(err).toContain("nodes[0].count: found 0");
    // A trace is looked for once all else is right.
    const traced = sim("run", file("traced.yaml", "workload:\n  - arrivals: trace\n    trace: none.csv\n"));
    expect(traced.code).toBe(2);
    expect(traced.err).toContain(`a file that exists (looked for at ${join(folder, "none.csv")})`);
    const broken = sim("run", file("bad.yaml", "workload:\n  - arrivals: trace\n    trace: bad.csv\n"), "--seed", "2");
    expect(broken.code).toBe(2);
    file("bad.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2\n");
    expect(sim("validate", join(folder, "bad.yaml")).err).toContain("line 2");
    expect(sim("validate", join(folder, "absent.yaml")).err).toContain("a file that exists");
  });

  test("runs a scenario in its threads: the same by one seed, whatever the format", () => {
    const path = file("tiny.yaml", TINY);
    const json = (...more: string[]): { results: { requests: number; ttftMs: { p95: number } }[] } =>
      JSON.parse(sim("run", path, "--format", "json", ...more).out) as never;
    const first = json();
    expect(first).toEqual(json());
    expect(json("--seed", "7").results[0]!.ttftMs).not.toEqual(first.results[0]!.ttftMs);
    const csv = sim("run", path, "--format", "csv").out.trimEnd().split("\n");
    const column = csv[0]!.split(",").indexOf("ttftMs.p95");
    expect(Number(csv[1]!.split(",")[column])).toBe(first.results[0]!.ttftMs.p95);
    const table = sim("run", path, "--strategy", "p2c");
    expect(table).toMatchObject({ code: 0, err: "" });
    expect(table.out.split("\n")[1]).toMatch(/^p2c +\d+/);
  });

  test("compares strategies, in the order in which they are known, and writes what came of it", () => {
    const path = file("tiny.yaml", TINY);
    const { code, out, err } = sim("compare", path, "--strategies", "late,round-robin", "--out", "results");
    expect(code).toBe(0);
    // No progress where nobody sees it.
    expect(err).toBe("infermesh sim compare: the report is results/report.html\n");
    expect(
      out
        .split("\n")
        .slice(1, 3)
        .map((line) => line.split(" ")[0]),
    ).toEqual(["round-robin", "late"]);
    const whole = JSON.parse(readFileSync(join(folder, "results", "results.json"), "utf8")) as {
      results: { strategy: string; requests: number; served: number; lost: number; refused: number }[];
    };
    expect(whole.results.map(({ strategy }) => strategy)).toEqual(["round-robin", "late"]);
    for (const { requests, served, lost, refused } of whole.results) expect(served + lost + refused).toBe(requests);
    expect(readFileSync(join(folder, "results", "results.csv"), "utf8").split("\n").length).toBe(4);
    expect(sim("compare", path, "--strategies", "fastest").code).toBe(2);
    expect(sim("compare", path, "--out", path)).toMatchObject({ code: 2, out: "" });
  });

  test("plays a trace that lies beside its scenario", () => {
    const lines = Array.from({ length: 40 }, (_, at) =>
      JSON.stringify({ timestamp: at * 100, input_length: 1100, output_length: 5, hash_ids: [1, 2, at + 3] }),
    );
    file("trace.jsonl", lines.join("\n"));
    const text = "blockTokens: 512\nnodes: [{count: 2}]\nworkload: [{arrivals: trace, trace: trace.jsonl, speed: 4}]\n";
    const { results } = JSON.parse(sim("run", file("replay.yaml", text), "--format", "json").out) as {
      results: { requests: number; cacheHitRate: number }[];
    };
    expect(results[0]!.requests).toBe(40);
    expect(results[0]!.cacheHitRate).toBeGreaterThan(0.8);
    expect(sim("validate", file("blocks.yaml", text.replace("512", "16"))).err).toContain("blockTokens: found 16");
  });
});
