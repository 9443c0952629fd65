/**
 * Libraries built for glibc, opened by the static executable as a probe does. It runs a script of ours by Bun inside of it.
 * Left out, with a reason, where that executable, a compiler or musl's package is missing.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ElfFile } from "../../scripts/elf/file.ts";
import { neededLibraries } from "../../scripts/elf/tables.ts";
import { compileGlibc } from "../../scripts/static/glibc.ts";
import { MACHINES } from "../../scripts/static/machine.ts";
import { NotHere, musl } from "../../scripts/static/pins.ts";
import { isStatic, loadFault, wordsOf } from "../../src/gpu/glibc.ts";
import { nvidiaEnvironment, nvidiaPaths } from "../../src/gpu/nvidia.ts";

setDefaultTimeout(60_000);
const HERE = import.meta.dir;
const STATIC = resolve(HERE, `../../dist/infermesh-linux-${process.arch}`);
const machine = MACHINES[process.arch === "arm64" ? "arm64" : "x64"];
const folder = mkdtempSync(join(tmpdir(), "infermesh-glibc-"));
const own = join(folder, "libglibc.so");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Why there is nothing to test; "" if there is. */
function missing(): string {
  if (!existsSync(STATIC)) return `${STATIC} is missing: run npm run build:static`;
  if (Bun.which("cc") === null || Bun.which("c++") === null) return "there is no compiler for C and C++";
  try {
    compileGlibc(machine, musl(machine).library, own);
    return "";
  } catch (error) {
    if (!(error instanceof NotHere)) throw error;
    return error.message;
  }
}
const reason = missing();
if (reason !== "") console.log(`left out: ${reason}`);

/** Compiles a library of this machine's own C library. */
function built(name: string, source: string, ...flags: readonly string[]): string {
  const out = join(folder, `${name}.so`);
  const compiler = source.endsWith(".cpp") ? "c++" : "cc";
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const command = [compiler, "-O2", ...warnings, "-fPIC", "-shared", "-o", out, source, ...flags];
  const { stderr, exitCode } = Bun.spawnSync(command, { stderr: "pipe" });
  if (exitCode !== 0) throw new Error(stderr.toString());
  return out;
}

function written(name: string, text: string): string {
  const path = join(folder, `${name}.c`);
  writeFileSync(path, text);
  return path;
}

interface Ran {
  readonly said: string;
  readonly errors: string;
  readonly exitCode: number | null;
}

