import { expect, test } from "bun:test";
import { liveCopy, overwrite } from "../../src/base/live.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import { lateConfig } from "../../src/proxy/late-service.ts";

test("who is held goes first before the queue would refuse it, whatever is set, also later", () => {
  const flow = liveCopy(defaultsOf(flowSettings));
  const config = lateConfig(flow);
  expect([config.waitMsMax, flow.queue.waitMsMax]).toEqual([20_000, 30_000]);
  const { late, queue } = defaultsOf(flowSettings);
  overwrite(flow, { ...flow, queue: { ...queue, waitMsMax: 9000 }, late: { ...late, patienceMs: 1234 } });
  expect([config.waitMsMax, config.patienceMs]).toEqual([6000, 1234]);
  overwrite(flow, { ...flow, queue, late: { ...late, waitMsMax: 500 } });
  expect([config.waitMsMax, config.horizonMs]).toEqual([500, late.horizonMs]);
});
