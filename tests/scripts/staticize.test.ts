/** The post-linker on files that are like Bun, musl and the shim: what it makes of them, and what it refuses. */
import { describe, expect, test } from "bun:test";
import { SEGMENT } from "../../scripts/elf/constants.ts";
import { ElfFile, type Segment } from "../../scripts/elf/file.ts";
import { dynamicSymbols, dynamicValue, neededLibraries, relocations } from "../../scripts/elf/tables.ts";
import { MACHINES, type Machine } from "../../scripts/static/machine.ts";
import { staticize, standsAloneFault } from "../../scripts/static/staticize.ts";
import { type BunFaults, FAKE_IMPORTS, bunLayout, fakeBun, fakeMusl, fakeShim } from "./elf-fixture.ts";

const files = (machine: Machine, faults: BunFaults = {}) => ({
  bun: fakeBun(machine, faults),
  musl: fakeMusl(machine),
  shim: fakeShim(machine),
});

describe.each(Object.values(MACHINES))("for $name", (machine) => {
  const { name, page, relocation: types, shimBase } = machine;
  const layout = bunLayout(machine);
  const given = files(machine);
  const before = given.bun.bytes.slice();
  const made = staticize(given, FAKE_IMPORTS);
  const out = new ElfFile("out", made.bytes);
  const loads = out.segments().filter(({ type }) => type === SEGMENT.load);
  const [shimText, shimData, , , data] = loads as [Segment, Segment, Segment, Segment, Segment];

  test("names no loader and no library but musl, and every segment can be mapped", () => {
    expect(standsAloneFault(out)).toBe("");
    expect(neededLibraries(out)).toEqual([machine.muslLibrary]);
    expect(standsAloneFault(given.bun)).toBe("it names a loader (PT_INTERP)");
    expect(loads.map(({ flags }) => flags)).toEqual([5, 6, 4, 5, 6]);
    const addresses = loads.map(({ address }) => address);
    expect(addresses).toEqual(addresses.toSorted((a, b) => a - b));
  });

  test("leaves the files that it was given", () => {
    expect(Buffer.compare(given.bun.bytes, before)).toBe(0);
  });

  test("is the same each time", () => {
    expect(Buffer.compare(staticize(files(machine), FAKE_IMPORTS).bytes, made.bytes)).toBe(0);
  });

  test("starts in the shim, which is told where the program and the loader are", () => {
    expect(out.entry).toBe(shimBase + 0x80);
    expect(shimText.address).toBe(shimBase);
    const at = out.offsetOf(shimBase);
    const told = Array.from({ length: 12 }, (_, index) => out.u64(at + 8 + index * 8));
    const slot = (index: number): number => layout.dataAddress + layout.slots + index * 8;
    const vtable = layout.dataAddress + 0x480;
    expect(told).toEqual([
      layout.textAddress,
      2097152 + 64,
      9,
      made.loaderBase,
      made.loaderBase + 1808,
      slot(8),
      slot(9),
      slot(2),
      slot(10),
      vtable,
      vtable + 16,
      vtable + 32,
    ]);
    expect(out.text(out.offsetOf(made.loaderBase + 0x700))).toBe("musl's text");
    expect(out.text(out.offsetOf(made.loaderBase + 2 * page - 0x100))).toBe("musl's data");
    expect(shimData.memorySize).toBeGreaterThan(shimData.fileSize);
    expect(shimData.address + shimData.memorySize).toBeGreaterThanOrEqual(0x1f0008);
  });

  test("keeps Bun's text and data at their addresses, and the section by which a payload is found", () => {
    expect(out.text(out.offsetOf(layout.textAddress))).toBe("Bun's text");
    expect(out.text(out.offsetOf(layout.dataAddress))).toBe("Bun's thread-local data");
    const section = out.sections().find(({ name: one }) => one === ".bun");
    expect(section?.offset).toBe(out.offsetOf(layout.dataAddress + layout.payload));
    expect(out.bytes.length).toBe(given.bun.bytes.length + made.added);
    expect(made.added % page).toBe(0);
  });

  test("has room for call_once in thread-local storage, where the others keep their places", () => {
    const threadLocal = out.segments().find(({ type }) => type === SEGMENT.threadLocal);
    const isFront = name === "x64";
    expect(threadLocal).toMatchObject({
      address: layout.dataAddress - (isFront ? 16 : 0),
      fileSize: isFront ? 0x50 : 0x40,
      memorySize: isFront ? 0x74 : 0x78,
    });
    expect(data.address).toBe(layout.dataAddress - (isFront ? 16 : 0));
    const once = relocations(out).filter(({ type }) => type === types.threadLocal);
    expect(once.map(({ symbol, addend }) => [symbol, addend])).toEqual(
      isFront
        ? [
            [0, 0],
            [0, 8],
          ]
        : [
            [0, 0x68],
            [0, 0x70],
          ],
    );
  });

  test("binds what libstdc++ had to the shim and to musl", () => {
    expect(made.counts).toEqual(FAKE_IMPORTS);
    const symbols = dynamicSymbols(out);
    const bound = relocations(out).map(({ type, symbol, addend }) => [type, symbols[symbol]?.name, addend]);
    // An absolute address has the addend that it had.
    expect(bound).toContainEqual([types.relative, "", shimBase + 0xa4]);
    expect(bound).toContainEqual([types.relative, "", shimBase + 0x90]);
    // Both ways to call it lead to the shim's, though musl has one.
    expect(bound.filter(([, , addend]) => addend === shimBase + 0xa8)).toHaveLength(2);
    // What else was there for musl stays; a C++ function with a twin there goes to it.
    expect(bound.filter(([, symbol]) => symbol === "pthread_cond_signal")).toHaveLength(2);
    expect(bound.filter(([type]) => type === 0)).toEqual([
      [0, "", 0],
      [0, "", 0],
      [0, "", 0],
    ]);
    const vtable = symbols.find(({ name: one }) => one.includes("vmi_class"));
    expect(out.u16(out.offsetOf(dynamicValue(out, 0x6ffffff0, "DT_VERSYM")) + (vtable?.index ?? 0) * 2)).toBe(0x8000);
  });
});

