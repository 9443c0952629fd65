/** What is derived of an engine's figures. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RUNTIME_KINDS, NO_FIGURES, batchFullness, workLeftSeconds } from "../../src/runtimes/reading.ts";
import { type RuntimeStatus, isServing } from "../../src/runtimes/state.ts";
import { type Adapter, READ } from "../../src/runtimes/adapter.ts";

const USUAL = { promptTokens: 500, outputTokens: 200 };

test("a batch is as full as its running requests make it, and not told where one of both is not", () => {
  expect(batchFullness({ ...NO_FIGURES, runningRequests: 64, slots: 256 })).toBe(0.25);
  expect(batchFullness({ ...NO_FIGURES, runningRequests: 300, slots: 256 })).toBe(1);
  expect(batchFullness({ ...NO_FIGURES, runningRequests: 3 })).toBeUndefined();
  expect(batchFullness({ ...NO_FIGURES, slots: 256 })).toBeUndefined();
  expect(batchFullness({ ...NO_FIGURES, runningRequests: 3, slots: 0 })).toBeUndefined();
});

test("work left is prompts at the prefill speed and outputs at the decode speed", () => {
  const speeds = { prefillTokensPerSecond: 10_000, decodeTokensPerSecond: 1000 };
  const told = { ...NO_FIGURES, ...speeds, runningRequests: 10, waitingRequests: 4 };
  expect(workLeftSeconds(told, USUAL)).toBeCloseTo((4 * 500) / 10_000 + ((5 + 4) * 200) / 1000);
  expect(workLeftSeconds({ ...told, queuedPrefillTokens: 30_000 }, USUAL)).toBeCloseTo(3 + 1.8);
  expect(workLeftSeconds({ ...NO_FIGURES, runningRequests: 0, waitingRequests: 0 }, USUAL)).toBe(0);
});

test("of what is not told nothing is made up", () => {
  expect(workLeftSeconds(NO_FIGURES, USUAL)).toBeUndefined();
  expect(workLeftSeconds({ ...NO_FIGURES, waitingRequests: 3, runningRequests: 1 }, USUAL)).toBeUndefined();
  expect(workLeftSeconds({ ...NO_FIGURES, waitingRequests: 3, prefillTokensPerSecond: 1000 }, USUAL)).toBeCloseTo(1.5);
});

test("more waiting work is never less time", () => {
  const figure = fc.double({ min: 0.1, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(figure, figure, figure, figure, (waiting, more, prefill, decode) => {
      const of = (waitingRequests: number) =>
        workLeftSeconds(
          { ...NO_FIGURES, waitingRequests, prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode },
          USUAL,
        ) ?? -1;
      expect(of(waiting + more)).toBeGreaterThanOrEqual(of(waiting));
    }),
  );
});

test("requests are sent to what serves, and to what serves with late figures", () => {
  const states = ["connecting", "starting", "ready", "slow", "unresponsive", "down", "foreign", "denied"] as const;
  expect(states.filter(isServing)).toEqual(["ready", "slow"]);
  const status: RuntimeStatus = { state: "slow", message: "", sinceMs: 0 };
  expect(isServing(status.state)).toBe(true);
  expect(new Set(RUNTIME_KINDS).size).toBe(RUNTIME_KINDS.length);
});

test("an adapter needs no more than looks, answers and a reading", () => {
  let version = "";
  const adapter: Adapter = {
    kind: "generic",
    looks: [{ name: "version", role: "identity", ask: { method: "GET", port: "api", path: "/version" } }],
    answered(_look, { body }) {
      version = new TextDecoder().decode(body);
      return READ;
    },
    reading: () => ({ version, models: [], figures: NO_FIGURES, figuresAtMs: undefined }),
    restarted: () => void (version = ""),
  };
  const answer = { status: 200, contentType: "", body: new TextEncoder().encode("1.2") };
  expect(adapter.looks.map((look) => adapter.answered(look, answer, 0).ok)).toEqual([true]);
  expect(adapter.reading(0).version).toBe("1.2");
  adapter.restarted();
  expect(adapter.reading(0).version).toBe("");
});
