/** Pages of metrics by a map, on a virtual clock: rates, resets, windows, quantiles, several engines and models. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MetricMap } from "../../src/runtimes/metric-map.ts";
import { MetricPages, MODELS_MAX } from "../../src/runtimes/metric-pages.ts";
import { NO_FIGURES } from "../../src/runtimes/reading.ts";
import type { FollowLines } from "../../src/wire/prometheus-lines.ts";
import { cFollower } from "../score/c-library.ts";

const encoder = new TextEncoder();

/** Reads pages that come at the given times. */
class Reader {
  readonly pages: MetricPages;

  constructor(map: MetricMap) {
    this.pages = new MetricPages(map);
  }

  at(seconds: number, text: string): this {
    expect(this.pages.read(encoder.encode(text), false, seconds * 1000)).toBe("");
    return this;
  }

  get figures() {
    return this.pages.figures;
  }
}

const requests = (map: MetricMap["figures"]["requestsPerSecond"]) =>
  new Reader({ figures: { requestsPerSecond: map! } });
const running = (map: MetricMap["figures"]["runningRequests"]) => new Reader({ figures: { runningRequests: map! } });

describe("values", () => {
  test.each([
    ["sum", 9],
    ["mean", 3],
    ["max", 5],
    ["min", 1],
  ] as const)("of several series are their %s", (across, value) => {
    const reader = running({ value: { names: ["r"], across } });
    reader.at(0, 'r{e="0"} 1\nr{e="1"} 5\nr{e="2"} 3\n');
    expect(reader.figures.runningRequests).toBe(value);
  });

  test("are of the first name that is there, of the labels that are wanted, and scaled", () => {
    const reader = running({ value: { names: ["new", "old"], where: { kind: "a" }, scale: 100 } });
    expect(reader.at(0, 'old{kind="a"} 3\n').figures.runningRequests).toBe(300);
    expect(reader.at(1, 'old{kind="a"} 3\nnew{kind="a"} 4\nnew{kind="b"} 9\n').figures.runningRequests).toBe(400);
    expect(reader.at(2, 'new{kind="b"} 9\n').figures.runningRequests).toBeUndefined();
  });

  test("that are no figure are none: NaN, infinities, negatives, shares above everything", () => {
    const reader = new Reader({ figures: { runningRequests: { value: "r" }, kvUsage: { value: "kv" } } });
    for (const value of ["NaN", "+Inf", "-1"]) {
      expect(reader.at(0, `r ${value}\n`).figures.runningRequests).toBeUndefined();
    }
    expect(reader.at(1, "kv 55\n").figures.kvUsage).toBeUndefined();
    expect(reader.at(2, "kv 1.01\n").figures.kvUsage).toBe(1);
  });

  test("of labels are numbers, and none where they are words", () => {
    const reader = new Reader({
      figures: {
        kvCapacityTokens: {
          product: [
            { label: "blocks", of: "i_info" },
            { label: "size", of: "i_info" },
          ],
        },
      },
    });
    expect(reader.at(0, 'i_info{blocks="100",size="16"} 1\n').figures.kvCapacityTokens).toBe(1600);
    expect(reader.at(1, 'i_info{blocks="None",size="16"} 1\n').figures.kvCapacityTokens).toBeUndefined();
  });

  test("are put together as the map says", () => {
    const of = (figure: NonNullable<MetricMap["figures"]["slots"]>) =>
      new Reader({ figures: { slots: figure } }).at(0, "a 8\nb 2\nz 0\n").figures.slots;
    const [a, b, z, none] = [{ value: "a" }, { value: "b" }, { value: "z" }, { value: "none" }];
    expect(of({ sum: [a, b] })).toBe(10);
    expect(of({ product: [a, b] })).toBe(16);
    expect(of({ difference: [a, b] })).toBe(6);
    expect(of({ difference: [b, a] })).toBe(0);
    expect(of({ quotient: [a, b] })).toBe(4);
    expect(of({ quotient: [a, z] })).toBeUndefined();
    expect(of({ first: [none, b, a] })).toBe(2);
    expect(of({ sum: [a, none] })).toBeUndefined();
    expect(of({ number: 7 })).toBe(7);
    expect(of({ series: "a" })).toBe(1);
  });
});

