/** Configurations as bytes: what is written is read back, and nothing else is taken for one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Configuration,
  decodeConfiguration,
  EMPTY_CONFIGURATION,
  encodeConfiguration,
  isMember,
  NOBODY,
} from "../../src/raft/entry.ts";

const member = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const members = fc.uniqueArray(member, { maxLength: 7 });
const configuration: fc.Arbitrary<Configuration> = fc.record({
  voters: members,
  outgoing: members,
  learners: members,
  learnersNext: members,
});
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe("a configuration", () => {
  test("is read back as written", () => {
    fc.assert(fc.property(configuration, (one) => expect(decodeConfiguration(encodeConfiguration(one))).toEqual(one)));
  });

  test("is nothing else", () => {
    const twice = { ...EMPTY_CONFIGURATION, voters: [1, 1] };
    const fraction = { ...EMPTY_CONFIGURATION, learners: [1.5] };
    const many = { ...EMPTY_CONFIGURATION, voters: Array.from({ length: 65 }, (_, i) => i + 1) };
    for (const bad of [null, 1, [], {}, { voters: [] }, twice, fraction, many]) {
      expect(decodeConfiguration(bytesOf(bad))).toBeUndefined();
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void decodeConfiguration(bytes)));
  });
});

test("a member is a whole number below 2^48, and not nobody's", () => {
  expect([1, 2 ** 48 - 1].every(isMember)).toBe(true);
  expect([NOBODY, -1, 2 ** 48, 0.5, Number.NaN, "1", null].some(isMember)).toBe(false);
});
