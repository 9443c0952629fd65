import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { Bed, entry, removeAll } from "../store/log-bed.ts";
import { EXECUTABLE, ownEnvironment } from "./harness.ts";

afterAll(removeAll);

function inspect(...args: string[]): { code: number; out: string; err: string } {
  const done = Bun.spawnSync([EXECUTABLE, "agent", "inspect-store", ...args], { env: ownEnvironment() });
  return { code: done.exitCode, out: done.stdout.toString(), err: done.stderr.toString() };
}

describe("infermesh agent inspect-store", () => {
  test("shows a log, its entries, and that it is damaged", () => {
    const bed = new Bed();
    for (let number = 1; number <= 3; number += 1) bed.write({ number, entries: [entry(number)] });
    const whole = inspect(bed.path, "--output", "json");
    expect(whole).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(whole.out)).toMatchObject({ health: "ok", entries: { first: 1, last: 3, count: 3 } });
    const lines = inspect(bed.path, "--entries", "2").out.trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual([2, 3]);
    bed.keeper.close();
    const { database } = bed.files();
    const at = Buffer.from(database!).indexOf("entry 2");
    writeFileSync(bed.path, database!.fill(0x45, at, at + 1));
    const damaged = inspect(bed.path);
    expect(damaged.code).toBe(1);
    expect(damaged.err).toContain("What to do");
    expect(inspect(`${bed.path}-none`)).toMatchObject({ code: 1, out: "" });
    expect(inspect()).toMatchObject({ code: 2 });
  });
});
