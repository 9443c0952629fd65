/**
 * Pages read one after the other: whatever one has in common with that before, each is told as if it had been read alone;
 * by the lines that are followed in TypeScript and in C.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Followed,
  followLines,
  type FollowLines,
  LINE,
  LINE_TABLE_BYTES_MAX,
  LINES_MAX,
  LineTable,
  ODD_MAX,
} from "../../src/wire/prometheus-lines.ts";
import { PageReader } from "../../src/wire/prometheus-pages.ts";
import {
  BODY_BYTES_MAX,
  type PrometheusEnd,
  PrometheusReader,
  type PrometheusSample,
} from "../../src/wire/prometheus.ts";
import { cFollower } from "../score/c-library.ts";

const encoder = new TextEncoder();
const FAMILIES = ["c", "h", "g", "quoted name"];
const FOLLOWERS: readonly (readonly [string, FollowLines])[] = [
  ["TypeScript", followLines],
  ["C", cFollower()],
];

interface Told {
  readonly samples: readonly string[];
  readonly end: PrometheusEnd;
}

function nameOf({ family, suffix, labels }: PrometheusSample): string {
  const pairs = Array.from({ length: labels.count }, (_, i) => [labels.nameAt(i), labels.valueAt(i)]);
  return JSON.stringify([FAMILIES[family], suffix, pairs]);
}

function bits(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Each page as if there had been no other. */
function alone(page: Uint8Array, isOpenMetrics: boolean): Told {
  const samples: string[] = [];
  const reader = new PrometheusReader({
    families: FAMILIES,
    isOpenMetrics,
    sample: (sample) => void samples.push(`${nameOf(sample)} ${bits(sample.value)}`),
  });
  reader.push(page);
  return { samples, end: reader.finish() };
}

/** Some samples are not to be kept: those of `g` with a label `new`. */
class InTurn {
  samples: string[] = [];
  again = 0;
  #last = "";
  readonly #kept: string[] = [];
  readonly #reader: PageReader;

  constructor(isOpenMetrics: boolean, follow?: FollowLines) {
    this.#reader = new PageReader({
      families: FAMILIES,
      isOpenMetrics,
      follow,
      sample: (sample) => {
        this.#last = nameOf(sample);
        this.samples.push(`${this.#last} ${bits(sample.value)}`);
      },
      keep: () => {
        if (this.#last.includes("new")) return false;
        this.#kept.push(this.#last);
        return true;
      },
      again: (number, value) => {
        this.again++;
        this.samples.push(`${this.#kept[number]} ${bits(value)}`);
      },
      forget: (number) => {
        expect(number).toBeLessThanOrEqual(this.#kept.length);
        this.#kept.length = number;
      },
    });
  }

  read(page: Uint8Array | string): Told {
    this.samples = [];
    this.again = 0;
    const end = this.#reader.read(typeof page === "string" ? encoder.encode(page) : page);
    return { samples: this.samples, end };
  }

  forget(): void {
    this.#reader.forget();
  }
}

