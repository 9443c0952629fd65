/** The executable measures GPUs, and an agent that starts afterwards tells rates by the figures. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Double, HAS_COMPILER, removeDoubles } from "../gpu/double.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

setDefaultTimeout(120_000);
const bench = new Bench();
afterAll(async () => {
  await bench.end();
  removeDoubles();
});

const IDLE = ["gpu*.util = 0", "gpu*.memory_used = 600 MiB", "gpu*.process0.pid = none", "gpu*.process1.pid = none"];

interface Model {
  readonly prefillTokensPerSecond?: number;
  readonly decodeTokensPerSecond?: number;
}

async function modelOf(agent: Started): Promise<Model | undefined> {
  const response = await fetch(`http://${agent.address("api")}/state`, { signal: AbortSignal.timeout(5000) });
  return ((await response.json()) as { models: Model[] }).models[0];
}

describe.skipIf(!HAS_COMPILER)("GPUs that were measured", () => {
  test("give their node's models the rates that their runtime does not tell", async () => {
    const double = new Double();
    // One GPU: of several, those that the model is on would have to be known.
    double.play("h100", ...IDLE, "gpus = 1");
    const places = ["--gpu-nvml-library", double.path, "--gpu-root", double.root];
    const start = (id: string): Promise<Started> => {
      const models = ["--mock-models", "llama-3.1-8b"];
      return bench.agent(id, null, "--join", "127.0.0.1:1", "--gpu", "nvml", ...places, ...models);
    };
    const before = await start("before");
    await until(async () => (await modelOf(before)) !== undefined);
    // The mock tells no rate of decoding before it has decoded anything.
    expect((await modelOf(before))?.decodeTokensPerSecond).toBeUndefined();
    const cuda = ["--gpu-cuda-library", double.cudaPath, "--data-dir", bench.dataDir];
    const measuring = Bun.spawn([EXECUTABLE, "agent", "bench-gpu", ...places, ...cuda], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      env: ownEnvironment(),
    });
    expect([await measuring.stderr.text(), await measuring.exited]).toEqual([expect.stringContaining("kept in"), 0]);
    const after = await start("after");
    await until(async () => (await modelOf(after))?.decodeTokensPerSecond !== undefined, 30_000);
    const { decodeTokensPerSecond = 0, prefillTokensPerSecond = 0 } = (await modelOf(after)) ?? {};
    // An H100: 16 GB of weights at 2.6 TB/s, a millisecond, and 256 sequences' arithmetic.
    expect(decodeTokensPerSecond).toBeWithin(10_000, 25_000);
    // What the runtime tells stays.
    expect(prefillTokensPerSecond).toBe((await modelOf(before))?.prefillTokensPerSecond ?? 0);
    await Promise.all([before.stop(), after.stop()]);
  });

  test("are left out, and said so, where their file is damaged", async () => {
    const own = join(bench.dataDir, "damaged");
    const agent = await bench.agent("damaged", null, "--join", "127.0.0.1:1", "--data-dir", own);
    await agent.stop();
    writeFileSync(join(own, "gpu-bench.json"), "{");
    const again = await bench.agent("damaged", null, "--join", "127.0.0.1:1", "--data-dir", own);
    const said = again.lines.find(({ msg }) => String(msg).includes("figures of the GPU benchmark"));
    expect(said).toMatchObject({ level: "warn" });
    expect(String(said?.["why"])).toMatch(/gpu-bench.json is no JSON; measure again/);
    await again.stop();
  });
});
