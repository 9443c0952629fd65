import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  PCI_ADDRESS,
  addressOf,
  badPagesOf,
  clockLevelsOf,
  errorCountsOf,
  gfxNameOf,
  hexOf,
  linkGenerationOf,
  propertiesOf,
  wholeOf,
} from "../../src/gpu/kernel-text.ts";
import { drmClientOf } from "../../src/gpu/drm-fdinfo.ts";

describe("numbers", () => {
  test("are whole, decimal and exact, or none", () => {
    expect(["0\n", " 42 ", "-5", "9007199254740991"].map(wholeOf)).toEqual([0, 42, -5, 9_007_199_254_740_991]);
    for (const text of [
      "",
      "12x",
      "1 2",
      "0x10",
      "1e3",
      "9007199254740993",
      "4.5",
      "99999999999999999999",
      undefined,
    ]) {
      expect(wholeOf(text)).toBeUndefined();
    }
  });

  test("in hexadecimal name something, or nothing", () => {
    expect(["0x74A1\n", "79ccd5616cc31b1b"].map(hexOf)).toEqual(["74a1", "79ccd5616cc31b1b"]);
    for (const text of ["", "0x0", "0000000000000000", "0xg", "-1", undefined]) expect(hexOf(text)).toBeUndefined();
  });
});

describe("texts", () => {
  test("of links", () => {
    expect(["2.5 GT/s PCIe", "16.0 GT/s PCIe\n", "32 GT/s", "64.0 GT/s PCIe"].map(linkGenerationOf)).toEqual([
      1, 4, 5, 6,
    ]);
    for (const text of ["Unknown", "", "12.0 GT/s", "16", undefined]) expect(linkGenerationOf(text)).toBeUndefined();
  });

  test("of clocks have the one in force and the greatest, sleeping or not", () => {
    expect(clockLevelsOf("0: 132Mhz\n1: 1980Mhz *\n2: 2100Mhz\n")).toEqual({ currentMhz: 1980, maxMhz: 2100 });
    expect(clockLevelsOf("S: 19Mhz *\n0: 132Mhz\n1: 2100MHz\n")).toEqual({ currentMhz: 19, maxMhz: 2100 });
    for (const text of ["", "nonsense", "0: Mhz *", "0: 99999999Mhz", undefined]) {
      expect(clockLevelsOf(text)).toEqual({ currentMhz: undefined, maxMhz: undefined });
    }
  });

  test("of errors and of pages", () => {
    expect(errorCountsOf("ue: 1\nce: 23\nde: 4\n")).toEqual({ corrected: 23, uncorrected: 1 });
    expect(errorCountsOf("ce: many\nvalue: 3")).toEqual({ corrected: undefined, uncorrected: undefined });
    expect(badPagesOf("")).toEqual({ retired: 0, waiting: 0 });
    expect(badPagesOf("0x01 : 0x1000 : R\n0x02 : 0x1000 : F\n0x03 : 0x1000 : P\ngarbage : R\n")).toEqual({
      retired: 1,
      waiting: 2,
    });
    expect(badPagesOf(undefined)).toBeUndefined();
  });

  test("of KFD's nodes", () => {
    const properties = propertiesOf("hive_id 12958340567841297605\nlocation_id 1280\nstrange -1\nx\n");
    expect(Object.fromEntries(properties)).toEqual({ hive_id: "12958340567841297605", location_id: "1280" });
    expect([90_402, 90_010, 110_000, 100_300, 120_001].map(gfxNameOf)).toEqual([
      "gfx942",
      "gfx90a",
      "gfx1100",
      "gfx1030",
      "gfx1201",
    ]);
    for (const version of [0, 9, 1e9, undefined]) expect(gfxNameOf(version)).toBeUndefined();
    expect([addressOf(0, 0x0500), addressOf(1, 0x63f9), addressOf(0x10_000, 0)]).toEqual([
      "0000:05:00.0",
      "0001:63:1f.1",
      "10000:00:00.0",
    ]);
    expect(addressOf(Number.NaN, 0)).toBeUndefined();
  });

  test("of any kind throw nothing, and what they give is as it is described", () => {
    const likely = fc.stringMatching(/^[0-9a-zA-Z:.*/ _x\n-]{0,200}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 300 }), likely), (text) => {
        const numbers = [
          wholeOf(text),
          linkGenerationOf(text),
          ...Object.values(clockLevelsOf(text)),
          ...Object.values(errorCountsOf(text)),
          ...Object.values(badPagesOf(text) ?? {}),
        ];
        for (const number of numbers) expect(number === undefined || Number.isFinite(number)).toBe(true);
        for (const [name, value] of propertiesOf(text)) expect([name, value].join(" ")).toMatch(/^[a-z0-9_]+ \d+$/);
        expect(hexOf(text) ?? "a").toMatch(/^[0-9a-f]+$/);
      }),
    );
  });
});

