/** Load reports of ORCA: the forms of real servers, and whatever else may stand there. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LOAD_FIGURE, LOAD_FIGURES, LOAD_NAMES, OrcaReader } from "../../src/wire/orca.ts";

const reader = new OrcaReader();
const FIGURES = Object.entries(LOAD_FIGURE);

type Told = Partial<Record<keyof typeof LOAD_FIGURE, number>>;

function told(): Told {
  return Object.fromEntries(
    FIGURES.map(([name, at]) => [name, reader.figures[at]]).filter(([, value]) => !Number.isNaN(value)),
  ) as Told;
}

/** Null: malformed. It lies in the middle of other bytes, as in a head. */
function read(value: string, isBinary = false): Told | null {
  const bytes = Buffer.from(`x: ,=1${value},kv_cache_usage_perc=1\r\n`, "latin1");
  const end = 6 + Buffer.byteLength(value, "latin1");
  const isFine = isBinary ? reader.readBinary(bytes, 6, end) : reader.read(bytes, 6, end);
  const figures = told();
  if (!isFine) expect(figures).toEqual({});
  expect(reader.tellsAny).toBe(Object.keys(figures).length > 0);
  return isFine ? figures : null;
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

function field(number: number, value: number | Buffer): Buffer {
  if (typeof value === "number") return Buffer.concat([Buffer.from([(number << 3) | 1]), double(value)]);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(value.length)]), value]);
}

const entry = (map: number, name: string, value: number): Buffer =>
  field(map, Buffer.concat([field(1, Buffer.from(name)), field(2, value)]));

describe("reports as servers send them", () => {
  test("vLLM, in text and in JSON", () => {
    const figures = { kvUsage: 0.42, waitingRequests: 5 };
    expect(read("TEXT named_metrics.kv_cache_usage_perc=0.42, named_metrics.num_requests_waiting=5.0")).toEqual(
      figures,
    );
    expect(read('JSON {"named_metrics": {"kv_cache_usage_perc": 0.42, "num_requests_waiting": 5.0}}')).toEqual(figures);
    // Nothing is known before the first step.
    expect(read("TEXT ")).toEqual({});
    expect(read('JSON {"named_metrics": {}}')).toEqual({});
  });

  test("vLLM's server in Rust, which names no format", () => {
    const figures = { kvUsage: 0, waitingRequests: 3 };
    expect(read("named_metrics.kv_cache_usage_perc=0,named_metrics.num_requests_waiting=3")).toEqual(figures);
    expect(read('{"named_metrics":{"kv_cache_usage_perc":0,"num_requests_waiting":3}}')).toEqual(figures);
  });

  test("data-parallel engines, which tell the same name each: counts are added, of fractions the mean is taken", () => {
    const text = [1, 2, 3].map(
      (n) => `named_metrics.num_requests_waiting=${n}, named_metrics.kv_cache_usage_perc=0.${n}`,
    );
    const figures = read(`TEXT ${text.join(", ")}`);
    expect(figures?.waitingRequests).toBe(6);
    expect(figures?.kvUsage).toBeCloseTo(0.2, 12);
  });

  test("Triton", () => {
    const figures = { kvUsage: 0.25, kvCapacityTokens: 32_768 };
    expect(read("TEXT named_metrics.kv_cache_utilization=0.25, named_metrics.max_token_capacity=32768")).toEqual(
      figures,
    );
    expect(read('JSON {"named_metrics":{"kv_cache_utilization":0.25,"max_token_capacity":32768}}')).toEqual(figures);
  });

  test("Envoy's own text, whose separator is a colon, and figures that a row has no place for", () => {
    const text = "TEXT cpu_utilization:0.7,application_utilization:0.8,mem_utilization:0.9,rps_fractional:1000,eps:2";
    expect(read(text)).toEqual({ utilization: 0.8 });
    expect(read('JSON {"cpu_utilization": 0.3, "rps_fractional": 10.0, "applicationUtilization": 1.25}')).toEqual({
      utilization: 1.25,
    });
  });

  test("the message itself, in base64 of either alphabet, padded or not", () => {
    const message = Buffer.concat([
      field(1, 0.7),
      Buffer.from([3 << 3, 0xac, 0x02]),
      field(9, 0.5),
      entry(8, "num_running_reqs", 12),
      entry(8, "anything", 1e300),
      entry(5, "kv_cache_utilization", 0.75),
      entry(4, "tokens", 100),
    ]);
    const figures = { utilization: 0.5, runningRequests: 12, kvUsage: 0.75 };
    for (const text of [message.toString("base64"), message.toString("base64url")]) {
      expect(read(`BIN ${text}`)).toEqual(figures);
      expect(read(text, true)).toEqual(figures);
    }
    // A map's value that is nought is left out.
    expect(read(field(8, field(1, Buffer.from("waiting_requests"))).toString("base64"), true)).toEqual({
      waitingRequests: 0,
    });
  });

  test("every name, in each form", () => {
    for (const [name, figure] of LOAD_NAMES) {
      const key = FIGURES.find(([, at]) => at === figure)?.[0] ?? "";
      const value = key === "kvUsage" ? 0.5 : 3;
      expect(read(`TEXT named_metrics.${name}=${value}`)).toEqual({ [key]: value });
      expect(read(`text utilization.${name} = ${value} `)).toEqual({ [key]: value });
      expect(read(`JSON {"namedMetrics":{"${name}":${value}}}`)).toEqual({ [key]: value });
      expect(read(entry(8, name, value).toString("base64"), true)).toEqual({ [key]: value });
    }
  });
});

