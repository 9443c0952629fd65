import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { GpuReading } from "../../src/health/reading.ts";
import { THROTTLE_REASONS } from "../../src/health/reading.ts";
import type { SourceState } from "../../src/health/source-state.ts";
import { DEFAULTS, LINKS, type Other, UUID, Ward, gpu } from "./gpu-bed.ts";

const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const other: fc.Arbitrary<Other> = fc.record(
  {
    load: fc.record(
      {
        utilization: maybe(fc.double({ min: 0, max: 1, noNaN: true })),
        temperatureCelsius: maybe(fc.integer({ min: 20, max: 110 })),
        memoryCelsius: maybe(fc.integer({ min: 20, max: 110 })),
        memoryUsedBytes: maybe(fc.integer({ min: 0, max: 100 })),
        energyJoules: maybe(fc.integer({ min: 0, max: 2_000 })),
        throttleReasons: maybe(fc.subarray([...THROTTLE_REASONS])),
      },
      { requiredKeys: [] },
    ),
    traffic: fc.record(
      {
        pcieGeneration: maybe(fc.integer({ min: 1, max: 5 })),
        pcieReplays: maybe(fc.integer({ min: 0, max: 500 })),
        links: maybe(fc.subarray(LINKS)),
      },
      { requiredKeys: [] },
    ),
    wear: fc.record(
      {
        eccCorrected: maybe(fc.integer({ min: 0, max: 5_000 })),
        eccUncorrected: maybe(fc.integer({ min: 0, max: 3 })),
        remapPending: maybe(fc.boolean()),
        remapFailed: maybe(fc.boolean()),
        recoveryAction: maybe(fc.constantFrom("none", "reset", "drain_p2p")),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

const STATES: readonly SourceState["state"][] = [
  "starting",
  "ok",
  "absent",
  "denied",
  "broken",
  "lost",
  "unresponsive",
];

type Event =
  | { readonly is: "read"; readonly others: readonly Other[] }
  | { readonly is: "fault"; readonly xid: number }
  | { readonly is: "source"; readonly state: SourceState["state"] }
  | { readonly is: "clear" }
  | { readonly is: "wake" };

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant("read"), others: fc.array(other, { maxLength: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant("fault"), xid: fc.integer({ min: 1, max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant("source"), state: fc.constantFrom(...STATES) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant("clear") }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant("wake") }) },
);
const history = fc.array(fc.tuple(event, fc.integer({ min: 0, max: 120_000 })), { maxLength: 40 });

function happen(ward: Ward, what: Event): void {
  switch (what.is) {
    case "read":
      ward.health.look(
        what.others.map((one, at): GpuReading => gpu({ ...one, uuid: at === 0 ? UUID : "GPU-b" })),
        ward.nowMs,
      );
      break;
    case "fault":
      ward.health.faults([{ uuid: UUID, xid: what.xid }], ward.nowMs);
      break;
    case "source":
      ward.health.source({ state: what.state, message: "", sinceMs: 0 }, ward.nowMs);
      break;
    case "clear":
      ward.health.clear(undefined, ward.nowMs);
      break;
    case "wake":
      ward.health.wake(ward.nowMs);
  }
}

describe("whatever happens in whatever order", () => {
  test("a verdict is as its worst reason, which stands first, and what it says changed did change", () => {
    fc.assert(
      fc.property(history, (events) => {
        const ward = new Ward();
        const last = new Map<string, string>();
        for (const [what, ms] of events) {
          ward.nowMs += ms;
          happen(ward, what);
          const { changes, wakeAtMs } = ward.health.take();
          // It never asks to be woken at a time that has been: that would be a loop.
          expect(wakeAtMs).toBeGreaterThan(ward.nowMs);
          for (const { uuid, before, after } of changes) {
            expect(before.health).toBe((last.get(uuid) ?? "healthy") as typeof before.health);
            expect(after).toEqual(ward.health.verdict(uuid));
            last.set(uuid, after.health);
          }
          for (const uuid of [UUID, "GPU-b"]) {
            const { health, reasons, sinceMs } = ward.health.verdict(uuid);
            expect(health).toBe((last.get(uuid) ?? "healthy") as typeof health);
            expect(health).toBe(reasons[0]?.severity ?? "healthy");
            const firstMild = reasons.findIndex(({ severity }) => severity === "degraded");
            if (firstMild >= 0) expect(reasons.slice(firstMild).every((one) => one.severity === "degraded")).toBe(true);
            expect(sinceMs).toBeLessThanOrEqual(ward.nowMs);
            for (const reason of reasons) {
              expect(reason.text).not.toBe("");
              expect(reason.sinceMs).toBeLessThanOrEqual(ward.nowMs);
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("all is well after good readings for long enough, but for what is ended by hand; and by hand that is", () => {
    fc.assert(
      fc.property(history, (events) => {
        const ward = new Ward();
        for (const [what, ms] of events) {
          ward.nowMs += ms;
          happen(ward, what);
        }
        ward.health.source({ state: "ok", message: "", sinceMs: 0 }, ward.nowMs);
        // The longest window, and a tenth of it.
        const untilMs = ward.nowMs + DEFAULTS.eccCorrected.windowMs * 1.1 + 120_000;
        for (; ward.nowMs < untilMs; ward.nowMs += 5_000) ward.read({}, { uuid: "GPU-b" });
        for (const uuid of [UUID, "GPU-b"]) {
          expect(ward.health.verdict(uuid).reasons.filter(({ recovery }) => recovery === "auto")).toEqual([]);
        }
        ward.health.clear(undefined, ward.nowMs);
        expect(ward.reasons()).toEqual([]);
        expect(ward.reasons("GPU-b")).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test("clear leaves no manual reason, and answers whose it ended", () => {
    fc.assert(
      fc.property(history, (events) => {
        const ward = new Ward();
        for (const [what, ms] of events) {
          ward.nowMs += ms;
          happen(ward, what);
        }
        const manual = [UUID, "GPU-b"].filter((uuid) =>
          ward.health.verdict(uuid).reasons.some(({ recovery }) => recovery === "manual"),
        );
        expect(ward.health.clear(undefined, ward.nowMs)).toEqual(expect.arrayContaining(manual));
        for (const uuid of [UUID, "GPU-b"]) {
          expect(ward.health.verdict(uuid).reasons.some(({ recovery }) => recovery === "manual")).toBe(false);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("worse figures", () => {
  const WEIGHT = { healthy: 0, degraded: 1, quarantined: 2 } as const;
  const rising: readonly (readonly [string, fc.Arbitrary<number>, (figure: number) => Other])[] = [
    ["temperature", fc.integer({ min: 20, max: 120 }), (figure) => ({ load: { temperatureCelsius: figure } })],
    ["memory temperature", fc.integer({ min: 20, max: 120 }), (figure) => ({ load: { memoryCelsius: figure } })],
    ["used memory", fc.integer({ min: 0, max: 100 }), (figure) => ({ load: { memoryUsedBytes: figure } })],
    ["uncorrected errors", fc.integer({ min: 0, max: 10 }), (figure) => ({ wear: { eccUncorrected: figure } })],
    ["links down", fc.integer({ min: 0, max: 18 }), (figure) => ({ traffic: { links: LINKS.slice(figure) } })],
    [
      "PCIe generations lost",
      fc.integer({ min: 0, max: 4 }),
      (figure) => ({ traffic: { pcieGeneration: 5 - figure } }),
    ],
  ];
  test.each(rising)("never make it better: %s", (_name, figure, as) => {
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1, maxLength: 12 }), fc.nat({ max: 3 }), (figures, more) => {
        const mild = new Ward();
        const harsh = new Ward();
        const top = Math.max(...figures);
        for (const one of figures) {
          mild.stay(7_000, as(one));
          harsh.stay(7_000, as(Math.min(top, one + more)));
          const [a, b] = [mild, harsh].map((ward) => WEIGHT[ward.health.verdict(UUID).health]);
          expect(b).toBeGreaterThanOrEqual(a ?? 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("that swing between the thresholds change nothing", () => {
    const swing = fc.array(fc.record({ heat: fc.double({ min: 89.1, max: 91.9, noNaN: true }), ms: fc.nat(20_000) }));
    fc.assert(
      fc.property(fc.boolean(), swing, (isWarm, noise) => {
        const ward = new Ward();
        ward.stay(60_000, { load: { temperatureCelsius: isWarm ? 92 : 60 } });
        const before = ward.reasons();
        expect(before).toEqual(isWarm ? ["temperature degraded"] : []);
        ward.health.take();
        for (const { heat, ms } of noise) {
          ward.stay(ms, { load: { temperatureCelsius: heat } });
          expect(ward.reasons()).toEqual(before);
        }
        expect(ward.health.take().changes).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
