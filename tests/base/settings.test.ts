import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatFault } from "../../src/base/field.ts";
import { renderHelp } from "../../src/base/help.ts";
import { sampleFile } from "../../src/base/sample-file.ts";
import { list, map } from "../../src/base/settings-collections.ts";
import {
  type Setting,
  defaultsOf,
  finishDraft,
  newDraft,
  parseSection,
  readText,
  settingsOf,
  writeSection,
} from "../../src/base/settings-reading.ts";
import { baseUrl, upstream } from "../../src/base/settings-urls.ts";
import {
  type Infer,
  address,
  bytes,
  choice,
  duration,
  flag,
  integer,
  number,
  section,
  text,
} from "../../src/base/settings.ts";

const doc = "What it is for.";

const sample = section({
  pollIntervalMs: duration({ default: "5s", min: "50ms", max: "10m", doc }),
  bufferBytesMax: bytes({ default: "32MiB", min: "1KiB", max: "1GiB", doc }),
  retries: integer({ default: 3, min: 1, max: 10, doc }),
  speed: number({ default: 1, min: 0.5, doc }),
  name: text({ default: "", pattern: /^[a-z]+$/, expected: "lower-case letters", doc }),
  loud: flag({ default: false, doc }),
  format: choice(["auto", "text", "json"], { default: "auto", doc }),
  listen: address({ default: ":8080", doc }),
  join: list(address({}), { default: [], doc }),
  labels: map(text({ lengthMax: 8 }), { default: {}, flag: "label", doc }),
  upstreams: list(upstream(), { default: [], separator: " ", flag: "upstream", doc }),
  home: baseUrl({ default: "", expected: "a URL", doc }),
  fleet: section(
    { pollTimeoutMs: duration({ default: "2s", doc }), secret: text({ default: "", secret: true, doc }) },
    {
      check: ({ pollTimeoutMs }) =>
        pollTimeoutMs === 13 ? [{ path: "pollTimeout", found: 13, expected: "another number" }] : [],
    },
  ),
});
type Sample = Infer<typeof sample>;

function faultsOf(raw: unknown): string[] {
  return (parseSection(sample, raw).faults ?? []).map(formatFault);
}

function fromText(values: Record<string, string | string[]>) {
  const draft = newDraft();
  const settings = new Map(settingsOf(sample).map((setting): [string, Setting] => [setting.flag, setting]));
  for (const [name, raw] of Object.entries(values)) {
    const setting = settings.get(name);
    if (setting === undefined) throw new Error(`no flag ${name}`);
    readText({ setting, raw, source: `flag --${name}` }, draft);
  }
  return finishDraft(sample, draft);
}

