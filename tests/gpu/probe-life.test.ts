/** What is decided of a probe process: by hand-written courses, and by seeded worlds in which anything happens to it. */
import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { EXIT_FRESH, type Exit, type LifeAction, ProbeLife } from "../../src/gpu/probe-life.ts";
import type { ProbeMessage } from "../../src/gpu/probe-wire.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const CONFIG = { silentMaxMs: 10_000, restartPauseMinMs: 1000, restartPauseMaxMs: 8000 };
const READING = { type: "reading", isRoll: true, tookMs: 1, gpus: [] } as const;
const OPEN: ProbeMessage = { type: "open", stack: { backend: "nvml", source: "lib" } };
const TROUBLE: ProbeMessage = { type: "trouble", trouble: "lost", message: "GPU 1 fell off the bus" };
const CRASH: Exit = { code: null, signal: "SIGSEGV", lastWords: "oh no" };

/** A life with its clock; actions are taken as they come. */
class Course {
  readonly life = new ProbeLife(CONFIG);
  nowMs = 5000;
  wakeAtMs = Infinity;
  readonly actions: LifeAction[] = [];

  constructor() {
    this.life.start(this.nowMs);
    this.take();
  }

  take(): LifeAction[] {
    const { actions, wakeAtMs } = this.life.take();
    this.wakeAtMs = wakeAtMs;
    if (actions.includes("spawn")) this.life.spawned(100);
    this.actions.push(...actions);
    return [...actions];
  }

  do(what: (life: ProbeLife, nowMs: number) => void): LifeAction[] {
    what(this.life, this.nowMs);
    return this.take();
  }

  /** Time passes, with every wake at its moment. */
  pass(ms: number): LifeAction[] {
    const endMs = this.nowMs + ms;
    const done: LifeAction[] = [];
    while (this.wakeAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      this.life.wake(this.nowMs);
      done.push(...this.take());
    }
    this.nowMs = endMs;
    return done;
  }

  get state(): string {
    return this.life.state.state;
  }
}

