/** The probe's own loop, on a clock of the test's: what it reads when, what it says, and what it does in trouble. */
import { describe, expect, test } from "bun:test";
import { BackendError, type GpuBackend } from "../../src/gpu/backend.ts";
import { EXIT_FRESH } from "../../src/gpu/probe-life.ts";
import { ProbeOutput } from "../../src/gpu/probe-output.ts";
import { probeSpec, type ProbeSpec, readProbeSpec } from "../../src/gpu/probe-spec.ts";
import { decodeProbeMessage, LINE_BYTES_MAX, type ProbeMessage } from "../../src/gpu/probe-wire.ts";
import { type Openers, runProbe } from "../../src/gpu/probe.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { GpuGroup, GpuUpdate } from "../../src/health/reading.ts";
import { FakeBackend } from "./fake-backend.ts";
import { fakeGpu } from "./fake-gpu.ts";

const SPEC = probeSpec(defaultsOf(gpuSettings), { backends: ["nvml"], vendors: ["nvidia"] });

class Counting extends FakeBackend {
  override gpus = [fakeGpu(0), fakeGpu(1)];
  readonly looks: { readonly atMs: number; readonly groups: readonly GpuGroup[] }[] = [];
  faultLooks = 0;
  isRollDue = false;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    super();
    this.#nowMs = nowMs;
  }

  override read(groups: ReadonlySet<GpuGroup>): GpuUpdate[] {
    this.looks.push({ atMs: this.#nowMs(), groups: [...groups] });
    return super.read(groups);
  }

  override faults(): ReturnType<FakeBackend["faults"]> {
    this.faultLooks += 1;
    return super.faults();
  }
}

/** Runs a probe for so long on a clock that only its waiting moves. */
class Bench {
  nowMs = 0;
  mark = "nvidia 550";
  readonly backends: Counting[] = [];
  /** What the agent has read; null while it reads nothing. */
  text = "";
  roomBytes = Infinity;
  isGone = false;
  spec: ProbeSpec = SPEC;
  openers: Openers = {
    nvml: () => {
      const backend = new Counting(() => this.nowMs);
      this.backends.push(backend);
      return backend;
    },
  };

  async run(endMs: number, at: (nowMs: number) => void = () => {}): Promise<number> {
    const output = new ProbeOutput((bytes) => {
      if (this.isGone) throw Object.assign(new Error("nobody reads"), { code: "EPIPE" });
      if (this.roomBytes === 0) throw Object.assign(new Error("full"), { code: "EAGAIN" });
      const taken = bytes.subarray(0, this.roomBytes);
      this.roomBytes -= taken.length;
      this.text += new TextDecoder().decode(taken);
      return taken.length;
    });
    return runProbe(this.spec, {
      output,
      openers: this.openers,
      driverMark: () => this.mark,
      nowMs: () => this.nowMs,
      sleep: async (ms) => {
        this.nowMs += Math.max(1, Math.ceil(ms));
        at(this.nowMs);
      },
      isEnding: () => this.nowMs >= endMs,
    });
  }

  get messages(): ProbeMessage[] {
    return this.text
      .split("\n")
      .slice(0, -1)
      .map((line) => decodeProbeMessage(line)!);
  }

  kinds(): string[] {
    return this.messages.map(({ type }) => type);
  }
}

describe("a probe", () => {
  test("reads each group at its own pace, and faults at theirs", async () => {
    const bench = new Bench();
    expect(await bench.run(120_000)).toBe(0);
    const [backend] = bench.backends;
    const timesOf = (group: GpuGroup) => backend!.looks.filter(({ groups }) => groups.includes(group)).length;
    expect(["identity", "load", "traffic", "wear"].map((group) => timesOf(group as GpuGroup))).toEqual([2, 120, 24, 4]);
    expect(backend!.looks[0]).toEqual({ atMs: 0, groups: ["identity", "load", "traffic", "wear"] });
    expect(backend!.faultLooks).toBe(480);
    expect(backend!.isClosed).toBe(true);
    const readings = bench.messages.filter((message) => message.type === "reading");
    expect(readings.map(({ isRoll }) => isRoll).filter(Boolean)).toHaveLength(2);
    expect(readings[0]).toMatchObject({ gpus: [fakeGpu(0), fakeGpu(1)] });
    expect(bench.kinds().slice(0, 2)).toEqual(["open", "reading"]);
  });

  test("looks at identities out of turn when a GPU came or went", async () => {
    const bench = new Bench();
    await bench.run(10_000, (nowMs) => {
      const [backend] = bench.backends;
      backend!.isRollDue = nowMs > 3500 && nowMs <= 4000;
    });
    const rolls = bench.backends[0]!.looks.filter(({ groups }) => groups.includes("identity"));
    expect(rolls.map(({ atMs }) => atMs)).toEqual([0, 4000]);
  });

  test("tells with each look at identities which GPUs can't be read", async () => {
    const other = new Bench();
    await other.run(70_000, () => void (other.backends[0]!.note = "1 of 3 GPUs can't be read"));
    expect(
      other.messages.flatMap((one) => (one.type === "reading" && one.note !== undefined ? [one.isRoll] : [])),
    ).toEqual([true]);
  });

  test("tells faults at the next look, a storm of them by its beginning", async () => {
    const bench = new Bench();
    await bench.run(4000, (nowMs) => {
      if (nowMs === 1250) bench.backends[0]!.fail({ uuid: "GPU-0", xid: 79 });
      if (nowMs === 2250) for (let at = 0; at < 5000; at += 1) bench.backends[0]!.fail({ uuid: "GPU-1", xid: at });
    });
    const told = bench.messages.flatMap((message) => (message.type === "faults" ? [message.faults.length] : []));
    expect(told).toEqual([1, 256, 256, 256, 256]);
  });

  test("says that it is alive while there is nothing else to say", async () => {
    const bench = new Bench();
    bench.openers = {
      nvml: () => {
        throw new BackendError("absent", "no driver");
      },
    };
    expect(await bench.run(29_000)).toBe(0);
    expect(bench.kinds().filter((kind) => kind === "trouble")).toHaveLength(1);
    expect(bench.kinds().filter((kind) => kind === "alive").length).toBeGreaterThan(25);
  });

  test("takes the next backend where one is absent, and tells of the first where all are", async () => {
    const bench = new Bench();
    bench.spec = { ...SPEC, backends: ["rocm", "nvml"] };
    await bench.run(100);
    expect(bench.kinds()).toEqual(["open", "reading"]);
    const none = new Bench();
    none.spec = { ...SPEC, backends: ["rocm", "sysfs"] };
    await none.run(100);
    expect(none.messages[0]).toEqual({
      type: "trouble",
      trouble: "absent",
      message: "this version has no backend rocm",
    });
  });

  test("takes the next backend where one can't be used, and tells of that one where none can", async () => {
    const bench = new Bench();
    bench.spec = { ...SPEC, backends: ["rocm", "nvml"] };
    const rocm = () => {
      throw new BackendError("broken", "the library is of another system");
    };
    bench.openers = { ...bench.openers, rocm };
    await bench.run(100);
    expect(bench.kinds()).toEqual(["open", "reading"]);
    const none = new Bench();
    none.spec = { ...SPEC, backends: ["sysfs", "rocm", "nvml"] };
    none.openers = { rocm };
    await none.run(100);
    expect(none.messages[0]).toMatchObject({ trouble: "broken", message: "the library is of another system" });
  });

  test("opens anew after ever longer pauses, then asks for a new process; what is absent does not", async () => {
    const bench = new Bench();
    const openedAtMs: number[] = [];
    const { nvml } = bench.openers;
    bench.openers = {
      nvml: (spec) => {
        openedAtMs.push(bench.nowMs);
        const backend = nvml!(spec) as Counting;
        backend.failure = new BackendError("lost", "GPU 1 fell off the bus");
        return backend;
      },
    };
    expect(await bench.run(600_000)).toBe(EXIT_FRESH);
    const pauses = openedAtMs.slice(1).map((atMs, at) => atMs - openedAtMs[at]!);
    expect(pauses).toEqual([1000, 2000, 4000, 8000]);
    expect(bench.backends.every(({ isClosed }) => isClosed)).toBe(true);
    expect(bench.messages).toContainEqual({ type: "trouble", trouble: "lost", message: "GPU 1 fell off the bus" });
    const absent = new Bench();
    absent.openers = {};
    expect(await absent.run(600_000)).toBe(0);
  });

  test("reads on where it was in trouble and is not any more", async () => {
    const bench = new Bench();
    await bench.run(10_000, (nowMs) => {
      const [first] = bench.backends;
      if (nowMs === 3000) first!.failure = new BackendError("broken", "odd");
    });
    expect(bench.backends).toHaveLength(2);
    expect(bench.kinds().filter((kind) => kind === "open")).toHaveLength(2);
    expect(bench.messages.at(-1)?.type).toBe("reading");
  });

  test("asks for a new process when its library is of another driver", async () => {
    const bench = new Bench();
    const code = await bench.run(300_000, (nowMs) => {
      if (nowMs > 70_000) bench.mark = "nvidia 575";
    });
    expect(code).toBe(EXIT_FRESH);
    expect(bench.nowMs).toBe(120_000);
    const stale = new Bench();
    stale.openers = {
      nvml: () => {
        throw new BackendError("broken", "driver and library differ", { isStale: true });
      },
    };
    expect(await stale.run(300_000)).toBe(EXIT_FRESH);
    expect(stale.kinds()).toEqual(["trouble"]);
  });

  test("looks at nothing while the agent reads nothing, and loses nothing of a line", async () => {
    const bench = new Bench();
    bench.roomBytes = 1500;
    await bench.run(100_000, (nowMs) => {
      if (nowMs > 90_000) bench.roomBytes = Infinity;
    });
    const looks = bench.backends[0]!.looks.map(({ atMs }) => atMs);
    expect(looks.filter((atMs) => atMs > 10_000 && atMs < 90_000)).toEqual([]);
    expect(looks.at(-1)).toBeGreaterThan(90_000);
    expect(bench.messages.every((message) => message !== undefined)).toBe(true);
  });

  test("ends when nobody reads any more, and by a bug of the backend's", async () => {
    const bench = new Bench();
    expect(
      await bench.run(100_000, (nowMs) => {
        if (nowMs > 5000) bench.isGone = true;
      }),
    ).toBe(0);
    expect(bench.nowMs).toBeLessThan(7000);
    const wrong = new Bench();
    wrong.openers = {
      nvml: (): GpuBackend => {
        throw new TypeError("a bug");
      },
    };
    const failure = await wrong.run(1000).catch((error: unknown) => error);
    expect(failure).toEqual(new TypeError("a bug"));
  });

  test("cuts what is too long for one line: who is there in one, the rest of each GPU in its own", async () => {
    const bench = new Bench();
    const processes = Array.from({ length: 512 }, (_, at) => ({
      pid: at + 1,
      command: "x".repeat(60),
      memoryBytes: 1,
    }));
    const gpus = Array.from({ length: 64 }, (_, at) => fakeGpu(at, { traffic: { processes } }));
    bench.openers = {
      nvml: () => Object.assign(new FakeBackend(), { gpus }),
    };
    await bench.run(100);
    expect(bench.text.split("\n").every((line) => line.length < LINE_BYTES_MAX)).toBe(true);
    const readings = bench.messages.filter((message) => message.type === "reading");
    expect(readings.map(({ isRoll, gpus: of }) => [isRoll, of.length])).toEqual([
      [true, 64],
      ...Array.from({ length: 64 }, () => [false, 1]),
    ]);
    expect(readings.at(-1)?.gpus[0]).toEqual(gpus.at(-1));
  });
});

describe("what a probe is told", () => {
  test("comes back as it was, and nothing else is taken", () => {
    expect(readProbeSpec(JSON.stringify(SPEC))).toEqual(SPEC);
    const wrong: unknown[] = [
      null,
      1,
      {},
      { ...SPEC, backends: [] },
      { ...SPEC, backends: ["odd"] },
      { ...SPEC, vendors: "nvidia" },
      { ...SPEC, intervalsMs: { ...SPEC.intervalsMs, load: 0 } },
      { ...SPEC, intervalsMs: null },
      { ...SPEC, faultIntervalMs: "1" },
      { ...SPEC, root: 1 },
    ];
    for (const value of wrong) expect(readProbeSpec(JSON.stringify(value))).toBeUndefined();
    expect(readProbeSpec("{")).toBeUndefined();
  });
});
