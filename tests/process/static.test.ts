/**
 * The executable of `npm run build:static` in roots that hold nothing of an operating system. It is not built by
 * `npm test`: without it, or where Linux's namespaces are not allowed, these tests are left out, and say so.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ElfFile } from "../../scripts/elf/file.ts";
import {
  addMountPoints,
  emptyRoot,
  inContainerRoot,
  inEmptyRoot,
  inPoorRoot,
  type RootLacks,
  rootFault,
} from "../../scripts/static/root.ts";
import { standsAloneFault } from "../../scripts/static/staticize.ts";
import { Bench, EXECUTABLE, nodes, until } from "./harness.ts";

const STATIC = join(dirname(EXECUTABLE), `infermesh-linux-${process.arch}`);
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const bench = new Bench();
const bare = join(bench.dataDir, "bare");
const container = join(bench.dataDir, "container");

const run = (command: readonly string[]) => {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command], {
    env: { PATH },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
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

const withoutExecutable = fault();
const withoutRoot = withoutExecutable === "" ? rootFault() : "";
for (const reason of [withoutExecutable, withoutRoot]) if (reason !== "") console.log(`left out: ${reason}`);

beforeAll(() => {
  if (withoutExecutable !== "") return;
  for (const folder of [bare, container]) emptyRoot(folder, STATIC);
  addMountPoints(container);
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
    const env = { PATH, LD_PRELOAD: "/nonexistent/libglibc-only.so" };
    const { stdout, stderr, exitCode } = Bun.spawnSync([STATIC, "--version"], { env, stdout: "pipe", stderr: "pipe" });
    expect([stderr.toString(), exitCode]).toEqual(["", 0]);
    expect(stdout.toString()).toStartWith("infermesh ");
  });
});

describe.skipIf(withoutExecutable !== "" || withoutRoot !== "")("in a root with nothing else, not even /proc", () => {
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

/** A command without arguments, for what starts executables; it runs in the container's root. */
function wrapped(name: string, command: readonly string[]): string {
  const path = join(bench.dataDir, name);
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  mkdirSync(bench.dataDir, { recursive: true });
  writeFileSync(path, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

const PORTS = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0"];

describe.skipIf(withoutExecutable !== "" || withoutRoot !== "")("as in a container, read-only and unprivileged", () => {
  const inside = wrapped("inside", inContainerRoot(container));
  const ports = PORTS;
  const how = { executable: inside, env: { PATH } };

  test("a router and two agents form a mesh, pick by the C scorer, serve, and end in order", async () => {
    const router = await bench.launch(["router", "--listen", "127.0.0.1:0", "--workers", "2", ...ports], how);
    expect(router.ready["scorer"]).toBe("c");
    const register = ["--register", `http://${router.address("api")}`];
    const agents = await Promise.all(
      ["one", "two"].map((id) =>
        bench.launch(["agent", "--mock", "--id", id, "--serve", "127.0.0.1:0", ...ports, ...register], how),
      ),
    );
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 2);
    const [model] = agents.flatMap(({ ready }) => ready["models"] as string[]);
    const url = `http://${router.address("listen")}/v1`;
    await until(async () => (await fetch(`${url}/models/${model}`)).status === 200);
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], max_tokens: 4, stream: true });
    const answer = await fetch(`${url}/chat/completions`, { method: "POST", body });
    expect(await answer.text()).toEndWith("data: [DONE]\n\n");

    const asked = run([inside, "ctl", "list-nodes", "--endpoint", `http://${router.address("api")}`]);
    expect([asked.errors, asked.exitCode]).toEqual(["", 0]);
    expect(asked.said).toMatch(/^one +healthy[^]*^two +healthy/m);

    const status = readFileSync(`/proc/${router.process.pid}/status`, "utf8");
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    for (const started of [...agents, router]) expect(await started.stop()).toBe(0);
    expect(router.lines.filter(({ level }) => level !== "info")).toEqual([]);
  });
});

describe.skipIf(withoutExecutable !== "" || withoutRoot !== "")("where the scorer's library can't be written", () => {
  /** A router goes on without a data directory, and says so. */
  const noData = "the policies are not kept over a restart, and this node can't become a control node";
  const roots: [string, RootLacks, "c" | "typescript", string[]][] = [
    ["a read-only root", { tmp: "read-only" }, "c", [noData]],
    ["a /tmp from which nothing may be run", { tmp: "noexec" }, "c", []],
    ["a read-only root without /proc", { tmp: "read-only", proc: true }, "typescript", [noData]],
  ];
  test.each(roots)("in %s all workers pick, and no error is told", async (name, lacks, scorer, warnings) => {
    const executable = wrapped(name.replaceAll(/\W/g, "-"), inPoorRoot(container, lacks));
    const args = ["router", "--listen", "127.0.0.1:0", "--workers", "2", ...PORTS];
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
