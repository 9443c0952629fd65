/** Readings are put together from groups, GPUs come and go, and nothing out of its range is taken for a figure. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { GpuIdentity } from "../../src/health/reading.ts";
import { GpuReadings } from "../../src/health/readings.ts";
import { takeFault, takeStack, takeUpdate } from "../../src/health/shape.ts";

const identity = (index: number): GpuIdentity => ({ index, vendor: "nvidia", name: "H100" });

describe("readings", () => {
  test("keep the newest of each group", () => {
    const readings = new GpuReadings();
    readings.take([{ uuid: "a", identity: identity(0), load: { utilization: 0.5 } }], true);
    readings.take([{ uuid: "a", wear: { eccUncorrected: 1 } }], false);
    readings.take([{ uuid: "a", load: { temperatureCelsius: 40 } }], false);
    expect(readings.all).toEqual([
      { uuid: "a", identity: identity(0), load: { temperatureCelsius: 40 }, wear: { eccUncorrected: 1 } },
    ]);
  });

  test("follow GPUs that are taken out and put in", () => {
    const readings = new GpuReadings();
    readings.take(
      [
        { uuid: "b", identity: identity(1) },
        { uuid: "a", identity: identity(0) },
      ],
      true,
    );
    expect(readings.all.map(({ uuid }) => uuid)).toEqual(["a", "b"]);
    readings.take([{ uuid: "c", load: { utilization: 1 } }], false);
    expect(readings.all.map(({ uuid }) => uuid)).toEqual(["a", "b"]);
    readings.take([{ uuid: "b", identity: identity(0) }], true);
    expect(readings.all.map(({ uuid }) => uuid)).toEqual(["b"]);
  });

  test("tell of two GPUs under one name", () => {
    const readings = new GpuReadings();
    readings.take(
      [
        { uuid: "a", identity: identity(0) },
        { uuid: "a", identity: identity(1) },
      ],
      true,
    );
    expect(readings.all.map((reading) => reading.identity.index)).toEqual([0]);
    expect(readings.ambiguous).toEqual(["a"]);
  });
});

describe("the shape of readings", () => {
  test("leaves out what can't be", () => {
    expect(
      takeUpdate({
        uuid: "GPU-1\u0000\u0007",
        identity: { index: 0, vendor: "nvidia", name: "  H100\u0000", serial: "", migMode: 1 },
        load: {
          temperatureCelsius: 4e9,
          utilization: 1.5,
          powerWatts: -1,
          fans: [0.5, 2],
          throttleReasons: ["idle", "x"],
        },
        wear: { eccCorrected: 2 ** 32 - 1, eccUncorrected: 2, recoveryAction: "pray" },
        traffic: { processes: [{ pid: 0 }, { pid: 7, memoryBytes: 2 ** 64 }] },
        more: 1,
      }),
    ).toEqual({
      uuid: "GPU-1",
      identity: { index: 0, vendor: "nvidia", name: "H100" },
      load: { fans: [0.5], throttleReasons: ["idle"] },
      wear: { eccUncorrected: 2 },
      traffic: { processes: [{ pid: 7 }] },
    });
    expect(takeUpdate({ identity: identity(0) })).toBeUndefined();
    expect(takeFault({ uuid: "a", xid: 79 })).toEqual({ uuid: "a", xid: 79 });
    expect(takeFault({ uuid: "a" })).toBeUndefined();
    expect(takeStack({ backend: "nvml", source: "/x", driverVersion: 7 })).toEqual({ backend: "nvml", source: "/x" });
  });

  test("cuts a name between characters, and takes it on one line", () => {
    const named = (name: string): string | undefined =>
      takeUpdate({ uuid: "a", identity: { index: 0, vendor: "nvidia", name } })?.identity?.name;
    expect(named(`${"x".repeat(95)}\u{1F600}`)).toBe("x".repeat(95));
    expect(named("H100\u2028\u2029\u0085\u202e!")).toBe("H100!");
    expect(named(`${"x".repeat(90)}      y`)).toBe("x".repeat(90));
  });

  test("takes anything, and what it took once it takes again unchanged", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true }), (value) => {
        for (const take of [takeUpdate, takeFault, takeStack]) {
          const once = take(value);
          if (once !== undefined) expect(take(once) as unknown).toEqual(once);
        }
      }),
    );
    const noise = fc.oneof(
      fc.double(),
      fc.string({ unit: "binary" }),
      fc.boolean(),
      fc.array(fc.double()),
      fc.constant(null),
    );
    const group = (keys: readonly string[]) => fc.dictionary(fc.constantFrom(...keys), noise);
    const updates = fc.record({
      uuid: fc.string({ unit: "binary", minLength: 1 }),
      load: group(["utilization", "fans", "temperatureCelsius", "energyJoules", "slices"]),
      wear: group(["eccCorrected", "remapFailed", "recoveryAction"]),
      traffic: group(["links", "processes", "pcieReplays"]),
    });
    fc.assert(
      fc.property(updates, (value) => {
        const once = takeUpdate(value);
        if (once !== undefined) {
          const sent: unknown = JSON.parse(JSON.stringify(once));
          expect(takeUpdate(sent) as unknown).toEqual(sent);
        }
      }),
    );
  });
});
