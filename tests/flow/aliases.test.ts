import { describe, expect, test } from "bun:test";
import { formatFault } from "../../src/base/field.ts";
import { defaultsOf, parseSection, writeSection } from "../../src/base/settings-reading.ts";
import { Aliases, aliasSettings } from "../../src/flow/aliases.ts";

const aliasesOf = (aliases: string[], fallbacks: string[] = []): Aliases => {
  const { value, faults } = parseSection(aliasSettings, { aliases, fallbacks });
  if (value === undefined) throw new Error(faults.map(formatFault).join("\n"));
  expect(writeSection(aliasSettings, value)).toEqual({ aliases, fallbacks });
  return new Aliases(value);
};

describe("aliases", () => {
  test("nothing configured is nothing to ask", () => {
    const aliases = new Aliases(defaultsOf(aliasSettings));
    expect([aliases.isEmpty, aliases.resolve("m"), aliases.fallbacks("m")]).toEqual([true, "m", []]);
  });

  test("lead to their model, through other aliases too", () => {
    const aliases = aliasesOf(["gpt-4o=default", "default=org/llama:70b=q4", "x=org/llama:70b=q4"]);
    expect(aliases.isEmpty).toBe(false);
    for (const name of ["gpt-4o", "default", "x"]) expect(aliases.resolve(name)).toBe("org/llama:70b=q4");
    expect(aliases.resolve("other")).toBe("other");
    expect([...aliases.models.keys()]).toEqual(["gpt-4o", "default", "x"]);
  });

  test("names that every object has are names", () => {
    const aliases = aliasesOf(["__proto__=m", "constructor=m"], ["toString=m"]);
    expect(["__proto__", "constructor", "valueOf"].map((name) => aliases.resolve(name))).toEqual(["m", "m", "valueOf"]);
    expect(aliases.fallbacks("toString")).toEqual(["m"]);
    expect(aliases.fallbacks("constructor")).toEqual([]);
  });
});

describe("fallbacks", () => {
  test("keep their order, know aliases, and name a model once", () => {
    const aliases = aliasesOf(["big=llama-70b", "small=llama-8b"], ["big=small,mistral,llama-8b", "mistral=big"]);
    expect(aliases.fallbacks("llama-70b")).toEqual(["llama-8b", "mistral"]);
    expect(aliases.fallbacks("mistral")).toEqual(["llama-70b"]);
    expect(aliases.fallbacks("llama-8b")).toEqual([]);
  });
});

describe("what is refused", () => {
  test.each([
    [["a"], [], 'aliases[0]: found "a"; expected ALIAS=MODEL'],
    [["=m"], [], "ALIAS=MODEL"],
    [["a="], [], "ALIAS=MODEL"],
    [["a b=m"], [], "ALIAS=MODEL"],
    [["a=m", "a=n"], [], 'aliases[1]: found "a=n"; expected each alias once'],
    [["a=a"], [], "ends at a model"],
    [["a=b", "b=c", "c=a", "d=a"], [], 'aliases[3]: found "d=a"; expected a chain of at most 8'],
    [Array.from({ length: 9 }, (_, i) => `a${i}=a${i + 1}`), [], 'aliases[0]: found "a0=a1"; expected a chain'],
    [[], ["m"], "MODEL=OTHER"],
    [[], ["m="], "MODEL=OTHER"],
    [[], ["m=a,,b"], "MODEL=OTHER"],
    [[], [`m=${"a,".repeat(8)}a`], "at most 8 others"],
    [[], ["m=a,m"], "other models than the one"],
    [["x=m"], ["m=x"], "other models than the one"],
    [["x=m"], ["m=a", "x=b"], 'fallbacks[1]: found "x=b"; expected each model once'],
  ])("%j %j", (aliases, fallbacks, why) => {
    const { faults = [] } = parseSection(aliasSettings, { aliases, fallbacks });
    expect(faults.map(formatFault).join("\n")).toContain(why);
  });

  test("a chain of eight is none of it", () => {
    const aliases = aliasesOf(Array.from({ length: 8 }, (_, i) => `a${i}=a${i + 1}`));
    expect(aliases.resolve("a0")).toBe("a8");
  });

  test("what is no text", () => {
    expect(parseSection(aliasSettings, { aliases: [1], fallbacks: [{}] }).faults?.length).toBe(2);
  });
});
