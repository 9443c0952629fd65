/** Prometheus' text format and OpenMetrics: what a writer writes comes back, and what nobody should write harms nothing. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BODY_BYTES_MAX,
  type Described,
  LINE_BYTES_MAX,
  type PrometheusEnd,
  PrometheusReader,
} from "../../src/wire/prometheus.ts";
import type { LabelSet } from "../../src/wire/prometheus-labels.ts";

interface Read {
  readonly name: string;
  readonly labels: readonly (readonly [string, string])[];
  readonly value: number;
  readonly timestampMs?: number;
  readonly exemplar?: Omit<Read, "name" | "exemplar">;
}

interface Result {
  readonly samples: Read[];
  readonly described: [string, Described, string][];
  readonly end: PrometheusEnd;
}

const encoder = new TextEncoder();

function pairs(labels: LabelSet): (readonly [string, string])[] {
  return Array.from({ length: labels.count }, (_, i) => [labels.nameAt(i), labels.valueAt(i)] as const);
}

/** Reads in pieces that end at the given shares of the text. */
function read(
  text: string | Uint8Array,
  families: readonly string[],
  { isOpenMetrics = false, cuts = [] as readonly number[] } = {},
): Result {
  const samples: Read[] = [];
  const described: [string, Described, string][] = [];
  const reader = new PrometheusReader({
    families,
    isOpenMetrics,
    sample({ family, suffix, labels, value, timestampMs, exemplar }) {
      samples.push({
        name: `${families[family]}${suffix}`,
        labels: pairs(labels),
        value,
        ...(timestampMs === undefined ? {} : { timestampMs }),
        ...(exemplar === undefined
          ? {}
          : {
              exemplar: {
                labels: pairs(exemplar.labels),
                value: exemplar.value,
                ...(exemplar.timestampMs === undefined ? {} : { timestampMs: exemplar.timestampMs }),
              },
            }),
      });
    },
    described: (family, what, said) => void described.push([families[family] ?? "", what, said]),
  });
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const places = [...cuts.map((share) => Math.floor(share * bytes.length)), bytes.length].toSorted((a, b) => a - b);
  let at = 0;
  for (const place of places) {
    reader.push(bytes, at, place);
    at = place;
  }
  return { samples, described, end: reader.finish() };
}

const value = (text: string): number | undefined => read(`m ${text}\n`, ["m"]).samples[0]?.value;

