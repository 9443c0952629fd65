import { describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { type LogConfig, type LogOutput, createLog } from "../../src/obs/log.ts";

function logTo(config: Partial<LogConfig>, output: Partial<LogOutput> = {}) {
  const lines: string[] = [];
  const log = createLog(
    { format: "auto", level: "info", ...config },
    {
      write: (line) => lines.push(line),
      isTerminal: false,
      color: false,
      now: () => new Date(2026, 0, 2, 3, 4, 5, 67),
      ...output,
    },
  );
  return { log, lines };
}

const time = new Date(2026, 0, 2, 3, 4, 5, 67).toISOString();

describe("JSON lines", () => {
  test("hold time, level, msg and the fields, in that order", () => {
    const { log, lines } = logTo({});
    log.info("ready", { listen: "127.0.0.1:8080", workers: 2 });
    expect(lines).toEqual([`{"time":"${time}","level":"info","msg":"ready","listen":"127.0.0.1:8080","workers":2}\n`]);
  });

  test("come when no terminal is there, unless text is asked for", () => {
    const asked = logTo({ format: "text" });
    asked.log.warn("slow");
    expect(asked.lines).toEqual(["03:04:05.067 warn  slow\n"]);
    const terminal = logTo({}, { isTerminal: true });
    terminal.log.warn("slow");
    expect(terminal.lines).toEqual(["03:04:05.067 warn  slow\n"]);
    const json = logTo({ format: "json" }, { isTerminal: true });
    json.log.warn("slow");
    expect(JSON.parse(json.lines[0] ?? "")).toEqual({ time, level: "warn", msg: "slow" });
  });

  test("don't let a field hide what every line has", () => {
    const { log, lines } = logTo({});
    log.error("failed", { level: 3, msg: "other", time: 0 });
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time,
      level: "error",
      msg: "failed",
      _level: 3,
      _msg: "other",
      _time: 0,
    });
  });

  test("tell a MeshError by its code and a bug by its stack", () => {
    const { log, lines } = logTo({});
    log.error("failed", { error: new MeshError("no_healthy_target", "none left") });
    log.error("failed", { error: new TypeError("oops", { cause: new Error("below") }) });
    expect(JSON.parse(lines[0] ?? "").error).toEqual({
      name: "MeshError",
      message: "none left",
      code: "no_healthy_target",
    });
    const bug = JSON.parse(lines[1] ?? "").error;
    expect(bug.name).toBe("TypeError");
    expect(bug.stack).toContain("log.test.ts");
    expect(bug.cause.message).toBe("below");
  });

  test("are written whatever the fields hold", () => {
    const { log, lines } = logTo({});
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    log.info("odd", { big: 12n, map: new Map([["a", 1]]), set: new Set([1]), nothing: undefined });
    log.info("cycle", { cycle, kept: "text" });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ big: "12", map: { a: 1 }, set: [1] });
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({ msg: "cycle", kept: "text" });
  });

  test("stay one line each", () => {
    const { log, lines } = logTo({});
    log.info("two\nlines", { text: "a\nb\u001b[31m" });
    expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
  });
});

describe("text lines", () => {
  test("show fields as name=value, quoted where needed", () => {
    const { log, lines } = logTo({ format: "text" });
    log.info("ready", {
      api: "127.0.0.1:50052",
      why: "no compiler",
      list: ["a"],
      gone: undefined,
      error: new Error("x y"),
    });
    expect(lines).toEqual(['03:04:05.067 info  ready api=127.0.0.1:50052 why="no compiler" list=["a"] error="x y"\n']);
  });

  test("have colour only where it is wanted", () => {
    const { log, lines } = logTo({}, { isTerminal: true, color: true });
    log.error("no");
    expect(lines[0]).toContain("\u001b[31merror\u001b[0m");
  });

  test("can't be forged or moved by what is logged", () => {
    const { log, lines } = logTo({ format: "text" });
    log.info("a\nb\u001b[2J", { id: "x\ny" });
    expect(lines).toEqual(['03:04:05.067 info  a\\nb\\u001b[2J id="x\\ny"\n']);
    log.info("\u009b2J\u202e", { id: "\u009b\u2066\u007f" });
    expect(lines[1]).toBe('03:04:05.067 info  \\u009b2J\\u202e id="\\u009b\\u2066\\u007f"\n');
  });
});

describe("levels", () => {
  test("below the configured one are not written", () => {
    const written = (level: LogConfig["level"]) => {
      const { log, lines } = logTo({ level, format: "text" });
      log.debug("d");
      log.info("i");
      log.warn("w");
      log.error("e");
      return lines.map((line) => line.trim().at(-1)).join("");
    };
    expect(written("debug")).toBe("diwe");
    expect(written("info")).toBe("iwe");
    expect(written("warn")).toBe("we");
    expect(written("error")).toBe("e");
    expect(written("silent")).toBe("");
  });
});

test("a repeated line is written each time", () => {
  const { log, lines } = logTo({});
  for (let i = 0; i < 20; i += 1) log.info("same");
  expect(lines.length).toBe(20);
});

test("with() adds its fields to every line", () => {
  const { log, lines } = logTo({ format: "text" });
  log.with({ node: "a" }).with({ part: 1 }).info("x", { part: 2 });
  expect(lines).toEqual(["03:04:05.067 info  x node=a part=2\n"]);
});

test("a log is configured anew, and what with() made of it too", () => {
  const { log, lines } = logTo({ level: "warn", format: "json" });
  const under = log.with({ part: "p" });
  under.info("unseen");
  log.configure({ level: "debug", format: "text" });
  under.debug("seen");
  log.configure({ level: "silent", format: "text" });
  under.error("unseen");
  expect(lines).toEqual(["03:04:05.067 debug seen part=p\n"]);
});