describe("a probe's life", () => {
  test("begins with one process, and is well from the first reading on", () => {
    const course = new Course();
    expect(course.actions).toEqual(["spawn"]);
    expect(course.state).toBe("starting");
    course.do((life, nowMs) => life.heard(OPEN, nowMs));
    expect(course.state).toBe("starting");
    course.do((life, nowMs) => life.heard(READING, nowMs));
    expect(course.life.state).toMatchObject({ state: "ok", message: "", stack: { backend: "nvml" }, atMs: 5000 });
    course.pass(9000);
    course.do((life, nowMs) => life.heard({ type: "alive" }, nowMs));
    expect(course.pass(9000)).toEqual([]);
    course.do((life, nowMs) => life.heard(TROUBLE, nowMs));
    expect(course.life.state).toMatchObject({ state: "lost", message: "GPU 1 fell off the bus", atMs: 23_000 });
  });

  test("is well with a note of GPUs that can't be read, until a look at all finds otherwise", () => {
    const course = new Course();
    const note = "1 of 2 GPUs can't be read";
    course.do((life, nowMs) => life.heard(OPEN, nowMs));
    course.do((life, nowMs) => life.heard({ ...READING, note }, nowMs));
    expect(course.life.state).toMatchObject({ state: "ok", message: note });
    course.do((life, nowMs) => life.heard({ ...READING, isRoll: false }, nowMs));
    expect(course.life.state).toMatchObject({ state: "ok", message: note });
    course.do((life, nowMs) => life.heard(READING, nowMs));
    expect(course.life.state).toMatchObject({ state: "ok", message: "" });
    course.do((life, nowMs) => life.heard(TROUBLE, nowMs));
    course.do((life, nowMs) => life.heard({ ...READING, isRoll: false }, nowMs));
    expect(course.life.state).toMatchObject({ state: "ok", message: "" });
  });

  test("that is silent is unresponsive, ended, then killed; the next one waits until it has ended", () => {
    const course = new Course();
    course.do((life, nowMs) => life.heard(OPEN, nowMs));
    course.do((life, nowMs) => life.heard(READING, nowMs));
    expect(course.pass(9999)).toEqual([]);
    expect(course.state).toBe("ok");
    expect(course.pass(1)).toEqual(["term"]);
    expect(course.life.state).toMatchObject({ state: "unresponsive", atMs: 15_000 });
    expect(course.life.state.message).toContain("told nothing for 10 s");
    expect(course.pass(2000)).toEqual(["kill"]);
    expect(course.pass(3_600_000)).toEqual([]);
    expect(course.life.state).toMatchObject({ state: "unresponsive", atMs: 15_000 });
    expect(course.life.state.message).toContain("can't be ended");
    // What it says after all counts no more.
    course.do((life, nowMs) => life.heard(READING, nowMs));
    expect(course.state).toBe("unresponsive");
    course.do((life, nowMs) => life.exited({ code: null, signal: "SIGKILL", lastWords: "" }, nowMs));
    expect(course.pass(999)).toEqual([]);
    expect(course.pass(1)).toEqual(["spawn"]);
    // Until the next one reads, the driver is what it was.
    expect(course.life.state).toMatchObject({ state: "unresponsive", atMs: 15_000 });
    course.do((life, nowMs) => life.heard(READING, nowMs));
    expect(course.state).toBe("ok");
  });

  test("may take long to open, which is told, and no longer than six times as long", () => {
    const course = new Course();
    expect(course.pass(10_000)).toEqual([]);
    expect(course.life.state).toMatchObject({ state: "unresponsive", atMs: 15_000 });
    expect(course.life.state.message).toBe("its probe process 100 has been opening the driver's library for 10 s");
    expect(course.pass(49_999)).toEqual([]);
    expect(course.pass(1)).toEqual(["term"]);
    expect(course.life.state.message).toBe("its probe process 100 told nothing for 60 s and is ended");
    const slow = new Course();
    slow.pass(30_000);
    slow.do((life, nowMs) => life.heard(OPEN, nowMs));
    slow.do((life, nowMs) => life.heard(READING, nowMs));
    expect(slow.state).toBe("ok");
    // Trouble: it will open again, and may take as long.
    slow.do((life, nowMs) => life.heard(TROUBLE, nowMs));
    expect(slow.pass(59_999)).toEqual([]);
    expect(slow.state).toBe("unresponsive");
    expect(slow.pass(1)).toEqual(["term"]);
  });

  test("is not called silent by who was held up himself", () => {
    const course = new Course();
    course.do((life, nowMs) => life.heard(OPEN, nowMs));
    course.do((life, nowMs) => life.heard(READING, nowMs));
    course.nowMs += 60_000;
    expect(course.do((life, nowMs) => life.wake(nowMs))).toEqual([]);
    course.do((life, nowMs) => life.heard({ type: "alive" }, nowMs));
    expect(course.pass(9999)).toEqual([]);
    course.nowMs += 60_000;
    course.do((life, nowMs) => life.wake(nowMs));
    expect(course.pass(1000)).toEqual(["term"]);
  });

  test("that crashes again and again is tried ever seldomer, up to a limit; a minute of health forgets that", () => {
    const course = new Course();
    const pauses: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      course.do((life, nowMs) => life.heard(READING, nowMs));
      course.do((life, nowMs) => life.exited(CRASH, nowMs));
      expect(course.life.state).toMatchObject({
        state: "broken",
        message: "the probe process ended by SIGSEGV: oh no",
      });
      pauses.push(course.wakeAtMs - course.nowMs);
      expect(course.pass(8000)).toContain("spawn");
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 8000, 8000]);
    for (let second = 0; second < 62; second += 1) {
      course.do((life, nowMs) => life.heard(READING, nowMs));
      course.pass(1000);
    }
    course.do((life, nowMs) => life.exited({ code: 1, signal: null, lastWords: "" }, nowMs));
    expect(course.wakeAtMs - course.nowMs).toBe(1000);
    expect(course.life.state.message).toBe("the probe process ended with code 1");
  });

  test.each([EXIT_FRESH, 0])(
    "that asks for a fresh process, or was ended by others, is followed by one (%p)",
    (code) => {
      const course = new Course();
      const fresh: Exit = { code, signal: null, lastWords: "" };
      course.do((life, nowMs) => life.heard(READING, nowMs));
      const pauses: number[] = [];
      for (let round = 0; round < 4; round += 1) {
        course.do((life, nowMs) => life.exited(fresh, nowMs));
        expect(course.state).toBe("ok");
        pauses.push(course.wakeAtMs - course.nowMs);
        course.pass(8000);
      }
      expect(pauses).toEqual([1000, 2000, 4000, 8000]);
    },
  );

  test("that babbles is ended; one that can't be started is tried again", () => {
    const course = new Course();
    expect(course.do((life, nowMs) => life.babbled("it wrote a line without an end", nowMs))).toEqual(["term"]);
    expect(course.life.state).toMatchObject({
      state: "broken",
      message: "the probe process 100 was ended: it wrote a line without an end",
    });
    course.do((life, nowMs) => life.exited({ code: 0, signal: null, lastWords: "x" }, nowMs));
    expect(course.state).toBe("broken");
    expect(course.pass(1000)).toEqual(["spawn"]);
    course.do((life, nowMs) => life.notSpawned("no memory", nowMs));
    expect(course.life.state.message).toBe("the probe process can't be started: no memory");
    expect(course.pass(2000)).toEqual(["spawn"]);
  });

  test("ends at once where nothing runs, and else with its process, at any moment", () => {
    const idle = new Course();
    idle.do((life, nowMs) => life.exited(CRASH, nowMs));
    idle.do((life, nowMs) => life.stop(nowMs));
    expect(idle.life.isOver).toBe(true);
    expect(idle.pass(100_000)).toEqual([]);
    const busy = new Course();
    expect(busy.do((life, nowMs) => life.stop(nowMs))).toEqual(["term"]);
    expect(busy.life.isOver).toBe(false);
    expect(busy.pass(2000)).toEqual(["kill"]);
    busy.do((life, nowMs) => life.exited(CRASH, nowMs));
    expect(busy.life.isOver).toBe(true);
    expect(busy.pass(100_000)).toEqual([]);
  });
});

