import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { faster } from "../../src/sim/arrival.ts";
import { readAzure, readMooncake, readTrace } from "../../src/sim/traces.ts";

const mooncake = (...rows: object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");
const ROW = { timestamp: 0, input_length: 1030, output_length: 7, hash_ids: [4, 5, 6] };

describe("Mooncake's format", () => {
  test("gives requests with the hashes of their full blocks, from the first one's time on", () => {
    const text = `${mooncake({ ...ROW, timestamp: 3000 }, { ...ROW, timestamp: 3500, output_length: 0 })}\n\n`;
    expect(readTrace(text)).toEqual({
      arrivals: [
        { atMs: 0, promptTokens: 1030, outputTokens: 7, hashes: [4, 5] },
        { atMs: 500, promptTokens: 1030, outputTokens: 1, hashes: [4, 5] },
      ],
      fault: null,
    });
  });

  test.each([
    [{ timestamp: "0" }, "line 2: timestamp is no number of milliseconds"],
    [{ timestamp: -1 }, "line 2: timestamp is no number of milliseconds"],
    [{ input_length: 0 }, "line 2: input_length is no number of tokens"],
    [{ input_length: 1e9 }, "line 2: input_length is no number of tokens"],
    [{ output_length: 1.5 }, "line 2: output_length is no number of tokens"],
    [{ hash_ids: null }, "line 2: hash_ids is no list of whole numbers"],
    [{ hash_ids: [-1] }, "line 2: hash_ids is no list of whole numbers"],
  ])("refuses %j", (wrong, fault) => {
    expect(readMooncake(mooncake(ROW, { ...ROW, ...wrong }))).toEqual({ arrivals: null, fault });
  });

  test("refuses what goes back in time, is no JSON, or holds no request", () => {
    expect(readMooncake(mooncake({ ...ROW, timestamp: 9 }, ROW)).fault).toBe(
      "line 2: is earlier than the line before it",
    );
    expect(readMooncake('{"timestamp": 0').fault).toBe("line 1: is no JSON");
    expect(readMooncake("[1]").fault).toBe("line 1: timestamp is no number of milliseconds");
    expect(readTrace("").fault).toBe("line 1: there is no request");
  });
});

describe("Azure's format", () => {
  const HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens";

  test("gives requests that share nothing, across midnight and the end of a month", () => {
    const text = `${HEAD}\r\n2024-02-28 23:59:59.5000000,374,44\r\n2024-02-29 00:00:00.2500000,396,0\r\n2024-03-01 00:00:00,1,2\r\n`;
    expect(readTrace(text).arrivals).toEqual([
      { atMs: 0, promptTokens: 374, outputTokens: 44, hashes: [] },
      { atMs: 750, promptTokens: 396, outputTokens: 1, hashes: [] },
      { atMs: 86_400_500, promptTokens: 1, outputTokens: 2, hashes: [] },
    ]);
  });

  test.each([
    ["2023-11-16 18:15:46,374", `line 2: is none of ${HEAD}`],
    ["2023-11-16 18:15:46,x,44", `line 2: is none of ${HEAD}`],
    ["2023-13-16 18:15:46,374,44", "line 2: has no such day"],
    ["2023-11-16 18:15:46,0,44", "line 2: has no prompt"],
    ["2023-11-16 18:15:46,1,100000000", "line 2: has too many tokens"],
  ])("refuses %s", (line, fault) => {
    expect(readAzure(`${HEAD}\n${line}`)).toEqual({ arrivals: null, fault });
  });

  test("refuses what goes back in time", () => {
    expect(readAzure("2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1").fault).toBe(
      "line 2: is earlier than the line before it",
    );
  });
});

test("no text throws, and what is read is in order and in range", () => {
  const line = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({
        timestamp: fc.anything(),
        input_length: fc.anything(),
        output_length: fc.anything(),
        hash_ids: fc.anything(),
      })
      .map((row) => JSON.stringify(row)),
    fc.tuple(fc.nat(99), fc.nat(99), fc.nat()).map(([a, b, c]) => `2023-11-${a} 18:${b}:46,${c},1`),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { arrivals, fault } = readTrace(lines.join("\n"));
      expect(arrivals === null).toBe(fault !== null);
      let lastMs = 0;
      for (const { atMs, promptTokens, outputTokens } of arrivals ?? []) {
        expect(atMs >= lastMs && promptTokens > 0 && outputTokens > 0).toBe(true);
        lastMs = atMs;
      }
    }),
  );
});

test("a trace can be played faster", () => {
  const [first, second] = faster(readMooncake(mooncake(ROW, { ...ROW, timestamp: 900 })).arrivals!, 3);
  expect([first?.atMs, second?.atMs]).toEqual([0, 300]);
});
