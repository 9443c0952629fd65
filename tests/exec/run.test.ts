/** What is decided of a runtime's process, by a virtual clock; and what holds over any course of events. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { EXIT_REASONS, type RuntimeExit } from "../../src/exec/exit.ts";
import { Run, type RunConfig, type RunEvent } from "../../src/exec/run.ts";
import { execSettings } from "../../src/exec/settings.ts";

const CONFIG: RunConfig = {
  ...defaultsOf(execSettings),
  readyTimeoutMs: 60_000,
  checkIntervalMs: 1000,
  failuresMax: 3,
  failingMaxMs: 30_000,
  pauseMinMs: 1000,
  pauseMaxMs: 8000,
  wellMs: 20_000,
  crashesMax: 4,
  crashWindowMs: 600_000,
  crashPauseMs: 1_800_000,
  stopTimeoutMs: 10_000,
};
const CRASH: RuntimeExit = { code: 1, signal: null, lastLines: [] };
const CLEAN: RuntimeExit = { code: 0, signal: null, lastLines: [] };

/** A run with its clock, and all that it wanted and told. */
class World {
  nowMs = 1000;
  pid = 100;
  readonly run: Run;
  readonly told: RunEvent[] = [];
  actions: string[] = [];
  wakeAtMs = Infinity;
  /** What a check answers; undefined for a check that never does. */
  answer: string | undefined = "";

  constructor(config: Partial<RunConfig> = {}, seed = 1) {
    this.run = new Run({ ...CONFIG, ...config }, new Prng(seed));
  }

  do(what: (run: Run, nowMs: number) => void): this {
    what(this.run, this.nowMs);
    return this.settle();
  }

  settle(): this {
    for (;;) {
      const { actions, events, wakeAtMs } = this.run.take();
      this.told.push(...events);
      this.wakeAtMs = wakeAtMs;
      if (actions.length === 0) return this;
      for (const action of actions) {
        this.actions.push(action);
        if (action === "spawn") this.run.spawned(++this.pid, this.nowMs);
        else if (action === "check" && this.answer !== undefined) this.run.checked(this.answer, this.nowMs);
      }
    }
  }

  /** Lets time pass, waking as wanted. */
  pass(ms: number): this {
    const endMs = this.nowMs + ms;
    while (this.wakeAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      this.do((run, nowMs) => run.wake(nowMs));
    }
    this.nowMs = endMs;
    return this;
  }

  start = (): this => this.do((run, nowMs) => run.start(nowMs)).pass(0);
  exit = (exit = CRASH): this => this.do((run, nowMs) => run.exited(exit, nowMs));
  stop = (): this => this.do((run, nowMs) => run.stop(nowMs));
  restart = (): this => this.do((run, nowMs) => run.restart("asked", nowMs));
  kinds = (): string[] => this.told.map(({ kind }) => kind);
  get state(): string {
    return this.run.state;
  }
}

