/** What ctl shows of rates that a router learnt, and its forgetting them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { ControlBed, ctl, type Running } from "./control-bed.ts";

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());

const run = (line: string, how?: Running) => ctl(bed.endpoint, line.split(" "), how);

const ROUTE = {
  model: "llama",
  promptTokens: 2000,
  winner: "gpu-2",
  reason: "it is 0.3 s faster than gpu-1",
  candidates: [
    {
      node: "gpu-2",
      eligible: true,
      seconds: 0.25,
      chosen: true,
      capacity: 8,
      terms: [{ name: "prefill", seconds: 0.25 }],
    },
    { node: "gpu-1", eligible: true, seconds: 1.5, capacity: 8, terms: [{ name: "prefill", seconds: 0.5 }] },
    { node: "gpu-3", reason: "it is draining" },
  ],
};

test("shows how fast each is taken to be, with -o wide, where that is told", async () => {
  const rates = [
    {
      prefillUsed: 9000.4,
      prefillTold: 20_000,
      prefillLearnt: 8800,
      confidence: 0.875,
      requests: 51.6,
      seenAgoMs: "2500",
      stepSeconds: 0.02,
      streams: 9,
    },
    { prefillUsed: 20_000, prefillTold: 20_000, prefillLearnt: 20_000 },
  ];
  const candidates = ROUTE.candidates.map((one, at) => ({ ...one, ...(at < 2 ? { rates: rates[at] } : {}) }));
  bed.answers.set("ExplainRoute", () => ({ ...ROUTE, candidates }));
  const { out } = await run("explain --model llama -o wide");
  expect(out).toMatch(/TOKENS\/S +TOLD +LEARNT +FROM +CONFIDENCE +LAST +STEP +CHOSEN/);
  expect(out).toMatch(/gpu-2 .* 9000 +20000 +8800 +52 +0\.88 +2\.50s +20\.0ms +yes/);
  expect(out).toMatch(/gpu-1 .* 20000 +20000 +- +- +- +- +- +no/);
  expect((await run("explain --model llama")).out).not.toContain("TOKENS/S");
});

test("has what was learnt of rates forgotten", async () => {
  bed.answers.set("ForgetRates", ({ node }) => (node === "gpu-2" ? {} : { forgotten: 3 }));
  expect((await run("forget-rates")).out).toBe("forgotten what was learnt of 3 of the router's targets\n");
  expect((await run("forget-rates --model m --node gpu-1")).out).toBe(
    "forgotten what was learnt of 3 of the router's targets of m at gpu-1\n",
  );
  expect((await run("forget-rates --node gpu-2")).out).toBe("nothing was learnt at gpu-2\n");
  expect((await run("forget-rates -o text")).out).toBe("3\n");
  expect(JSON.parse((await run("forget-rates -o json")).out)).toEqual({ forgotten: 3 });
  expect(bed.bodies("ForgetRates").slice(0, 3)).toEqual([{}, { model: "m", node: "gpu-1" }, { node: "gpu-2" }]);
});
