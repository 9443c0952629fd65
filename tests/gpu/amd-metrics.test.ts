import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ATTRIBUTES, LAYOUTS, type Layout, ROCM5_LAYOUT, ROCM6_LAYOUT } from "../../src/gpu/amd-layouts.ts";
import { amdFiguresOf, generationOf } from "../../src/gpu/amd-figures.ts";
import { readLayout, readMetrics } from "../../src/gpu/amd-metrics.ts";
import { AmdThrottle } from "../../src/gpu/amd-throttle.ts";
import { layoutBytes, metricsBytes } from "./kernel-tree.ts";

const VERSIONS = [...LAYOUTS.keys()];

const offsetIn = (layout: Layout | undefined, name: string): number | undefined =>
  layout?.places.find((place) => place.name === name)?.offset;

/** Version 1.9: a count, and before each figure a word with its type, its name and how often it stands there. */
function attributes(
  ...figures: readonly (readonly [name: string, type: number, values: readonly number[]])[]
): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, 1, 9]);
  view.setInt32(4, figures.length, true);
  let at = 8;
  for (const [name, type, values] of figures) {
    view.setBigUint64(at, BigInt((type << 20) | (ATTRIBUTES.indexOf(name) << 10) | values.length), true);
    at += 8;
    for (const value of values) {
      const width = 1 << (type >> 1);
      for (let byte = 0; byte < width; byte += 1)
        bytes[at + byte] = Number((BigInt(value) >> BigInt(8 * byte)) & 0xffn);
      at += width;
    }
  }
  view.setUint16(0, at, true);
  return bytes.slice(0, at);
}

describe("the layouts", () => {
  test("are those of the C structs", () => {
    const sizes = Object.fromEntries([...LAYOUTS].map(([version, all]) => [version, all.map(({ bytes }) => bytes)]));
    expect(sizes).toEqual({
      "1.0": [80],
      "1.1": [96],
      "1.2": [104],
      "1.3": [120],
      "1.4": [288],
      "1.5": [360],
      "1.6": [1664, 384],
      "1.7": [2208],
      "1.8": [3872],
      "2.0": [120],
      "2.1": [120],
      "2.2": [128],
      "2.3": [152],
      "2.4": [168],
      "3.0": [264],
    });
    const v16 = LAYOUTS.get("1.6")?.[0];
    expect([
      offsetIn(v16, "xgmi_read_data_acc"),
      offsetIn(v16, "current_uclk"),
      offsetIn(v16, "gfx_busy_inst"),
    ]).toEqual([128, 304, 312]);
    expect(offsetIn(LAYOUTS.get("1.3")?.[0], "throttlers_low")).toBe(112);
    expect([ROCM5_LAYOUT.bytes, ROCM6_LAYOUT.bytes]).toEqual([96, 480]);
    const rocm = [
      "curr_socket_power",
      "pcie_replay_count_acc",
      "xgmi_read_data_acc",
      "jpeg_activity",
      "accumulation_counter",
    ];
    expect(rocm.map((name) => offsetIn(ROCM6_LAYOUT, name))).toEqual([120, 168, 184, 352, 424]);
    // Behind it the releases of the library differ.
    expect(ROCM6_LAYOUT.places.at(-1)).toMatchObject({ name: "num_partition", offset: 472 });
  });

  test("have no two figures in one place, and none beyond the end", () => {
    for (const layout of [...[...LAYOUTS.values()].flat(), ROCM5_LAYOUT, ROCM6_LAYOUT]) {
      let end = 4;
      for (const place of layout.places) {
        expect(place.offset).toBeGreaterThanOrEqual(end);
        expect(place.offset % place.bytes).toBe(0);
        end = place.offset + place.bytes * place.count;
      }
      expect(end).toBeLessThanOrEqual(layout.bytes);
    }
  });
});

