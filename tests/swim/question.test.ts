/** What somebody asks who is no member, and what members make of it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { acknowledges, answered, ping, question } from "../../src/swim/question.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { Swim } from "../../src/swim/swim.ts";
import { clusterMark, OUR_VERSIONS } from "../../src/swim/wire.ts";

const MARK = clusterMark("mesh");
const STRANGER = "10.9.9.9:40000";

function member(id: string, address: string): Swim {
  const self = { cluster: "mesh", id, address, identity: 0, incarnation: 1, meta: new Uint8Array(0) };
  return new Swim(defaultsOf(swimSettings), self, new Prng(7), 0);
}

describe("a member", () => {
  test("tells whom it knows to whoever asks, who is no member for it", () => {
    const swim = member("gpu-1", "10.0.0.1:7946");
    const answer = swim.answer(question(MARK, 12_345), 10);
    expect(answered(MARK, answer ?? new Uint8Array(0))).toEqual({ id: "gpu-1", members: 1 });
    expect([swim.size, swim.members().map(({ id }) => id)]).toEqual([1, ["gpu-1"]]);
  });

  test("counts those that live", () => {
    const [a, b] = [member("a", "10.0.0.1:7946"), member("b", "10.0.0.2:7946")];
    a.join(["10.0.0.2:7946"], 0);
    for (const { id, frame } of a.take().streams) a.streamed(id, b.answer(frame, 1), 1);
    expect(answered(MARK, b.answer(question(MARK, 12_345), 2) ?? new Uint8Array(0))).toEqual({ id: "b", members: 2 });
  });

  test("acknowledges a ping that is for it, to where it came from", () => {
    const swim = member("gpu-1", "10.0.0.1:7946");
    swim.receive(STRANGER, ping(MARK, "gpu-1", 300), 10);
    const [ack, ...more] = swim.take().sends;
    expect([ack?.to, more.length]).toEqual([STRANGER, 0]);
    const packet = ack?.packet ?? new Uint8Array(0);
    expect([acknowledges(MARK, packet, 300), acknowledges(MARK, packet, 301)]).toEqual([true, false]);
    swim.receive(STRANGER, ping(MARK, "gpu-2", 301), 20);
    expect(swim.take().sends).toEqual([]);
    expect(swim.size).toBe(1);
  });

  test("of another mesh understands neither", () => {
    const other = clusterMark("other");
    const swim = member("gpu-1", "10.0.0.1:7946");
    expect(swim.answer(question(other, 1), 1)).toBeUndefined();
    swim.receive(STRANGER, ping(other, "gpu-1", 1), 1);
    expect(swim.take().sends).toEqual([]);
    expect(answered(other, swim.answer(question(MARK, 1), 1) ?? new Uint8Array(0))).toBeUndefined();
  });
});

test("what is no answer is none, whatever it is", () => {
  const right = member("gpu-1", "10.0.0.1:7946").answer(question(MARK, 1), 1) ?? new Uint8Array(0);
  expect(OUR_VERSIONS).toBeGreaterThan(0);
  const damage = fc.array(fc.tuple(fc.nat({ max: right.length - 1 }), fc.integer({ min: 0, max: 255 })), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(damage, fc.nat({ max: right.length }), (changes, length) => {
      const frame = right.slice(0, length);
      for (const [at, byte] of changes) if (at < length) frame[at] = byte;
      const isWhole = Buffer.compare(frame, right) === 0;
      expect(answered(MARK, frame)).toEqual(isWhole ? { id: "gpu-1", members: 1 } : undefined);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(answered(MARK, bytes)).toBeUndefined();
      expect(acknowledges(MARK, bytes, 1)).toBe(false);
    }),
    { numRuns: 2000 },
  );
});
