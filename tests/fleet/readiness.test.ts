import { describe, expect, test } from "bun:test";
import { Readiness } from "../../src/fleet/readiness.ts";

const STARTING = "it is starting";
const UNKNOWN = "no target is known yet that can be asked";

describe("a router is ready", () => {
  test("not before it accepts, whatever it knows", () => {
    const readiness = new Readiness(() => 0);
    expect(readiness.whyNot(3, 1e9)).toBe(STARTING);
    readiness.accepts(1e9);
    expect(readiness.whyNot(0, 1e9)).toBe("");
  });

  test("when a target can be asked, and from then on also without one", () => {
    const readiness = new Readiness(() => 1000);
    readiness.accepts(100);
    expect(readiness.whyNot(0, 1099)).toBe(UNKNOWN);
    expect(readiness.whyNot(1, 1099)).toBe("");
    expect(readiness.whyNot(0, 1099)).toBe("");
  });

  test("or when it has waited for one as long as it may, which can change meanwhile", () => {
    let waitMs = 60_000;
    const readiness = new Readiness(() => waitMs);
    readiness.accepts(0);
    expect(readiness.whyNot(0, 1000)).toBe(UNKNOWN);
    waitMs = 1000;
    expect(readiness.whyNot(0, 999)).toBe(UNKNOWN);
    expect(readiness.whyNot(0, 1000)).toBe("");
    waitMs = 60_000;
    expect(readiness.whyNot(0, 1001)).toBe("");
  });
});