describe("a section", () => {
  test("gives its defaults, frozen, for nothing said", () => {
    const config: Sample = defaultsOf(sample);
    expect(config).toEqual({
      pollIntervalMs: 5000,
      bufferBytesMax: 32 * 2 ** 20,
      retries: 3,
      speed: 1,
      name: "",
      loud: false,
      format: "auto",
      listen: { host: "", port: 8080 },
      join: [],
      labels: {},
      upstreams: [],
      home: "",
      fleet: { pollTimeoutMs: 2000, secret: "" },
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.fleet)).toBe(true);
    for (const empty of [undefined, null, {}]) expect(parseSection(sample, empty).value).toEqual(config);
  });

  test("reads every kind from a file", () => {
    const parsed = parseSection(sample, {
      pollInterval: "1m30s",
      bufferMax: "64k",
      retries: 4,
      speed: 2.5,
      name: "abc",
      loud: true,
      format: "json",
      listen: "[::1]:0",
      join: ["a:1", "b:2"],
      labels: { rack: "r12" },
      upstreams: ["m=http://h:1", { model: "n", url: "http://h", weight: 2 }],
      home: "http://h:1/",
      fleet: { pollTimeout: "250ms" },
    });
    expect(parsed.value).toEqual({
      pollIntervalMs: 90_000,
      bufferBytesMax: 65_536,
      retries: 4,
      speed: 2.5,
      name: "abc",
      loud: true,
      format: "json",
      listen: { host: "::1", port: 0 },
      join: [
        { host: "a", port: 1 },
        { host: "b", port: 2 },
      ],
      labels: { rack: "r12" },
      upstreams: [
        { model: "m", host: "h", port: 1, tls: false, protocol: "http", weight: 1 },
        { model: "n", host: "h", port: 80, tls: false, protocol: "http", weight: 2 },
      ],
      home: "http://h:1",
      fleet: { pollTimeoutMs: 250, secret: "" },
    });
  });

  test("reports every fault with its path, what stood there and what was expected", () => {
    expect(
      faultsOf({
        pollInterval: "5 lightyears",
        bufferMax: 12,
        retries: "3",
        speed: Number.NaN,
        name: "A",
        loud: "yes",
        format: "jsn",
        listen: 8080,
        join: ["a:1", "b", 7],
        labels: { "1x": "v", ok: "123456789" },
        upstreams: ["m=ftp://h"],
        home: "http://h/path",
        fleet: { pollTimeoutt: 1, pollTimeout: -1 },
        polInterval: 1,
      }),
    ).toEqual([
      'pollInterval: found "5 lightyears"; expected a duration from 50ms to 10m',
      "bufferMax: found 12; expected a size from 1KiB to 1GiB",
      'retries: found "3"; expected a whole number from 1 to 10',
      "speed: found NaN; expected a number of at least 0.5",
      'name: found "A"; expected lower-case letters',
      'loud: found "yes"; expected true or false',
      'format: found "jsn"; expected one of auto, text, json; did you mean json?',
      "listen: found 8080; expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080",
      'join[1]: found "b"; expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080',
      "join[2]: found 7; expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080",
      'labels: found "1x"; expected a name of at most 64 letters, digits, _, . or -, starting with a letter or _',
      'labels.ok: found "123456789"; expected text of at most 8 characters on one line',
      'upstreams[0]: found "m=ftp://h"; expected MODEL=http://HOST:PORT, or https, grpc or grpcs in place of http, or MODEL=unix:/PATH, with ,WEIGHT behind it for a weight above 0 and at most 1000, and ,role=ROLE for vllm.prefill, vllm.decode, sglang.prefill[.PORT] or sglang.decode',
      'home: found "http://h/path"; expected a URL',
      "fleet.pollTimeoutt: found 1; no such key; did you mean pollTimeout?",
      "fleet.pollTimeout: found -1; expected a duration of at least 0s",
      "polInterval: found 1; no such key; did you mean pollInterval?",
    ]);
  });

  test("puts a path before its faults", () => {
    expect(parseSection(sample, { retries: 0 }, "router").faults?.[0]?.path).toBe("router.retries");
  });

  test("refuses what is no keys and values", () => {
    expect(faultsOf([1])).toEqual(["(top level): found [1]; expected keys and values"]);
    expect(faultsOf("x")).toEqual(['(top level): found "x"; expected keys and values']);
    expect(faultsOf({ fleet: 3 })).toEqual(["fleet: found 3; expected keys and values"]);
  });

  test("is not fooled by keys that every object has", () => {
    const raw = JSON.parse('{"__proto__": {"retries": 9}, "constructor": 1, "labels": {"__proto__": "x"}}') as unknown;
    expect(faultsOf(raw)).toEqual([
      '__proto__: found {"retries":9}; no such key',
      "constructor: found 1; no such key",
      'labels: found "__proto__"; expected a name of at most 64 letters, digits, _, . or -, starting with a letter or _',
    ]);
    expect(defaultsOf(sample).retries).toBe(3);
  });

  test("checks what holds between settings only when each is right by itself", () => {
    expect(faultsOf({ fleet: { pollTimeout: "13ms" } })).toEqual([
      "fleet.pollTimeout: found 13; expected another number",
    ]);
    expect(faultsOf({ fleet: { pollTimeout: "13ms" }, retries: 0 })).toHaveLength(1);
  });

  test("writes itself as a file holds it, without secrets", () => {
    const parsed = parseSection(sample, { fleet: { secret: "hush" }, upstreams: ["m=http://h:1,2.5"] });
    const written = writeSection(sample, parsed.value as Sample);
    expect(written).toMatchObject({
      pollInterval: "5s",
      bufferMax: "32MiB",
      listen: ":8080",
      upstreams: ["m=http://h:1,2.5"],
      fleet: { pollTimeout: "2s", secret: "(hidden)" },
    });
    const { fleet: _fleet, ...rest } = written;
    expect(parseSection(sample, rest).value).toMatchObject({ pollIntervalMs: 5000 });
  });

  test("shows nothing of what is wrong with a map of secrets", () => {
    const of = section({ keys: map(text({ lengthMax: 8 }), { default: {}, secret: true, lengthMax: 1, doc }) });
    const [setting] = settingsOf(of);
    for (const raw of [["hush"], ["a=hush,b=hush"]]) {
      const draft = newDraft();
      readText({ setting: setting as Setting, raw, source: "flag --keys" }, draft);
      expect(draft.faults.map(({ found }) => found)).toEqual(['"(hidden)"']);
    }
    expect(parseSection(of, { keys: "hush" }).faults?.map(({ found }) => found)).toEqual(['"(hidden)"']);
  });

  test("must declare a doc and a right default for each setting", () => {
    expect(() => section({ a: integer({ default: 1 }) })).toThrow("the setting a has no doc");
    expect(() => section({ a: integer({ doc }) })).toThrow("the setting a has no default");
    expect(() => integer({ default: 11, max: 10, doc })).toThrow("a default is wrong");
    expect(() => duration({ default: "1s", min: "x", doc })).toThrow("a limit is wrong");
  });
});