describe("a run", () => {
  test("is started, becomes ready, fails for a while, and is well again", () => {
    const world = new World();
    world.answer = "refused";
    expect(world.state).toBe("stopped");
    world.start();
    expect(world.run).toMatchObject({
      state: "starting",
      message: "it is not ready yet: refused",
      pid: 101,
      restarts: 0,
    });
    world.pass(5000);
    expect(world.state).toBe("starting");
    world.answer = "";
    world.pass(1000);
    expect(world.state).toBe("ready");
    expect(world.told.at(-1)).toEqual({ kind: "ready", cause: "after 6000 ms", pid: 101 });
    world.answer = "answered 500";
    world.pass(2000);
    expect(world.state).toBe("ready");
    world.pass(1000);
    expect(world.run).toMatchObject({ state: "failing", message: "answered 500" });
    world.answer = "";
    world.pass(1000);
    expect(world.state).toBe("ready");
    expect(world.told.at(-1)!.cause).toBe("well again after 1000 ms");
    expect(world.kinds()).toEqual(["started", "ready", "failing", "ready"]);
    expect(world.actions.filter((action) => action !== "check")).toEqual(["spawn"]);
  });

  test("is not ready for ever: it is ended, by force in the end, and started again", () => {
    const world = new World();
    world.answer = "refused";
    world.start().pass(60_000);
    expect(world.state).toBe("stopping");
    expect(world.actions.at(-1)).toBe("term");
    world.pass(9999);
    expect(world.actions.at(-1)).toBe("term");
    world.pass(1);
    expect(world.actions.at(-1)).toBe("kill");
    world.exit({ code: null, signal: "SIGKILL", lastLines: [] });
    expect(world.state).toBe("backoff");
    expect(world.run.lastExit?.words).toBe("it was not ready within 1m: ended by SIGKILL");
    world.pass(2000);
    expect(world.run).toMatchObject({ state: "starting", pid: 102, restarts: 1 });
  });

  test("that hangs after it was ready is ended and started again", () => {
    const world = new World();
    world.start();
    world.answer = "no answer within 5000 ms";
    world.pass(3000);
    expect(world.state).toBe("failing");
    world.pass(30_000);
    expect(world.state).toBe("stopping");
    world.exit({ code: null, signal: "SIGTERM", lastLines: [] });
    expect(world.run.lastExit?.words).toBe("it was not well for 30s (no answer within 5000 ms): ended by SIGTERM");
    const patient = new World({ failingMaxMs: 0 });
    patient.start().answer = "no";
    patient.pass(3_600_000);
    expect(patient.state).toBe("failing");
  });

  test("pauses twice as long after each failure, up to a limit, and varied by a quarter", () => {
    const world = new World({ crashesMax: 100 });
    const pausesMs: number[] = [];
    world.answer = undefined;
    world.start();
    for (let at = 0; at < 7; at += 1) {
      world.exit();
      expect(world.state).toBe("backoff");
      pausesMs.push(world.wakeAtMs - world.nowMs);
      world.pass(pausesMs.at(-1)! - 1);
      expect(world.state).toBe("backoff");
      world.pass(1);
      expect(world.state).toBe("starting");
    }
    [1000, 2000, 4000, 8000, 8000, 8000, 8000].forEach((wholeMs, at) => {
      expect(pausesMs[at]).toBeGreaterThanOrEqual(wholeMs * 0.75);
      expect(pausesMs[at]).toBeLessThanOrEqual(wholeMs * 1.25);
    });
    expect(new Set(pausesMs.slice(3)).size).toBeGreaterThan(1);
    const again = new World({ crashesMax: 100 });
    again.start().exit();
    expect(again.wakeAtMs - again.nowMs).toBe(pausesMs[0]!);
    const other = new World({ crashesMax: 100 }, 2);
    other.start().exit();
    expect(other.wakeAtMs - other.nowMs).not.toBe(pausesMs[0]!);
  });

  test("pauses as after the first failure again once it was well for a while", () => {
    const world = new World({ crashesMax: 100 });
    world.start().exit().pass(1500).exit().pass(3000).pass(19_000).exit();
    expect(world.wakeAtMs - world.nowMs).toBeGreaterThan(2999);
    world.pass(5000).pass(21_000).exit();
    expect(world.wakeAtMs - world.nowMs).toBeLessThan(1251);
  });

  test("that crashes again and again stays down, until a long pause is over or it is told to start", () => {
    const world = new World();
    world.start();
    for (let at = 0; at < 4; at += 1) world.exit().pass(at < 3 ? 10_000 : 0);
    expect(world.state).toBe("crash-looping");
    expect(world.run.message).toBe(
      "4 failures within 10m, the last one: ended with code 1; it stays down for 30m, or until it is told to start",
    );
    expect(world.kinds().slice(-2)).toEqual(["exited", "crash-looping"]);
    world.pass(1_799_999);
    expect(world.state).toBe("crash-looping");
    world.pass(1).pass(0);
    expect(world.run).toMatchObject({ state: "ready", restarts: 4 });
    // The count is begun anew.
    world.exit();
    expect(world.state).toBe("backoff");
    const byHand = new World({ crashPauseMs: 0 });
    byHand.start();
    for (let at = 0; at < 4; at += 1) byHand.exit().pass(at < 3 ? 10_000 : 0);
    expect(byHand.wakeAtMs).toBe(Infinity);
    expect(byHand.run.message).toContain("it stays down, or until");
    expect(byHand.start().state).toBe("ready");
  });

  test("whose failures lie far apart is no crash loop", () => {
    const world = new World();
    world.start();
    for (let at = 0; at < 12; at += 1) world.exit().pass(250_000);
    expect(world.state).toBe("ready");
    expect(world.kinds()).not.toContain("crash-looping");
  });

  test("is started again as the policy says", () => {
    expect(new World({ restart: "never" }).start().exit().state).toBe("stopped");
    expect(new World({ restart: "on-failure" }).start().exit().state).toBe("backoff");
    const clean = new World({ restart: "on-failure" }).start().exit(CLEAN);
    expect(clean.state).toBe("stopped");
    expect(clean.run.message).toBe("ended with code 0; not started again, since exec.restart is on-failure");
    expect(new World({ restart: "always" }).start().exit(CLEAN).state).toBe("backoff");
    // One that was ended for its deadline has failed, whatever code it ends with.
    const late = new World({ restart: "on-failure" });
    late.answer = "no";
    expect(late.start().pass(60_000).exit(CLEAN).state).toBe("backoff");
  });

  test("that can't be started is a failure like any other", () => {
    const world = new World();
    world.run.start(world.nowMs);
    expect([...world.run.take().actions]).toEqual(["spawn"]);
    world.do((run, nowMs) => run.notSpawned('no "vllm" in any folder of PATH', nowMs));
    expect(world.run).toMatchObject({ state: "backoff", pid: 0 });
    expect(world.run.lastExit?.words).toBe(`it can't be started: no "vllm" in any folder of PATH`);
  });

  test("is stopped in order, and stays so", () => {
    const world = new World().start().stop();
    expect(world).toMatchObject({ state: "stopping" });
    expect(world.actions.at(-1)).toBe("term");
    world.exit({ code: null, signal: "SIGTERM", lastLines: [] });
    expect(world.run).toMatchObject({ state: "stopped", message: "asked to stop: ended by SIGTERM", pid: 0 });
    expect(world.wakeAtMs).toBe(Infinity);
    expect(world.start().run).toMatchObject({ state: "ready", restarts: 1 });
    // While it pauses there is nothing to end.
    expect(new World().start().exit().stop().pass(100_000).state).toBe("stopped");
    expect(new World({ stopTimeoutMs: 0 }).start().stop().actions.at(-1)).toBe("kill");
  });

  test("is restarted by hand without a pause and without counting as failed", () => {
    const world = new World({ crashesMax: 2 });
    world.start();
    for (let at = 0; at < 5; at += 1) world.restart().exit(CLEAN).pass(0);
    expect(world.run).toMatchObject({ state: "ready", restarts: 5 });
    // The last wish counts.
    expect(world.restart().stop().exit().state).toBe("stopped");
    expect(world.restart().pass(0).stop().start().exit().pass(0).state).toBe("ready");
  });

  test("is taken over, and ended where it is not what is wanted", () => {
    const world = new World().do((run, nowMs) => run.adopted(77, nowMs)).pass(0);
    expect(world.run).toMatchObject({ state: "ready", pid: 77, restarts: 0 });
    expect(world.kinds()).toEqual(["adopted", "ready"]);
    expect(world.actions).toEqual(["check"]);
    const other = new World().do((run, nowMs) => {
      run.adopted(77, nowMs);
      run.restart("another command", nowMs);
    });
    expect(other.actions).toEqual(["term"]);
    expect(other.exit(CLEAN).pass(0).run).toMatchObject({ state: "ready", pid: 101 });
  });

  test("that can't be ended is waited for, with word of it", () => {
    const world = new World().start().stop().pass(15_000);
    expect(world.run.message).toContain("waits in the kernel and can't be ended");
    expect(world.kinds().at(-1)).toBe("stuck");
    expect(world.start().actions.filter((action) => action === "spawn")).toHaveLength(1);
    world.exit().pass(0);
    expect(world.run).toMatchObject({ state: "ready", pid: 102 });
  });

  test("is not called late by one who was held up itself", () => {
    const world = new World();
    world.answer = undefined;
    world.start();
    world.nowMs += 300_000;
    world.do((run, nowMs) => run.wake(nowMs));
    expect(world.state).toBe("starting");
    world.do((run, nowMs) => run.checked("", nowMs));
    expect(world.state).toBe("ready");
  });

  test("forgets an answer about a process that is gone", () => {
    const world = new World();
    world.answer = undefined;
    world.start().exit().pass(2000);
    world.do((run, nowMs) => run.checked("", nowMs));
    // The check of the new process was asked for once, and that is the one that is answered.
    expect(world.state).toBe("ready");
    world.do((run, nowMs) => run.checked("no", nowMs));
    expect(world.state).toBe("ready");
  });

  test("keeps its promises over any course of events", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom("start", "stop", "restart", "crash", "clean", "well", "ill", "silent") }),
      fc.record({ do: fc.constant("pass"), ms: fc.integer({ min: 0, max: 120_000 }) }),
    );
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { maxLength: 60 }), (seed, steps) => {
        const world = new World({ crashesMax: 3 }, seed);
        let alive = 0;
        const count = (): void => {
          alive += world.actions.filter((action) => action === "spawn").length;
          world.actions = [];
          // Never a second process beside one that is there.
          expect(alive).toBeLessThanOrEqual(1);
          expect(world.run.isAlive).toBe(alive === 1);
          expect(world.run.pid !== 0).toBe(alive === 1);
          // What pauses or is about to be killed has a time at which it goes on.
          if (world.state === "backoff" || world.state === "crash-looping")
            expect(world.wakeAtMs).toBeLessThan(Infinity);
          if (world.state === "ready" && world.answer !== undefined) expect(world.wakeAtMs).toBeLessThan(Infinity);
        };
        const exit = (how: RuntimeExit): void => {
          if (alive === 0) return void world.exit(how);
          alive -= 1;
          world.exit(how);
        };
        for (const one of steps) {
          if (one.do === "start") world.start();
          else if (one.do === "stop") world.stop();
          else if (one.do === "restart") world.restart();
          else if (one.do === "crash") exit(CRASH);
          else if (one.do === "clean") exit(CLEAN);
          else if (one.do === "pass") world.pass("ms" in one ? one.ms : 0);
          else {
            const answer = one.do === "well" ? "" : one.do === "ill" ? "ill" : undefined;
            world.answer = answer;
            // The check that waits for an answer gets it.
            if (answer !== undefined) world.do((run, nowMs) => run.checked(answer, nowMs));
          }
          count();
        }
        // Whoever asks for the end gets it.
        world.stop();
        count();
        if (alive === 1) exit(CLEAN);
        world.pass(10_000_000);
        count();
        expect(world.state).toBe("stopped");
      }),
      { numRuns: 500 },
    );
  });
});

