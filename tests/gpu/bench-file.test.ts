import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type BenchFigures, readAnswer, takeFigures } from "../../src/gpu/bench-figures.ts";
import {
  type BenchRecord,
  benchPath,
  keepBenchRecords,
  readBenchRecords,
  takeRecords,
} from "../../src/gpu/bench-file.ts";
import { BenchRates } from "../../src/gpu/bench-rates.ts";
import { modelSample } from "../fleet/samples.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-bench-file-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FIGURES: BenchFigures = {
  memoryBytesPerSecond: 3e12,
  copyBytesPerSecond: 3e12,
  triadBytesPerSecond: 2.9e12,
  tensorFlops: 600e12,
  fp32Flops: 60e12,
  productSize: 8192,
  arrayBytes: 2 ** 30,
  cudaVersion: "12.8",
};
const RECORD: BenchRecord = { ...FIGURES, name: "H100", driverVersion: "570", measuredAt: "2026-11-28T00:00:00.000Z" };

describe("the file of the benchmark", () => {
  test("keeps what was measured, and what was there of other GPUs; only its owner may read it", async () => {
    const into = join(folder, "new");
    expect(await readBenchRecords(into)).toEqual({ gpus: new Map(), fault: undefined });
    await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
    const old: BenchRecord = { ...RECORD, tensorFlops: undefined };
    await keepBenchRecords(into, new Map([["GPU-b", old]]));
    expect(await readBenchRecords(into)).toEqual({
      gpus: new Map([
        ["GPU-a", RECORD],
        ["GPU-b", old],
      ]),
      fault: undefined,
    });
    expect(readdirSync(into)).toEqual(["gpu-bench.json"]);
    expect(statSync(benchPath(into)).mode & 0o777).toBe(0o600);
  });

  test("that is damaged is said to be so, and replaced by the next measurement", async () => {
    const into = join(folder, "damaged");
    await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
    const whole = JSON.parse(readFileSync(benchPath(into), "utf8")) as { gpus: Record<string, unknown> };
    const cases = [
      ["{", /is no JSON/],
      ['{"version":2,"gpus":{}}', /is not of version 1/],
      ['{"version":1}', /holds no GPUs/],
      [
        JSON.stringify({ ...whole, gpus: { ...whole.gpus, "GPU-b": { ...RECORD, fp32Flops: "fast" } } }),
        /1 GPUs, the first GPU-b/,
      ],
      [" ".repeat(5 * 2 ** 20), /too long/],
    ] as const;
    for (const [text, fault] of cases) {
      writeFileSync(benchPath(into), text);
      expect((await readBenchRecords(into)).fault).toMatch(fault);
    }
    await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
    expect((await readBenchRecords(into)).fault).toBeUndefined();
  });

  test("that can't be written is an error that says where", () => {
    writeFileSync(join(folder, "a-file"), "");
    expect(keepBenchRecords(join(folder, "a-file"), new Map([["GPU-a", RECORD]]))).rejects.toThrow(
      /can't write the figures/,
    );
  });

  test("and the process's line never give a figure that is none, whatever they hold", () => {
    const anyRecord = fc.record({
      memoryBytesPerSecond: fc.anything(),
      copyBytesPerSecond: fc.double(),
      triadBytesPerSecond: fc.double(),
      tensorFlops: fc.anything(),
      fp32Flops: fc.oneof(fc.double(), fc.anything()),
    });
    const isRate = (value: number): boolean => value > 0 && value < 1e18;
    fc.assert(
      fc.property(fc.oneof(fc.anything(), anyRecord), (given) => {
        const figures = takeFigures(given);
        if (figures === undefined) return;
        expect(isRate(figures.memoryBytesPerSecond) && isRate(figures.fp32Flops)).toBeTrue();
        expect(figures.tensorFlops === undefined || isRate(figures.tensorFlops)).toBeTrue();
      }),
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(takeRecords(bytes, "x").gpus.size).toBe(0)));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        const answer = readAnswer(line);
        expect(answer === undefined || answer.type === "trouble").toBeTrue();
      }),
    );
    expect(readAnswer(JSON.stringify({ type: "figures", figures: FIGURES }))).toEqual({
      type: "figures",
      figures: FIGURES,
    });
  });
});

describe("rates for a runtime that tells none", () => {
  const model = modelSample({ model: "llama-3.1-8b" });
  const on = (uuid: string, ...models: string[]) => ({ uuid, models });
  const rates = new BenchRates(
    new Map([
      ["GPU-a", FIGURES],
      ["GPU-b", FIGURES],
    ]),
  );
  const unknown = { prefillTokensPerSecond: undefined, decodeTokensPerSecond: undefined };

  test("come of the GPUs that the model is on, all of them measured", () => {
    const one = rates.rated(model, [on("GPU-a", model.model), on("GPU-z", "another")]);
    expect(one.prefillTokensPerSecond).toBeWithin(20_000, 30_000);
    expect(one.decodeTokensPerSecond).toBeWithin(5_000, 20_000);
    const two = rates.rated(model, [on("GPU-a", model.model), on("GPU-b", model.model)]);
    expect(two.prefillTokensPerSecond).toBeCloseTo(2 * (one.prefillTokensPerSecond ?? 0), 6);
    for (const gpus of [[], [on("GPU-a")], [on("GPU-a", model.model), on("GPU-z", model.model)]]) {
      expect(rates.rated(model, gpus)).toMatchObject(unknown);
    }
    expect(rates.rated({ ...model, model: "gpt" }, [on("GPU-a", "gpt")])).toMatchObject(unknown);
  });

  test("never take the place of what the runtime tells", () => {
    const told = { ...model, prefillTokensPerSecond: 7 };
    const filled = rates.rated(told, [on("GPU-a", model.model)]);
    expect(filled.prefillTokensPerSecond).toBe(7);
    expect(filled.decodeTokensPerSecond).toBeGreaterThan(0);
    const both = { ...told, decodeTokensPerSecond: 8 };
    expect(rates.rated(both, [on("GPU-a", model.model)])).toBe(both);
  });
});
