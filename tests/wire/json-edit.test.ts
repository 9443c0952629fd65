import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { JsonEditor } from "../../src/wire/json-edit.ts";
import type { JsonEdit } from "../../src/wire/json-edit.ts";
import { placed } from "./pieces.ts";

/** Edits in the middle of other bytes; the result as text, or what is wrong. */
function edited(text: string, edits: readonly JsonEdit[], model?: string): string {
  const bytes = Buffer.from(text);
  const editor = new JsonEditor(edits, model !== undefined);
  const name = model === undefined ? null : Buffer.from(JSON.stringify(model));
  const result = editor.edit(placed(bytes, bytes.length, 3, 0x22), 3, 3 + bytes.length, name);
  if (result === "bad") return `${editor.position}: ${editor.reason}`;
  return result === "same" ? text : Buffer.from(editor.take()).toString();
}

const set = (field: string, value: unknown): JsonEdit => ({ edit: "set", field, json: JSON.stringify(value) });
const fallback = (field: string, value: unknown): JsonEdit => ({ edit: "default", field, json: JSON.stringify(value) });
const remove = (field: string): JsonEdit => ({ edit: "remove", field });
const max = (field: string, limit: number): JsonEdit => ({ edit: "max", field, limit });
const min = (field: string, limit: number): JsonEdit => ({ edit: "min", field, limit });
const message = (text: string, when: "always" | "absent" = "always"): JsonEdit => ({
  edit: "message",
  field: "messages",
  text,
  when,
});
const prefix = (text: string, when: "always" | "absent" = "always"): JsonEdit => ({
  edit: "prefix",
  field: "system",
  text,
  when,
});

