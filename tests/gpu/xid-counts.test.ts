/** How often each error came, and what a storm of them may cost. */
import { expect, test } from "bun:test";
import { XidCounts } from "../../src/gpu/xid-counts.ts";

test("counts errors by GPU and code, and knows the newest", () => {
  const xids = new XidCounts();
  expect(xids.of("GPU-0")).toEqual({ counts: new Map(), last: undefined });
  xids.add([
    { uuid: "GPU-0", xid: 31 },
    { uuid: "GPU-0", xid: 79 },
    { uuid: "GPU-1", xid: 48 },
    { uuid: "GPU-0", xid: 31 },
  ]);
  const { counts, last } = xids.of("GPU-0");
  expect([...counts]).toEqual([
    [31, 2],
    [79, 1],
  ]);
  expect(last?.code).toBe(31);
  expect(last?.meaning).not.toBe("");
  expect([...xids.of("GPU-1").counts]).toEqual([[48, 1]]);
});

test("keeps 64 codes of a GPU, and the 128 GPUs that erred last", () => {
  const xids = new XidCounts();
  for (let xid = 1; xid <= 100; xid++) xids.add([{ uuid: "GPU-0", xid }]);
  expect(xids.of("GPU-0").counts.size).toBe(64);
  expect(xids.of("GPU-0").last?.code).toBe(100);
  xids.add([{ uuid: "GPU-0", xid: 1 }]);
  expect(xids.of("GPU-0").counts.get(1)).toBe(2);
  for (let gpu = 1; gpu <= 128; gpu++) xids.add([{ uuid: `GPU-${gpu}`, xid: 13 }]);
  expect(xids.of("GPU-0").last).toBeUndefined();
  expect(xids.of("GPU-1").last?.code).toBe(13);
  expect(xids.of("GPU-128").last?.code).toBe(13);
});
