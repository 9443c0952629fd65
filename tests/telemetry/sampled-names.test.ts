/** Names of models on their way to routers. */
import { expect, test } from "bun:test";
import { LOADED_MODEL, NO_FIGURES } from "../../src/runtimes/reading.ts";
import { modelSamples } from "../../src/telemetry/runtime-sample.ts";

test("a model whose name would be cut short on its way is not told of", () => {
  const names = ["ä".repeat(200), "ä".repeat(127), "x".repeat(257), "x".repeat(256), "m"];
  const reading = {
    version: "1",
    models: names.map((name) => ({ ...LOADED_MODEL, model: name })),
    figures: NO_FIGURES,
    figuresAtMs: undefined,
  };
  const samples = modelSamples(reading, undefined, (one) => ({
    reading: one,
    isServed: true,
    state: one.state,
    reason: "",
    loadSeconds: undefined,
  }));
  expect(samples.map((sample) => sample.model)).toEqual([names[1]!, names[3]!, "m"]);
});
