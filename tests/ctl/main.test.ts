/** The command line as a process: what it prints where, and its exit codes. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NOBODY_SAYS } from "./ctl-bed.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const directory = mkdtempSync(join(tmpdir(), "infermesh-main-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function infermesh(args: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, XDG_STATE_HOME: directory, ...env },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe("the version", () => {
  test.each([["--version"], ["-V"], ["version"]])("is told by %s", async (arg) => {
    const { code, out, err } = await infermesh([arg]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^infermesh \S+ \(\S+, bun \S+\)\n$/);
  });

  test("is told without loading what roles need", async () => {
    const script = `process.argv[2] = "--version"; await import(${JSON.stringify(MAIN)}); const loaded = Object.keys(require.cache); console.log(JSON.stringify(loaded.filter((path) => /node_modules|config\\.ts/.test(path))));`;
    const child = Bun.spawn([process.execPath, "-e", script, "x"], { stdout: "pipe", stderr: "inherit" });
    const lines = (await child.stdout.text()).trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toEqual([]);
  });
});

describe("help", () => {
  test("of everything: asked for it is the answer, else an error", async () => {
    const asked = await infermesh(["--help"]);
    expect(asked).toMatchObject({ code: 0, err: "" });
    for (const name of ["dev", "router", "agent", "ctl", "version"])
      expect(asked.out).toMatch(new RegExp(`^  ${name} `, "m"));
    const bare = await infermesh([]);
    expect(bare).toEqual({ code: 2, out: "", err: asked.out });
    expect(await infermesh(["help"])).toEqual(asked);
  });

  test.each([
    [
      ["router", "--help"],
      ["--listen HOST:PORT", "--fleet-poll-interval DURATION", "(default :8080)", "Examples:", "--config FILE"],
    ],
    [["router", "start", "-h"], ["--upstream MODEL=URL[,WEIGHT]"]],
    [
      ["help", "agent"],
      ["--mock ", "--mock-profile NAME", "stop", "Exit codes:"],
    ],
    [
      ["agent", "stop", "--help"],
      ["--force", "3 no such agent runs"],
    ],
    [
      ["dev", "--help"],
      ["--nodes N", "--traffic [PER_SECOND]"],
    ],
    [
      ["ctl", "--help"],
      ["list-nodes", "describe-node", "members", "leave", "stats", "health"],
    ],
    [
      ["ctl", "list-nodes", "--help"],
      ["--output table|json|yaml|text", "3 nobody could be reached"],
    ],
    [
      ["ctl", "describe-node", "--help"],
      ["Usage: infermesh ctl describe-node ID [flags]", "--endpoint URL"],
    ],
    [["ctl", "members", "--help"], ["--watch"]],
    [
      ["ctl", "leave", "--help"],
      ["--timeout DURATION", "(default 35s)"],
    ],
  ])("of %j", async (args, parts) => {
    const { code, out, err } = await infermesh(args);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    for (const part of parts) expect(out).toContain(part);
  });
});

describe("a wrong command line", () => {
  test.each([
    [["rooter"], 'infermesh: no command "rooter"; did you mean router?\n'],
    [["agent", "stat"], 'infermesh agent: no command "stat"; did you mean start?\n'],
    [["ctl", "nodes"], 'infermesh ctl: no command "nodes"; did you mean list-nodes?\n'],
    [["--verbose"], 'infermesh: no such flag "--verbose" before a command\n'],
    [["router", "--listn", ":0"], '--listn: found "--listn"; no such flag; did you mean --listen?\n'],
    [["router", "--listen", "8080"], 'listen: found "8080" (flag --listen); expected an address'],
    [["agent", "--mock", "start"], '"start": found an argument; expected only flags here\n'],
    [["ctl", "describe-node"], "ID: found none; expected a node's id, as list-nodes shows it\n"],
    [["ctl", "describe-node", "a", "b"], '"b": found an argument; expected only flags here\n'],
    [["ctl", "leave", "now"], '"now": found an argument; expected only flags here\n'],
    [["ctl", "health", "--output", "xml"], "expected one of table, json, yaml, text"],
    [["router", "--config", "/nonexistent.yaml"], '--config: found "/nonexistent.yaml"; expected a file that exists\n'],
  ])("%j is refused with exit code 2", async (args, part) => {
    const { code, out, err } = await infermesh(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(part);
    expect(err).toContain("--help");
  });
});

describe("generate-config and validate", () => {
  test.each(["router", "agent"])("%s: what the one prints the other accepts", async (role) => {
    const generated = await infermesh([role, "generate-config"]);
    expect(generated).toMatchObject({ code: 0, err: "" });
    const path = file(`${role}.yaml`, generated.out);
    expect(await infermesh([role, "validate", path])).toEqual({ code: 0, out: "valid\n", err: "" });
    expect(await infermesh([role, "validate", "--config", path])).toEqual({ code: 0, out: "valid\n", err: "" });
    expect(await infermesh([role, "validate"], { INFERMESH_CONFIG: path })).toEqual({
      code: 0,
      out: "valid\n",
      err: "",
    });
  });

  test("all that is wrong is reported at once", async () => {
    const path = file("bad.yaml", "listen: 1\nfleet:\n  pollIntervl: 1s\n  removeAfter: none\n");
    expect(
      await infermesh(["router", "validate", path, "--workers", "x"], {
        INFERMESH_MAX_BODY: "big",
        INFERMESH_TYPO: "1",
      }),
    ).toEqual({
      code: 2,
      out: "",
      err: `infermesh router validate: 6 faults
  listen: found 1 (bad.yaml, line 1); expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080
  fleet.pollIntervl: found "1s" (bad.yaml, line 3); no such key; did you mean pollInterval?
  fleet.removeAfter: found "none" (bad.yaml, line 4); expected a whole number from 1 to 1000
  maxBody: found "big" (environment INFERMESH_MAX_BODY); expected a size from 1KiB to 16GiB
  INFERMESH_TYPO: found (hidden) (environment); no such variable
  workers: found "x" (flag --workers); expected a whole number from 0 to 256
see infermesh router validate --help
`,
    });
  });
});

describe("the environment", () => {
  test("may hold what other commands know, and nothing that none does", async () => {
    const asked = ["ctl", "list-pins", "--endpoint", "http://127.0.0.1:1"];
    expect((await infermesh(asked, { INFERMESH_LISTEN: ":0", INFERMESH_TIMEOUT: "1s" })).code).toBe(3);
    expect((await infermesh(asked, { INFERMESH_TIMEOUT: "1s" })).code).toBe(3);
    const wrong = await infermesh(asked, { INFERMESH_LISTN: ":0" });
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain("did you mean INFERMESH_LISTEN?");
  });
});

describe("without anything running", () => {
  test("ctl says so with exit code 3", async () => {
    const { code, out, err } = await infermesh(["ctl", "list-nodes", "--endpoint", "http://127.0.0.1:1"]);
    expect({ code, out }).toEqual({ code: 3, out: "" });
    expect(err).toBe(`infermesh ctl: can't reach http://127.0.0.1:1: nobody listens there\n${NOBODY_SAYS}`);
  });

  test.each(["stop", "status"])("agent %s says so with exit code 3", async (name) => {
    const { code, out, err } = await infermesh(["agent", name]);
    expect({ code, out }).toEqual({ code: 3, out: "" });
    expect(err).toBe(`infermesh agent: no agent is running (looked in ${directory}/infermesh)\n`);
  });
});

test("a reader that stops reading is no error", async () => {
  const child = Bun.spawn(["sh", "-c", `"${process.execPath}" "${MAIN}" router generate-config | head -1`], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(out).toStartWith("# Configuration of an infermesh router");
  expect(err).toBe("");
});
