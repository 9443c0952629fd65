/** How parts are tried: what counts as failed, what is left out, and that each has an end. */
import { expect, test } from "bun:test";
import {
  LeftOut,
  type Outcome,
  type Part,
  type Place,
  must,
  mustEqual,
  refusalOf,
  tryParts,
} from "../../src/trial/part.ts";

const PLACE: Place = {
  command: ["infermesh"],
  workerEntry: new URL("file:///worker.ts"),
  folder: "",
  folderFault: "read-only",
};

async function outcomesOf(...runs: Part["run"][]): Promise<Pick<Outcome, "result" | "detail">[]> {
  const told: Outcome[] = [];
  const parts = runs.map((run, index) => ({ name: `part-${index}`, run }));
  const outcomes = await tryParts(parts, PLACE, 50, (outcome) => told.push(outcome));
  expect(told).toEqual(outcomes);
  expect(outcomes.map(({ name }) => name)).toEqual(parts.map(({ name }) => name));
  return outcomes.map(({ result, detail }) => ({ result, detail }));
}

test("a part works, fails, or is left out, in words, and the others go on", async () => {
  const coded = Object.assign(new Error(""), { code: "EBADF" });
  const outcomes = await outcomesOf(
    ({ command }) => `ran ${command.join(" ")}`,
    () => {
      throw new Error("at once");
    },
    async () => {
      throw coded;
    },
    async () => {
      throw new LeftOut("not here");
    },
    () => {
      must(PLACE.folder !== "", "there is no folder");
      return "there is one";
    },
    async () => "later",
  );
  expect(outcomes).toEqual([
    { result: "ok", detail: "ran infermesh" },
    { result: "failed", detail: "at once" },
    { result: "failed", detail: "EBADF" },
    { result: "left out", detail: "not here" },
    { result: "failed", detail: "there is no folder" },
    { result: "ok", detail: "later" },
  ]);
});

test("one that never ends has failed when its time is over", async () => {
  const outcomes = await outcomesOf(
    () => new Promise(() => {}),
    () => "next",
  );
  expect(outcomes).toEqual([
    { result: "failed", detail: "no result within 50 ms" },
    { result: "ok", detail: "next" },
  ]);
});

test("what differs is shown, and what is not refused is a fault", async () => {
  mustEqual("a list", [1, "a"], [1, "a"]);
  expect(() => mustEqual("a list", [1, "a"], [1, "b"])).toThrow('a list: found [1,"a"], expected [1,"b"]');
  const coded = Object.assign(new Error("no"), { code: "ENOENT" });
  expect(await refusalOf("it", () => Promise.reject(coded))).toBe("ENOENT");
  expect(await refusalOf("it", () => Promise.reject(new Error("no")))).toBe("Error: no");
  expect(refusalOf("it", () => Promise.resolve(1))).rejects.toThrow("it was not refused");
});
