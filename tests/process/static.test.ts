/**
 * The executable of `npm run build:static` in roots that hold nothing of an operating system, or as little as stock
 * Alpine does, and on this machine. It is not built by `npm test`: without it these tests are left out, as are those in
 * roots where Linux's namespaces are not allowed, and say so.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ElfFile } from "../../scripts/elf/file.ts";
import { alpineFault, alpineRoot } from "../../scripts/static/alpine.ts";
import { MACHINES } from "../../scripts/static/machine.ts";
import { bunForMusl } from "../../scripts/static/pins.ts";
import {
  type RootLacks,
  type Sharing,
  addMountPoints,
  emptyRoot,
  inEmptyRoot,
  inRoot,
  lonelyRootFault,
  rootFault,
  writeCommand,
} from "../../scripts/static/root.ts";
import { standsAloneFault } from "../../scripts/static/staticize.ts";
import { PARTS } from "../../src/trial/parts.ts";
import { Bench, EXECUTABLE, nodes, until } from "./harness.ts";

const STATIC = join(dirname(EXECUTABLE), `infermesh-linux-${process.arch}`);
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const bench = new Bench();
const bare = join(bench.dataDir, "bare");
const container = join(bench.dataDir, "container");
const alpine = join(bench.dataDir, "alpine");

const run = (command: readonly string[], env: Record<string, string> = {}) => {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command], {
    env: { PATH, ...env },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 50_000,
  });
  return { said: stdout.toString(), errors: stderr.toString(), exitCode };
};

/** Why there is nothing to test; "" if there is. */
function fault(): string {
  if (!existsSync(STATIC)) return `${STATIC} is missing: run npm run build:static`;
  const [ours, usual] = [STATIC, EXECUTABLE].map((executable) => run([executable, "--version"]).said);
  if (ours !== usual) return `${STATIC} is of another build (${ours?.trim()}): run npm run build:static`;
  return "";
}

/** A place to run the executable in. */
interface Root {
  readonly name: string;
  /** Why it can't be had here. */
  readonly fault: string;
  /** The command that runs the executable there. */
  readonly command: (machine: Sharing["machine"], ...args: string[]) => string[];
}

const withoutExecutable = fault();
const withoutRoot = withoutExecutable || rootFault();
const withoutLonely = withoutRoot || lonelyRootFault();
const withoutAlpine = withoutRoot || alpineFault();

const ROOTS: readonly Root[] = [
  {
    name: "in a root as stock Alpine has it, by its shell",
    fault: withoutAlpine,
    command: (machine, ...args) =>
      inRoot({ machine, privileges: "root" }, alpine, "/bin/sh", "-c", 'exec infermesh "$@"', "sh", ...args),
  },
  {
    name: "in an empty root, read-only and unprivileged, with what containers mount",
    fault: withoutRoot,
    command: (machine, ...args) => inRoot({ machine, privileges: "none" }, container, "/infermesh", ...args),
  },
  { name: "on this machine", fault: withoutExecutable, command: (_machine, ...args) => [STATIC, ...args] },
];
const [, CONTAINER, HOST] = ROOTS as [Root, Root, Root];

for (const reason of new Set([withoutExecutable, withoutLonely, ...ROOTS.map((root) => root.fault)]))
  if (reason !== "") console.log(`left out: ${reason}`);

beforeAll(() => {
  if (withoutRoot === "") for (const folder of [bare, container]) emptyRoot(folder, STATIC);
  if (withoutRoot === "") addMountPoints(container);
  if (withoutAlpine === "") alpineRoot(alpine, STATIC);
});

afterAll(() => bench.end());

describe.skipIf(withoutExecutable !== "")("the static executable", () => {
  test("names no loader and no library", () => {
    expect(standsAloneFault(new ElfFile(STATIC, new Uint8Array(readFileSync(STATIC))))).toBe("");
  });

  test("has a checksum beside it", () => {
    const hash = new Bun.CryptoHasher("sha256").update(readFileSync(STATIC)).digest("hex");
    expect(readFileSync(`${STATIC}.sha256`, "utf8")).toContain(`${hash}  infermesh-linux-${process.arch}\n`);
  });

  test("is not disturbed by libraries of the host that LD_PRELOAD names", () => {
    const { said, errors, exitCode } = run([STATIC, "--version"], { LD_PRELOAD: "/nonexistent/libglibc-only.so" });
    expect([errors, exitCode]).toEqual(["", 0]);
    expect(said).toStartWith("infermesh ");
  });
});

