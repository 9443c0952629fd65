import { describe, expect, test } from "bun:test";
import { LentLoad } from "../../src/flow/lent-load.ts";

describe("what is at a target in others' name", () => {
  test("is left out of what others have, until their word of its end has come", () => {
    const lent = new LentLoad(100);
    expect(lent.unknown(500, 0)).toBe(500);
    lent.bound(300, 0);
    lent.bound(200, 10);
    // Not told of yet, told of in part, and beside what else they have.
    expect([lent.unknown(0, 20), lent.unknown(300, 20), lent.unknown(900, 20)]).toEqual([0, 0, 400]);
    lent.done(300, 50);
    expect([lent.prompts, lent.unknown(500, 60), lent.unknown(500, 150)]).toEqual([1, 0, 0]);
    expect(lent.unknown(500, 151)).toBe(300);
    lent.done(200, 200);
    expect([lent.prompts, lent.unknown(0, 301), lent.unknown(7, 301)]).toEqual([0, 0, 7]);
    expect(() => lent.done(1, 400)).toThrow();
  });

  test("counts as a request until they have told of it", () => {
    const lent = new LentLoad(100);
    lent.bound(1, 0);
    lent.bound(1, 80);
    expect([lent.untold(100), lent.untold(101), lent.untold(180), lent.untold(181)]).toEqual([2, 1, 1, 0]);
  });
});