describe("counters", () => {
  test("grow at a rate over the window, with and without _total", () => {
    for (const [written, told] of [
      ["c", "c_total"],
      ["c_total", "c"],
      ["c_total", "c_total"],
      ["c", "c"],
    ]) {
      const reader = requests({ rate: written! });
      reader.at(0, `${told} 100\n`);
      expect(reader.figures.requestsPerSecond).toBeUndefined();
      expect(reader.at(5, `${told} 150\n`).figures.requestsPerSecond).toBe(10);
      expect(reader.at(10, `${told} 150\n`).figures.requestsPerSecond).toBe(5);
      expect(reader.at(20, `${told} 150\n`).figures.requestsPerSecond).toBe(0);
    }
  });

  test("that began anew count from 0, series by series", () => {
    const reader = requests({ rate: "c" });
    reader.at(0, 'c{e="0"} 100\nc{e="1"} 100\n').at(1, 'c{e="0"} 3\nc{e="1"} 110\n');
    expect(reader.figures.requestsPerSecond).toBe(13);
  });

  test("that come later began since the page before, in whatever order they stand", () => {
    const reader = requests({ rate: "c" });
    reader.at(0, 'c{r="stop"} 50\n').at(10, 'c{r="abort"} 4\nc{r="stop"} 56\n');
    expect(reader.figures.requestsPerSecond).toBe(1);
  });

  test("of another process are not set against those of the one before", () => {
    const reader = requests({ rate: "c" });
    reader.at(0, "process_start_time_seconds 1.5e9\nc 100\n").at(5, "process_start_time_seconds 1.5e9\nc 105\n");
    expect(reader.pages.processMark).toBe(0);
    reader.at(6, "process_start_time_seconds 1.6e9\nc 400\n");
    expect(reader.pages.processMark).toBe(1);
    expect(reader.figures.requestsPerSecond).toBeUndefined();
    expect(reader.at(7, "process_start_time_seconds 1.6e9\nc 402\n").figures.requestsPerSecond).toBe(2);
  });

  test("say nothing after they were cleared", () => {
    const reader = requests({ rate: "c" }).at(0, "c 100\n").at(5, "c 110\n");
    reader.pages.clear();
    expect(reader.figures).toEqual(NO_FIGURES);
    expect(reader.at(6, "c 1000\n").figures.requestsPerSecond).toBeUndefined();
    expect(reader.at(7, "c 1001\n").figures.requestsPerSecond).toBe(1);
  });

  test("never come to less than nothing, and to what was counted, whatever the pages' rhythm", () => {
    const steps = fc.array(
      fc.record({ ms: fc.integer({ min: 1, max: 4000 }), more: fc.nat(1000), isReset: fc.boolean() }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (pages) => {
        const reader = requests({ rate: "c" });
        let [nowMs, value] = [0, 500];
        const grown: { atMs: number; total: number }[] = [{ atMs: 0, total: 0 }];
        reader.at(0, `c ${value}\n`);
        for (const { ms, more, isReset } of pages) {
          nowMs += ms;
          // A counter that began anew is seen as such only where it has not come as far again.
          const began = isReset && more < value;
          value = began ? more : value + more;
          grown.push({ atMs: nowMs, total: grown.at(-1)!.total + more });
          reader.at(nowMs / 1000, `c ${value}\n`);
          const rate = reader.figures.requestsPerSecond!;
          expect(rate).toBeGreaterThanOrEqual(0);
          const rates = grown
            .filter(({ atMs }) => atMs < nowMs)
            .map(({ atMs, total }) => ((grown.at(-1)!.total - total) * 1000) / (nowMs - atMs));
          expect(rates.some((each) => Math.abs(each - rate) <= 1e-6 * Math.max(1, each))).toBe(true);
        }
      }),
    );
  });

  test("make ratios, that are not known while the lower one rests", () => {
    const reader = new Reader({ figures: { cacheHitRate: { ratio: ["hits", "queries"] } } });
    reader.at(0, "hits_total 10\nqueries_total 100\n").at(5, "hits_total 40\nqueries_total 200\n");
    expect(reader.figures.cacheHitRate).toBeCloseTo(0.3);
    expect(reader.at(30, "hits_total 40\nqueries_total 200\n").figures.cacheHitRate).toBeUndefined();
  });
});

