import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLibrary } from "../../src/gpu/library.ts";

/** Where this process's own C library lies: one that is surely there and no library of GPUs. */
const LIBC =
  /\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl\S*)$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? "";
const SYMBOLS = {
  abs: { args: ["i32"], returns: "i32" },
  infermesh_is_not_there: { args: [], returns: "i32" },
} as const;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "infermesh-library-"));
  mkdirSync(join(folder, "folder.so"));
  writeFileSync(join(folder, "garbage.so"), "this is no library");
  writeFileSync(join(folder, "empty.so"), "");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("opening a library", () => {
  test("one missing symbol costs that symbol alone", () => {
    const library = openLibrary([LIBC], SYMBOLS, ["abs"]);
    if ("trouble" in library) throw new Error(library.message);
    expect(library.path).toBe(LIBC);
    expect(library.calls.abs?.(-7)).toBe(7);
    expect(library.calls.infermesh_is_not_there).toBeUndefined();
    expect(library.missing).toEqual(["infermesh_is_not_there"]);
  });

  test("opening it once more gives the same calls, of other symbols others", () => {
    const library = openLibrary([LIBC], SYMBOLS, ["abs"]);
    expect(openLibrary([LIBC], SYMBOLS, ["abs"])).toBe(library);
    const other = openLibrary([LIBC], { labs: { args: ["i64"], returns: "i64" } }, ["labs"]);
    expect("calls" in other && other.calls.labs?.(-7n)).toBe(7n);
  });

  test("the first path that can be used is taken", () => {
    const paths = [join(folder, "none.so"), join(folder, "garbage.so"), LIBC];
    expect(openLibrary(paths, SYMBOLS, ["abs"])).toMatchObject({ path: LIBC });
  });

  test("a foreign library is broken, and the symbol is named", () => {
    const result = openLibrary([LIBC], SYMBOLS, ["infermesh_is_not_there"]);
    if (!("trouble" in result)) throw new Error("it opened");
    expect(result.trouble).toBe("broken");
    expect(result.message).toContain(LIBC);
    expect(result.message).toContain("infermesh_is_not_there");
  });

  test("what is there and can't be used is broken, with a reason of one line for each", () => {
    const names = ["garbage.so", "empty.so", "folder.so", "none.so"];
    const result = openLibrary(
      names.map((name) => join(folder, name)),
      SYMBOLS,
      ["abs"],
    );
    if (!("trouble" in result)) throw new Error("it opened");
    expect(result.trouble).toBe("broken");
    expect(result.message).toMatch(/garbage\.so: .+; \S+empty\.so: .+; \S+folder\.so: it is not a file$/);
    expect(result.message).not.toMatch(/\n|none\.so/);
  });

  test("what is not there is absent, and its paths are told", () => {
    const paths = [join(folder, "a.so"), join(folder, "garbage.so", "b.so")];
    expect(openLibrary(paths, SYMBOLS, ["abs"])).toEqual({
      trouble: "absent",
      message: `none of ${paths.join(", ")} is there`,
    });
  });

  test("no path that is not absolute is opened, also where the working directory has the file", () => {
    for (const path of ["libc.so.6", "./garbage.so", ""]) {
      expect(openLibrary([path], SYMBOLS, ["abs"])).toMatchObject({
        trouble: "broken",
        message: `${path}: the path is not absolute`,
      });
    }
  });
});
