/** The recorded metrics of real servers are read whole, and tell what the server was doing when they were recorded. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PrometheusReader } from "../../src/wire/prometheus.ts";

const FOLDER = join(import.meta.dir, "fixtures");
const pages = readdirSync(FOLDER).filter((name) => name.endsWith(".metrics.txt"));

interface Page {
  /** Of samples. */
  readonly lines: number;
  readonly values: ReadonlyMap<string, number>;
  readonly end: ReturnType<PrometheusReader["finish"]>;
}

function read(name: string): Page {
  const bytes = readFileSync(join(FOLDER, name));
  const families = [...bytes.toString().matchAll(/^# TYPE (\S+)/gm)].map(([, family]) => family!);
  const lines = bytes
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#")).length;
  const values = new Map<string, number>();
  const reader = new PrometheusReader({
    families,
    isOpenMetrics: false,
    sample: ({ family, suffix, value }) => values.set(`${families[family]!}${suffix}`, value),
  });
  reader.push(bytes);
  return { lines, values, end: reader.finish() };
}

describe("recorded metrics", () => {
  test("are there", () => expect(pages.length).toBeGreaterThan(5));

  test.each(pages)("%s: every line is read", (name) => {
    const { lines, end } = read(name);
    expect(lines).toBeGreaterThan(10);
    expect(end).toEqual({ samples: lines, malformed: 0, tooLong: 0, bad: "" });
  });

  test.each(["b5129", "b8672", "b11434", "b11549"])(
    "llama.cpp %s, at work with more than it has slots for",
    (build) => {
      const { values } = read(`llamacpp-${build}.busy.metrics.txt`);
      expect(values.get("llamacpp:requests_processing")).toBe(2);
      expect(values.get("llamacpp:requests_deferred")).toBeGreaterThan(0);
      expect(values.get("llamacpp:n_busy_slots_per_decode")).toBeGreaterThan(1);
      expect(read(`llamacpp-${build}.idle.metrics.txt`).values.get("llamacpp:requests_processing")).toBe(0);
    },
  );

  test("llama.cpp told of its KV cache once, and no longer does", () => {
    const name = "llamacpp:kv_cache_usage_ratio";
    const told = ["b5129", "b8672", "b11549"].map((build) =>
      read(`llamacpp-${build}.busy.metrics.txt`).values.get(name),
    );
    expect(told[0]).toBeGreaterThan(0);
    expect(told[0]).toBeLessThan(1);
    expect(told.slice(1)).toEqual([undefined, undefined]);
  });

  test("Triton's quantiles of nothing are no numbers", () => {
    const { values } = read("triton-2.51.0.unused.metrics.txt");
    expect(values.get("nv_inference_request_summary_us")).toBeNaN();
  });
});