const AMDGPU = `pos:	0
flags:	02100002
drm-driver:	amdgpu
drm-client-id:	17
drm-pdev:	0000:05:00.0
drm-memory-vram:	2048 KiB
drm-memory-gtt:	64 KiB
drm-engine-gfx:	5000000 ns
drm-engine-compute:	7000000 ns
drm-engine-capacity-compute:	4
`;

describe("clients of a GPU", () => {
  test("are told with their engines and their memory on the card", () => {
    const client = drmClientOf(AMDGPU);
    expect(client).toMatchObject({ driver: "amdgpu", pciAddress: "0000:05:00.0", id: "17", memoryBytes: 2 * 2 ** 20 });
    expect(Object.fromEntries(client?.engines ?? [])).toEqual({
      gfx: { busyNs: 5_000_000, cycles: undefined, cyclesOfAll: undefined, capacity: 1 },
      compute: { busyNs: 7_000_000, cycles: undefined, cyclesOfAll: undefined, capacity: 4 },
    });
    const xe = drmClientOf(
      "drm-driver: xe\ndrm-client-id: 5\ndrm-pdev: 0000:03:00.0\ndrm-total-vram0: 3 MiB\ndrm-resident-vram0: 1 MiB\n" +
        "drm-resident-vram1: 2 GiB\ndrm-resident-system: 9 GiB\ndrm-cycles-ccs: 100\ndrm-total-cycles-ccs: 1000\n",
    );
    expect(xe?.memoryBytes).toBe(2 ** 20 + 2 * 2 ** 30);
    expect(xe?.engines.get("ccs")).toEqual({ busyNs: undefined, cycles: 100, cyclesOfAll: 1000, capacity: 1 });
    expect(drmClientOf(AMDGPU.replace(/drm-memory.*\n/g, ""))?.memoryBytes).toBeUndefined();
  });

  test("are none without a driver, a number and a place on the bus", () => {
    for (const key of ["driver", "client-id", "pdev"]) {
      expect(drmClientOf(AMDGPU.replace(new RegExp(`drm-${key}.*\n`), ""))).toBeUndefined();
    }
    for (const pdev of ["soc:gpu", "0000:05:00", "../../etc"]) {
      expect(drmClientOf(AMDGPU.replace("0000:05:00.0", pdev))).toBeUndefined();
    }
  });

  test("have no figure that is none", () => {
    for (const value of ["-5 ns", "5 years", "1e9 ns", "99999999999999999999 ns", "5"]) {
      expect(drmClientOf(AMDGPU.replace("5000000 ns", value))?.engines.has("gfx")).toBe(false);
    }
    expect(
      drmClientOf(AMDGPU.replace("capacity-compute:	4", "capacity-compute:	0"))?.engines.get("compute")?.capacity,
    ).toBe(1);
  });

  test("of any text throw nothing", () => {
    const key = fc.constantFrom(
      "driver",
      "client-id",
      "pdev",
      "engine-gfx",
      "cycles-ccs",
      "engine-capacity-gfx",
      "resident-vram0",
      "memory-vram",
    );
    const value = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom("amdgpu", "17", "0000:05:00.0", "5 ns", "9 KiB"),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 20 }), fc.string({ maxLength: 60 }), (lines, junk) => {
        const client = drmClientOf(`${lines.map(([name, text]) => `drm-${name}:\t${text}`).join("\n")}\n${junk}`);
        if (client === undefined) return;
        expect(client.pciAddress).toMatch(PCI_ADDRESS);
        expect(client.memoryBytes === undefined || Number.isSafeInteger(client.memoryBytes)).toBe(true);
        for (const { busyNs, cycles, capacity } of client.engines.values()) {
          expect(Number.isSafeInteger(busyNs ?? cycles) && capacity >= 1).toBe(true);
        }
      }),
    );
  });
});