describe.skipIf(withoutRoot !== "")("in a root with nothing else, not even /proc", () => {
  test("tells its version", () => {
    expect(run(inEmptyRoot(bare, "--version"))).toEqual({ ...run([EXECUTABLE, "--version"]), errors: "", exitCode: 0 });
  });

  test("helps", () => {
    const { said, exitCode } = run(inEmptyRoot(bare, "ctl", "--help"));
    expect(said).toContain("list-nodes");
    expect(exitCode).toBe(0);
  });

  test("checks a configuration, and leaves nothing behind", () => {
    expect(run(inEmptyRoot(bare, "router", "validate"))).toEqual({ said: "valid\n", errors: "", exitCode: 0 });
    expect(readdirSync(bare)).toEqual(["infermesh"]);
  });
});

/** The parts of a self-test by their results, those that failed with their words; fails where a line is none of a part. */
function results(said: string): Record<"ok" | "failed" | "left out", string[]> & { words: string[] } {
  const found = { ok: [], failed: [], "left out": [], words: [] } as ReturnType<typeof results>;
  for (const line of said.trimEnd().split("\n").slice(0, -1)) {
    const [, result = "", name = "", words = ""] = /^(ok|failed|left out) +(\S+) +\d+ ms {2}(\S.*)$/.exec(line) ?? [];
    expect([line, result]).not.toEqual([line, ""]);
    found[result as "ok" | "failed" | "left out"].push(name);
    if (result === "failed") found.words.push(`${name}: ${words}`);
  }
  return found;
}

const ports = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0"];
const ALL_PARTS = PARTS.map(({ name }) => name);

describe.each([...ROOTS])("$name", ({ name, fault: reason, command }) => {
  const isHost = name === HOST.name;
  const inside = join(bench.dataDir, `inside-${ROOTS.findIndex((root) => root.name === name)}`);
  const how = { executable: inside, env: { PATH, XDG_STATE_HOME: isHost ? bench.dataDir : "/tmp" } };
  beforeAll(() => writeCommand(inside, command("host")));

  test.skipIf(reason !== "" || (!isHost && withoutLonely !== ""))("every part of the self-test works", () => {
    const { said, errors, exitCode } = run(command("none", "self-test"));
    const { ok, words, "left out": left } = results(said);
    expect([words, errors, exitCode]).toEqual([[], "", 0]);
    // A machine may have a name server of its own, and no terminals.
    const may = isHost ? ["getaddrinfo", "terminal"] : [];
    expect(left.filter((part) => !may.includes(part))).toEqual([]);
    expect(ok).toEqual(ALL_PARTS.filter((part) => !left.includes(part)));
  });

  test.skipIf(reason !== "")(
    "a router and two agents form a mesh, pick by the C scorer, serve, and end in order",
    async () => {
      const router = await bench.launch(["router", "--listen", "127.0.0.1:0", "--workers", "2", ...ports], how);
      expect(router.ready["scorer"]).toBe("c");
      const seed = ["--join", String(router.ready["gossip"])];
      const agents = await Promise.all(
        ["one", "two"].map((id) =>
          bench.launch(["agent", "--mock", "--id", id, "--serve", "127.0.0.1:0", ...ports, ...seed], how),
        ),
      );
      await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 2);
      const [model] = agents.flatMap(({ ready }) => ready["models"] as string[]);
      const url = `http://${router.address("listen")}/v1`;
      await until(async () => (await fetch(`${url}/models/${model}`)).status === 200);
      const body = JSON.stringify({
        model,
        messages: [{ role: "user", content: "Hello" }],
        max_tokens: 4,
        stream: true,
      });
      const ask = async (): Promise<string> =>
        (await fetch(`${url}/chat/completions`, { method: "POST", body })).text();
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      for (const answer of answers) {
        expect(answer.match(/^data: \{.*"content":"[^"]/gm)?.length).toBeGreaterThan(0);
        expect(answer).toEndWith("data: [DONE]\n\n");
      }

      const asked = run([inside, "ctl", "list-nodes", "--endpoint", `http://${router.address("api")}`]);
      expect([asked.errors, asked.exitCode]).toEqual(["", 0]);
      expect(asked.said).toMatch(/^one +healthy[^]*^two +healthy/m);
      if (name === CONTAINER.name) {
        const status = readFileSync(`/proc/${router.process.pid}/status`, "utf8");
        expect(status).toMatch(/^NoNewPrivs:\t1$/m);
        expect(status).toMatch(/^CapEff:\t0+$/m);
      }
      for (const started of [...agents, router]) expect(await started.stop()).toBe(0);
      expect(router.lines.filter(({ level }) => level !== "info")).toEqual([]);
    },
  );
});

