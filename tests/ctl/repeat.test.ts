/** What of a watched table fits on a screen. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fitted } from "../../src/ctl/repeat.ts";
import { ControlBed, ctl } from "./control-bed.ts";

// eslint-disable-next-line no-control-regex
const bare = (text: string): string => text.replaceAll(/\x1b\[[0-9;]*m/g, "");

test.each<[string, string, number, number, string]>([
  ["what fits stays as it is", "ab\ncd\n", 2, 3, "ab\ncd\n"],
  ["lines are cut at the width", "abc\ncd\n", 2, 9, "ab\ncd\n"],
  ["colours take no room, and end with the line", "\x1b[32mabc\x1b[0m d\n", 2, 9, "\x1b[32mab\x1b[0m\n"],
  ["a colour that ended is left alone", "\x1b[32mab\x1b[0m d\n", 3, 9, "\x1b[32mab\x1b[0m \n"],
  ["too many lines are told", "a\nb\nc\nd\n", 60, 4, "a\nb\n... 2 more lines, for which the screen is too small\n"],
])("%s", (_name, text, columns, lines, shown) => {
  expect(fitted(text, { columns, lines })).toBe(shown);
});

test("no text is wider or longer than the screen, and what is shown is its beginning", () => {
  const parts = fc.array(fc.constantFrom("a", "é", "🙂", "\x1b[32m", "\x1b[0m", "\n", "words "), { maxLength: 60 });
  fc.assert(
    fc.property(parts, fc.integer({ min: 3, max: 20 }), fc.integer({ min: 3, max: 12 }), (some, columns, lines) => {
      const text = some.join("");
      const rows = fitted(text, { columns, lines }).split("\n").slice(0, -1);
      expect(rows.length).toBeLessThan(lines);
      const all = text.split("\n");
      for (const [at, row] of rows.entries()) {
        expect(Array.from(bare(row)).length).toBeLessThanOrEqual(columns);
        if (!row.startsWith("...")) expect(bare(all[at] ?? "")).toStartWith(bare(row));
      }
    }),
  );
});

describe("--watch on a terminal", () => {
  let bed: ControlBed;
  beforeAll(() => {
    bed = new ControlBed();
  });
  afterAll(() => bed.stop());

  test("draws what fits, from the top", async () => {
    bed.answers.set("ListPins", () => ({ policies: [{ kind: "pin", name: "m", pin: {}, revision: "1" }] }));
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = ctl(bed.endpoint, ["list-pins", "--watch"], {
      size: { columns: 12, lines: 24 },
      onOut: () => resolve(),
    });
    await promise;
    process.emit("SIGINT");
    expect((await running).out).toBe("\x1b[H\x1b[JMODEL  REVIS\nm      -    \n");
  });
});