describe("speeds", () => {
  test("stay while nothing happens, and the best falls only as others are seen", () => {
    const reader = new Reader({
      figures: {
        prefillTokensPerSecond: { best: { ratio: ["tokens", "seconds"] }, halfLifeMs: 10_000 },
        decodeTokensPerSecond: { held: { ratio: ["tokens", "seconds"] } },
      },
    });
    reader.at(0, "tokens 0\nseconds 0\n").at(10, "tokens 1000\nseconds 1\n");
    expect(reader.figures).toMatchObject({ prefillTokensPerSecond: 1000, decodeTokensPerSecond: 1000 });
    for (let s = 20; s <= 600; s += 10) reader.at(s, "tokens 1000\nseconds 1\n");
    expect(reader.figures).toMatchObject({ prefillTokensPerSecond: 1000, decodeTokensPerSecond: 1000 });
    // Small prompts: half of the way to 200 in a half-life.
    reader.at(610, "tokens 1200\nseconds 2\n");
    expect(reader.figures).toMatchObject({ prefillTokensPerSecond: 600, decodeTokensPerSecond: 200 });
    reader.at(620, "tokens 3200\nseconds 3\n");
    expect(reader.figures.prefillTokensPerSecond).toBe(2000);
  });
});

describe("histograms", () => {
  const map: MetricMap = { figures: { timeToFirstToken: { quantiles: "h" } } };
  const buckets = (counts: Readonly<Record<string, number>>, labels = "") =>
    Object.entries(counts)
      .map(([le, count]) => `h_bucket{${labels}le="${le}"} ${count}\n`)
      .join("");

  test("give quantiles of what was observed within the window", () => {
    const reader = new Reader(map);
    reader.at(0, buckets({ "1": 1000, "2": 1000, "+Inf": 1000 }));
    expect(reader.figures.timeToFirstToken).toBeUndefined();
    reader.at(10, buckets({ "1": 1000, "2": 1100, "+Inf": 1100 }));
    expect(reader.figures.timeToFirstToken).toEqual({ p50: 1.5, p95: 1.95, p99: 1.99 });
    expect(reader.at(21, buckets({ "1": 1000, "2": 1100, "+Inf": 1100 })).figures.timeToFirstToken).toBeUndefined();
  });

  test("put engines together, also where one of them began anew", () => {
    const reader = new Reader(map);
    const both = (a: number, b: number) =>
      buckets({ "1": a, "2": a, "+Inf": a }, 'e="0",') + buckets({ "1": 0, "2": b, "+Inf": b }, 'e="1",');
    reader.at(0, both(10, 10)).at(5, both(5, 15));
    expect(reader.figures.timeToFirstToken?.p50).toBe(1);
    expect(reader.figures.timeToFirstToken?.p95).toBeCloseTo(1.9);
  });

  test("whose buckets change go on with the new ones", () => {
    const reader = new Reader(map);
    reader.at(0, buckets({ "1": 10, "+Inf": 10 }));
    reader.at(5, buckets({ "0.5": 10, "1.0": 20, "+Inf": 20 }));
    // What was below 0.5 before is not known, so it is all between 0.5 and 1; the same bound is found as it was written.
    expect(reader.figures.timeToFirstToken?.p50).toBeCloseTo(0.75);
    reader.at(20, buckets({ "0.5": 30, "1.0": 40, "+Inf": 40 }));
    expect(reader.figures.timeToFirstToken?.p50).toBeCloseTo(0.25);
  });

  test("are told in the unit of the figure", () => {
    const reader = new Reader({ figures: { queueTime: { quantiles: { names: ["h"], scale: 1e-6 } } } });
    reader.at(0, buckets({ "1000000": 0, "+Inf": 0 })).at(5, buckets({ "1000000": 10, "+Inf": 10 }));
    expect(reader.figures.queueTime?.p50).toBeCloseTo(0.5);
  });

  test("beyond the last bound are at it; summaries tell their own quantiles", () => {
    const reader = new Reader(map);
    reader.at(0, buckets({ "1": 0, "+Inf": 0 })).at(5, buckets({ "1": 0, "+Inf": 10 }));
    expect(reader.figures.timeToFirstToken).toEqual({ p50: 1, p95: 1, p99: 1 });
    const summary = new Reader(map).at(0, 'h{quantile="0.5"} 0.1\nh{quantile="0.9"} 0.2\nh{quantile="0.99"} 0.3\n');
    expect(summary.figures.timeToFirstToken).toEqual({ p50: 0.1, p95: 0.2, p99: 0.3 });
  });

  test("have a mean over the window", () => {
    const reader = new Reader({ figures: { slots: { mean: "h" } } });
    reader.at(0, "h_sum 100\nh_count 10\n").at(5, "h_sum 130\nh_count 20\n");
    expect(reader.figures.slots).toBe(3);
  });

  test("of any observations come to a quantile within its bucket", () => {
    const bounds = [0.1, 0.5, 1, 5];
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { minLength: 1, maxLength: 80 }), (values) => {
        const page = (seen: readonly number[]) =>
          bounds.map((b) => `h_bucket{le="${b}"} ${seen.filter((v) => v <= b).length}\n`).join("") +
          `h_bucket{le="+Inf"} ${seen.length}\n`;
        const reader = new Reader(map).at(0, page([])).at(5, page(values));
        const { p50, p95, p99 } = reader.figures.timeToFirstToken!;
        expect(p50 <= p95 && p95 <= p99).toBe(true);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(values.length / 2) - 1]!;
        const upper = bounds.find((bound) => exact <= bound) ?? 5;
        const lower = exact > 5 ? 5 : (bounds[bounds.indexOf(upper) - 1] ?? 0);
        expect(p50).toBeGreaterThanOrEqual(lower);
        expect(p50).toBeLessThanOrEqual(upper);
      }),
    );
  });
});