const number = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -5, max: 100_000 }).map(String) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 99 }).map((one) => `${one}.0`) },
  { weight: 3, arbitrary: fc.double().map(String) },
  fc.constantFrom("NaN", "+Inf", "-Inf", "1e5", "1.5E-7", "-0", ".5", "5.", ".", "1e", "1e+", "0x1p3", "1_0", "", "x"),
  fc.constantFrom("123456789012345", "1234567890123456", "0.000000000000000000000001", "1e22", "1e23", "1e0000005"),
);
const beginning = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "c ",
      'c{a="1"} ',
      'c_total{a="1"}',
      'h_bucket{le="0.5"} ',
      'h_bucket{le="+Inf",engine="0",model_name="a/b"} ',
      'h_sum{model_name="a"}\t',
      "h_count  ",
      'g{new="1"} ',
      'g{text="a } \\" b"} ',
      '{"quoted name",a="1"} ',
    ),
  },
  fc.constantFrom(
    "u ",
    'unwanted{a="b"} ',
    'unwanted_name_bucket{le="1"}',
    '{"unwanted"} ',
    " c ",
    "c{",
    "c{a=b} ",
    "c",
  ),
);
const behind = fc.oneof(
  { weight: 12, arbitrary: fc.constant("") },
  fc.constantFrom(" ", " 1700000000", " 1700000000000 ", ' # {t="1"} 0.5', " x", "\r"),
);
const line = fc.oneof(
  { weight: 60, arbitrary: fc.tuple(beginning, number, behind).map((parts) => parts.join("")) },
  {
    weight: 15,
    arbitrary: fc.constantFrom(
      "",
      " ",
      "# HELP c It counts.",
      "# TYPE c counter",
      "#",
      "# c",
      "# EOF",
      " # EOF",
      "#EOF",
      "# EOF ",
      "#\t EOF",
    ),
  },
  fc.constant(`unwanted ${"x".repeat(70_000)}`),
  fc.constant(`c{a="${"x".repeat(70_000)}"} 1`),
);

/** What becomes of a page until the next one. */
const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("number" as const), at: fc.nat(), number }) },
  fc.record({ what: fc.constant("insert" as const), at: fc.nat(), line }),
  fc.record({ what: fc.constantFrom("remove" as const, "swap" as const, "cut" as const), at: fc.nat() }),
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(lines: readonly string[], by: readonly Change[]): { lines: string[]; cut: number } {
  const next = [...lines];
  let cut = -1;
  for (const one of by) {
    const at = next.length === 0 ? 0 : one.at % next.length;
    if (one.what === "insert") next.splice(at, 0, one.line);
    else if (one.what === "remove") next.splice(at, 1);
    else if (one.what === "swap") next.push(...next.splice(at, 1));
    else if (one.what === "cut") cut = one.at;
    else if (one.what === "number" && next[at] !== undefined) next[at] = withNumber(next[at], one.number);
  }
  return { lines: next, cut };
}

/** In the place of what stands behind the last blank or brace. */
function withNumber(text: string, wanted: string): string {
  return text.slice(0, Math.max(text.lastIndexOf(" "), text.lastIndexOf("\t"), text.lastIndexOf("}")) + 1) + wanted;
}

