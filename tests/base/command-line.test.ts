import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatFault } from "../../src/base/field.ts";
import { parseFlags } from "../../src/base/flags.ts";
import { fold, renderHelp } from "../../src/base/help.ts";
import { nearest } from "../../src/base/nearest.ts";
import { list } from "../../src/base/settings-collections.ts";
import { duplicateKeys, lineOfFailure, lineOfPath } from "../../src/base/settings-file.ts";
import { settingsOf } from "../../src/base/settings-reading.ts";
import { address, choice, duration, flag, integer, number, section, text } from "../../src/base/settings.ts";

const settings = section({
  listen: address({ default: ":8080", doc: "Where clients connect. More about it." }),
  join: list(address({}), { default: [], doc: "Members." }),
  loud: flag({ default: false, doc: "Say more." }),
  traffic: number({ default: 0, bare: "2", placeholder: "PER_SECOND", emptyMeans: "none", doc: "Sample requests." }),
  kind: choice(["a", "b", "c", "d", "e", "f"], { default: "a", doc: "Which one." }),
  fleet: section(
    {
      pollIntervalMs: duration({ default: "5s", doc: "Between polls." }),
      offset: integer({ default: 0, min: -5, doc: "An offset." }),
    },
    { doc: "How targets are polled." },
  ),
});
const extras = [
  { name: "config", placeholder: "FILE", doc: "A file." },
  { name: "help", short: "h", placeholder: "", doc: "This." },
];

function parse(args: string[], operandsMax = 0) {
  const line = parseFlags(args, settingsOf(settings), extras, operandsMax);
  return {
    values: Object.fromEntries(line.values.map(({ setting, raw }) => [setting.flag, raw])),
    extras: Object.fromEntries(line.extras),
    operands: line.operands,
    faults: line.faults.map(formatFault),
  };
}

describe("flags", () => {
  test("take a value after a space or an equals sign, and the last one counts", () => {
    expect(parse(["--listen", ":1", "--listen=:2", "--fleet-poll-interval", "1s", "--config=a=b"])).toEqual({
      values: { listen: ":2", "fleet-poll-interval": "1s" },
      extras: { config: "a=b" },
      operands: [],
      faults: [],
    });
  });

  test("that take several values may be given several times", () => {
    expect(parse(["--join", "a:1,b:1", "--join=c:1"]).values).toEqual({ join: ["a:1,b:1", "c:1"] });
  });

  test("that are switches need no value, and can be turned off", () => {
    expect(parse(["--loud"]).values).toEqual({ loud: "true" });
    expect(parse(["--loud=false"]).values).toEqual({ loud: "false" });
    expect(parse(["--no-loud"]).values).toEqual({ loud: "false" });
    expect(parse(["-h"]).extras).toEqual({ help: "" });
  });

  test("whose value may be left out", () => {
    expect(parse(["--traffic"]).values).toEqual({ traffic: "2" });
    expect(parse(["--traffic", "5"]).values).toEqual({ traffic: "5" });
    expect(parse(["--traffic=5"]).values).toEqual({ traffic: "5" });
    expect(parse(["--traffic", "--loud"]).values).toEqual({ traffic: "2", loud: "true" });
  });

  test("take a negative number, but no flag, as their value", () => {
    expect(parse(["--fleet-offset", "-3"]).values).toEqual({ "fleet-offset": "-3" });
    expect(parse(["--listen", "--loud"]).faults).toEqual(["--listen: found no value; expected --listen HOST:PORT"]);
    expect(parse(["--listen"]).faults).toEqual(["--listen: found no value; expected --listen HOST:PORT"]);
  });

  test("that are not known are refused, with the nearest, and all of them", () => {
    expect(parse(["--listn", ":1", "--poll-interval=3s", "-x", "--no-loud=1", "stray", "--help=1"]).faults).toEqual([
      '--listn: found "--listn"; no such flag; did you mean --listen?',
      '--poll-interval: found "--poll-interval=3s"; no such flag; did you mean --fleet-poll-interval?',
      '-x: found "-x"; no such flag',
      '--no-loud: found "--no-loud=1"; expected --no-loud without a value',
      '--help: found "--help=1"; expected --help without a value',
      '"stray": found an argument; expected only flags here',
    ]);
  });

  test("end at --, and operands are taken up to what the command takes", () => {
    expect(parse(["--loud", "--", "--listen"], 1)).toMatchObject({ operands: ["--listen"], faults: [] });
    expect(parse(["a", "b"], 1)).toMatchObject({
      operands: ["a"],
      faults: ['"b": found an argument; expected only flags here'],
    });
  });

  test("no arguments throw", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("--listen", "--loud", "--", "-", "-h", "--no-", "--=", "--join=", "=", "--__proto__"),
    );
    fc.assert(
      fc.property(fc.array(word), (args) => {
        parse(args, 1);
      }),
    );
  });
});

