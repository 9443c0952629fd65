import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BodyFields } from "../../src/wire/json-field.ts";

const KEYS = [
  ["tools", "functions"],
  ["system", "instructions"],
  ["messages", "prompt", "input", "inputs", "contents"],
];

/** The parts of a body as they stand in it, "" where there is none. */
function partsOf(body: string, cuts: readonly number[] = []): string[] {
  const bytes = Buffer.from(body);
  const fields = new BodyFields();
  const stops = [...new Set(cuts.map((cut) => cut % bytes.length))].toSorted((a, b) => a - b);
  let at = 0;
  for (const stop of [...stops, bytes.length]) {
    fields.push(bytes, at, stop);
    at = stop;
  }
  expect(fields.finish()).toBe("done");
  const { starts, ends } = fields.parts;
  const parts = KEYS.map((_, part) => (starts[part]! < 0 ? "" : bytes.toString("utf8", starts[part], ends[part])));
  expect(fields.parts.bytes).toBe(fields.promptBytes);
  return parts;
}

describe("the parts of a prompt", () => {
  test("lie where their values do, whatever their order", () => {
    const body = `{"messages": [{"role":"user"}] ,"model":"m","instructions":"be \\"kind\\"","tools":[{}],"n":1}`;
    expect(partsOf(body)).toEqual(["[{}]", '"be \\"kind\\""', '[{"role":"user"}]']);
    expect(partsOf('{"model":"m"}')).toEqual(["", "", ""]);
  });

  test("are found the same in any pieces, of any values", () => {
    const member = fc.tuple(fc.constantFrom(...KEYS.flat()), fc.jsonValue());
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([key]) => key }), fc.array(fc.nat()), (members, cuts) => {
        const one = members.filter(([key], at) => {
          const part = KEYS.findIndex((keys) => keys.includes(key));
          return members.findIndex(([other]) => KEYS[part]?.includes(other) === true) === at;
        });
        const body = JSON.stringify({ model: "m", ...Object.fromEntries(one) });
        const expected = KEYS.map((keys) => {
          const found = one.find(([key]) => keys.includes(key));
          return found === undefined ? "" : JSON.stringify(found[1]);
        });
        expect(partsOf(body, cuts)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("of two of a kind the last counts, and a part that has not ended says so", () => {
    expect(partsOf('{"model":"m","prompt":"a","prompt":"bc"}')[2]).toBe('"bc"');
    const fields = new BodyFields();
    const bytes = Buffer.from('{"model":"m","prompt":"abc');
    expect(fields.push(bytes, 0, bytes.length)).toBe("more");
    expect([fields.parts.starts[2], fields.parts.ends[2]]).toEqual([22, -1]);
    fields.reset();
    expect([...fields.parts.starts]).toEqual([-1, -1, -1]);
  });
});