/** What the function answers in the static executable, or why the library was not opened. */
function called(path: string, name: string, env: Record<string, string> = {}, before: readonly string[] = []): Ran {
  const command = [...before, STATIC, join(HERE, "glibc-child.ts"), own, path, name];
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, {
    env: { PATH: process.env["PATH"], BUN_BE_BUN: "1", ...env },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  return { said: stdout.toString().trim(), errors: stderr.toString(), exitCode };
}

const FINE = { said: "0", exitCode: 0 };

describe.skipIf(reason !== "")("in the static executable, a library that was built for glibc", () => {
  const user = (): string =>
    built("user", join(HERE, "glibc-user.c"), "-std=gnu11", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-lpthread");

  test("has thread-local variables, threads, FORTIFY, files, signals", () => {
    expect(called(user(), "glibcUserFault")).toMatchObject(FINE);
  });

  test("that needs glibc's loader gets musl's, whatever file of that name lies around", () => {
    const name = machine.name === "x64" ? "ld-linux-x86-64.so.2" : "ld-linux-aarch64.so.1";
    const needed = neededLibraries(new ElfFile("user.so", new Uint8Array(readFileSync(user()))));
    expect(needed).toContain(name);
    const around = join(folder, "around");
    mkdirSync(around);
    // As Alpine's gcompat would be, had it been one.
    writeFileSync(join(around, name), "no library");
    expect(called(user(), "glibcUserFault", { LD_LIBRARY_PATH: around })).toMatchObject(FINE);
  });

  test("is ended where it writes beyond a buffer", () => {
    const { errors, exitCode } = called(user(), "glibcUserOverflow", { INFERMESH_LONG_TEXT: "a".repeat(99) });
    expect(exitCode).not.toBe(0);
    expect(errors).toContain("buffer overflow detected");
  });

  test("may be in C++, with its own libstdc++: exceptions, objects of threads, conditions", () => {
    const path = built("user-cpp", join(HERE, "glibc-user.cpp"), "-static-libstdc++", "-static-libgcc");
    expect(called(path, "glibcUserFault")).toMatchObject(FINE);
  });

  test("is refused by the name that it needs and nobody has", () => {
    const path = built("lacking", written("lacking", "int nobodyHas(void); int f(void) { return nobodyHas(); }\n"));
    expect(called(path, "f").said).toStartWith("it needs nobodyHas, which this static executable does not have; use");
    const asking = written("asking", "int f(void); int g(void) { return f(); }\n");
    const above = built("asking", asking, path, `-Wl,-rpath,${folder}`);
    expect(called(above, "g").said).toStartWith("its lacking.so needs nobodyHas, which this static executable");
  });

  test("is refused by the library that it needs and that is nowhere", () => {
    const needed = built("gone", written("gone", "int gone(void) { return 1; }\n"), "-Wl,-soname,libgone.so.1");
    const path = built("orphan", written("orphan", "int gone(void); int f(void) { return gone(); }\n"), needed);
    expect(called(path, "f").said).toStartWith(
      "it needs libgone.so.1, which is in none of the folders of LD_LIBRARY_PATH",
    );
    Bun.spawnSync(["cp", needed, join(folder, "libgone.so.1")]);
    expect(called(path, "f", { LD_LIBRARY_PATH: folder })).toMatchObject({ said: "1", exitCode: 0 });
  });

  test("is refused where its thread-local storage would have to be there from the start", () => {
    const text = "static _Thread_local int own = 3; int f(void) { return own++; }\n";
    const path = built("early", written("early", text), "-ftls-model=initial-exec");
    expect(called(path, "f").said).toStartWith("it has thread-local storage that must be there from the start");
  });

  const REAL = [...nvidiaPaths("libnvidia-ml.so.1"), process.env["INFERMESH_LIBNVIDIA_ML"] ?? ""];
  const real = REAL.find((path) => existsSync(path)) ?? "";
  if (real === "") console.log("left out: no libnvidia-ml of NVIDIA's is there (or named by INFERMESH_LIBNVIDIA_ML)");

  test.skipIf(real === "")("may be NVIDIA's own, which answers, if only that no driver is loaded", () => {
    const { said, exitCode } = called(real, "nvmlInit_v2");
    expect([exitCode, said]).toEqual([0, expect.stringMatching(/^(?:0|9|999)$/)]);
  });

  test("that is none is refused in one line", () => {
    const path = join(folder, "garbage.so");
    writeFileSync(path, "no library");
    expect(called(path, "f").said).toMatch(/^Error loading .*garbage\.so/);
  });

  /** In a mount namespace without /proc, so that no file in memory can be opened. */
  const withoutProc = (...more: readonly string[]): string[] => {
    const script = ["mount -t tmpfs none /proc", ...more, 'exec "$@"'].join(" && ");
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
  };
  const hasNamespaces = Bun.spawnSync(withoutProc(), { stderr: "ignore" }).exitCode === 0;
  if (!hasNamespaces) console.log("left out: a mount namespace of one's own is not allowed");

  test.skipIf(!hasNamespaces)("opens without /proc by a folder for temporary files, and leaves nothing there", () => {
    const path = built("plain", written("plain", "int f(void) { return 4; }\n"));
    const TMPDIR = join(folder, "tmp");
    mkdirSync(TMPDIR);
    expect(called(path, "f", { TMPDIR }, withoutProc())).toMatchObject({ said: "4", exitCode: 0 });
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  test.skipIf(!hasNamespaces)("is refused where nothing can be written either, with what would help", () => {
    const path = built("plain", written("plain", "int f(void) { return 4; }\n"));
    const readOnly = ["/tmp", "/dev/shm"].map((at) => `mount --bind ${at} ${at} && mount -o remount,bind,ro ${at}`);
    const { said } = called(path, "f", {}, withoutProc(...readOnly));
    expect(said).toMatch(
      /^libraries built for glibc can't be opened here \(.*\); mount \/proc, or a \/tmp without noexec$/,
    );
  });
});

describe("elsewhere", () => {
  test("nothing of this happens", () => {
    expect(isStatic()).toBe(false);
    expect(loadFault("/nonexistent/libnvidia-ml.so.1")).toBe("");
    expect(nvidiaEnvironment("/opt/libnvidia-ml.so.1")).toEqual({});
  });
});

describe("what musl's loader says", () => {
  const path = "/usr/lib64/libcuda.so.1";

  test("is told with what to do", () => {
    expect(wordsOf(path, `Error relocating ${path}: __foo: symbol not found`)).toBe(
      "it needs __foo, which this static executable does not have; use the executable for glibc (npm run build), or " +
        "read the GPUs by dcgm-exporter (--gpu dcgm=URL)",
    );
    const amd = "/opt/rocm/lib/librocm_smi64.so.7";
    expect(wordsOf(amd, `Error relocating ${amd}: foo: symbol not found`)).toEndWith("glibc (npm run build)");
    const early = "initial-exec TLS resolves to dynamic definition in /usr/lib64/libcuda.so.1";
    expect(wordsOf(path, `Error relocating ${path}: \u0001: ${early}`)).toStartWith("it has thread-local storage that");
    expect(wordsOf(path, "Error relocating /usr/lib/libx.so: foo: symbol not found")).toStartWith(
      "its libx.so needs foo,",
    );
    expect(
      wordsOf(path, `Error loading shared library libstdc++.so.6: No such file or directory (needed by ${path})`),
    ).toStartWith("it needs libstdc++.so.6, which is in none of the folders");
  });

  test("and else as it is, cut where it is long", () => {
    expect(wordsOf(path, "Exec format error")).toBe("Exec format error");
    expect(wordsOf(path, "x".repeat(999))).toHaveLength(300);
  });
});