/** Everything that can happen to a process, at random moments; what must never happen is looked for at each step. */
function world(seed: number, steps: number): void {
  const prng = new Prng(seed);
  const course = new Course();
  let alive = course.actions.length;
  let isStopped = false;
  const note = (actions: readonly LifeAction[]): void => {
    for (const action of actions) {
      if (action === "spawn") alive += 1;
      if (alive > 1) throw new Error(`two processes at once (SEED=${seed})`);
      if (action !== "spawn" && alive === 0) throw new Error(`a signal to nobody (SEED=${seed})`);
      if (action === "spawn" && isStopped) throw new Error(`started after the end (SEED=${seed})`);
    }
  };
  for (let step = 0; step < steps; step += 1) {
    const chance = prng.int(12);
    if (chance < 5) note(course.pass(prng.int(6000)));
    else if (chance < 8) note(course.do((life, nowMs) => life.heard([OPEN, READING, TROUBLE][prng.int(3)]!, nowMs)));
    else if (chance === 8) note(course.do((life, nowMs) => life.babbled("noise", nowMs)));
    else if (chance === 9 && alive > 0) {
      alive = 0;
      const code = [0, 1, EXIT_FRESH][prng.int(3)]!;
      note(course.do((life, nowMs) => life.exited({ code, signal: null, lastWords: "" }, nowMs)));
    } else if (chance === 10) {
      course.nowMs += prng.int(100_000);
      note(course.do((life, nowMs) => life.wake(nowMs)));
    } else if (prng.int(40) === 0) {
      note(course.do((life, nowMs) => life.stop(nowMs)));
      isStopped = true;
    }
    if (course.life.isAlive !== alive > 0) throw new Error(`lost sight of the process (SEED=${seed})`);
  }
  if (!isStopped) {
    // Whatever was: with a driver that works again, it is well within two pauses.
    if (alive > 0) {
      alive = 0;
      note(course.do((life, nowMs) => life.exited(CRASH, nowMs)));
    }
    note(course.pass(CONFIG.restartPauseMaxMs));
    note(course.do((life, nowMs) => life.heard(READING, nowMs)));
    if (course.state !== "ok") throw new Error(`not well again (SEED=${seed})`);
    note(course.do((life, nowMs) => life.stop(nowMs)));
  }
  note(course.pass(4000));
  if (alive > 0) note(course.do((life, nowMs) => life.exited(CRASH, nowMs)));
  if (!course.life.isOver) throw new Error(`no end (SEED=${seed})`);
}

test(`10,000 lives of random events never have two processes, and end (SEED=${SEED})`, () => {
  for (let seed = SEED; seed < SEED + 10_000; seed += 1) world(seed, 60);
});