describe("names", () => {
  test("drop the unit outside, and follow the sections", () => {
    const names = settingsOf(sample).map(({ keys, path, flag: name, variable }) => [
      keys.join("."),
      path,
      name,
      variable,
    ]);
    expect(names).toContainEqual(["pollIntervalMs", "pollInterval", "poll-interval", "INFERMESH_POLL_INTERVAL"]);
    expect(names).toContainEqual(["bufferBytesMax", "bufferMax", "buffer-max", "INFERMESH_BUFFER_MAX"]);
    expect(names).toContainEqual(["labels", "labels", "label", "INFERMESH_LABEL"]);
    expect(names).toContainEqual([
      "fleet.pollTimeoutMs",
      "fleet.pollTimeout",
      "fleet-poll-timeout",
      "INFERMESH_FLEET_POLL_TIMEOUT",
    ]);
  });
});

describe("values from flags and variables", () => {
  test("are text, read by the same fields", () => {
    const parsed = fromText({
      "poll-interval": "100ms",
      "buffer-max": "1MiB",
      retries: "7",
      speed: "1.5",
      loud: "Yes",
      join: ["a:1, b:2", "c:3"],
      label: ["rack=r12", "tier=gold,x="],
      upstream: ["m=http://h:1,2", "n=http://h:2"],
    });
    expect(parsed.value).toMatchObject({
      pollIntervalMs: 100,
      bufferBytesMax: 2 ** 20,
      retries: 7,
      speed: 1.5,
      loud: true,
      join: [{ host: "a" }, { host: "b" }, { host: "c" }],
      labels: { rack: "r12", tier: "gold", x: "" },
      upstreams: [{ model: "m", weight: 2 }, { model: "n" }],
    });
  });

  test("a duration without a unit is refused, and what is missing is said", () => {
    for (const parsed of [fromText({ "poll-interval": "30" }), parseSection(sample, { pollInterval: 30 })]) {
      expect(parsed.faults?.map(({ hint }) => hint)).toEqual(["give it a unit, such as 30s or 500ms"]);
    }
  });

  test("are refused with where they came from", () => {
    const parsed = fromText({ retries: "three", loud: "maybe", label: "norack", join: "a:1,b" });
    expect((parsed.faults ?? []).map(formatFault)).toEqual([
      'retries: found "three" (flag --retries); expected a whole number from 1 to 10',
      'loud: found "maybe" (flag --loud); expected true or false',
      'labels: found "norack" (flag --label); expected NAME=VALUE',
      'join: found "b" (flag --join); expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080',
    ]);
  });
});

