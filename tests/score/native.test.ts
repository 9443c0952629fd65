import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openFromMemory } from "../../src/native-library.ts";
import { isLibraryProven, openPicker } from "../../src/native.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { compileScorer } from "../../scripts/build-native.ts";
import { HAS_COMPILER, libraryWith } from "./c-library.ts";
import { PLAIN } from "./rows.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-native-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fresh() {
  const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
  const writer = new TableWriter(table);
  const row = writer.addRow(writer.addModel());
  writer.write(row, PLAIN);
  return { table, row };
}

const PREFIX = "int infermesh_hash(void){return 0;} int infermesh_note(void){return 0;} void infermesh_match(void){}";

/** A shared library of these C lines. */
function stub(name: string, source: string): string {
  const path = join(folder, `${name}.so`);
  writeFileSync(join(folder, `${name}.c`), source);
  const done = Bun.spawnSync(["cc", "-shared", "-fPIC", "-nostdlib", "-o", path, join(folder, `${name}.c`)]);
  expect(done.exitCode).toBe(0);
  return path;
}

describe("a library that cannot be used leaves the work to TypeScript, and says why in a line", () => {
  const cases: [string, () => string, RegExp][] = [
    ["a bare name", () => "libscorer.so", /not absolute/],
    ["a relative path", () => "./libscorer.so", /not absolute/],
    ["nothing there", () => join(folder, "nothing.so"), /compiler|open|No such/],
    ["the placeholder", () => (writeFileSync(join(folder, "empty.so"), ""), join(folder, "empty.so")), /no C compiler/],
    ["not a library", () => (writeFileSync(join(folder, "text.so"), "hello"), join(folder, "text.so")), /\w/],
    ["a folder", () => folder, /\w/],
  ];
  test.each(cases)("%s", (_, path, why) => {
    const { table, row } = fresh();
    const { picker, reason } = openPicker(table, { path: path() });
    expect(picker.kind).toBe("typescript");
    expect(reason).toMatch(why);
    expect(reason.split("\n").length).toBe(1);
    expect(picker.pick(new PickRequest())).toBe(row);
  });

  test.skipIf(!HAS_COMPILER)("another layout", () => {
    const path = stub(
      "layout",
      `int infermesh_layout(void){return 1;} int infermesh_wide(void){return 0;} ${PREFIX} int infermesh_pick(void*r){return 0;}`,
    );
    expect(openPicker(fresh().table, { path }).reason).toContain("another table layout");
  });

  test.skipIf(!HAS_COMPILER)("a symbol missing", () => {
    const { picker, reason } = openPicker(fresh().table, {
      path: stub("symbol", "int infermesh_layout(void){return 1;}"),
    });
    expect(picker.kind).toBe("typescript");
    expect(reason).toContain("infermesh_");
  });

  test.skipIf(!HAS_COMPILER)("wrong answers", () => {
    const word = /LAYOUT_WORD \((-?\d+)\)/.exec(readFileSync(join(libraryWith(), "..", "layout.h"), "utf8"))?.[1] ?? "";
    const path = stub(
      "answers",
      `int infermesh_layout(void){return ${word};} int infermesh_wide(void){return 0;} ${PREFIX} int infermesh_pick(void*r){return 3;}`,
    );
    expect(openPicker(fresh().table, { path }).reason).toContain("does not answer as");
    // Who was told that it is proven does not try it again, and yet looks whether it is of this layout.
    expect(openPicker(fresh().table, { path, isProven: true }).picker.kind).toBe("c");
    const other = stub(
      "other",
      `int infermesh_layout(void){return 1;} int infermesh_wide(void){return 0;} ${PREFIX} int infermesh_pick(void*r){return 0;}`,
    );
    expect(openPicker(fresh().table, { path: other, isProven: true }).picker.kind).toBe("typescript");
  });
});

describe("from a file in memory, where no folder will do", () => {
  test.skipIf(!HAS_COMPILER)("the library opens, and leaves no descriptor behind", () => {
    const open = (): string[] => readdirSync("/proc/self/fd");
    const before = open();
    const library = openFromMemory(libraryWith(), {
      infermesh_layout: { args: [], returns: "i32" },
      infermesh_wide: { args: [], returns: "i32" },
    });
    expect(open()).toEqual(before);
    const word = /LAYOUT_WORD \((-?\d+)\)/.exec(readFileSync(join(libraryWith(), "..", "layout.h"), "utf8"))?.[1];
    expect(String(library.infermesh_layout())).toBe(word ?? "");
    expect([0, 1]).toContain(library.infermesh_wide());
  });

  test("what is no library is refused, and leaves no descriptor behind", () => {
    const path = join(folder, "memory.so");
    writeFileSync(path, "hello");
    const before = readdirSync("/proc/self/fd");
    expect(() => openFromMemory(path, {})).toThrow();
    expect(() => openFromMemory(join(folder, "nowhere.so"), {})).toThrow("no such file");
    expect(readdirSync("/proc/self/fd")).toEqual(before);
  });
});

describe("the library of this checkout", () => {
  test("opens, or says why not", () => {
    const { table, row } = fresh();
    for (const { picker, reason } of [openPicker(table), openPicker(table)]) {
      expect(reason).toMatch(picker.kind === "c" ? /^C scorer/ : /^TypeScript scorer, since /);
      expect(picker.pick(new PickRequest())).toBe(row);
      expect(isLibraryProven()).toBe(picker.kind === "c");
    }
  });

  test.skipIf(!HAS_COMPILER)("one request may go to several pickers in turn", () => {
    const [a, b] = [fresh(), fresh()];
    const request = new PickRequest();
    const [ofA, ofB] = [
      openPicker(a.table, { path: libraryWith() }).picker,
      openPicker(b.table, { path: libraryWith() }).picker,
    ];
    a.table.eject(a.row, 10);
    request.nowDeciseconds = 5;
    expect([ofA, ofB, ofA, ofB].map((picker) => picker.pick(request))).toEqual([-3, b.row, -3, b.row]);
  });

  test.skipIf(!HAS_COMPILER)("needs nothing of libc", () => {
    const nm = Bun.which("nm");
    if (nm === null) return;
    const done = Bun.spawnSync([nm, "-D", "--undefined-only", libraryWith()]);
    expect(done.stdout.toString().trim()).toBe("");
  });
});

describe("building it", () => {
  test("says why there is none", () => {
    expect(compileScorer("/nowhere/cc", join(folder, "none"))).toContain("does not run here");
    const broken = join(folder, "broken-cc");
    writeFileSync(broken, "#!/bin/sh\necho no such target >&2\nexit 1\n");
    chmodSync(broken, 0o755);
    expect(compileScorer(broken, join(folder, "none"))).toContain("no such target");
    expect(existsSync(join(folder, "none", "libscorer.so"))).toBe(false);
    expect(resolve(folder)).toBe(folder);
  });
});