describe.skipIf(withoutRoot !== "")("where the scorer's library can't be written", () => {
  /** A router goes on without a data directory, and says so. */
  const noData = "the policies are not kept over a restart, and this node can't become a control node";
  const roots: [string, RootLacks, "c" | "typescript", string[]][] = [
    ["a read-only root", { tmp: "read-only" }, "c", [noData]],
    ["a /tmp from which nothing may be run", { tmp: "noexec" }, "c", []],
    ["a read-only root without /proc", { tmp: "read-only", proc: true }, "typescript", [noData]],
  ];
  test.each(roots)("in %s all workers pick, and no error is told", async (name, lacks, scorer, warnings) => {
    const executable = join(bench.dataDir, name.replaceAll(/\W/g, "-"));
    writeCommand(executable, inRoot({ machine: "host", privileges: "none", lacks }, container, "/infermesh"));
    const args = ["router", "--listen", "127.0.0.1:0", "--workers", "2", ...ports];
    const router = await bench.launch(args, { executable, env: { PATH } });
    expect([router.ready["scorer"], router.ready["workers"]]).toEqual([scorer, 2]);
    const reason = expect.stringMatching(
      /^TypeScript scorer, since the C scorer cannot be used: .*; nor from memory: /,
    );
    expect(router.ready["reason"]).toEqual(scorer === "c" ? undefined : reason);
    const url = `http://${router.address("listen")}/v1/chat/completions`;
    const body = JSON.stringify({ model: "none", messages: [] });
    expect((await fetch(url, { method: "POST", body })).status).toBe(404);
    expect(await router.stop()).toBe(0);
    const told = router.lines.filter(({ level }) => level !== "info");
    expect(told.map(({ level, msg }) => [level, msg])).toEqual(warnings.map((msg) => ["warn", msg]));
  });
});

describe.skipIf(withoutRoot !== "")("the doctor", () => {
  const free = ["--listen", "--api", "--metrics", "--gossip"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const args = ["doctor", "router", ...free, "--control", "off", "--json", "--limit", "2s"];
  const judged = (command: readonly string[]) => {
    const { said, errors, exitCode } = run(command);
    expect(errors).toBe("");
    const { findings } = JSON.parse(said) as { findings: { check: string; grade: string; found: string }[] };
    return { exitCode, of: (check: string) => findings.find((one) => one.check === check) };
  };

  test("in a container names what is lacking, which keeps no router from working", () => {
    const { exitCode, of } = judged(inRoot({ machine: "host", privileges: "none" }, container, "/infermesh", ...args));
    expect(of("executable")?.found).toContain(", static, ");
    expect(of("kernel-files")?.found).toBe("/sys can't be read");
    expect([of("scorer"), of("data-dir"), of("localhost")].map((one) => one?.grade)).toEqual(["ok", "ok", "ok"]);
    expect(exitCode).toBe(0);
  });

  test("where nothing can be written, the scorer comes from memory", () => {
    const lacks = { tmp: "read-only" } as const;
    const command = inRoot({ machine: "host", privileges: "none", lacks }, container, "/infermesh", ...args);
    const { exitCode, of } = judged(command);
    expect([of("scorer")?.grade, of("scorer")?.found]).toEqual([
      "ok",
      expect.stringContaining(", from memory, since "),
    ]);
    expect([of("data-dir")?.grade, exitCode]).toEqual(["warn", 0]);
  });

  test("in a root with nothing at all nothing hangs", () => {
    const { exitCode, of } = judged(inEmptyRoot(bare, ...args, "--data-dir", "/"));
    expect([of("scorer")?.grade, of("kernel-files")?.grade, of("localhost")?.grade]).toEqual(["warn", "warn", "warn"]);
    expect(exitCode).toBe(0);
  });
});

describe("what the roots and the self-test are worth", () => {
  test.skipIf(withoutAlpine !== "")("Bun as it is for musl does not start in the root of Alpine", () => {
    const machine = MACHINES[process.arch as keyof typeof MACHINES];
    const path = join(alpine, "usr/local/bin/bun");
    writeFileSync(path, bunForMusl(machine).runtime.bytes, { mode: 0o755 });
    const { errors, exitCode } = run(inRoot({ machine: "host", privileges: "root" }, alpine, "bun", "--version"));
    rmSync(path);
    expect(errors).toContain("libstdc++.so.6");
    expect(exitCode).not.toBe(0);
  });

  test.skipIf(withoutAlpine !== "")("nor does the usual executable", () => {
    const path = join(alpine, "usr/local/bin/usual");
    writeFileSync(path, readFileSync(EXECUTABLE), { mode: 0o755 });
    const { exitCode } = run(inRoot({ machine: "host", privileges: "root" }, alpine, "usual", "--version"));
    rmSync(path);
    expect(exitCode).not.toBe(0);
  });

  test.skipIf(withoutLonely !== "")("a root without names, and without a folder to write, fails the self-test", () => {
    const empty = join(bench.dataDir, "nameless");
    emptyRoot(empty, STATIC);
    addMountPoints(empty);
    rmSync(join(empty, "etc/hosts"));
    const command = inRoot({ machine: "none", privileges: "none" }, empty, "/infermesh", "self-test");
    const { said, exitCode } = run(command, { TMPDIR: "/", BUN_TMPDIR: "/" });
    expect(results(said).failed).toEqual(["http", "dns", "sqlite", "watch"]);
    expect(exitCode).toBe(1);
  });
});
