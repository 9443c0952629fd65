/** Whatever is in the place of the library, pages are followed. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFollower } from "../src/native-pages.ts";
import { followLines } from "../src/wire/prometheus-lines.ts";
import { HAS_COMPILER, libraryWith } from "./score/c-library.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-pages-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a library that is none is done without", () => {
  const text = join(folder, "text.so");
  writeFileSync(text, "hello");
  for (const path of [text, join(folder, "nothing.so"), "libscorer.so"]) {
    expect(openFollower(path)).toEqual({ kind: "typescript", follow: followLines });
  }
});

test.skipIf(!HAS_COMPILER)("one that follows otherwise than TypeScript is done without", () => {
  const path = join(folder, "other.so");
  const source = join(folder, "other.c");
  writeFileSync(source, "void infermesh_follow(void){}");
  const done = Bun.spawnSync(["cc", "-shared", "-fPIC", "-nostdlib", "-o", path, source]);
  expect(done.exitCode).toBe(0);
  expect(openFollower(path).kind).toBe("typescript");
  expect(openFollower(libraryWith()).kind).toBe("c");
});