describe("what says nothing", () => {
  const MALFORMED = [
    ["no report at all", "busy"],
    ["nothing", ""],
    ["a format that nobody has", "XML <load/>"],
    ["an item without a value", "TEXT num_requests_waiting"],
    ["an empty value", "TEXT num_requests_waiting="],
    ["an empty name", "TEXT =1"],
    ["a text for a value", "TEXT num_requests_waiting=many"],
    ["a value that is no number, of a name that nobody knows", "TEXT eps=x, num_requests_waiting=1"],
    ["infinite", "TEXT num_requests_waiting=inf"],
    ["not a number", "TEXT kv_cache_usage_perc=nan"],
    ["less than nothing", "TEXT num_requests_waiting=-1"],
    ["a percentage for a fraction", "TEXT kv_cache_usage_perc=42"],
    ["broken JSON", 'JSON {"named_metrics": {"num_requests_waiting": 1}'],
    ["JSON that is no object", "JSON [1]"],
    ["JSON that goes on", 'JSON {"eps":1} {"eps":2}'],
    ["a text in JSON", 'JSON {"named_metrics": {"num_requests_waiting": "1"}}'],
    ["an object in a map of JSON", 'JSON {"named_metrics": {"num_requests_waiting": {}}}'],
    ["no base64", "BIN !!!!"],
    ["base64 of nothing", "BIN "],
    ["base64 that is cut short", "BIN CQAAA"],
    ["a message that is cut short", `BIN ${field(9, 0.5).subarray(0, 5).toString("base64")}`],
    ["a length beyond the message", `BIN ${Buffer.from([0x42, 0x7f, 0x0a]).toString("base64")}`],
    ["a figure of another type", `BIN ${Buffer.from([0x48, 0x01]).toString("base64")}`],
    ["a group", `BIN ${Buffer.from([0x43]).toString("base64")}`],
    ["a negative figure in a message", `BIN ${field(9, -0.5).toString("base64")}`],
  ] as const;
  for (const [what, value] of MALFORMED) test(what, () => expect(read(value)).toBeNull());

  test("more than a report may have", () => {
    const items = (count: number): string => Array.from({ length: count }, (_, i) => `m${i}=1`).join(",");
    expect(read(`TEXT ${items(63)},num_requests_waiting=1`)).toEqual({ waitingRequests: 1 });
    expect(read(`TEXT ${items(64)},num_requests_waiting=1`)).toBeNull();
    const members = (count: number): string => Array.from({ length: count }, (_, i) => `"m${i}":1`).join(",");
    expect(read(`JSON {${members(65)}}`)).toBeNull();
    expect(read(`JSON {"named_metrics":{${members(65)}}}`)).toBeNull();
    const fields = Buffer.concat(Array.from({ length: 65 }, () => field(1, 1)));
    expect(read(fields.toString("base64"), true)).toBeNull();
    expect(read(`TEXT num_requests_waiting=1${" ".repeat(5000)}`)).toBeNull();
    expect(read("A".repeat(5000), true)).toBeNull();
    expect(read(`JSON ${'{"a":'.repeat(600)}1${"}".repeat(600)}`)).toBeNull();
  });
});