test("exits are counted by why, and the time until it is ready is that of its last start", () => {
  const world = new World({ crashesMax: 100, restart: "always" });
  world.answer = "not yet";
  world.do((run, nowMs) => run.start(nowMs));
  expect([world.run.exits.size, world.run.tookMs]).toEqual([0, undefined]);
  world.nowMs += 4000;
  world.answer = "";
  world.do((run, nowMs) => run.wake(nowMs));
  expect(world.run.tookMs).toBe(4000);
  const ends: RuntimeExit[] = [
    CRASH,
    CLEAN,
    { code: null, signal: "SIGSEGV", lastLines: [] },
    { code: null, signal: "SIGKILL", oomKills: 1, lastLines: [] },
    { code: null, signal: null, lastLines: [] },
  ];
  for (const exit of ends) {
    world.do((run, nowMs) => run.exited(exit, nowMs));
    world.do((run, nowMs) => run.start(nowMs));
  }
  world.do((run, nowMs) => run.restart("by hand", nowMs)).do((run, nowMs) => run.exited(CLEAN, nowMs));
  world.answer = "never";
  world.do((run, nowMs) => run.exited(CRASH, nowMs)).do((run, nowMs) => run.start(nowMs));
  world.nowMs += 60_500;
  // Not ready in time: it is ended, and that is no wish of anybody's.
  world.do((run, nowMs) => run.wake(nowMs)).do((run, nowMs) => run.exited(CLEAN, nowMs));
  world.do((run, nowMs) => run.start(nowMs)).do((run, nowMs) => run.stop(nowMs));
  world.do((run, nowMs) => run.exited(CLEAN, nowMs));
  const unborn = new Run(CONFIG, new Prng(1));
  unborn.start(0);
  unborn.notSpawned("no such program", 0);
  expect(Object.fromEntries(world.run.exits)).toEqual({
    failed: 2,
    finished: 1,
    signal: 1,
    out_of_memory: 1,
    unseen: 1,
    asked: 2,
    unwell: 1,
  });
  expect(Object.fromEntries(unborn.exits)).toEqual({ not_started: 1 });
  for (const reason of [...world.run.exits.keys(), ...unborn.exits.keys()]) expect(EXIT_REASONS).toContain(reason);
});