describe("reading", () => {
  test("gives what stands at each place, in every version", () => {
    fc.assert(
      fc.property(fc.constantFrom(...VERSIONS), fc.nat(200), fc.nat(200), (version, which, value) => {
        const places = LAYOUTS.get(version)?.[0]?.places ?? [];
        const place = places[which % places.length]!;
        const raw = readMetrics(metricsBytes(version, { [place.name]: value }));
        const known = [...(raw ?? [])].flatMap(([name, values]) => values.map((one) => [name, one] as const));
        expect(known.filter(([, one]) => !Number.isNaN(one))).toEqual([[place.name, value]]);
      }),
    );
  });

  test("refuses a version that is not known, another size than its version has, and too few bytes", () => {
    const bytes = metricsBytes("1.3", { temperature_edge: 50 });
    expect(readMetrics(bytes)?.get("temperature_edge")).toEqual([50]);
    expect(readMetrics(bytes.slice(0, -1))).toBeUndefined();
    for (const [at, byte] of [
      [0, 121],
      [2, 9],
      [3, 200],
    ] as const) {
      const changed = bytes.slice();
      changed[at] = byte;
      expect(readMetrics(changed)).toBeUndefined();
    }
    for (let length = 0; length < 8; length += 1) expect(readMetrics(bytes.slice(0, length))).toBeUndefined();
  });

  test("tells the two shapes of version 1.6 apart by their size", () => {
    const early = LAYOUTS.get("1.6")![1]!;
    const bytes = layoutBytes(early, { curr_socket_power: 500, vcn_activity: [10] });
    bytes.set([384 & 0xff, 384 >> 8, 1, 6]);
    expect(amdFiguresOf(readMetrics(bytes))).toMatchObject({ powerWatts: 500, videoUtilization: 0.1 });
  });

  test("takes figures that say which they are, in any order and type, up to what makes no sense", () => {
    const bytes = attributes(
      ["curr_socket_power", 2, [640]],
      ["xgmi_read_data_acc", 6, [4, 5]],
      ["temperature_hotspot", 3, [55]],
      ["current_gfxclk", 4, [2100, 0xffff_ffff]],
      ["pcie_link_width", 0, [16]],
    );
    expect(Object.fromEntries(readMetrics(bytes) ?? [])).toEqual({
      curr_socket_power: [640],
      xgmi_read_data_acc: [4, 5],
      current_gfxclk: [2100, Number.NaN],
      pcie_link_width: [16],
    });
    expect(readMetrics(bytes.slice(0, 40))?.get("curr_socket_power")).toEqual([640]);
    const strange = attributes(
      ["curr_socket_power", 2, [640]],
      ["pcie_link_width", 9, [16]],
      ["temperature_mem", 2, [40]],
    );
    expect([...(readMetrics(strange)?.keys() ?? [])]).toEqual(["curr_socket_power"]);
    expect(readMetrics(attributes())).toBeUndefined();
  });

  test("of any bytes throws nothing, and gives no figure that is none", () => {
    const headers = fc.tuple(fc.constantFrom(...VERSIONS, "1.9"), fc.uint8Array({ minLength: 0, maxLength: 4096 }));
    fc.assert(
      fc.property(headers, ([version, bytes]) => {
        const [format, content] = version.split(".").map(Number) as [number, number];
        const size = LAYOUTS.get(version)?.[0]?.bytes ?? bytes.length;
        bytes.set([size & 0xff, size >> 8, format, content].slice(0, bytes.length));
        for (const raw of [readMetrics(bytes), readLayout(ROCM5_LAYOUT, bytes), readLayout(ROCM6_LAYOUT, bytes)]) {
          const { links, ...figures } = amdFiguresOf(raw);
          for (const value of Object.values(figures)) expect(value === undefined || value >= 0).toBe(true);
          for (const link of links ?? []) expect(typeof link.isActive).toBe("boolean");
          new AmdThrottle().take(raw);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("figures", () => {
  const of = (version: string, values: Parameters<typeof metricsBytes>[1]) =>
    amdFiguresOf(readMetrics(metricsBytes(version, values)));
  const known = (figures: object): object =>
    Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));

  test("of a card without any are none", () => {
    expect(known(amdFiguresOf(undefined))).toEqual({});
    for (const version of VERSIONS) expect(known(of(version, {}))).toEqual({});
  });

  test("are in our units", () => {
    expect(
      known(
        of("1.7", {
          temperature_hotspot: 70,
          temperature_mem: 0,
          curr_socket_power: 700,
          average_gfx_activity: 101,
          average_umc_activity: 50,
          energy_accumulator: 2 ** 20,
          pcie_link_width: 16,
          pcie_link_speed: 320,
          pcie_replay_count_acc: 0,
          xgmi_read_data_acc: [1, 2, 3],
          xgmi_write_data_acc: [4],
          xgmi_link_status: [1, 0, 2],
          current_gfxclk: [0xffff, 2100],
          current_uclk: 1300,
          vcn_busy: [10, 30],
        }),
      ),
    ).toEqual({
      hotspotCelsius: 70,
      powerWatts: 700,
      utilization: 1,
      memoryUtilization: 0.5,
      videoUtilization: 0.2,
      energyJoules: 16,
      pcieGeneration: 5,
      pcieWidth: 16,
      pcieReplays: 0,
      linkReadBytes: 6 * 1024,
      linkWrittenBytes: 4 * 1024,
      links: [
        { index: 0, isActive: true },
        { index: 1, isActive: false },
      ],
      graphicsClockMhz: 2100,
      memoryClockMhz: 1300,
    });
    expect(
      known(of("1.1", { temperature_hbm: [40, 47, 41, 0xffff], average_socket_power: 200, current_fan_speed: 900 })),
    ).toEqual({
      memoryCelsius: 47,
      powerWattsMean: 200,
      fanRpm: 900,
    });
  });

  test("of chips with processors are those alone whose unit is the same on all of them", () => {
    const values = { temperature_gfx: 4500, average_gfx_activity: 100, average_socket_power: 15, current_gfxclk: 1900 };
    expect(known(of("2.1", values))).toEqual({ graphicsClockMhz: 1900 });
    expect(known(of("2.4", { average_socket_milliwatts: 15_500 }))).toEqual({ powerWattsMean: 15.5 });
    expect(known(of("3.0", { average_socket_milliwatts: 54_000, temperature_gfx: 60 }))).toEqual({
      powerWattsMean: 54,
    });
  });

  test("know PCIe by its speed", () => {
    expect([2.5, 5, 8, 16, 32, 64, 128, 0, 7, 1000].map(generationOf)).toEqual([
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("throttling", () => {
  const bits = (low: number, high: number) =>
    new AmdThrottle().take(readMetrics(metricsBytes("1.3", { throttlers_low: low, throttlers_high: high })));

  test("is told by bits where they mean the same on every chip", () => {
    expect(bits(0, 0)).toEqual([]);
    expect(bits(1 << 3, 0)).toEqual(["sw_power_cap"]);
    // Limits of current, which a card that is busy meets as it does its power's: no trouble of the hardware.
    for (let bit = 16; bit <= 23; bit += 1) expect(bits(1 << bit, 0)).toEqual(["sw_power_cap"]);
    expect(bits(0, 1 << 25)).toEqual(["sw_power_cap"]);
    for (let bit = 12; bit <= 15; bit += 1) expect(bits(0, 1 << bit)).toEqual(["hw_thermal"]);
    expect(bits(0, 1 << 4)).toEqual(["sw_thermal"]);
    expect(bits(0, 1 << 15)).toEqual(["hw_thermal"]);
    expect(bits(0, 1 << 24)).toEqual(["sw_power_cap"]);
    expect(bits(1 << 12, 0)).toEqual([]);
    expect(new AmdThrottle().take(readMetrics(metricsBytes("1.3", {})))).toBeUndefined();
    expect(new AmdThrottle().take(readMetrics(metricsBytes("1.1", { throttle_status: 1 })))).toBeUndefined();
    expect(new AmdThrottle().take(undefined)).toBeUndefined();
  });

  test("is told by what grew of its counters since the look before", () => {
    const throttle = new AmdThrottle();
    const take = (at: number, ppt: number, thermal: number) =>
      throttle.take(
        readMetrics(
          metricsBytes("1.7", {
            accumulation_counter: at,
            ppt_residency_acc: ppt,
            socket_thm_residency_acc: thermal,
            vr_thm_residency_acc: 0,
          }),
        ),
      );
    expect(take(100, 5, 0)).toBeUndefined();
    expect(take(200, 5, 0)).toEqual([]);
    expect(take(300, 9, 1)).toEqual(["sw_power_cap", "sw_thermal"]);
    expect(take(300, 9, 1)).toEqual(["sw_power_cap", "sw_thermal"]);
    expect(take(400, 9, 1)).toEqual([]);
    // The driver was loaded anew.
    expect(take(10, 0, 0)).toBeUndefined();
    expect(take(20, 0, 1)).toEqual(["sw_thermal"]);
  });
});