describe("help", () => {
  test("shows usage, flags in groups with defaults, examples and notes", () => {
    const help = renderHelp({
      command: "infermesh thing",
      summary: "does a thing",
      usage: ["[flags]", "other"],
      settings,
      extras,
      examples: [["infermesh thing --loud", "Loudly."]],
      notes: [["Exit codes", "0 well, 1 not."]],
    });
    expect(help).toBe(`infermesh thing: does a thing

Usage: infermesh thing [flags]
       infermesh thing other

Flags:
  --listen HOST:PORT              Where clients connect. (default :8080)
  --join HOST:PORT                Members.
  --loud                          Say more.
  --traffic [PER_SECOND]          Sample requests. (default: none)
  --kind NAME                     Which one. One of a, b, c, d, e, f. (default a)

How targets are polled:
  --fleet-poll-interval DURATION  Between polls. (default 5s)
  --fleet-offset N                An offset. (default 0)

Other:
  --config FILE                   A file.
  -h, --help                      This.

Examples:
  # Loudly.
  infermesh thing --loud

Exit codes:
  0 well, 1 not.
`);
  });

  test("keeps within the terminal's width", () => {
    const wide = section({ a: text({ default: "", doc: "word ".repeat(80) }) });
    for (const line of renderHelp({ command: "x", summary: "y", usage: [], settings: wide }, 72).split("\n")) {
      expect(line.length).toBeLessThanOrEqual(72);
    }
    expect(fold("a bb ccc", 4, "")).toEqual(["a bb", "ccc"]);
    expect(fold("", 10, "# ")).toEqual([]);
  });
});

describe("near misses", () => {
  test.each([
    ["--listn", "--listen"],
    ["litsen", "listen"],
    ["LISTEN", "listen"],
    ["interval", "pollInterval"],
    ["zzz", undefined],
    ["", undefined],
    ["x".repeat(200), undefined],
  ])("%s -> %s", (name, near) => {
    expect(nearest(name, ["--listen", "listen", "pollInterval", "fleet"])).toBe(near as string);
  });

  test("are found up to a third of the name away, and not beyond", () => {
    for (let length = 3; length <= 12; length += 1) {
      const name = "abcdefghijkl".slice(0, length);
      const most = Math.floor(length / 3);
      const away = (distance: number): string => `${name.slice(0, 1)}${"-".repeat(distance)}${name.slice(1)}`;
      expect(nearest(name, [away(most)])).toBe(away(most));
      expect(nearest(name, [away(most + 1)])).toBeUndefined();
    }
  });
});

describe("places in a file", () => {
  const yaml = `# top
listen: ":1"
fleet:
  # pollInterval: 1s
  pollInterval: 5s
proxy:
  pollInterval: 6s
upstreams:
  - model: a
    url: b
`;
  test("of a key, by its path", () => {
    expect(lineOfPath(yaml, "listen")).toBe(2);
    expect(lineOfPath(yaml, "fleet.pollInterval")).toBe(5);
    expect(lineOfPath(yaml, "proxy.pollInterval")).toBe(7);
    expect(lineOfPath(yaml, "upstreams[0]")).toBe(8);
    expect(lineOfPath(yaml, "nothing")).toBeUndefined();
    expect(lineOfPath('{\n  "fleet": {\n    "pollInterval": 1\n  }\n}', "fleet.pollInterval")).toBe(3);
  });

  test("of a key that stands twice in one block", () => {
    expect(duplicateKeys("a: 1\nb:\n  a: 2\n  c: 3\n  a: 4\na: 5\n")).toEqual([
      { key: "a", line: 5 },
      { key: "a", line: 6 },
    ]);
    expect(duplicateKeys("l:\n  - a: 1\n    b: 2\n  - a: 1\n    b: 2\nt: |\n  x: 1\n  x: 2\n")).toEqual([]);
    expect(duplicateKeys("a: 1\n---\na: 1\nb: 2\n--- # more\na: 1\nb: 2\nb: 3\n")).toEqual([{ key: "b", line: 8 }]);
    expect(duplicateKeys('{\n  "a": 1,\n  "a": 2\n}')).toEqual([{ key: "a", line: 3 }]);
  });

  test("of a failure", () => {
    expect(lineOfFailure("ok\nok\nbad\nok", (head) => !head.includes("bad"))).toBe(3);
    expect(lineOfFailure("x\n".repeat(3000), () => false)).toBeUndefined();
  });

  test("no text throws", () => {
    const line = fc.constantFrom(
      "a: 1",
      "  a: 1",
      "- a: 2",
      "a:",
      '"a": 3',
      "# a",
      "",
      "{",
      "  - - b: 1",
      ": :",
      "a: |",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => {
        duplicateKeys(lines.join("\n"));
        lineOfPath(lines.join("\n"), "a.b[1].c");
      }),
    );
  });
});
