/** Manual pages as the executable prints them, by the tools that read them. */
import { describe, expect, test } from "bun:test";
import { EXECUTABLE } from "../process/harness.ts";
import { checker, run } from "../deploy/checkers.ts";

const mandoc = checker("mandoc");
const infermesh = (...args: string[]) => run([EXECUTABLE, ...args]);
const names = infermesh("man", "--list").out.trim().split("\n");

test("there is a page for the whole, and for each command that has flags or others below it", () => {
  const [out = ""] = infermesh("--help").out.split("\nMore:");
  const commands = [...out.matchAll(/^ {2}([a-z][a-z-]*) /gm)]
    .map(([, name = ""]) => name)
    .filter((name) => name !== "version");
  expect(commands).toContain("router");
  expect(names).toEqual(["infermesh", ...commands.map((name) => `infermesh-${name}`)]);
});

test("a page is named with or without what is in front; another one is refused with the nearest", () => {
  expect(infermesh("man").out).toBe(infermesh("man", "infermesh").out);
  expect(infermesh("man", "router")).toEqual(infermesh("man", "infermesh-router"));
  expect(infermesh("man", "ruoter")).toMatchObject({ code: 2, out: "", err: expect.stringContaining("router") });
});

describe.each(names)("%s", (name) => {
  const page = infermesh("man", name).out;

  test("has every flag that its help has", () => {
    const words = name.split("-").slice(1);
    // Notes may name flags, too.
    const [out = ""] = infermesh(...words, "--help").out.split(/\n(?:Configuration|Exit codes|Examples):/);
    const flags = [...out.matchAll(/^ {2}(?:-\w, )?--([a-z0-9-]+)/gm)].map(([, flag = ""]) => flag);
    const missing = flags.filter((flag) => !page.includes(`\\-\\-${flag.replaceAll("-", "\\-")}\\fR`));
    expect(missing).toEqual([]);
    if (!out.includes("\nCommands:\n")) expect(flags.length).toBeGreaterThan(0);
  });

  test.skipIf(mandoc === null)("is right by mandoc", () => {
    const { out, err } = run([mandoc ?? "", "-Tlint", "-W", "warning"], { input: page });
    // A page tells its version; a date would make it another one each time.
    const faults = `${out}${err}`.split("\n").filter((line) => line !== "" && !line.includes("missing date"));
    expect(faults).toEqual([]);
    const shown = run([mandoc ?? "", "-Tascii"], { input: page });
    expect(shown.code).toBe(0);
    // Bold, as printers have it: each letter twice.
    expect(shown.out).toContain("SYNOPSIS".replace(/./g, "$&\b$&"));
  });
});

test("ctl's page has each of its commands", () => {
  const page = infermesh("man", "ctl").out;
  for (const command of ["list-nodes", "quota set", "policy apply", "completion bash", "keyring add"]) {
    expect(page).toContain(`.SS "infermesh ctl ${command.replaceAll("-", "\\-")}"`);
  }
  expect(page).not.toContain("ctl complete\\fR");
});

test("completion knows what pages know: every command, and every flag of each", () => {
  const words = (...line: string[]) =>
    infermesh("ctl", "complete", "--", ...line)
      .out.split("\n")
      .map((one) => one.split("\t")[0] ?? "")
      .filter((word) => word !== "");
  expect(words("")).toEqual([...names.slice(1).map((name) => name.slice("infermesh-".length)), "version"]);
  for (const name of names.slice(1)) {
    const word = name.slice("infermesh-".length);
    const page = infermesh("man", name).out;
    for (const flag of words(word, "--")) expect(page).toContain(flag.replaceAll("-", "\\-"));
  }
  expect(words("agent", "--serv")).toEqual(["--serve"]);
  expect(words("router", "st")).toEqual(["start"]);
});