describe("one edit", () => {
  test.each<[string, JsonEdit[], string]>([
    ['{"a":1}', [], '{"a":1}'],
    ['{"a":1}', [set("a", 1)], '{"a":1}'],
    ['{ "a" : 1 , "b":2}', [set("a", "x")], '{ "a" : "x" , "b":2}'],
    ['{"a":1,"b":2,"a":3}', [set("a", 5)], '{"a":5,"b":2,"a":5}'],
    ['{"a":1}', [set("b", [true])], '{"a":1,"b":[true]}'],
    ["{}", [set("b", null)], '{"b":null}'],
    [" { \n } ", [set("b", 1), set("c", 2)], ' {"b":1,"c":2 \n } '],
    ['{"\\u0061":1}', [set("a", 2)], '{"\\u0061":2}'],
    ['{"\\ud800":1}', [set("\ud800", 2)], '{"\\ud800":2}'],
    ['{"aa":1,"A":2}', [set("a", 3)], '{"aa":1,"A":2,"a":3}'],
    ['{"x":{"a":1},"y":["a"]}', [set("a", 3)], '{"x":{"a":1},"y":["a"],"a":3}'],
    ['{"__proto__":1}', [set("__proto__", 2)], '{"__proto__":2}'],

    ['{"a":1}', [fallback("a", 9)], '{"a":1}'],
    ['{"a":null}', [fallback("a", 9)], '{"a":9}'],
    ['{"b":1}', [fallback("a", 9)], '{"b":1,"a":9}'],
    ['{"a":null,"a":2}', [fallback("a", 9)], '{"a":9,"a":2}'],

    ['{"a":1}', [remove("a")], "{}"],
    ['{ "a" : 1 }', [remove("a")], "{  }"],
    ['{"a":1,"b":2}', [remove("a")], '{"b":2}'],
    ['{"a":1 , "b":2}', [remove("b")], '{"a":1}'],
    ['{"a":1,"b":2,"c":3}', [remove("b")], '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', [remove("a"), remove("b")], '{"c":3}'],
    ['{"a":1,"b":2,"c":3}', [remove("b"), remove("c")], '{"a":1}'],
    ['{"a":1,"b":2,"a":3}', [remove("a")], '{"b":2}'],
    ['{"a":1,"b":2}', [remove("a"), remove("b")], "{}"],
    ['{"a":1,"b":2}', [remove("a"), remove("b"), set("c", 3)], '{"c":3}'],
    ['{"a":1,"b":2}', [remove("b"), set("c", 3)], '{"a":1,"c":3}'],
    ['{"a":1,"b":2}', [remove("a"), fallback("a", 7)], '{"b":2,"a":7}'],
    ['{"a":1,"b":2}', [remove("a"), set("a", 7)], '{"b":2,"a":7}'],

    ['{"n":5}', [max("n", 10)], '{"n":5}'],
    ['{"n":50}', [max("n", 10)], '{"n":10}'],
    ['{"n":1e400}', [max("n", 10)], '{"n":10}'],
    ['{"n":-5.5}', [min("n", 0)], '{"n":0}'],
    ['{"n":"99"}', [max("n", 10)], '{"n":10}'],
    ['{"n":true}', [min("n", 1)], '{"n":1}'],
    ['{"n":[1]}', [min("n", 1), max("n", 3)], '{"n":3}'],
    ['{"n":null}', [max("n", 10)], '{"n":null}'],
    ['{"n":null}', [fallback("n", 50), max("n", 10)], '{"n":10}'],
    ["{}", [max("n", 10)], "{}"],
    ["{}", [max("n", 10), fallback("n", 50)], '{"n":10}'],
    ['{"n":50,"n":60}', [max("n", 10)], '{"n":10,"n":10}'],
    ['{"n":5}', [max("n", 10), max("n", 3), min("n", 1)], '{"n":3}'],
    ['{"n":1}', [set("n", 99), max("n", 3)], '{"n":3}'],

    ['{"messages":[]}', [message("Be\nkind")], '{"messages":[{"role":"system","content":"Be\\nkind"}]}'],
    [
      '{"messages":[ {"role":"user"}]}',
      [message("S")],
      '{"messages":[{"role":"system","content":"S"}, {"role":"user"}]}',
    ],
    ['{"messages":null}', [message("S")], '{"messages":null}'],
    ['{"messages":"x"}', [message("S")], '{"messages":"x"}'],
    ["{}", [message("S")], "{}"],
    ['{"messages":[{"role":"system"}]}', [message("S", "absent")], '{"messages":[{"role":"system"}]}'],
    ['{"messages":[1,{"role":"developer"}]}', [message("S", "absent")], '{"messages":[1,{"role":"developer"}]}'],
    [
      '{"messages":[{"content":"system","role":"user"} ,{"role":[{}]},"role", []]}',
      [message("S", "absent")],
      '{"messages":[{"role":"system","content":"S"},{"content":"system","role":"user"} ,{"role":[{}]},"role", []]}',
    ],
    ['{"messages":[{"role":"s\\u0079stem"}]}', [message("S", "absent")], '{"messages":[{"role":"s\\u0079stem"}]}'],

    ['{"system":"x"}', [prefix('S"')], '{"system":"S\\"\\n\\nx"}'],
    ['{"system":"x"}', [prefix("S", "absent")], '{"system":"x"}'],
    ['{"system":null}', [prefix("S", "absent")], '{"system":"S"}'],
    ["{}", [prefix("S")], '{"system":"S"}'],
    ["{}", [prefix("S"), fallback("system", "D")], '{"system":"S"}'],
    [
      '{"system":[{"type":"text","text":"x"}]}',
      [prefix("S")],
      '{"system":[{"type":"text","text":"S"},{"type":"text","text":"x"}]}',
    ],
    ['{"system":[]}', [prefix("S")], '{"system":[{"type":"text","text":"S"}]}'],
    ['{"system":[]}', [prefix("S", "absent")], '{"system":[]}'],
    ['{"system":5}', [prefix("S")], '{"system":5}'],
  ])("%s %j", (text, edits, expected) => {
    const result = edited(text, edits);
    expect(result).toBe(expected);
    JSON.parse(result);
  });

  test("the model's name, which only some requests replace", () => {
    expect(edited('{"model":"a","m":"a"}', [], "org/b")).toBe('{"model":"org/b","m":"a"}');
    expect(edited('{"mod\\u0065l":"a","model":"c"}', [], "b")).toBe('{"mod\\u0065l":"b","model":"b"}');
    expect(edited("{}", [], "b")).toBe('{"model":"b"}');
    const editor = new JsonEditor([remove("x")], true);
    const body = Buffer.from('{"model":"a"}');
    expect(editor.edit(body, 0, body.length, Buffer.from('"b"'))).toBe("edited");
    expect(Buffer.from(editor.take()).toString()).toBe('{"model":"b"}');
    expect(editor.take().length).toBe(0);
    expect(editor.edit(body, 0, body.length)).toBe("same");
    expect(editor.edit(body, 0, body.length, Buffer.from('"a"'))).toBe("same");
  });

  test("more members than there was room for", () => {
    const body = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, i]));
    expect(JSON.parse(edited(JSON.stringify(body), [remove("k0"), set("k99", "x")]))).toEqual({
      ...Object.fromEntries(Object.entries(body).slice(1)),
      k99: "x",
    });
  });

  test("of limits that leave no value the upper one holds", () => {
    expect(edited('{"n":1}', [min("n", 5), max("n", 4)])).toBe('{"n":4}');
    expect(edited('{"n":9}', [min("n", 5), max("n", 4)])).toBe('{"n":4}');
  });
});

