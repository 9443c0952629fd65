import { describe, expect, test } from "bun:test";
import { changesBetween, mergedBy } from "../../src/base/settings-changes.ts";
import { list } from "../../src/base/settings-collections.ts";
import { parseSection } from "../../src/base/settings-reading.ts";
import { type Infer, duration, integer, section, text } from "../../src/base/settings.ts";

const settings = section({
  name: text({ default: "a", doc: "A name." }),
  token: text({ default: "", secret: true, doc: "A secret." }),
  models: list(text({}), { default: [], doc: "Some." }),
  fleet: section({
    pollMs: duration({ default: "5s", doc: "A pause." }),
    max: integer({ default: 3, doc: "A count." }),
  }),
});

function read(raw: object): Infer<typeof settings> {
  const parsed = parseSection(settings, raw);
  if (parsed.value === undefined) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
}

describe("changes between configurations", () => {
  test("are told by the names and forms that people write", () => {
    const before = read({});
    const after = read({ name: "b", models: ["m"], fleet: { poll: "1500ms" } });
    expect(changesBetween(settings, before, before)).toEqual([]);
    expect(changesBetween(settings, before, read({}))).toEqual([]);
    expect(changesBetween(settings, before, after)).toEqual([
      { path: "name", from: '"a"', to: '"b"' },
      { path: "models", from: "[]", to: '["m"]' },
      { path: "fleet.poll", from: '"5s"', to: '"1s500ms"' },
    ]);
  });

  test("never show a secret, and are short whatever the values are", () => {
    const changes = changesBetween(
      settings,
      read({ token: "old-one" }),
      read({ token: "new-one", name: "n".repeat(900) }),
    );
    expect(changes.find(({ path }) => path === "token")).toEqual({ path: "token", from: "(hidden)", to: "(hidden)" });
    expect(JSON.stringify(changes)).not.toContain("-one");
    expect(JSON.stringify(changes).length).toBeLessThan(400);
  });
});

describe("a merged configuration", () => {
  const before = read({});
  const after = read({ name: "b", token: "t", fleet: { poll: "1s", max: 9 } });

  test("has the new values where they are taken, and the old ones elsewhere", () => {
    const merged = mergedBy(settings, before, after, (path) => path === "name" || path === "fleet.poll");
    expect(merged).toEqual({ ...before, name: "b", fleet: { pollMs: 1000, max: 3 } });
    expect(mergedBy(settings, before, after, () => true)).toEqual(after);
    expect(mergedBy(settings, before, after, () => false)).toEqual(before);
  });

  test("is frozen, and keeps what is no setting", () => {
    const resolved = { ...before, cores: 8 };
    const merged = mergedBy(settings, resolved, after, () => true);
    expect(merged).toEqual({ ...after, cores: 8 } as never);
    expect(Object.isFrozen(merged) && Object.isFrozen(merged.fleet)).toBe(true);
  });
});