describe("whatever is given", () => {
  const keys = settingsOf(sample).map(({ path }) => path.split(".")[0] ?? "");

  test("nothing throws, and a config comes out or faults do", () => {
    const value = fc.oneof(
      fc.anything({ withBigInt: true, withMap: true, withDate: true }),
      fc.json().map((json) => JSON.parse(json) as unknown),
      fc.string(),
    );
    const raw = fc.oneof(value, fc.dictionary(fc.constantFrom(...keys, "other", "fleet"), value));
    fc.assert(
      fc.property(raw, (given) => {
        const { value: config, faults } = parseSection(sample, given);
        if (config === undefined) {
          expect(faults?.length).toBeGreaterThan(0);
          for (const fault of faults ?? []) expect(formatFault(fault).length).toBeLessThan(1000);
        } else {
          expect(config.retries).toBeGreaterThanOrEqual(1);
          expect(config.retries).toBeLessThanOrEqual(10);
          expect(config.pollIntervalMs).toBeGreaterThanOrEqual(50);
        }
      }),
      { numRuns: 3000, examples: [[{ pollInterval: { toString: 0 } }]] },
    );
  });

  test("no text throws in any field", () => {
    const bits = fc.constantFrom(
      "5s",
      "1m",
      "=",
      ",",
      ":",
      "[::1]",
      "http://",
      "-1",
      "9".repeat(30),
      "1e9",
      "\u0000",
      " ",
    );
    const given = fc.oneof(
      fc.string(),
      fc.array(bits).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.constantFrom(...settingsOf(sample)), fc.array(given, { maxLength: 4 }), (setting, raw) => {
        const draft = newDraft();
        readText({ setting, raw: setting.field.repeatable ? raw : (raw[0] ?? ""), source: "flag" }, draft);
        const { value } = finishDraft(sample, draft);
        expect(value === undefined).toBe(draft.faults.length > 0);
      }),
      { numRuns: 3000 },
    );
  });

  test("a report stays short and is made quickly, even of a tree without an end", () => {
    const cycle: Record<string, unknown> = { a: [1, 2, 3] };
    cycle["self"] = cycle;
    let wide: unknown = "x".repeat(1000);
    for (let depth = 0; depth < 40; depth += 1) wide = [wide, wide, wide];
    for (const raw of [{ retries: cycle }, { retries: wide }, { join: cycle }]) {
      const [fault = ""] = faultsOf(raw);
      expect(fault.length).toBeLessThan(300);
    }
  });
});

describe("presets", () => {
  const kinds = section(
    {
      kind: choice(["near", "far", "odd"], { default: "near", doc }),
      waitMs: duration({ default: "1s", max: "1m", doc }),
      tries: integer({ default: 3, doc }),
    },
    {
      presets: { key: "kind", defaults: { near: {}, far: { waitMs: 5000, tries: 0 }, odd: { tries: 7 } } },
      check: ({ waitMs, tries }) =>
        waitMs > 10_000 && tries > 3 ? [{ path: "tries", found: tries, expected: "at most 3" }] : [],
    },
  );
  const outer = section({ deep: kinds });
  const read = (raw: unknown) => parseSection(outer, { deep: raw }).value?.deep;

  test("change the defaults, and nothing that is given", () => {
    expect(defaultsOf(outer).deep).toEqual({ kind: "near", waitMs: 1000, tries: 3 });
    expect(read({ kind: "far" })).toEqual({ kind: "far", waitMs: 5000, tries: 0 });
    expect(read({ kind: "odd" })).toEqual({ kind: "odd", waitMs: 1000, tries: 7 });
    // Given as what another kind has by default: it was still given.
    expect(read({ kind: "far", wait: "1s" })).toEqual({ kind: "far", waitMs: 1000, tries: 0 });
    expect(Object.isFrozen(read({ kind: "far" }))).toBe(true);
  });

  test("the choice may come from another source than the settings that it changes", () => {
    const settings = new Map(settingsOf(outer).map((setting): [string, Setting] => [setting.flag, setting]));
    const draft = newDraft();
    const say = (name: string, raw: string) => readText({ setting: settings.get(name)!, raw, source: "" }, draft);
    say("deep-tries", "5");
    say("deep-kind", "far");
    expect(finishDraft(outer, draft).value?.deep).toEqual({ kind: "far", waitMs: 5000, tries: 5 });
  });

  test("are looked at by checks, together with what is given", () => {
    const faults = parseSection(outer, { deep: { kind: "odd", wait: "11s" } }).faults ?? [];
    expect(faults.map(formatFault)).toEqual(["deep.tries: found 7; expected at most 3"]);
    expect(parseSection(outer, { deep: { kind: "wide" } }).faults).toHaveLength(1);
  });

  test("are told in the help and in the sample file, where what they change is a comment", () => {
    const help = renderHelp({ command: "x", summary: "y", usage: [], settings: outer }, 110);
    expect(help).toContain("(default 1s; far: 5s)");
    expect(help).toContain("(default 3; far: 0; odd: 7)");
    const file = sampleFile(outer, "Title.");
    expect(file).toContain("  kind: near\n");
    expect(file).toContain("default 3 (far: 0, odd: 7).");
    expect(file).toContain("  # tries: 3\n");
    const copy = Bun.YAML.parse(file.replace("kind: near", "kind: far"));
    expect(parseSection(outer, copy).value?.deep).toEqual({ kind: "far", waitMs: 5000, tries: 0 });
  });
});
