import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TenantDebts } from "../../src/flow/tenant-debts.ts";

describe("debts of tenants", () => {
  test("one alone owes nothing, however much it gets", () => {
    const debts = new TenantDebts();
    for (let count = 0; count < 10; count += 1) {
      debts.came("a");
      debts.came("a");
      debts.left("a", 1000);
      expect(debts.tokens("a")).toBe(0);
    }
  });

  test("who got more is behind by that", () => {
    const debts = new TenantDebts();
    for (const name of ["a", "a", "b", "b"]) debts.came(name);
    debts.left("a", 700);
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([700, 0]);
    debts.left("b", 1000);
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([0, 300]);
  });

  test("who leaves and comes back is no better off, nor worse", () => {
    const debts = new TenantDebts();
    for (const name of ["a", "b", "b", "b"]) debts.came(name);
    debts.left("a", 5000);
    debts.left("b", 1000);
    debts.came("a");
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([4000, 0]);
    // A newcomer begins where the one that is furthest behind is.
    debts.came("c");
    expect(debts.tokens("c")).toBe(0);
    // Who went away unserved owes nothing for it.
    debts.left("c", 0);
    expect(debts.tokens("b")).toBe(0);
  });

  test("is a new beginning when nobody waits", () => {
    const debts = new TenantDebts();
    debts.came("a");
    debts.came("b");
    debts.left("a", 1e6);
    debts.left("b", 0);
    debts.came("a");
    debts.came("b");
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([0, 0]);
  });

  test("names that are used once do not fill the memory, nor hurt who waits", () => {
    const debts = new TenantDebts();
    debts.came("stays");
    for (let count = 0; count < 5000; count += 1) {
      debts.came(`once ${count}`);
      debts.left(`once ${count}`, 10);
    }
    expect(debts.tokens("stays")).toBe(0);
    debts.came("once 4999");
    expect(debts.tokens("once 4999")).toBe(10);
    debts.came("once 0");
    expect(debts.tokens("once 0")).toBe(0);
  });

  test("what was not got after all is owed by nobody", () => {
    const debts = new TenantDebts();
    for (const name of ["a", "a", "b", "c"]) debts.came(name);
    debts.left("a", 100);
    debts.left("b", 100);
    debts.left("c", 100);
    // They come back before what they were charged does.
    debts.came("b");
    debts.returned("b", 100);
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([100, 0]);
    debts.returned("nobody", 100);
    expect([debts.tokens("a"), debts.tokens("b")]).toEqual([100, 0]);
  });

  test("leaving without having come is a bug", () => {
    expect(() => new TenantDebts().left("a", 1)).toThrow("nothing that waits");
  });

  test("going by the least debt shares to within one request of each, by weight", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 60, maxLength: 60 });
    fc.assert(
      fc.property(sizes, sizes, fc.integer({ min: 1, max: 5 }), (ofA, ofB, weightOfA) => {
        const debts = new TenantDebts();
        const waiting = { a: ofA.slice(), b: ofB.slice() };
        const got = { a: 0, b: 0 };
        for (const name of ["a", "b"] as const) for (const _ of waiting[name]) debts.came(name);
        while (waiting.a.length > 0 && waiting.b.length > 0) {
          const name = debts.tokens("a") <= debts.tokens("b") ? "a" : "b";
          const tokens = waiting[name].shift()! / (name === "a" ? weightOfA : 1);
          debts.left(name, tokens);
          got[name] += tokens;
          expect(Math.abs(got.a - got.b)).toBeLessThanOrEqual(10_000);
        }
      }),
    );
  });
});