describe("models", () => {
  const map: MetricMap = {
    figures: {
      runningRequests: { value: "r" },
      requestsPerSecond: { rate: "c" },
      timeToFirstToken: { quantiles: "h" },
    },
    modelLabels: ["model", "model_name"],
  };

  test("have figures of their own, and the runtime their sum", () => {
    const reader = new Reader(map);
    const page = (a: number, b: number) =>
      `r{model="a"} ${a}\nr{model_name="b"} ${b}\nr 1\nc{model="a",version="1"} ${a}\nc{model="a",version="2"} ${a}\n`;
    reader.at(0, page(1, 2)).at(10, page(11, 5));
    expect(reader.pages.models()).toEqual(["a", "b"]);
    expect(reader.figures).toMatchObject({ runningRequests: 17, requestsPerSecond: 2 });
    expect(reader.pages.figuresOf("a")).toMatchObject({ runningRequests: 11, requestsPerSecond: 2 });
    expect(reader.pages.figuresOf("b")).toMatchObject({ runningRequests: 5, requestsPerSecond: undefined });
    expect(reader.pages.figuresOf("c")).toBeUndefined();
  });

  test("that come and go are hinted at, once each", () => {
    const reader = new Reader(map).at(0, 'r{model="a"} 1\n');
    const marks = [reader.pages.modelsMark];
    for (const page of [
      'r{model="a"} 9\n',
      'r{model="a"} 1\nr{model="b"} 1\n',
      'r{model="b"} 1\n',
      'r{model="b"} 2\n',
    ]) {
      reader.at(marks.length, page);
      marks.push(reader.pages.modelsMark);
    }
    expect(marks.map((mark) => mark - marks[0]!)).toEqual([0, 0, 1, 2, 2]);
    expect(reader.pages.models()).toEqual(["b"]);
  });

  test("are hinted at by texts of labels too", () => {
    const hinted = new Reader({ figures: {}, modelHints: [{ label: "adapters", of: "i" }] });
    hinted.at(0, 'i{adapters=""} 1\n');
    const mark = hinted.pages.modelsMark;
    expect(hinted.at(1, 'i{adapters=""} 2\n').pages.modelsMark).toBe(mark);
    expect(hinted.at(2, 'i{adapters=""} 2\ni{adapters="x"} 3\n').pages.modelsMark).toBe(mark + 1);
  });

  test("are hinted at by what is counted, wherever it begins", () => {
    const counted = { names: ["http_requests_total"], where: { handler: "/load" } };
    const hinted = new Reader({ figures: {}, modelHints: [{ counted }] });
    hinted.at(0, 'http_requests_total{handler="/other"} 1\n');
    const mark = hinted.pages.modelsMark;
    expect(hinted.at(1, 'http_requests_total{handler="/other"} 7\n').pages.modelsMark).toBe(mark);
    const page = (count: number): string =>
      `http_requests_total{handler="/other"} 9\nhttp_requests_total{handler="/load",status="2xx"} ${count}.0\n`;
    const marks = [1, 1, 2, 2, 5].map((count, second) => hinted.at(second + 2, page(count)).pages.modelsMark - mark);
    expect(marks).toEqual([1, 1, 2, 2, 3]);
    expect(hinted.pages.loadsMark).toBe(3);
    const vague = new Reader({ figures: {}, modelHints: [{ label: "adapters", of: "i" }] });
    vague.at(0, 'i{adapters="a"} 1\n').at(1, 'i{adapters="b"} 1\n');
    expect([vague.pages.modelsMark, vague.pages.loadsMark]).toEqual([2, 0]);
  });

  test("are known to be counted by what is counted with them, before one was loaded", () => {
    const reader = new Reader({ figures: {}, hintsShownBy: { names: ["n"], where: { handler: "/models" } } });
    const shown = ['n{handler="/other"} 1\n', 'n{handler="/models"} 1\n', 'n{handler="/models"} 1\n', "other 1\n"];
    const counts = shown.map((page, second) => reader.at(second, page).pages.countsLoads);
    expect(counts).toEqual([false, true, true, false]);
    reader.at(9, shown[1]!).pages.clear();
    expect(reader.pages.countsLoads).toBe(false);
  });

  test("beyond the limit count for the runtime alone", () => {
    const lines = Array.from({ length: MODELS_MAX + 10 }, (_, i) => `r{model="m${i}"} 1\n`);
    const reader = new Reader(map).at(0, lines.join(""));
    expect(reader.pages.models()).toHaveLength(MODELS_MAX);
    expect(reader.figures.runningRequests).toBe(MODELS_MAX + 10);
  });
});

