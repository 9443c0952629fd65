/** Strategies of users: WebAssembly's door, and the guard around whatever they are. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type FaultKind, GuardedStrategy } from "../../src/score/guarded-strategy.ts";
import { arrivalStrategy } from "../../src/score/strategies.ts";
import { type Strategy, TargetView } from "../../src/score/view.ts";
import { WASM_COLUMNS, wasmStrategies } from "../../src/score/wasm-strategy.ts";
import { CHOOSES, wasm } from "./wasm-modules.ts";

const WANTED = { promptTokens: 100 };

function view(...routable: readonly number[]): TargetView {
  const made = new TargetView(routable.length);
  made.routable.set(routable);
  made.secondsPerPrefillToken.fill(0.001);
  return made;
}

describe("a module of WebAssembly", () => {
  test("chooses by what is written into its memory", () => {
    const one = wasmStrategies(wasm(CHOOSES.last), "last.wasm")();
    expect(one.name).toBe("last.wasm");
    expect(one.choose(view(1, 1, 1, 1), WANTED, 0)).toBe(3);
    expect(one.choose(view(1, 1, 0, 0), WANTED, 0)).toBe(1);
    expect(one.choose(view(0, 0), WANTED, 0)).toBe(-1);
    // More than were reserved for at first.
    const many = view(...Array.from({ length: 300 }, (_, target) => (target === 7 ? 1 : 0)));
    expect(one.choose(many, WANTED, 0)).toBe(7);
    one.observe!(0, 5, 1);
    one.forget!(0);
  });

  test("is refused with the reason", () => {
    const why = (bytes: Uint8Array): string => {
      try {
        wasmStrategies(bytes, "x")();
        return "";
      } catch (error) {
        return error instanceof Error ? error.message : "";
      }
    };
    expect(why(wasm(CHOOSES.first, { imports: true }))).toBe("it imports env.now; a strategy imports nothing");
    expect(why(wasm(CHOOSES.first, { isWhole: false }))).toBe("it exports no function choose");
    expect(why(wasm(CHOOSES.first, { abi: 9 }))).toBe("its infermesh_abi is 9; this version knows 1");
    expect(why(Uint8Array.from([1, 2, 3]))).not.toBe("");
  });

  test("that is garbage is refused, whatever it is", () => {
    const good = wasm(CHOOSES.last);
    const place = fc.nat(good.length - 1);
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.constant(good)),
        place,
        fc.nat(255),
        (bytes, at, byte) => {
          const changed = Uint8Array.from(bytes);
          changed[at] = byte;
          let one: Strategy;
          try {
            one = wasmStrategies(changed, "x")();
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            return;
          }
          // What still is a module: whatever it answers, the guard has an answer. One that loops for ever is not made by this.
          if (at < good.length - 60) expect(one.name).toBe("x");
        },
      ),
      { numRuns: 300 },
    );
  });

  test("that answers a place outside of its memory has its fault, and writes nowhere", () => {
    const one = wasmStrategies(wasm(CHOOSES.first, { at: 65_530 }), "x")();
    expect(() => one.choose(view(1, 1), WANTED, 0)).toThrow("of its memory do not lie at a multiple of 8");
    const odd = wasmStrategies(wasm(CHOOSES.first, { at: 1025 }), "x")();
    expect(() => odd.choose(view(1), WANTED, 0)).toThrow("at a multiple of 8");
  });

  test("columns are those that are documented", async () => {
    const docs = await Bun.file(new URL("../../docs/strategies.md", import.meta.url)).text();
    for (const [column, name] of WASM_COLUMNS.entries()) {
      expect(docs).toMatch(new RegExp(`^\\| ${column} +\\| \`${name}\` `, "m"));
    }
  });
});

describe("the guard", () => {
  function bed(choose: Strategy["choose"], faultsMax = 3, budgetMs = 1) {
    const faults: FaultKind[] = [];
    const said: string[] = [];
    let now = 0;
    const user: Strategy = { name: "mine", needsPrefixes: true, needsFigures: true, choose };
    const guarded = new GuardedStrategy(
      user,
      arrivalStrategy("ttft", 1),
      { budgetMs, faultsMax },
      { fault: (kind) => faults.push(kind), disabled: (why) => said.push(why) },
      () => now,
    );
    const pass = (ms: number): void => void (now += ms);
    return { guarded, faults, said, pass };
  }

  test("takes what is right, and asks ttft where it is left to it", () => {
    const { guarded, faults } = bed(({ count }) => (count === 2 ? 1 : -1));
    expect(guarded.choose(view(1, 1), WANTED, 0)).toBe(1);
    expect(guarded.choose(view(0, 0, 1), WANTED, 0)).toBe(2);
    expect(faults).toEqual([]);
  });

  test.each<[FaultKind, Strategy["choose"]]>([
    [
      "threw",
      () => {
        throw new Error("oh");
      },
    ],
    ["invalid", () => 5],
    ["invalid", () => 0],
    ["invalid", () => NaN],
    ["invalid", () => 0.5],
    ["invalid", () => "1" as unknown as number],
  ])("%s: ttft chooses, it is counted, and after so many it is asked no more", (kind, choose) => {
    let asked = 0;
    const { guarded, faults, said } = bed((...of) => {
      asked += 1;
      return choose(...of);
    });
    for (let count = 0; count < 5; count += 1) expect(guarded.choose(view(0, 1), WANTED, 0)).toBe(1);
    expect(faults).toEqual([kind, kind, kind]);
    expect(asked).toBe(3);
    expect(guarded.isDisabled).toBe(true);
    expect(said).toHaveLength(1);
    expect(said[0]).toStartWith("after 3 faults, the last one: ");
  });

  test("slow: what took longer than the budget is left aside", () => {
    const one = bed(() => {
      one.pass(2);
      return 0;
    });
    expect(one.guarded.choose(view(1, 1), { ...WANTED }, 0)).toBeGreaterThanOrEqual(0);
    expect(one.faults).toEqual(["slow"]);
    expect(one.guarded.ask(view(1, 1), WANTED, 0)).toBe(-1);
  });

  test("what throws as it is told of first tokens is a fault too", () => {
    const { guarded, faults } = bed(() => 0);
    guarded.observe(0, 1, 1);
    const bad = new GuardedStrategy(
      {
        name: "bad",
        needsPrefixes: false,
        needsFigures: false,
        choose: () => 0,
        observe: () => {
          throw new Error("no");
        },
      },
      arrivalStrategy("ttft", 1),
      { budgetMs: 1, faultsMax: 9 },
      { fault: (kind) => faults.push(kind), disabled() {} },
      () => 0,
    );
    bad.observe(0, 1, 1);
    bad.forget(0);
    expect(faults).toEqual(["threw"]);
  });

  test("a thousand good choices make up for a fault", () => {
    let bad = false;
    const { guarded, said } = bed(() => (bad ? 9 : 0), 2);
    for (let round = 0; round < 5; round += 1) {
      bad = true;
      guarded.choose(view(1), WANTED, 0);
      bad = false;
      for (let count = 0; count < 1000; count += 1) guarded.choose(view(1), WANTED, 0);
    }
    expect(said).toEqual([]);
  });
});
