import { afterAll, describe, expect, setSystemTime, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
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
import { lockedFolder } from "../../src/gpu/bench-lock.ts";
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

  test("that is damaged is put aside and told of, with what could be read of it kept", async () => {
    const into = join(folder, "aside");
    expect(await keepBenchRecords(into, new Map([["GPU-a", RECORD]]))).toEqual({ stayed: new Map(), aside: undefined });
    const { gpus } = JSON.parse(readFileSync(benchPath(into), "utf8")) as { gpus: Record<string, unknown> };
    const damaged = JSON.stringify({ version: 1, gpus: { ...gpus, "GPU-b": 7 } });
    writeFileSync(benchPath(into), damaged);
    const { aside } = await keepBenchRecords(into, new Map([["GPU-c", RECORD]]));
    expect(aside?.fault).toMatch(/gpu-bench\.json holds what are no figures of 1 GPUs, the first GPU-b$/);
    expect(aside?.path).toMatch(/gpu-bench\.unread-[\dTZ.-]+\.json$/);
    expect(readFileSync(aside?.path ?? "", "utf8")).toBe(damaged);
    expect([...(await readBenchRecords(into)).gpus.keys()]).toEqual(["GPU-a", "GPU-c"]);
    // One that is no file at all, too.
    rmSync(benchPath(into));
    mkdirSync(benchPath(into));
    const second = await keepBenchRecords(into, new Map([["GPU-d", RECORD]]));
    expect(second.aside?.fault).toMatch(/can't be read: EISDIR/);
    expect([...(await readBenchRecords(into)).gpus.keys()]).toEqual(["GPU-d"]);
  });

  test("that is damaged is put aside beside the one before, also within the same millisecond", async () => {
    const into = join(folder, "together");
    setSystemTime(new Date("2026-11-28T12:00:00.000Z"));
    try {
      await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
      const asides: string[] = [];
      for (const text of ["{ one", "{ two", "{ three"]) {
        writeFileSync(benchPath(into), text);
        const { aside } = await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
        asides.push(aside?.path ?? "");
      }
      expect(asides.map((path) => readFileSync(path, "utf8"))).toEqual(["{ one", "{ two", "{ three"]);
    } finally {
      setSystemTime();
    }
  });

  test("has a mark where a GPU was in use, and keeps what was measured while it was idle", async () => {
    const into = join(folder, "forced");
    const slow: BenchRecord = {
      ...RECORD,
      fp32Flops: 1e12,
      measuredAt: "2026-11-29T00:00:00.000Z",
      inUse: "87 % busy",
    };
    await keepBenchRecords(into, new Map([["GPU-a", RECORD]]));
    const kept = await keepBenchRecords(
      into,
      new Map([
        ["GPU-a", slow],
        ["GPU-b", slow],
      ]),
    );
    expect(kept.stayed).toEqual(new Map([["GPU-a", RECORD.measuredAt]]));
    expect((await readBenchRecords(into)).gpus).toEqual(
      new Map([
        ["GPU-a", RECORD],
        ["GPU-b", slow],
      ]),
    );
    // Of two such the newer one counts, and one of an idle GPU in any case.
    const slower = { ...slow, fp32Flops: 5e11 };
    await keepBenchRecords(into, new Map([["GPU-b", slower]]));
    expect((await readBenchRecords(into)).gpus.get("GPU-b")).toEqual(slower);
    await keepBenchRecords(into, new Map([["GPU-b", RECORD]]));
    expect((await readBenchRecords(into)).gpus.get("GPU-b")).toEqual(RECORD);
  });

  test("loses nothing where many end at the same moment, and says who holds it up", async () => {
    const into = join(folder, "crowd");
    const uuids = Array.from({ length: 12 }, (_, i) => `GPU-${i}`);
    const code = `
      const { keepBenchRecords } = await import(${JSON.stringify(join(import.meta.dir, "../../src/gpu/bench-file.ts"))});
      const [into, uuid, record] = process.argv.slice(-3);
      await keepBenchRecords(into, new Map([[uuid, JSON.parse(record)]]));`;
    const children = uuids.map((uuid) =>
      Bun.spawn([process.execPath, "-e", code, into, uuid, JSON.stringify(RECORD)], {
        stderr: "pipe",
        stdout: "ignore",
      }),
    );
    for (const child of children) expect([await child.stderr.text(), await child.exited]).toEqual(["", 0]);
    expect([...(await readBenchRecords(into)).gpus.keys()].toSorted()).toEqual(uuids.toSorted());
    expect(readdirSync(into)).toEqual(["gpu-bench.json"]);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const first = lockedFolder(into, () => over);
    expect(lockedFolder(into, async () => {}, 100)).rejects.toThrow(/another process holds the lock of .*crowd/);
    await Bun.sleep(200);
    resolve();
    await first;
    expect(await lockedFolder(into, async () => 7)).toBe(7);
  }, 60_000);

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

  test("come of the GPUs of the model's own runtime, where another one serves a model of that name", () => {
    const of = (uuid: string, runtime: string) => ({ uuid, models: [model.model], runtimes: [runtime] });
    const gpus = [of("GPU-a", "one"), of("GPU-b", "two")];
    const alone = rates.rated(model, [on("GPU-a", model.model)]);
    expect(rates.rated({ ...model, runtime: "one" }, gpus)).toEqual({ ...alone, runtime: "one" });
    expect(rates.rated({ ...model, runtime: "three" }, gpus)).toMatchObject(unknown);
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
