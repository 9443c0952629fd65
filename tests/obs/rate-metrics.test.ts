import { expect, test } from "bun:test";
import { Exposition } from "../../src/obs/exposition.ts";
import { addRateMetrics } from "../../src/obs/rate-metrics.ts";
import { LEARNING } from "./learning.ts";

test("rates are told by target and model, what was learnt only where something was", async () => {
  const out = new Exposition();
  const placement = {
    places: () => [
      { target: "gpu-1", model: "m", row: 0 },
      { target: "gpu-2", model: "m", row: 1 },
      { target: "gpu-3", model: "n", row: 2 },
    ],
  };
  addRateMetrics(out, placement, LEARNING);
  const text = await out.text();
  const seen = new Set(text.split("\n"));
  for (const line of [
    'infermesh_router_prefill_seconds_per_token{target="gpu-1",model="m",what="used"} 0.0001',
    'infermesh_router_prefill_seconds_per_token{target="gpu-1",model="m",what="told"} 0.00005',
    'infermesh_router_prefill_seconds_per_token{target="gpu-1",model="m",what="learnt"} 0.000125',
    'infermesh_router_learnt_rate_confidence{target="gpu-1",model="m"} 0.75',
    'infermesh_router_learnt_rate_requests{target="gpu-1",model="m"} 40.5',
    'infermesh_router_learnt_rate_requests{target="gpu-2",model="m"} 0',
    'infermesh_router_step_seconds{target="gpu-1",model="m",what="base"} 0.02',
    'infermesh_router_step_seconds{target="gpu-1",model="m",what="request"} 0.0005',
    'infermesh_router_first_token_notes_total{result="taken"} 70',
    'infermesh_router_first_token_notes_total{result="lost"} 3',
  ]) {
    expect(seen).toContain(line);
  }
  expect(text).not.toContain('target="gpu-2",model="m",what="learnt"');
  expect(text).not.toContain('step_seconds{target="gpu-2"');
  expect(text).not.toContain("gpu-3");
});