describe("pages that are none", () => {
  const map: MetricMap = { figures: { runningRequests: { value: "r" }, requestsPerSecond: { rate: "c" } } };
  const why = (text: string, isOpenMetrics = false) =>
    new MetricPages(map).read(encoder.encode(text), isOpenMetrics, 0);

  test("are told from those of a server that did nothing yet", () => {
    expect(why("")).toBe("");
    expect(why("# HELP other Some.\n")).toBe("");
    expect(why('other{a="b"} 1\n')).toBe("");
    expect(why("<!DOCTYPE html>\n<html>\n")).toContain("no text of metrics");
    expect(why('{"detail":"Not Found"}')).toContain("no text of metrics");
    expect(why("r one\n")).toContain("none of its lines that matter can be read");
    expect(why("r 1\nr{")).toContain("ends within a line");
    expect(why("r 1\n", true)).toContain("# EOF");
    expect(why("r 1\n# EOF\n", true)).toBe("");
  });

  test("leave everything as it was", () => {
    const reader = new Reader(map).at(0, "r 1\nc 10\n").at(5, "r 2\nc 20\n");
    expect(reader.pages.read(encoder.encode("r 9\nc 5000\nc{"), false, 6000)).not.toBe("");
    expect(reader.figures).toMatchObject({ runningRequests: 2, requestsPerSecond: 2 });
    expect(reader.at(10, "r 2\nc 20\n").figures.requestsPerSecond).toBe(1);
  });

  test("of any bytes harm nothing, and what comes after them is read", () => {
    const line = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.constantFrom(
        "r 1",
        "c 5",
        'c{a="1"} 5',
        'r{a="',
        "c NaN",
        "c -1",
        "c 1e400",
        'r{model="x"} 1',
        "# TYPE c counter",
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.array(line, { maxLength: 12 }), { maxLength: 6 }), (pages) => {
        const read = new MetricPages({ ...map, modelLabels: ["model"] });
        pages.forEach((lines, i) => {
          read.read(encoder.encode(lines.join("\n")), i % 2 === 1, i * 1000);
          const { runningRequests, requestsPerSecond } = read.figures;
          for (const figure of [runningRequests, requestsPerSecond]) {
            expect(figure === undefined || (figure >= 0 && Number.isFinite(figure))).toBe(true);
          }
        });
        expect(read.read(encoder.encode("r 3\n"), false, 100_000)).toBe("");
        expect(read.figures.runningRequests).toBe(3);
      }),
    );
  });
});

