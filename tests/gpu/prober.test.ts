/** The agent's side of a probe, with real processes that take every course, and with ones that can't be ended. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Child } from "../../src/gpu/child.ts";
import type { Exit } from "../../src/gpu/probe-life.ts";
import { probeSpec } from "../../src/gpu/probe-spec.ts";
import { encodeProbeMessage } from "../../src/gpu/probe-wire.ts";
import { Prober } from "../../src/gpu/prober.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import type { GpuFault } from "../../src/health/reading.ts";
import { fakeGpu } from "./fake-gpu.ts";

const CHILD = join(import.meta.dir, "probe-child.ts");
const FAST = { identityIntervalMs: 200, loadIntervalMs: 50, trafficIntervalMs: 50, wearIntervalMs: 50 };
const CONFIG = {
  ...defaultsOf(gpuSettings),
  ...FAST,
  faultIntervalMs: 20,
  // Where it is not waited for, nobody may be silent for too long for a busy machine.
  silentMaxMs: 30_000,
  restartPauseMinMs: 20,
  restartPauseMaxMs: 100,
};
const SPEC = JSON.stringify(probeSpec(CONFIG, { backends: ["nvml"], vendors: ["nvidia"] }));
const SILENT_MS = 1500;
const WAIT_MS = 60_000;
setDefaultTimeout(120_000);

const open: Prober[] = [];
afterAll(async () => {
  await Promise.all(open.map((prober) => prober.stop()));
});

function started(course: string, silentMaxMs = CONFIG.silentMaxMs) {
  const config = { ...CONFIG, silentMaxMs };
  const prober = new Prober({ command: [process.execPath, CHILD, course, SPEC], config });
  open.push(prober);
  const faults: GpuFault[] = [];
  const states: string[] = [];
  prober.watch({
    changed() {
      if (states.at(-1) !== prober.state.state) states.push(prober.state.state);
    },
    faulted: (more) => faults.push(...more),
  });
  return { prober, faults, states };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await Bun.sleep(5);
  }
}

const isThere = (pid: number): boolean => {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
};

// They wait for processes and for silence, and do so together.
describe.concurrent("a prober", () => {
  test("has the readings and faults of its process, and ends it", async () => {
    const { prober, faults, states } = started("fault");
    expect(prober.state.state).toBe("starting");
    await until(() => faults.length > 0, "a fault came");
    expect(faults[0]).toEqual({ uuid: "GPU-0", xid: 79 });
    expect(prober.state).toMatchObject({ state: "ok", message: "", stack: { backend: "fake" } });
    expect(prober.readings).toEqual([fakeGpu(0), fakeGpu(1)]);
    expect(prober.figures).toMatchObject({ name: "probe", restarts: 0 });
    expect(prober.figures.lookSeconds).toBeGreaterThanOrEqual(0);
    const { pid } = prober;
    await prober.stop();
    expect(prober.pid).toBeUndefined();
    expect(isThere(pid!)).toBe(false);
    expect(states.filter((state) => state !== "starting")).toEqual(["ok"]);
  });

  test("tells why there is nothing to read, and why no more", async () => {
    const { prober } = started("denied");
    await until(() => prober.state.state === "denied", "it is denied");
    expect(prober.state.message).toBe("no permission for /dev/nvidiactl");
    const { prober: lost } = started("lost");
    await until(() => lost.state.state === "lost", "a GPU is lost");
    expect(lost.state.message).toBe("GPU 1 fell off the bus");
    expect(lost.readings).toHaveLength(2);
  });

  test("ends what writes no messages, or a line without an end, and tries again", async () => {
    for (const [course, why] of [
      ["garbage", "what is no message: Segmentation fault"],
      ["endless", "a line without an end"],
    ] as const) {
      const { prober } = started(course);
      await until(() => prober.state.message.includes(why), `${course} was noticed`);
      expect(prober.state.state).toBe("broken");
      const { pid } = prober;
      await until(() => prober.pid !== undefined && prober.pid !== pid, "there is another process");
      await prober.stop();
    }
  });

  test("lives through one that crashes again and again, and says how it ended", async () => {
    const { prober, states } = started("crash-later");
    const pids = new Set<number>();
    await until(() => pids.add(prober.pid ?? 0).size > 4, "it was started four times");
    expect(states).toContain("broken");
    expect(prober.readings).toHaveLength(2);
    expect(prober.figures.restarts).toBeGreaterThanOrEqual(2);
    await until(() => prober.state.message.includes("ended by SIGSEGV"), "it was told how");
    const { prober: words } = started("last-words");
    await until(() => words.state.state === "broken", "it is broken");
    expect(words.state.message).toBe("the probe process ended with code 3: library [31mnot[0m understood");
    const { prober: thrown } = started("throw");
    await until(() => thrown.state.message.includes("code 1"), "a bug of the probe's is told");
  });

  test("notices a driver that hangs, from the start or later, and a stopped process; then reads again", async () => {
    const { prober } = started("hang-later", SILENT_MS);
    await until(() => prober.state.state === "ok", "it reads");
    const { pid } = prober;
    await until(() => prober.state.state === "unresponsive", "it hangs");
    expect(prober.state.message).toStartWith(
      `driver unresponsive since ${new Date(prober.state.sinceMs).toISOString()}: `,
    );
    expect(prober.state.message).toContain(`probe process ${pid} told nothing for 1.5 s`);
    await until(() => !isThere(pid!), "the hung process is gone");
    await until(() => prober.state.state === "ok", "another one reads");
    const { prober: stopped } = started("well", SILENT_MS);
    await until(() => stopped.state.state === "ok", "it reads");
    process.kill(stopped.pid!, "SIGSTOP");
    const before = stopped.pid;
    await until(() => stopped.state.state === "unresponsive", "it is silent");
    await until(() => stopped.state.state === "ok", "another one reads");
    expect(isThere(before!)).toBe(false);
  });

  test("ends a process that hears nothing, also while it starts", async () => {
    const { prober: deaf } = started("deaf");
    await until(() => deaf.pid !== undefined, "it is there");
    const { pid } = deaf;
    await Bun.sleep(200);
    await deaf.stop();
    expect(isThere(pid!)).toBe(false);
    const { prober: young } = started("well");
    const youngPid = young.pid;
    await young.stop();
    expect(isThere(youngPid!)).toBe(false);
  });

  test("starts no second process while the first can't be ended, and stops all the same", async () => {
    const exited = Promise.withResolvers<Exit>();
    const signals: string[] = [];
    let spawned = 0;
    const spawn = (): Child => {
      spawned += 1;
      const output = async function* () {
        yield new TextEncoder().encode(encodeProbeMessage({ type: "open", stack: { backend: "b", source: "s" } }));
        yield new TextEncoder().encode(
          encodeProbeMessage({ type: "reading", isRoll: true, tookMs: 0, gpus: [fakeGpu(0)] }),
        );
        await exited.promise;
      };
      return { pid: 4242, output: output(), kill: (signal) => void signals.push(signal), exited: exited.promise };
    };
    const prober = new Prober({ command: [], config: { ...CONFIG, silentMaxMs: 100 }, spawn });
    await until(() => prober.state.message.includes("can't be ended"), "it is stuck");
    expect(prober.state.state).toBe("unresponsive");
    expect(signals).toEqual(["SIGTERM", "SIGKILL"]);
    expect(spawned).toBe(1);
    await prober.stop();
    exited.resolve({ code: null, signal: "SIGKILL", lastWords: "" });
    await Bun.sleep(50);
    expect(spawned).toBe(1);
  });

  test("says why no process can be started", async () => {
    const prober = new Prober({ command: ["/nowhere/infermesh", "gpu-probe"], config: CONFIG });
    open.push(prober);
    await until(() => prober.state.state === "broken", "it is broken");
    expect(prober.state.message).toContain("can't be started");
  });

  test("leaves no process behind when its own is killed", async () => {
    const parent = Bun.spawn([process.execPath, join(import.meta.dir, "prober-parent.ts"), "hang-later", SPEC], {
      stdout: "pipe",
    });
    let said = "";
    for await (const chunk of parent.stdout) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("\n")) break;
    }
    const pid = Number(said);
    expect(isThere(pid)).toBe(true);
    parent.kill("SIGKILL");
    await parent.exited;
    await until(() => !isThere(pid), "the probe is gone");
  });

  test.serial("keeps no descriptor over fifty starts and stops", async () => {
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    const cycle = async (): Promise<void> => {
      const { prober } = started("well");
      await until(() => prober.state.state === "ok", "it reads");
      await prober.stop();
    };
    const five = () => Promise.all(Array.from({ length: 5 }, cycle));
    await five();
    const before = descriptors();
    for (let round = 0; round < 10; round += 1) await five();
    // The runtime closes the last pipes a moment after their process is gone; what is kept by each round stays.
    await until(() => descriptors() <= before + 2, "its descriptors are closed");
  });

  test.serial("decodes a million samples without growing", async () => {
    const gpus = [fakeGpu(0), fakeGpu(1), fakeGpu(2), fakeGpu(3), fakeGpu(4), fakeGpu(5), fakeGpu(6), fakeGpu(7)];
    const line = encodeProbeMessage({ type: "reading", isRoll: true, tookMs: 1, gpus });
    const loads = gpus.map(({ uuid, load }) => ({ uuid, load }));
    const next = encodeProbeMessage({ type: "reading", isRoll: false, tookMs: 1, gpus: loads });
    const chunk = new TextEncoder().encode(next.repeat(25));
    const output = async function* () {
      // 8 GPUs a line.
      yield new TextEncoder().encode(line);
      for (let at = 0; at < 5000; at += 1) {
        yield chunk;
        if (at === 1000) settled = heapBytes();
        if (at % 100 === 0) await Bun.sleep(0);
      }
    };
    let settled = 0;
    const heapBytes = (): number => {
      Bun.gc(true);
      return process.memoryUsage().heapUsed;
    };
    const exited = Promise.withResolvers<Exit>();
    const spawn = (): Child => ({ pid: 1, output: output(), kill: () => {}, exited: exited.promise });
    let changes = 0;
    const prober = new Prober({ command: [], config: { ...CONFIG, silentMaxMs: 60_000 }, spawn });
    prober.watch({ changed: () => void (changes += 1), faulted: () => {} });
    await until(() => changes >= 5001, "all were read");
    expect(heapBytes() - settled).toBeLessThan(4 * 2 ** 20);
    expect(prober.readings).toEqual(gpus);
    exited.resolve({ code: 0, signal: null, lastWords: "" });
    await prober.stop();
  });
});