describe("whatever stands there", () => {
  test("it is read or refused, and what it tells is in range", () => {
    const piece = fc.constantFrom(
      "TEXT ",
      "JSON ",
      "BIN ",
      "{",
      "}",
      '"',
      ":",
      "=",
      ",",
      "named_metrics.",
      "1e9",
      "-0",
    );
    const name = fc.constantFrom(...LOAD_NAMES.map(([text]) => text));
    const value = fc.oneof(
      fc.array(fc.oneof(piece, name, fc.string({ maxLength: 4 })), { maxLength: 12 }).map((parts) => parts.join("")),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => `BIN ${Buffer.from(bytes).toString("base64")}`),
      fc.json().map((json) => `JSON ${json}`),
    );
    fc.assert(
      fc.property(value, fc.boolean(), (text, isBinary) => {
        const bytes = Buffer.from(text);
        if (isBinary) reader.readBinary(bytes, 0, bytes.length);
        else reader.read(bytes, 0, bytes.length);
        for (const figure of reader.figures) expect(Number.isNaN(figure) || figure >= 0).toBe(true);
        const kv = reader.figures[LOAD_FIGURE.kvUsage]!;
        expect(Number.isNaN(kv) || kv <= 1).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test("figures come back as they went, in text, JSON and base64", () => {
    const figures = fc.array(
      fc.tuple(
        fc.constantFrom(...LOAD_NAMES.filter(([, at]) => at !== LOAD_FIGURE.kvUsage)),
        fc.double({ min: 0, max: 1e6, noNaN: true }),
      ),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(figures, (entries) => {
        const once = [...new Map(entries.map(([[name, at], value]) => [at, { name, at, value }])).values()];
        const want = new Float64Array(LOAD_FIGURES).fill(Number.NaN);
        for (const { at, value } of once) want[at] = value;
        const forms = [
          `TEXT ${once.map(({ name, value }) => `named_metrics.${name}=${value}`).join(",")}`,
          `JSON ${JSON.stringify({ named_metrics: Object.fromEntries(once.map(({ name, value }) => [name, value])) })}`,
          `BIN ${Buffer.concat(once.map(({ name, value }) => entry(8, name, value))).toString("base64")}`,
        ];
        for (const form of forms) {
          const bytes = Buffer.from(form);
          expect(reader.read(bytes, 0, bytes.length)).toBe(true);
          expect([...reader.figures]).toEqual([...want]);
        }
      }),
    );
  });

  test("a message that is cut anywhere, or has a byte changed, breaks nothing", () => {
    const message = Buffer.concat([field(9, 0.5), entry(8, "num_running_reqs", 12), entry(8, "token_usage", 0.1)]);
    for (let at = 0; at < message.length; at++) {
      read(message.subarray(0, at).toString("base64"), true);
      for (const byte of [0, 1, 127, 128, 255]) {
        const changed = Buffer.from(message);
        changed[at] = byte;
        read(changed.toString("base64"), true);
      }
    }
    expect(read(message.toString("base64"), true)).toEqual({ utilization: 0.5, runningRequests: 12, kvUsage: 0.1 });
  });
});