describe.each(FOLLOWERS)("pages that are followed in %s", (_name, follow) => {
  test("are told as if each had been read alone", () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 30 }),
        fc.array(fc.array(change, { maxLength: 4 }), { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        fc.constantFrom("\n", "\r\n"),
        (first, changes, isOpenMetrics, end) => {
          const reader = new InTurn(isOpenMetrics, follow);
          let lines: readonly string[] = first;
          for (const by of [[], ...changes]) {
            const made = changed(lines, by);
            lines = made.lines;
            const whole = encoder.encode(lines.map((text) => `${text}${end}`).join(""));
            const page = made.cut < 0 ? whole : whole.subarray(0, made.cut % (whole.length + 1));
            expect(reader.read(page)).toEqual(alone(page, isOpenMetrics));
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test("of which nothing but numbers moves are never looked at again", () => {
    const text = (tick: number): string =>
      `# HELP c It counts.\n# TYPE c counter\nc{a="1"} ${tick}\nu{a="1"} ${tick}\nh_sum ${tick}.25\nh_count ${tick}\nc{b="1"}${tick}\r\n`;
    const reader = new InTurn(false, follow);
    reader.read(text(1));
    for (const tick of [2, 30, 400, 123_456, 5]) {
      expect(reader.read(text(tick))).toEqual(alone(encoder.encode(text(tick)), false));
      expect(reader.again).toBe(4);
    }
    reader.forget();
    reader.read(text(6));
    expect(reader.again).toBe(0);
    reader.read(text(7));
    expect(reader.again).toBe(4);
  });

  test("that are others each time are remembered only now and then, and told all the same", () => {
    const reader = new InTurn(false, follow);
    for (let turn = 0; turn < 300; turn += 1) {
      const lines = Array.from({ length: 20 }, (_, i) => `c{a="${(i + turn) % 20}"} ${turn}\n`);
      const page = encoder.encode(lines.join(""));
      expect(reader.read(page)).toEqual(alone(page, false));
    }
    const still = encoder.encode("c 1\ng 2\n");
    let followed = 0;
    for (let turn = 0; turn < 80; turn += 1) {
      expect(reader.read(still).end.samples).toBe(2);
      followed += reader.again;
    }
    expect(followed).toBeGreaterThan(20);
  });

  test("beyond what is kept of them, and beyond every limit, are told as well", () => {
    const lines = Array.from({ length: LINES_MAX + 100 }, (_, i) => `c{a="${i}"} ${i}\n`);
    const odd = Array.from({ length: ODD_MAX + 50 }, (_, i) => `g{new="${i}"} ${i}\n`);
    const long = Array.from({ length: 40 }, (_, i) => `c{a="${i}${"x".repeat(LINE_TABLE_BYTES_MAX / 32)}"} ${i}\n`);
    for (const text of [lines, odd, long].map((some) => some.join(""))) {
      const page = encoder.encode(text);
      const reader = new InTurn(false, follow);
      const told = alone(page, false);
      for (let turn = 0; turn < 3; turn += 1) expect(Bun.deepEquals(reader.read(page), told)).toBe(true);
      expect(reader.again).toBeGreaterThan(text === odd.join("") ? -1 : 1);
    }
    const reader = new InTurn(false, follow);
    reader.read("c 1\n");
    const large = new Uint8Array(BODY_BYTES_MAX + 1).fill(10);
    large.set(encoder.encode("c 1\n"));
    expect(reader.read(large)).toEqual(alone(large, false));
    for (const text of ["c 2\nu 1\n", "c 3\nu 1\n", `c 4\nu ${"1".repeat(70_000)}\n`]) {
      expect(reader.read(text)).toEqual(alone(encoder.encode(text), false));
      expect(reader.again).toBe(1);
    }
  });
});

test("C and TypeScript go as far along any lines, with the same numbers where both read them", () => {
  const c = cFollower();
  const kept = fc.tuple(
    fc.string({ unit: fc.constantFrom("a", "b", " ", "#", "\n", "1") }),
    fc.constantFrom(...Object.values(LINE)),
  );
  const bytes = fc.string({
    unit: fc.constantFrom("a", "b", " ", "#", "\n", "\r", "1", "2", ".", "e", "-"),
    maxLength: 40,
  });
  fc.assert(
    fc.property(fc.array(kept, { maxLength: 6 }), fc.array(bytes, { maxLength: 8 }), (lines, rests) => {
      const table = new LineTable();
      for (const [text, kind] of lines) table.add(encoder.encode(text), 0, text.length, kind);
      const page = encoder.encode(rests.map((rest, i) => `${lines[i]?.[0] ?? ""}${rest}\n`).join(""));
      const told = [followLines, c].map((follow) => {
        const into = new Followed();
        follow(table, page, page.length, into);
        const odd = Array.from({ length: into.odds }, (_, i) => [...into.odd.subarray(i * 4, i * 4 + 4)]);
        return { into, odd };
      });
      const [twin, ours] = told as [(typeof told)[0], (typeof told)[0]];
      const far = ({ into: { lines: count, at, length, figures } }: typeof twin): number[] => [
        count,
        at,
        length,
        figures,
      ];
      expect(far(ours)).toEqual(far(twin));
      // What C leaves to TypeScript is a number of many digits.
      for (const one of twin.odd) expect(ours.odd).toContainEqual(one);
      const left = new Set(ours.odd.filter(([, , , valueAt]) => valueAt! >= 0).map(([figure]) => figure));
      for (let i = 0; i < ours.into.figures; i += 1) {
        if (!left.has(i)) expect(ours.into.values[i]).toBe(twin.into.values[i]);
      }
    }),
    { numRuns: 2000 },
  );
});
