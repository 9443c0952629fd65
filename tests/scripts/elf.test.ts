/** The ELF library: what it reads, what it writes, and that no file of whatever bytes gets more than a fault out of it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BINDING, FLAG, SEGMENT, TAG } from "../../scripts/elf/constants.ts";
import { ElfFault, ElfFile } from "../../scripts/elf/file.ts";
import {
  dynamicEntries,
  dynamicSymbols,
  dynamicValue,
  hideSymbol,
  linkerSymbols,
  neededLibraries,
  relocations,
  setDynamicEntries,
  setRelocation,
} from "../../scripts/elf/tables.ts";
import { MACHINES, machineOf } from "../../scripts/static/machine.ts";
import { bunLayout, fakeBun, fakeMusl, fakeShim } from "./elf-fixture.ts";

const X64 = MACHINES.x64;
const layout = bunLayout(X64);

/** All there is to read. */
function readAll(file: ElfFile): void {
  const parts = [
    () => file.segments(),
    () => file.sections(),
    () => dynamicEntries(file),
    () => neededLibraries(file),
    () => dynamicSymbols(file),
    () => linkerSymbols(file),
    () => relocations(file),
    () => machineOf(file),
  ];
  for (const part of parts) {
    try {
      part();
    } catch (error) {
      if (!(error instanceof ElfFault)) throw error;
    }
  }
}

describe("reading", () => {
  const bun = fakeBun(X64);

  test("header and segments", () => {
    expect(machineOf(bun)).toBe(X64);
    expect(bun.entry).toBe(layout.textAddress);
    expect(bun.segments().map(({ type }) => type)).toEqual([
      SEGMENT.headers,
      SEGMENT.interpreter,
      SEGMENT.load,
      SEGMENT.load,
      SEGMENT.load,
      SEGMENT.threadLocal,
      SEGMENT.dynamic,
      SEGMENT.stack,
      SEGMENT.note,
    ]);
    expect(bun.segments()[4]).toEqual({
      type: SEGMENT.load,
      flags: FLAG.read | FLAG.write,
      offset: layout.dataOffset,
      address: layout.dataAddress,
      fileSize: layout.size,
      memorySize: 0x1000,
      align: 0x1000,
    });
  });

  test("addresses lead to bytes of the file, those of zeros to a fault", () => {
    expect(bun.text(bun.offsetOf(layout.textAddress))).toBe("Bun's text");
    expect(bun.offsetOf(layout.dataAddress + layout.size - 1)).toBe(layout.dataOffset + layout.size - 1);
    expect(() => bun.offsetOf(layout.dataAddress + layout.size)).toThrow(/^bun: the address 0x\w+ has no bytes/);
  });

  test("sections by name", () => {
    expect(bun.sections().map(({ name }) => name)).toEqual(["", ".bun", ".shstrtab"]);
    expect(bun.sections()[1]).toMatchObject({ offset: layout.dataOffset + layout.payload, size: 8 });
  });

  test("needed libraries, symbols, relocations", () => {
    expect(neededLibraries(bun)).toEqual(["libstdc++.so.6", "libc.musl-x86_64.so.1"]);
    const symbols = dynamicSymbols(bun);
    expect(symbols[1]).toEqual({ index: 1, name: "pthread_cond_wait", binding: 1, section: 0, value: 0, size: 0 });
    expect(symbols.at(-1)).toMatchObject({ name: "_ITM_registerTMCloneTable", binding: BINDING.weak });
    const named = relocations(bun).map(({ type, symbol }) => `${type} ${symbols[symbol]?.name}`);
    expect(named[0]).toBe("8 ");
    expect(named).toContain("18 _ZSt11__once_call");
    expect(named.slice(-2)).toEqual(["7 _ZNSt18condition_variable10notify_oneEv", "7 memcpy"]);
    expect(linkerSymbols(fakeShim(X64)).map(({ name, size }) => `${name} ${size}`)).toContain("config 104");
  });

  test("what isn't there is named", () => {
    expect(() => linkerSymbols(bun)).toThrow("bun: no symbol table: was it stripped?");
    expect(() => dynamicEntries(fakeShim(X64))).toThrow("shim.elf: no dynamic section");
    expect(() => dynamicValue(fakeMusl(X64), TAG.relocations, "DT_RELA")).toThrow("has no DT_RELA");
  });

  test("Bun's own executable, which is an ELF file on Linux", async () => {
    if (process.platform !== "linux") return;
    const file = new ElfFile("bun", await Bun.file(process.execPath).bytes());
    expect(machineOf(file).name).toBe(process.arch as "x64");
    expect(file.sections().map(({ name }) => name)).toContain(".bun");
    expect(dynamicSymbols(file).map(({ name }) => name)).toContain("pthread_create");
    expect(neededLibraries(file).some((name) => name.startsWith("libc."))).toBe(true);
  });
});