describe("bad bodies", () => {
  test.each([
    ["", 0, "the body is empty, and there it ends"],
    ["  ", 2, "the body is empty"],
    ["\ufeff{}", 0, "byte order mark"],
    ["[]", 0, "expected an object"],
    ["{} x", 3, "nothing after"],
    ["{", 1, "expected a key, and there it ends"],
    ['{"a"', 4, "a colon"],
    ['{"a":', 5, "a value"],
    ['{"a":1', 6, "a comma or the end of the object"],
    ['{"a":1,}', 7, "a key"],
    ["{a:1}", 1, "a key"],
    ["{,}", 1, "a key"],
    ['{"a":[1,]}', 8, "a value"],
    ['{"a":[1 2]}', 8, "a comma or the end of the array"],
    ['{"a":{"b":1,}}', 12, "a key"],
    ['{"a":{"b"}}', 9, "a colon"],
    ['{"a":{1:2}}', 6, "a key"],
    ['{"a":[}', 6, "a value"],
    ['{"a":[1}', 7, "end of the array"],
    ['{"a":tru}', 8, "expected true"],
    ['{"a":nul', 8, "expected null"],
    ['{"a":01}', 6, "zero in front"],
    ['{"a":-}', 6, "a digit"],
    ['{"a":1.}', 7, "a digit"],
    ['{"a":1e}', 7, "a digit"],
    ['{"a":1e+}', 8, "a digit"],
    ['{"a":+1}', 5, "a value"],
    ['{"a":.5}', 5, "a value"],
    ['{"a":NaN}', 5, "a value"],
    ['{"a":1%}', 6, "a comma"],
    ['{"a":"x', 7, "end of a string"],
    ['{"a":"x\n"}', 7, "raw control"],
    ['{"a":"\\q"}', 7, "invalid escape"],
    ['{"a":"\\', 7, "invalid escape"],
    ['{"a":"\\u12g4"}', 10, "hexadecimal"],
    ['{"a\u0001":1}', 3, "raw control"],
    [`{"a":${"[".repeat(513)}`, 517, "nested deeper"],
  ])("%j", (text, position, reason) => {
    const result = edited(text, [set("z", 1)]);
    expect(result).toStartWith(`${position}: invalid JSON at byte ${position}: `);
    expect(result).toContain(reason);
  });

  test("512 levels are enough for anybody", () => {
    const text = `{"a":${"[".repeat(512)}${"]".repeat(512)}}`;
    expect(edited(text, [set("b", 1)])).toBe(`${text.slice(0, -1)},"b":1}`);
  });

  test("a string that is not UTF-8", () => {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3]), Buffer.from('"}')]);
    const editor = new JsonEditor([set("z", 1)]);
    expect(editor.edit(body, 0, body.length)).toBe("bad");
    expect(editor.reason).toContain("well-formed UTF-8");
  });
});

