/** The table of block hashes beside a Map, with hashes that crowd it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { BlockTable } from "../../src/sim/block-table.ts";

// Runs that count up, as traces name blocks; names beyond 32 bits that agree in the low ones; the largest there is.
const hash = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((block) => 2e12 + 7e6 + block),
  fc.nat(40).map((high) => high * 2 ** 32 + 5),
  fc.constant(2 ** 53 - 1),
);
const move = fc.oneof(fc.record({ hash, value: fc.nat(1_000_000) }), fc.record({ hash, value: fc.constant(null) }));

test("holds what a Map would, whatever is put in and taken out", () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 300 }), (moves) => {
      const table = new BlockTable();
      const plain = new Map<number, number>();
      for (const { hash: key, value } of moves) {
        if (value === null) {
          table.delete(key);
          plain.delete(key);
        } else {
          if (value % 2 === 0) {
            expect(table.add(key, value)).toBe(!plain.has(key));
            if (plain.has(key)) continue;
          } else table.set(key, value);
          plain.set(key, value);
        }
        expect(table.size).toBe(plain.size);
        expect(table.get(key)).toBe(plain.get(key) ?? -1);
      }
      for (const { hash: key } of moves) expect(table.get(key)).toBe(plain.get(key) ?? -1);
      expect([...table.hashes()].toSorted((a, b) => a - b)).toEqual([...plain.keys()].toSorted((a, b) => a - b));
    }),
  );
});