describe("a text is read", () => {
  test("as the format's own example", () => {
    const text = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320
`;
    const families = [
      "http_requests_total",
      "msdos_file_access_time_seconds",
      "metric_without_timestamp_and_labels",
      "something_weird",
      "http_request_duration_seconds",
    ];
    const { samples, described, end } = read(text, families);
    expect(end).toEqual({ samples: 9, malformed: 0, tooLong: 0, bad: "" });
    expect(described).toEqual([
      ["http_requests_total", "help", "The total number of HTTP requests."],
      ["http_requests_total", "type", "counter"],
      ["http_request_duration_seconds", "type", "histogram"],
    ]);
    expect(samples[0]).toEqual({
      name: "http_requests_total",
      labels: [
        ["method", "post"],
        ["code", "200"],
      ],
      value: 1027,
      timestampMs: 1_395_066_363_000,
    });
    expect(samples[2]?.labels).toEqual([
      ["path", "C:\\DIR\\FILE.TXT"],
      ["error", 'Cannot find file:\n"FILE.TXT"'],
    ]);
    expect(samples[4]).toEqual({
      name: "something_weird",
      labels: [["problem", "division by zero"]],
      value: Infinity,
      timestampMs: -3_982_045,
    });
    expect(samples.slice(5).map(({ name }) => name.slice(29))).toEqual(["_bucket", "_bucket", "_sum", "_count"]);
  });

  test("as OpenMetrics, with exemplars, units and an end", () => {
    const text = `# TYPE foo histogram
# UNIT foo seconds
# HELP foo It is \\"foo\\"\\\\.
foo_bucket{le="0.1"} 8 # {} 0.054
foo_bucket{le="1"} 10 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67 1520879607.789
foo_count 17
foo_sum 324789.3
foo_created 1520430000.123
# EOF
`;
    const { samples, described, end } = read(text, ["foo"], { isOpenMetrics: true });
    expect(end).toMatchObject({ samples: 5, malformed: 0, bad: "" });
    expect(described).toEqual([
      ["foo", "type", "histogram"],
      ["foo", "unit", "seconds"],
      ["foo", "help", 'It is "foo"\\.'],
    ]);
    expect(samples[0]?.exemplar).toEqual({ labels: [], value: 0.054 });
    expect(samples[1]).toEqual({
      name: "foo_bucket",
      labels: [["le", "1"]],
      value: 10,
      timestampMs: 1_520_879_607_789,
      exemplar: { labels: [["trace_id", "KOO5S4vxi0o"]], value: 0.67, timestampMs: 1_520_879_607_789 },
    });
    expect(samples[4]?.name).toBe("foo_created");
    expect(read(text.replace("# EOF\n", ""), ["foo"], { isOpenMetrics: true }).end.bad).toBe(
      "the text ends without # EOF",
    );
    // Behind the end nothing may come; an empty line is nothing.
    expect(read(`${text}\nfoo_count 1\n`, ["foo"], { isOpenMetrics: true }).end).toMatchObject({
      samples: 5,
      malformed: 1,
    });
  });

  test("with names in quotes, as Prometheus 3 writes them", () => {
    const text = `# TYPE "my.metric/é" gauge
{"my.metric/é"} 1
{"my.metric/é", "a.label"="x", plain="y",} 2
{ "quo\\"ted" , a = "b" } 3
`;
    const { samples, described, end } = read(text, ["my.metric/é", 'quo"ted']);
    expect(end.malformed).toBe(0);
    expect(described).toEqual([["my.metric/é", "type", "gauge"]]);
    expect(samples.map(({ name, labels }) => [name, ...labels.flat()])).toEqual([
      ["my.metric/é"],
      ["my.metric/é", "a.label", "x", "plain", "y"],
      ['quo"ted', "a", "b"],
    ]);
  });

  test("without types, with CRLF, blanks and tabs anywhere between words", () => {
    const { samples, end } = read('\r\n \t m \t{ a = "1" ,\tb="2" , }\t 3 \t 4 \t\r\nm 5\r\nm{} 6\r\n', ["m"]);
    expect(end).toMatchObject({ samples: 3, malformed: 0, bad: "" });
    expect(samples[0]).toEqual({
      name: "m",
      labels: [
        ["a", "1"],
        ["b", "2"],
      ],
      value: 3,
      timestampMs: 4,
    });
  });

  test("only as far as somebody wants it, a wanted name being itself before a part of another", () => {
    const text = 'a_count 1\na 2\nab 3\nbroken{x="} 4\na_sum{x="} 5\n';
    const { samples, end } = read(text, ["a", "a_count"]);
    expect(samples.map(({ name, value: read_ }) => [name, read_])).toEqual([
      ["a_count", 1],
      ["a", 2],
    ]);
    // Lines of others are not looked at.
    expect(end.malformed).toBe(1);
    const seen: [number, string][] = [];
    const reader = new PrometheusReader({
      families: ["a", "a_count"],
      isOpenMetrics: false,
      sample: ({ family, suffix }) => void seen.push([family, suffix]),
    });
    reader.push(encoder.encode(text));
    expect(seen).toEqual([
      [1, ""],
      [0, ""],
    ]);
  });

  test("label by label", () => {
    const found: (string | undefined)[] = [];
    const reader = new PrometheusReader({
      families: ["m"],
      isOpenMetrics: false,
      sample: ({ labels }) => void found.push(labels.get("b"), labels.get("none"), labels.get("A")),
    });
    reader.push(encoder.encode('m{a="1",b="two\\n"} 1\n'));
    expect(found).toEqual(["two\n", undefined, undefined]);
  });
});

describe("numbers", () => {
  test("are Go's", () => {
    const table: [string, number | undefined][] = [
      ["0", 0],
      ["-0", -0],
      ["+1.5", 1.5],
      [".5", 0.5],
      ["5.", 5],
      ["1e3", 1000],
      ["1E-3", 0.001],
      ["1e400", Infinity],
      ["1e-400", 0],
      ["1e99999999999999999999", Infinity],
      ["nan", Number.NaN],
      ["NaN", Number.NaN],
      ["Inf", Infinity],
      ["+inf", Infinity],
      ["-Infinity", -Infinity],
      ["9223372036854775794", 2 ** 63],
      ["0x1.8p1", 3],
      ["-0X1P-2", -0.25],
      ["0x.8p0", 0.5],
      ["123456789012345678901234567890", Number("123456789012345678901234567890")],
      ["0.000000000000000000000000000000000001", 1e-36],
      ["", undefined],
      [".", undefined],
      ["-", undefined],
      ["e5", undefined],
      ["1e", undefined],
      ["1e+", undefined],
      ["1_000", undefined],
      ["1,5", undefined],
      ["0x10", undefined],
      ["0xp1", undefined],
      ["1x1", undefined],
      ["--1", undefined],
      ["+-1", undefined],
      ["1.2.3", undefined],
      ["infinit", undefined],
      ["-nan", undefined],
      ["0b1", undefined],
      ["１", undefined],
    ];
    for (const [text, expected] of table) expect([text, value(text)]).toEqual([text, expected]);
  });

  test("are read as exactly as the platform reads them", () => {
    fc.assert(
      fc.property(fc.double(), fc.integer({ min: 0, max: 20 }), (number, digits) => {
        for (const text of [
          String(number),
          number.toExponential(),
          number.toFixed(digits),
          number.toPrecision(digits + 1),
        ]) {
          expect(value(text)).toBe(Number(text));
        }
      }),
    );
  });
});

describe("what is malformed", () => {
  test("is left out and counted", () => {
    const broken = [
      "m",
      "m{",
      "m{}",
      "m 1 2 3",
      "m 1 x",
      "m 1 1.5",
      "m one",
      'm{a="1" 1',
      'm{a="1"',
      'm{a="1"b="2"} 1',
      'm{a="1",,b="2"} 1',
      "m{,} 1",
      "m{a=1} 1",
      'm{a="1"} ',
      'm{1a="1"} 1',
      'm{a="1",a="2"} 1',
      'm{a="\\"} 1',
      'm{"a" "b"} 1',
      "m 1 # {} ",
      "m 1 # 5",
      'm 1 # {a="b"} 1 2 3',
      'm 1 # {a="b"',
      '{"m"',
      '{"m" 1',
      '{"m",} ',
      '{a="b"} 1',
      "{} 1",
    ];
    for (const line of broken) {
      const { samples, end } = read(`${line}\nm 7\n`, ["m"]);
      expect([line, samples.map((sample) => sample.value), end.malformed]).toEqual([line, [7], 1]);
    }
  });

  test("counts types that there are not", () => {
    expect(read("# TYPE m thing\nm 1\n# TYPE other thing\n# TYPE\n", ["m"]).end.malformed).toBe(2);
  });

  test("may be half of a number: a text that ends within a line is not whole", () => {
    for (const text of ["m 1\nm 12", "m 1\n#", "m 1\n "]) {
      const { samples, end } = read(text, ["m"]);
      expect(samples.map((sample) => sample.value)).toEqual([1]);
      expect(end.bad).toBe("the text ends within a line");
    }
    expect(read("", ["m"]).end.bad).toBe("");
  });
});

describe("limits", () => {
  const long = (bytes: number): string => `m{a="${"x".repeat(bytes - 9)}"} 1`;

  test("of a line", () => {
    for (const cuts of [[], [0.3, 0.6]]) {
      const fits = read(`${long(LINE_BYTES_MAX)}\nm 2\n`, ["m"], { cuts });
      expect([fits.samples.length, fits.end.tooLong]).toEqual([2, 0]);
      const over = read(`${long(LINE_BYTES_MAX + 1)}\nm 2\n`, ["m"], { cuts });
      expect([over.samples.map((sample) => sample.value), over.end]).toEqual([
        [2],
        { samples: 1, malformed: 0, tooLong: 1, bad: "" },
      ]);
    }
    expect(read(long(LINE_BYTES_MAX + 1), ["m"]).end).toMatchObject({ tooLong: 1, bad: "the text ends within a line" });
  });

  test("of labels", () => {
    const labels = (count: number): string => Array.from({ length: count }, (_, i) => `l${i}="${i}"`).join();
    expect(read(`m{${labels(64)}} 1\n`, ["m"]).samples[0]?.labels).toHaveLength(64);
    expect(read(`m{${labels(65)}} 1\n`, ["m"]).end).toMatchObject({ samples: 0, malformed: 1 });
  });

  test("of the text", () => {
    const reader = new PrometheusReader({ families: ["m"], isOpenMetrics: false, sample: () => {} });
    const mib = new Uint8Array(2 ** 20).fill(10);
    for (let bytes = 0; bytes < BODY_BYTES_MAX; bytes += mib.length) expect(reader.push(mib)).toBe(true);
    expect(reader.push(mib, 0, 1)).toBe(false);
    expect(reader.finish().bad).toBe("the text is longer than 8 MiB");
    reader.reset();
    expect(reader.push(mib, 0, 1)).toBe(true);
    expect(reader.finish().bad).toBe("");
  });
});

// What a writer may write.

const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const anyText = fc.string({ unit: "binary", maxLength: 20 }).filter((text) => text.isWellFormed());
const plainName = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/);
const quotedName = anyText.filter((text) => text !== "");
const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Infinity, -Infinity, Number.NaN, -0));
const labels = fc.uniqueArray(fc.tuple(fc.oneof(fc.stringMatching(LABEL), quotedName), anyText), {
  selector: ([name]) => name,
  maxLength: 6,
});
const exemplar = fc.record({ labels, value: number }, { requiredKeys: ["labels", "value"] });
const sampleOf = (names: readonly string[]) =>
  fc.record(
    {
      name: fc.constantFrom(...names),
      labels,
      value: number,
      timestampMs: fc.integer({ min: -(2 ** 40), max: 2 ** 42 }),
      exemplar,
    },
    { requiredKeys: ["name", "labels", "value"] },
  );
const blank = fc.constantFrom(" ", "  ", "\t", " \t ");

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')}"`;
}

const written = (figure: number): string =>
  Object.is(figure, -0)
    ? "-0"
    : String(figure)
        .replace(/^Infinity$/, "+Inf")
        .replace(/^-Infinity$/, "-Inf");

function writtenLabels(list: readonly (readonly [string, string])[], first: readonly string[] = []): string {
  const items = list.map(([name, label]) => `${LABEL.test(name) ? name : quoted(name)}=${quoted(label)}`);
  const all = [...first, ...items];
  return all.length === 0 ? "" : `{${all.join(",")}}`;
}

function lineOf(sample: Read, space: string): string {
  const isPlain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(sample.name);
  const head = isPlain
    ? sample.name + writtenLabels(sample.labels)
    : writtenLabels(sample.labels, [quoted(sample.name)]);
  const time = sample.timestampMs === undefined ? "" : `${space}${sample.timestampMs}`;
  const more =
    sample.exemplar === undefined
      ? ""
      : `${space}#${space}${writtenLabels(sample.exemplar.labels) || "{}"}${space}${written(sample.exemplar.value)}`;
  return `${head}${space}${written(sample.value)}${time}${more}`;
}

const scrape = fc.uniqueArray(fc.oneof(plainName, quotedName), { minLength: 2, maxLength: 6 }).chain((names) =>
  fc.record({
    names: fc.constant(names),
    samples: fc.array(sampleOf(names), { maxLength: 12 }),
    space: blank,
    eol: fc.constantFrom("\n", "\r\n"),
    noise: fc.constantFrom("", "# a comment", "#", "   "),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
  }),
);

test("what a writer writes comes back, in whatever pieces, and only what is wanted", () => {
  fc.assert(
    fc.property(scrape, ({ names, samples, space, eol, noise, cuts }) => {
      const text = samples.map((sample) => lineOf(sample, space) + eol + noise + (noise === "" ? "" : eol)).join("");
      // The last name is nobody's wish. One that is a part of a wanted family is given as that part.
      const wanted = names.slice(0, -1);
      const isWanted = ({ name }: Read): boolean =>
        wanted.some(
          (family) =>
            name.startsWith(family) &&
            /^(?:_(?:bucket|sum|count|total|created|info|gcount|gsum))?$/.test(name.slice(family.length)),
        );
      const { samples: back, end } = read(text, wanted, { cuts });
      expect(back).toEqual(samples.filter(isWanted));
      expect(end).toMatchObject({ malformed: 0, tooLong: 0, bad: "" });
    }),
  );
});

test("no bytes do harm, and pieces make no difference", () => {
  const alphabet = fc.constantFrom(...Array.from('m{}"=,\\ \t\r\n#1.e+-NaInfHELPTYPEOFxé\u0000'));
  const shapes = fc.oneof(
    fc.string({ unit: alphabet, maxLength: 80 }).map((text) => encoder.encode(text)),
    fc.uint8Array({ maxLength: 80 }),
    fc
      .array(fc.constantFrom('m{a="b"} 1', "m 2", '{"m"} 3', "# TYPE m gauge", "# EOF", "\r", "\n", "\\", '"'), {
        maxLength: 12,
      })
      .map((parts) => encoder.encode(parts.join("\n"))),
  );
  fc.assert(
    fc.property(shapes, fc.boolean(), (bytes, isOpenMetrics) => {
      const whole = read(bytes, ["m"], { isOpenMetrics });
      const every = Array.from({ length: bytes.length }, (_, i) => i / bytes.length);
      expect(read(bytes, ["m"], { isOpenMetrics, cuts: every })).toEqual(whole);
      for (const { labels: list } of whole.samples)
        for (const pair of list) expect(pair.every((text) => typeof text === "string")).toBe(true);
    }),
    { numRuns: 500 },
  );
});