describe("against JSON.parse", () => {
  const fields = ["a", "b", "n", "messages", "system", "model"] as const;
  const key = fc.oneof(fc.constantFrom(...fields), fc.string({ unit: "grapheme", maxLength: 3 }));
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.integer({ min: -50, max: 50 }),
    fc.constant(null),
    fc.array(fc.record({ role: fc.constantFrom("user", "system", "developer") }), { maxLength: 3 }),
  );
  const members = fc.array(fc.tuple(key, value), { maxLength: 8 });
  const blank = fc.constantFrom("", " ", "\n\t", "\r ");
  const plain = fc.constantFrom("a", "b", "n");
  const edit: fc.Arbitrary<JsonEdit> = fc.oneof(
    plain.map(remove),
    fc.tuple(plain, fc.jsonValue({ maxDepth: 1 })).map(([field, to]) => set(field, to)),
    fc.tuple(plain, fc.jsonValue({ maxDepth: 1 })).map(([field, to]) => fallback(field, to)),
    fc.integer({ min: 0, max: 9 }).map((limit) => max("n", limit)),
    fc.integer({ min: -9, max: 0 }).map((limit) => min("n", limit)),
    fc.constantFrom("always" as const, "absent" as const).map((when) => message("S", when)),
    fc.constantFrom("always" as const, "absent" as const).map((when) => prefix("S", when)),
  );

  /** The edits on values, in the promised order. */
  function expectedOf(body: Record<string, unknown>, edits: readonly JsonEdit[]): unknown {
    const result = new Map(Object.entries(body));
    const of = <K extends JsonEdit["edit"]>(kind: K) =>
      edits.filter((one): one is Extract<JsonEdit, { edit: K }> => one.edit === kind);
    for (const { field } of of("remove")) result.delete(field);
    for (const one of edits) if (one.edit === "set") result.set(one.field, JSON.parse(one.json));
    const defaults = new Map(edits.flatMap((one) => (one.edit === "default" ? [[one.field, one.json] as const] : [])));
    for (const [field, json] of defaults) {
      if ((result.get(field) ?? null) === null && !edits.some((one) => one.edit === "set" && one.field === field)) {
        result.set(field, JSON.parse(json));
      }
    }
    const top = Math.min(Infinity, ...of("max").map(({ limit }) => limit));
    const bottom = Math.max(-Infinity, ...of("min").map(({ limit }) => limit));
    const n = result.get("n") ?? null;
    if (top < Infinity || bottom > -Infinity) {
      const configured = edits.some((one) => one.edit === "set" && one.field === "n");
      const given = Object.hasOwn(body, "n") && !of("remove").some(({ field }) => field === "n");
      const fromClient = given && body["n"] !== null && !configured;
      if (typeof n === "number") result.set("n", n > top ? top : n < bottom ? bottom : n);
      else if (n !== null && fromClient) result.set("n", top < Infinity ? top : bottom);
    }
    const told = of("message").at(-1);
    const messages = result.get("messages");
    if (told !== undefined && Array.isArray(messages)) {
      const has = messages.some(
        (one: unknown) =>
          typeof one === "object" && one !== null && ["system", "developer"].includes((one as { role: string }).role),
      );
      if (told.when === "always" || !has) result.set("messages", [{ role: "system", content: "S" }, ...messages]);
    }
    const put = of("prefix").at(-1);
    const system = result.get("system") ?? null;
    if (put !== undefined) {
      if (system === null) result.set("system", "S");
      else if (put.when === "always" && typeof system === "string") result.set("system", `S\n\n${system}`);
      else if (put.when === "always" && Array.isArray(system)) {
        result.set("system", [{ type: "text", text: "S" }, ...(system as unknown[])]);
      }
    }
    return Object.fromEntries(result);
  }

  function written(list: readonly (readonly [string, unknown])[], gaps: readonly string[], ascii: boolean): string {
    let gap = 0;
    const next = () => gaps[gap++ % gaps.length] ?? "";
    const inside = list.map(
      ([name, one]) => `${next()}${JSON.stringify(name)}${next()}:${next()}${JSON.stringify(one)}`,
    );
    const text = `${next()}{${inside.join(`${next()},`)}${next()}}${next()}`;
    return ascii ? text.replace(/[^ -~\s]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`) : text;
  }

  test("edits of any object mean what they mean on its values", () => {
    fc.assert(
      fc.property(
        members,
        fc.array(edit, { maxLength: 5 }),
        fc.array(blank, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (list, edits, gaps, ascii) => {
          const text = written(list, gaps, ascii);
          const result = edited(text, edits);
          expect(JSON.parse(result)).toEqual(expectedOf(JSON.parse(text) as Record<string, unknown>, edits));
          if (edits.length === 0) expect(result).toBe(text);
        },
      ),
      { numRuns: 3000, seed: 11 },
    );
  });

  test("what JSON.parse refuses is refused, and what it takes is taken", () => {
    const damaged = fc.tuple(members, fc.nat(), fc.constantFrom("", ",", '"', "}", "]", "0", "e", "\\", "\u0001", ":"));
    fc.assert(
      fc.property(damaged, fc.boolean(), ([list, place, what], drop) => {
        const text = JSON.stringify(Object.fromEntries(list));
        const at = place % (text.length + 1);
        const changed = text.slice(0, at) + what + text.slice(drop ? at + 1 : at);
        let isObject = false;
        try {
          const parsed: unknown = JSON.parse(changed);
          isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
        } catch {
          isObject = false;
        }
        // A surrogate that is cut in two is written as a replacement character: still the same on both sides.
        expect(/^\d+: invalid JSON/.test(edited(changed, []))).toBe(!isObject);
      }),
      { numRuns: 3000, seed: 12 },
    );
  });
});