describe("writing", () => {
  test("segments are put in the place of others, and what is left of the table is cleared", () => {
    const bun = fakeBun(X64);
    const kept = bun.segments().slice(2, 4);
    bun.setSegments(kept);
    const unused = { type: 0, flags: 0, offset: 0, address: 0, fileSize: 0, memorySize: 0, align: 0 };
    expect(bun.segments()).toEqual([...kept, ...Array.from({ length: 7 }, () => unused)]);
    expect(() => bun.setSegments([...bun.segments(), unused])).toThrow("10 program headers, and room for 9");
  });

  test("dynamic entries become fewer, never more", () => {
    const bun = fakeBun(X64);
    const entries = dynamicEntries(bun);
    setDynamicEntries(bun, entries.slice(1));
    expect(dynamicEntries(bun)).toEqual(entries.slice(1));
    expect(neededLibraries(bun)).toEqual(["libc.musl-x86_64.so.1"]);
    expect(() => setDynamicEntries(bun, entries)).toThrow(/dynamic entries, and room for/);
  });

  test("relocations and versions", () => {
    const bun = fakeBun(X64);
    const [first] = relocations(bun);
    if (first === undefined) throw new Error("the fixture has relocations");
    setRelocation(bun, { at: first.at, type: 18, symbol: 3, addend: -8 });
    expect(relocations(bun)[0]).toEqual({ ...first, type: 18, symbol: 3, addend: -8 });
    const symbol = dynamicSymbols(bun)[2];
    if (symbol === undefined) throw new Error("the fixture has symbols");
    const at = bun.offsetOf(dynamicValue(bun, TAG.symbolVersions, "DT_VERSYM")) + 4;
    hideSymbol(bun, symbol);
    expect(bun.u16(at)).toBe(0x8000);
  });
});

describe("bytes that are no such file", () => {
  test("other formats are refused by name", () => {
    const other = fakeBun(X64).bytes.slice();
    for (const [at, value] of [
      [0, 0],
      [4, 1],
      [5, 2],
    ] as const) {
      const bytes = other.slice();
      bytes[at] = value;
      expect(() => new ElfFile("x", bytes)).toThrow("x: not an ELF file of 64 bits in little-endian order");
    }
    expect(() => new ElfFile("x", new Uint8Array())).toThrow(ElfFault);
  });

  test("records of other sizes, and too many of them, are refused", () => {
    const changed = (at: number, value: number) => {
      const bytes = Buffer.from(fakeBun(X64).bytes);
      bytes.writeUInt16LE(value, at);
      return () => new ElfFile("x", bytes);
    };
    expect(changed(54, 32)).toThrow("x: a program header has 32 bytes, not 56");
    expect(changed(58, 40)).toThrow("x: a section header has 40 bytes, not 64");
    expect(changed(56, 65)).toThrow("x: 65 program headers, at most 64");
    expect(changed(60, 5000)).toThrow("x: 5000 sections, at most 4096");
  });

  test("a number that a double can't hold is a fault, not another number", () => {
    const bun = fakeBun(X64);
    bun.bytes.fill(0xff, 24, 32);
    expect(() => bun.entry).toThrow("bun: the number at 0x18 is too large: 18446744073709551615");
  });

  test("cut short anywhere, it is read or refused", () => {
    const { bytes } = fakeBun(X64);
    fc.assert(
      fc.property(fc.integer({ min: 64, max: bytes.length }), (size) =>
        readAll(new ElfFile("x", bytes.slice(0, size))),
      ),
      { numRuns: 500 },
    );
  });

  test("with bytes overwritten, it is read or refused", () => {
    const originals = [fakeBun(X64), fakeMusl(X64), fakeShim(X64)].map(({ bytes }) => bytes);
    // Most of a file is zeros; what decides lies at its start, in its tables and in its sections.
    const change = fc.tuple(
      fc.oneof(fc.nat(0x400), fc.nat(0x2fff)),
      fc.oneof(fc.constantFrom(0, 1, 0x80, 0xff), fc.nat(255)),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        (original, changes) => {
          const bytes = original.slice();
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          try {
            readAll(new ElfFile("x", bytes));
          } catch (error) {
            if (!(error instanceof ElfFault)) throw error;
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});
