import { expect, test } from "bun:test";
import { type Outcome, Pacer } from "../../src/mesh/pacer.ts";

/** A pacer under a clock and a kernel that the test moves. */
function bed(burst: number, queueMax: number) {
  const made = {
    nowMs: 0,
    outcome: "sent" as Outcome,
    sent: [] as string[],
    timers: [] as (() => void)[],
    /** A millisecond passes. */
    tick(): void {
      made.nowMs += 1;
      for (const run of made.timers.splice(0)) run();
    },
  };
  const pacer = new Pacer<string>({
    burst,
    queueMax,
    nowMs: () => made.nowMs,
    setTimer: (run) => void made.timers.push(run),
    send(item) {
      if (made.outcome === "sent") made.sent.push(item);
      return made.outcome;
    },
  });
  return { pacer, made };
}

test("a few go at once, many at a pace, in order", () => {
  const { pacer, made } = bed(3, 100);
  for (let n = 0; n < 10; n++) expect(pacer.push(String(n), "urgent")).toBe(true);
  const after: number[] = [];
  for (; pacer.waiting > 0; made.tick()) after.push(made.sent.length);
  expect(after).toEqual([3, 6, 9]);
  expect(made.sent.join("")).toBe("0123456789");
  expect(made.timers).toHaveLength(0);
  // The tick that has just begun has a budget of its own.
  made.tick();
  pacer.push("a", "urgent");
  expect(made.sent.at(-1)).toBe("a");
});

test("urgent ones overtake bulky ones", () => {
  const { pacer, made } = bed(2, 100);
  for (const item of ["a", "b", "c", "d"]) pacer.push(item, "bulk");
  for (const item of ["1", "2", "3"]) pacer.push(item, "urgent");
  while (pacer.waiting > 0) made.tick();
  expect(made.sent.join("")).toBe("ab123cd");
});

test("the queue has an end", () => {
  const { pacer, made } = bed(1, 4);
  const taken = Array.from({ length: 8 }, (_, n) => pacer.push(String(n), n % 2 === 0 ? "urgent" : "bulk"));
  expect(taken).toEqual([true, true, true, true, true, false, false, false]);
  expect(pacer.waiting).toBe(4);
  pacer.clear();
  made.tick();
  expect(made.sent).toEqual(["0"]);
});

test("a kernel without room makes them wait; a failure does not", () => {
  const { pacer, made } = bed(2, 100);
  made.outcome = "busy";
  for (const item of ["a", "b", "c"]) pacer.push(item, "urgent");
  made.tick();
  expect(pacer.waiting).toBe(3);
  made.outcome = "sent";
  pacer.pump();
  expect(made.sent.join("")).toBe("ab");
  made.outcome = "failed";
  made.tick();
  expect(pacer.waiting).toBe(0);
});

test("thousands in line", () => {
  const { pacer, made } = bed(700, 5000);
  for (let n = 0; n < 5000; n++) pacer.push(String(n), "urgent");
  while (pacer.waiting > 0) made.tick();
  expect(made.sent).toEqual(Array.from({ length: 5000 }, (_, n) => String(n)));
});
