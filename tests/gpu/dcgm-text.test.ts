/** Scrapes of dcgm-exporters of several versions, as readings and faults. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DcgmText } from "../../src/gpu/dcgm-text.ts";
import { exporter24, exporter45, exporterMig, UUIDS } from "./dcgm-fixtures.ts";

const SOURCE = "http://127.0.0.1:9400/metrics";
const encoder = new TextEncoder();

function look(dcgm: DcgmText, text: string | Uint8Array) {
  const reader = dcgm.reader(false);
  reader.push(typeof text === "string" ? encoder.encode(text) : text);
  return dcgm.finish(reader);
}

const MIB = 2 ** 20;

describe("a scrape becomes readings", () => {
  test("of 2.4, whose blank values are no figures", () => {
    const { updates, stack, end } = look(new DcgmText(SOURCE), exporter24());
    expect(end).toMatchObject({ malformed: 0, bad: "" });
    expect(stack).toEqual({ backend: "dcgm", source: SOURCE, driverVersion: "470.57.02" });
    expect(updates).toEqual([
      {
        uuid: UUIDS[0],
        identity: { index: 0, vendor: "nvidia", name: "Tesla T4", memoryTotalBytes: 15_109 * MIB, reportsXids: true },
        load: {
          utilization: 0.87,
          memoryUtilization: 0.41,
          memoryUsedBytes: 11_109 * MIB,
          memoryFreeBytes: 4000 * MIB,
          temperatureCelsius: 61,
          powerWattsMean: 27.291,
          energyJoules: 319_159.391,
          smClockMhz: 585,
          memoryClockMhz: 5000,
          activity: { dram: 0.25 },
        },
        traffic: { pcieTxBytesPerSecond: 50_000, pcieReplays: 3 },
      },
      expect.objectContaining({
        uuid: UUIDS[1],
        load: expect.not.objectContaining({ memoryCelsius: expect.anything(), activity: expect.anything() }),
      }),
    ]);
  });

  test("of 4.5, with all that it is told to tell", () => {
    for (const hostLabel of ["hostname", "Hostname"]) {
      const { updates } = look(new DcgmText(SOURCE), exporter45({ hostLabel }));
      expect(updates).toEqual([
        {
          uuid: UUIDS[0],
          identity: {
            index: 0,
            vendor: "nvidia",
            name: "NVIDIA H100 80GB HBM3",
            pciAddress: "0000:3b:00.0",
            memoryTotalBytes: 81_559 * MIB,
            smClockMhzMax: 1980,
            slowdownCelsius: 87,
            reportsXids: true,
          },
          load: {
            temperatureCelsius: 67,
            memoryCelsius: 74,
            powerWatts: 540.5,
            powerWattsMean: 512.25,
            powerLimitWatts: 700,
            energyJoules: 251_885_217.371,
            smClockMhz: 1980,
            throttleReasons: ["sw_power_cap", "hw_thermal"],
            memoryUsedBytes: 70_000 * MIB,
            memoryFreeBytes: 11_000 * MIB,
            memoryReservedBytes: 559 * MIB,
            activity: { graphics: 0.912345, tensor: 0.5 },
          },
          traffic: { pcieGeneration: 5, pcieTxBytesPerSecond: 123_456_789, linkRxBytesPerSecond: 5_000_000 },
          wear: {
            eccUncorrected: 1,
            remappedRowsUncorrected: 2,
            remappedRowsCorrected: 0,
            remapFailed: true,
            remapPending: false,
          },
        },
      ]);
    }
  });

  test("of a card that is cut up: memory and activity are the instances', the rest the card's", () => {
    const [update] = look(new DcgmText(SOURCE), exporterMig()).updates;
    expect(update?.identity).toEqual({
      index: 0,
      vendor: "nvidia",
      name: "NVIDIA A100-SXM4-40GB",
      pciAddress: "0000:07:00.0",
      migMode: true,
      reportsXids: true,
    });
    expect(update?.load).toEqual({
      temperatureCelsius: 44,
      powerWattsMean: 101,
      slices: [
        {
          uuid: `${UUIDS[0]}/gi3`,
          profile: "1g.5gb",
          gpuInstance: 3,
          memoryTotalBytes: 4864 * MIB,
          memoryUsedBytes: 1000 * MIB,
          activity: { graphics: 0.1 },
        },
        {
          uuid: `${UUIDS[0]}/gi4`,
          profile: "2g.10gb",
          gpuInstance: 4,
          memoryTotalBytes: (7728 + 1001) * MIB,
          memoryUsedBytes: 1001 * MIB,
          activity: { graphics: 0.2 },
        },
      ],
    });
  });

  test("by DCGM's newer names and units, the older uuid label and text blanks", () => {
    const [update] = look(
      new DcgmText(SOURCE),
      [
        'DCGM_FI_DEV_GPU_UTIL_RATIO{gpu="2",uuid="GPU-x",modelName="<<<NOT_SUPPORTED>>>"} 0.5',
        'DCGM_FI_DEV_SM_CLOCK_HERTZ{gpu="2",uuid="GPU-x"} 1.98e9',
        'DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{gpu="2",uuid="GPU-x"} 12',
        'DCGM_FI_DEV_CUDA_COMPUTE_CAPABILITY{gpu="2",uuid="GPU-x"} 589824',
        'DCGM_FI_DEV_GPU_RECOVERY_ACTION{gpu="2",uuid="GPU-x"} 1',
        'DCGM_FI_DEV_FAN_SPEED{gpu="2",uuid="GPU-x"} 104',
        "",
      ].join("\n"),
    ).updates;
    expect(update).toEqual({
      uuid: "GPU-x",
      identity: { index: 2, vendor: "nvidia", name: "NVIDIA GPU", computeCapability: "9.0", reportsXids: false },
      load: { utilization: 0.5, smClockMhz: 1980, energyJoules: 12, fans: [1] },
      wear: { recoveryAction: "reset" },
    });
  });

  test("without what is no GPU, out of range, or of a single link", () => {
    const { updates, end } = look(
      new DcgmText(SOURCE),
      [
        'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 40',
        'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a"} 4000000000',
        'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a"} NaN',
        'DCGM_FI_DEV_MEM_COPY_UTIL{gpu="0",UUID="GPU-a"} 250',
        'DCGM_FI_DEV_PCIE_REPLAY_COUNTER{nvlink="0",gpu="0",UUID="GPU-b"} 1',
        'DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-a"} ERROR - FAILED TO CONVERT TO STRING',
        "",
      ].join("\n"),
    );
    expect(updates).toEqual([
      { uuid: "GPU-a", identity: { index: 0, vendor: "nvidia", name: "NVIDIA GPU", reportsXids: false }, load: {} },
    ]);
    expect(end.malformed).toBe(1);
  });

  test("not where it is cut off", () => {
    const { updates, faults, end } = look(new DcgmText(SOURCE), exporter45().slice(0, -5));
    expect([updates, faults, end.bad]).toEqual([[], [], "the text ends within a line"]);
  });
});

describe("an XID is a fault", () => {
  const codes = (dcgm: DcgmText, text: string): number[] => look(dcgm, text).faults.map(({ xid }) => xid);

  test("when it is another one than before, and only then", () => {
    const dcgm = new DcgmText(SOURCE);
    // What stands there at first happened before.
    expect(codes(dcgm, exporter45({ xid: 31 }))).toEqual([]);
    expect(codes(dcgm, exporter45({ xid: 31 }))).toEqual([]);
    expect(look(dcgm, exporter45({ xid: 79 })).faults).toEqual([{ uuid: UUIDS[0], xid: 79 }]);
    expect(codes(dcgm, exporter45({ xid: 79 }))).toEqual([]);
    expect(codes(dcgm, exporter45({ xid: 0 }))).toEqual([]);
    expect(codes(dcgm, exporter45({ xid: 79 }))).toEqual([79]);
  });

  test("also the first of a GPU, and not after a scrape that left it out", () => {
    const dcgm = new DcgmText(SOURCE);
    const without = 'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a"} 40\n';
    const having = `${without}DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-a"} 48\n`;
    expect(codes(dcgm, without)).toEqual([]);
    expect(codes(dcgm, having)).toEqual([48]);
    expect(codes(dcgm, without)).toEqual([]);
    expect(codes(dcgm, having)).toEqual([]);
    // Nor after one in which the GPU was not there at all.
    expect(codes(dcgm, 'DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-b"} 40\n')).toEqual([]);
    expect(codes(dcgm, having)).toEqual([]);
  });

  test("as often as it is counted", () => {
    const dcgm = new DcgmText(SOURCE);
    expect(codes(dcgm, exporter45({ xid: 31, counts: [[31, 2]] }))).toEqual([]);
    expect(codes(dcgm, exporter45({ xid: 31, counts: [[31, 4]] }))).toEqual([31, 31]);
    // The window moves on.
    expect(codes(dcgm, exporter45({ xid: 31, counts: [[31, 1]] }))).toEqual([]);
    expect(
      codes(
        dcgm,
        exporter45({
          xid: 79,
          counts: [
            [31, 1],
            [79, 1],
          ],
        }),
      ),
    ).toEqual([79]);
    expect(codes(dcgm, exporter45({ xid: 79, counts: [[79, 1_000_000]] }))).toHaveLength(16);
    // An exporter that does not count any more, and one that begins to.
    expect(codes(dcgm, exporter45({ xid: 79 }))).toEqual([]);
    expect(codes(dcgm, exporter45({ xid: 79, counts: [[79, 1_000_000]] }))).toEqual([]);
  });

  test("once for a card that is cut up, and not because it is cut up anew", () => {
    const dcgm = new DcgmText(SOURCE);
    expect(codes(dcgm, exporterMig({ xid: 13 }))).toEqual([]);
    expect(codes(dcgm, exporterMig({ xid: 94 }))).toEqual([94]);
    expect(codes(dcgm, exporterMig({ xid: 94, profiles: ["1g.5gb", "1g.5gb", "1g.5gb"] }))).toEqual([]);
  });
});

test("what others serve does no harm", () => {
  const dcgm = new DcgmText(SOURCE);
  const names = fc.constantFrom(
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_EXP_XID_ERRORS_COUNT",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_PROF_SM_ACTIVE",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
    "DCGM_FI_DEV_CUDA_COMPUTE_CAPABILITY",
    "DCGM_FI_DEV_GPU_RECOVERY_ACTION",
  );
  const words = fc.oneof(fc.constantFrom("GPU-a", "0", "-1", "1e9", "", "NaN", "<<<NULL>>>"), fc.string());
  const series = fc.record({
    name: names,
    labels: fc.uniqueArray(
      fc.tuple(fc.constantFrom("gpu", "UUID", "GPU_I_ID", "GPU_I_PROFILE", "xid", "modelName", "pci_bus_id"), words),
      { selector: ([name]) => name },
    ),
    value: fc.oneof(fc.double(), fc.constantFrom(2 ** 63, 2 ** 31 - 16, 0)),
  });
  fc.assert(
    fc.property(fc.array(series, { maxLength: 30 }), (list) => {
      const text = list
        .map(
          ({ name, labels, value }) =>
            `${name}{${labels.map(([label, word]) => `${label}=${JSON.stringify(word)}`).join()}} ${value}\n`,
        )
        .join("");
      for (const { uuid, identity, load } of look(dcgm, text).updates) {
        expect(uuid).not.toBe("");
        expect(identity?.vendor).toBe("nvidia");
        for (const figure of Object.values(load ?? {}))
          if (typeof figure === "number") expect(Number.isFinite(figure)).toBe(true);
      }
    }),
  );
});

test("one reader serves all scrapes of a format, and nothing of one that was cut off is left in it", () => {
  const dcgm = new DcgmText(SOURCE);
  const whole = exporter45();
  const first = dcgm.reader(false);
  first.push(encoder.encode(whole.slice(0, -20)));
  expect(dcgm.finish(first)).toMatchObject({ updates: [], end: { bad: "the text ends within a line" } });
  const second = dcgm.reader(false);
  expect(second).toBe(first);
  second.push(encoder.encode(whole));
  expect(dcgm.finish(second)).toMatchObject({ end: { bad: "", malformed: 0 }, updates: [{ uuid: UUIDS[0] }] });
  const other = dcgm.reader(true);
  expect(other).not.toBe(first);
  other.push(encoder.encode(`${whole}# EOF\n`));
  expect(dcgm.finish(other)).toEqual(look(new DcgmText(SOURCE), whole));
});