describe("pages whose lines are followed", () => {
  const NEVER: FollowLines = (table, _page, _end, into) => into.begin(table.figures);
  const MAP: MetricMap = {
    figures: {
      runningRequests: { value: "g" },
      waitingRequests: { series: "g" },
      kvUsage: { value: { names: ["share", "g"], across: "mean", scale: 0.001 } },
      slots: { label: "slots", of: "i_info" },
      requestsPerSecond: { rate: "c" },
      preemptionsPerSecond: { rate: { names: ["other", "h_count"] } },
      cacheHitRate: { ratio: ["c", "h_sum"] },
      prefillTokensPerSecond: { best: { mean: "h" } },
      timeToFirstToken: { quantiles: "h" },
    },
    notes: { most: { value: { names: ["g"], across: "max" } } },
    modelLabels: ["model"],
    modelHints: [{ label: "adapters", of: "i_info" }],
  };
  const labels = fc.constantFrom("", '{model="a"}', '{model="b",e="0"}', '{model="b",e="1"}', '{e="0"}');
  const line = fc.oneof(
    fc
      .tuple(fc.constantFrom("g", "c", "c_total", "h_count", "h_sum", "share", "unwanted"), labels)
      .map((parts) => parts.join("")),
    fc
      .tuple(fc.constantFrom("0.1", "1", "+Inf", "x"), fc.constantFrom("", ',model="a"'))
      .map(([le, model]) => `h_bucket{le="${le}"${model}}`),
    fc
      .tuple(fc.constantFrom("1", "16", "None"), fc.constantFrom("", "l", "l,m"))
      .map(([slots, adapters]) => `i_info{slots="${slots}",adapters="${adapters}"}`),
    fc.constant("process_start_time_seconds"),
  );
  const value = fc.oneof(
    fc.nat(9),
    fc.nat(1e6),
    fc.double({ min: 0, max: 10, noNaN: true }),
    fc.constantFrom("NaN", "-1", "+Inf"),
  );
  const page = fc.record({
    values: fc.array(value, { minLength: 1, maxLength: 20 }),
    change: fc.option(fc.record({ at: fc.nat(), line, isInsert: fc.boolean() }), { freq: 3 }),
    event: fc.constantFrom("none", "none", "none", "cut", "clear", "gone"),
    times: fc.constantFrom(1, 1, 1, 2, 70),
  });

  test("lead to no series and no model that was forgotten meanwhile", () => {
    for (const text of ['c{e="0"} ', 'g{model="a"} ', 'c{model="a"} ', 'h_bucket{model="a",le="1"} ']) {
      const both = [new MetricPages(MAP), new MetricPages(MAP, NEVER)] as const;
      const numbers = ["5", ...Array.from({ length: 150 }, () => "NaN"), "100", "110", "130"];
      for (const [second, number] of numbers.entries()) {
        const told = both.map((pages) => {
          expect(pages.read(encoder.encode(`${text}${number}\n`), false, second * 1000)).toBe("");
          return [pages.figures, pages.figuresOf("a"), pages.models()];
        });
        expect(told[0]).toEqual(told[1]);
      }
    }
  });

  test.each([
    ["TypeScript", undefined],
    ["C", cFollower()],
  ] as const)("come to the same figures as pages that are read alone, in %s", (_, follow) => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.array(page, { minLength: 1, maxLength: 8 }), (first, turns) => {
        const both = [new MetricPages(MAP, follow), new MetricPages(MAP, NEVER)] as const;
        let lines = [...first];
        let atMs = 0;
        const seen = (pages: MetricPages) => {
          const { figures, notes, readAtMs, modelsMark, processMark, samples } = pages;
          const ofModels = ["a", "b"].map((model) => pages.figuresOf(model));
          return { figures, notes, readAtMs, modelsMark, processMark, samples, ofModels, models: pages.models() };
        };
        for (const { values, change, event, times } of turns) {
          if (change?.isInsert === true) lines.splice(change.at % (lines.length + 1), 0, change.line);
          else if (change !== null) lines = lines.filter((_line, at) => at !== change.at % lines.length);
          if (event === "clear") for (const pages of both) pages.clear();
          // Whoever is gone for long is forgotten.
          const shown = event === "gone" ? lines.filter((text) => !text.includes("model")) : lines;
          const text = shown.map((one, at) => `${one} ${values[at % values.length]}\n`).join("");
          const body = encoder.encode(event === "cut" ? text.slice(0, -2) : text);
          for (let time = 0; time < times; time += 1) {
            atMs += 1000;
            const [why, expected] = both.map((pages) => pages.read(body, false, atMs));
            expect(why).toBe(expected);
            expect(seen(both[0])).toEqual(seen(both[1]));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
