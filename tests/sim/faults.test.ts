import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type FaultChange, NO_FAULTS, changeFaults } from "../../src/sim/faults.ts";

const MACHINE = { gpus: 4, hasXids: true };

function right(json: unknown, current = NO_FAULTS): FaultChange {
  const change = changeFaults(current, json, MACHINE);
  if ("error" in change) throw change.error;
  return change;
}

function wrong(json: unknown, machine = MACHINE): readonly [param: string | undefined, message: string] {
  const change = changeFaults(NO_FAULTS, json, machine);
  if (!("error" in change)) throw new Error(`accepted ${JSON.stringify(json)}`);
  expect(change.error.code).toBe("bad_request");
  return [change.error.param, change.error.message];
}

describe("faults of a node", () => {
  test("keep what is not named", () => {
    const { faults } = right({ slow: 2, crash: true });
    expect(right({ slow: 2, crash: true })).toEqual({ faults: { ...NO_FAULTS, slow: 2 }, crash: true, incidents: [] });
    expect(right({ driver: "unresponsive" }, faults).faults).toEqual({ ...faults, driver: "unresponsive" });
  });

  test("are refused with the field's name and what was expected", () => {
    const cases: [unknown, string, string][] = [
      ["slow", "faults", 'expected an object such as {"slow": 3}, got "slow"'],
      [[], "faults", 'expected an object such as {"slow": 3}, got []'],
      [{ slow: Number.NaN }, "slow", "slow: expected a number from 0.01 to 10000, got null"],
      [{ ambient: 500 }, "ambient", "ambient: expected a number from -40 to 120, got 500"],
      [{ crash: 1 }, "crash", "crash: expected true or false, got 1"],
      [
        { driver: "gone" },
        "driver",
        'driver: expected one of ok, unresponsive, broken, lost, absent, denied, got "gone"',
      ],
      [{ slow: null }, "slow", "slow: expected a number from 0.01 to 10000, got null"],
    ];
    for (const [json, param, message] of cases) expect(wrong(json)).toEqual([param, message]);
    const [param, message] = wrong({ ["x".repeat(100)]: 1 });
    expect(param).toBe("x".repeat(100));
    expect(message).toContain("known are slow, stall, errorRate, ambient, driver, crash, gpu, throttle");
    expect(wrong({ toString: 1 })[1]).toStartWith('unknown fault "toString"');
  });
});

describe("faults of GPUs", () => {
  test("that last are kept by GPU, one by one or all, until null ends them", () => {
    const one = right({ gpu: 2, temperature: 95, throttle: "hw_thermal" }).faults;
    expect(one.gpus).toEqual({ 2: { temperature: 95, throttle: ["hw_thermal"] } });
    const all = right({ memoryUsed: 0.99 }, one).faults;
    expect(all.gpus).toEqual({
      0: { memoryUsed: 0.99 },
      1: { memoryUsed: 0.99 },
      2: { temperature: 95, throttle: ["hw_thermal"], memoryUsed: 0.99 },
      3: { memoryUsed: 0.99 },
    });
    expect(right({ memoryUsed: null }, all).faults.gpus).toEqual(one.gpus);
    expect(right({ gpu: 2, temperature: null, throttle: null }, one).faults).toEqual(NO_FAULTS);
  });

  test("that happen once are told and not kept", () => {
    expect(right({ gpu: 0, xid: 79 })).toEqual({
      faults: NO_FAULTS,
      crash: false,
      incidents: [{ gpu: 0, xid: 79 }],
    });
    const { incidents } = right({ ecc: { corrected: 5, uncorrected: 1 }, pcieReplays: 9, linkErrors: 2, reset: true });
    const what = { ecc: { corrected: 5, uncorrected: 1 }, pcieReplays: 9, linkErrors: 2, reset: true };
    expect(incidents).toEqual([0, 1, 2, 3].map((gpu) => ({ gpu, ...what }) as never));
  });

  test("are refused with the field's name and what was expected, and nothing of the request is applied", () => {
    const whole = "a whole number from 1 to 1000000000";
    const words = "idle, app_clocks, sw_power_cap, hw_slowdown, sync_boost, sw_thermal, hw_thermal, power_brake, ";
    const reasons = `throttle: expected one of ${words}display_clocks, or a list of them, or null to end it`;
    const cases: [unknown, string, string][] = [
      [{ gpu: 4, xid: 79 }, "gpu", "gpu: expected the index of one of 4 GPUs, 0 to 3, got 4"],
      [{ gpu: "0", xid: 79 }, "gpu", 'gpu: expected the index of one of 4 GPUs, 0 to 3, got "0"'],
      [
        { gpu: 0, slow: 2 },
        "gpu",
        'gpu: says which GPU a fault beside it is of, as in {"gpu": 0, "xid": 79}; there is none',
      ],
      [{ xid: 0 }, "xid", "xid: expected a whole number from 1 to 65535, got 0"],
      [{ xid: null }, "xid", "xid: expected a whole number from 1 to 65535, got null"],
      [{ throttle: "hot" }, "throttle", `${reasons}, got "hot"`],
      [{ throttle: [] }, "throttle", `${reasons}, got []`],
      [{ throttle: ["idle", 3] }, "throttle", `${reasons}, got ["idle",3]`],
      [{ lost: false }, "lost", "lost: expected true, or null to end it, got false"],
      [{ remap: "maybe" }, "remap", 'remap: expected one of pending, failed, or null to end it, got "maybe"'],
      [{ linksDown: 1.5 }, "linksDown", "linksDown: expected a whole number from 0 to 64, or null to end it, got 1.5"],
      [
        { temperature: "hot" },
        "temperature",
        'temperature: expected a number from -40 to 200, or null to end it, got "hot"',
      ],
    ];
    for (const [json, param, message] of cases) expect(wrong(json)).toEqual([param, message]);
    for (const ecc of [{}, [], 5, null, { uncorrected: 0 }, { other: 1 }, { corrected: 1, other: 1 }]) {
      const [param, message] = wrong({ ecc });
      expect(param).toBe("ecc");
      expect(message).toStartWith(
        `ecc: expected an object such as {"corrected": 5, "uncorrected": 1}, each ${whole}, got `,
      );
    }
  });

  test("of AMD's have no XIDs", () => {
    expect(wrong({ xid: 79 }, { gpus: 8, hasXids: false })[1]).toBe(
      "xid: these GPUs are none of NVIDIA's and report no XIDs",
    );
  });
});

test("anything is taken whole or refused, and what was taken is what it was", () => {
  const key = fc.constantFrom(
    "gpu",
    "xid",
    "ecc",
    "throttle",
    "temperature",
    "lost",
    "slow",
    "driver",
    "crash",
    "__proto__",
  );
  fc.assert(
    fc.property(fc.oneof(fc.dictionary(key, fc.jsonValue()), fc.jsonValue()), (json) => {
      const change = changeFaults(NO_FAULTS, json, MACHINE);
      if ("error" in change) expect(change.error.message).not.toBe("");
      else for (const index of Object.keys(change.faults.gpus)) expect(Number(index)).toBeLessThan(MACHINE.gpus);
      expect(NO_FAULTS.gpus).toEqual({});
    }),
    { numRuns: 1_000 },
  );
});