describe("what is not as it was is named", () => {
  const X64 = MACHINES.x64;
  const fault = (faults: BunFaults, expected = FAKE_IMPORTS) => {
    try {
      staticize(files(X64, faults), expected);
    } catch (error) {
      return (error as Error).message;
    }
    return "no fault";
  };
  const without = (type: number): BunFaults => ({
    segments: (all) => all.filter((segment) => segment.type !== type),
  });
  const changed = (type: number, change: Partial<Segment>): BunFaults => ({
    segments: (all) => all.map((segment) => (segment.type === type ? { ...segment, ...change } : segment)),
  });
  const jump = (name: string, type = 7): BunFaults => ({
    symbols: [{ name }],
    relocations: [{ type, symbol: name, plt: type === 7 }],
  });

  test.each<[string, BunFaults, string]>([
    ["a position-independent executable", { type: 3 }, "not an executable for fixed addresses"],
    ["another processor", { number: 243 }, "made for machine 243"],
    ["a processor that the others aren't for", { number: 183 }, "libc.so: it is not made for arm64, as bun is"],
    ["no loader", without(SEGMENT.interpreter), "is it static already?"],
    ["no note", without(SEGMENT.note), "it has no note (PT_NOTE)"],
    ["no thread-local storage", without(SEGMENT.threadLocal), "is not at the start of its writable segment"],
    ["thread-local storage elsewhere", changed(SEGMENT.threadLocal, { offset: 0x2540 }), "is not at the start"],
    [
      "thread-local storage of wider alignment",
      changed(SEGMENT.threadLocal, { align: 64 }),
      "aligned to 64, at most 16",
    ],
    ["another order of segments", { segments: (all) => all.toReversed() }, "their flags are 6, 5, 4"],
    ["one segment more", { segments: (all) => [...all, ...all.slice(2, 3)] }, "it should have three segments"],
    ["no place for the payload", { payloadSection: ".bunny" }, "no section .bun in its writable segment"],
    [
      "another library",
      { needed: ["libstdc++.so.6", "libgcc_s.so.1"] },
      "it needs libstdc++.so.6, libgcc_s.so.1, where",
    ],
    ["no C++ library", { needed: ["libc.musl-x86_64.so.1"] }, "it needs libc.musl-x86_64.so.1, where"],
    ["an unknown function", jump("_ZSt9unheard_ofv"), "neither musl nor the shim has: _ZSt9unheard_ofv. Write it in"],
    ["an unknown variable", jump("_ZSt4cout", 5), "_ZSt4cout (a copy)"],
    ["an unknown thread-local", jump("_ZSt5local", 18), "_ZSt5local (thread-local)"],
    ["an unknown relocation", jump("strlen", 37), "the relocation of strlen is of type 37"],
    [
      "a weak reference to something unheard of",
      { ...jump("puzzle"), symbols: [{ name: "puzzle", binding: 2 }] },
      "puzzle",
    ],
  ])("%s", (_, faults, message) => {
    expect(fault(faults)).toContain(message);
  });

  test("counts that differ from what was seen before", () => {
    expect(fault({}, { ...FAKE_IMPORTS, shim: 3 })).toBe(
      "bun: 2 of its relocations were bound as shim, 3 were expected: look at what changed in its imports " +
        "(readelf -rW), then correct BUN_IMPORTS in scripts/static/imports.ts.",
    );
    expect(fault(jump("__cxa_guard_acquire"))).toContain("3 of its relocations were bound as shim, 2 were expected");
  });

  test("a relocation of a symbol that isn't there", () => {
    const { bun, musl, shim } = files(X64);
    const [, second] = relocations(bun);
    bun.setU32((second?.at ?? 0) + 12, 500);
    expect(() => staticize({ bun, musl, shim }, FAKE_IMPORTS)).toThrow(
      "a relocation names symbol 500, which isn't there",
    );
  });

  test("a call that the shim needs and Bun no longer has", () => {
    const { bun, musl, shim } = files(X64);
    for (const { name, index } of dynamicSymbols(bun)) {
      const symbols = dynamicValue(bun, 6, "DT_SYMTAB");
      // The empty name is nobody's; a weak one of those that may be absent keeps its relocation.
      if (name === "abort") bun.setU32(bun.offsetOf(symbols) + index * 24, bun.u32(bun.offsetOf(symbols) + 24));
    }
    expect(() => staticize({ bun, musl, shim }, FAKE_IMPORTS)).toThrow("it does not call abort, as the shim has to");
  });

  test("a musl or a shim of another shape", () => {
    const { bun, musl, shim } = files(X64);
    const [, muslData] = fakeMusl(X64).segments() as [Segment, Segment];
    const muslWith = (change: (all: readonly Segment[]) => readonly Segment[]) => () =>
      staticize({ bun, musl: fakeMusl(X64, change), shim }, FAKE_IMPORTS);
    expect(muslWith((all) => [...all, { ...muslData, address: 0x9000 }])).toThrow("exactly one writable segment");
    expect(muslWith((all) => [...all, { ...muslData, type: SEGMENT.threadLocal }])).toThrow(
      "libc.so: it has thread-local storage",
    );
    expect(muslWith((all) => all.map((one) => (one.flags === 5 ? { ...one, memorySize: 0x1801 } : one)))).toThrow(
      "its text and data share a page",
    );
    expect(muslWith((all) => all.map((one) => (one.flags === 6 ? { ...one, memorySize: 0xf0000 } : one)))).toThrow(
      "libc.so: no room: shim and musl need 0x100000 to 0x1f2f00",
    );
    const shimWith = (how: Parameters<typeof fakeShim>[1]) => () =>
      staticize({ bun, musl, shim: fakeShim(X64, how) }, FAKE_IMPORTS);
    expect(shimWith({ configSize: 96 })).toThrow("shim.elf: its text should begin with a configuration of 104 bytes");
    expect(shimWith({ variables: 0x200000 })).toThrow("no room");
  });
});
