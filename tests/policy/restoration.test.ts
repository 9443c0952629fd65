import { expect, test } from "bun:test";
import fc from "fast-check";
import { readCommand } from "../../src/policy/command.ts";
import { policiesOf, restoringWrites } from "../../src/policy/restoration.ts";
import { WRITES_MAX } from "../../src/policy/write.ts";
import { Told, bytesOf, put, randomWrite } from "./commands.ts";

const said = (told: Told): unknown[] => told.machine.list().map(({ kind, name, spec }) => [kind, name, spec]);

test("a store becomes what a snapshot says, and its revision goes on", () => {
  fc.assert(
    fc.property(fc.array(randomWrite, { maxLength: 30 }), fc.array(randomWrite, { maxLength: 30 }), (before, after) => {
      const [old, told] = [new Told(), new Told()];
      for (const write of before) old.write([write]);
      for (const write of after) told.write([write]);
      const { revision } = told.machine;
      const batches = restoringWrites(told.machine.list(), policiesOf(old.machine.snapshot()));
      expect(batches.length).toBe(JSON.stringify(said(told)) === JSON.stringify(said(old)) ? 0 : 1);
      for (const batch of batches) expect(told.write(batch).outcome).toMatchObject({ ok: true, changed: true });
      expect(said(told)).toEqual(said(old));
      expect(told.machine.revision).toBe(revision + batches.length);
    }),
  );
});

test("large stores are restored in commands that can be read", () => {
  const old = new Told();
  const nodes = Array.from({ length: 240 }, (_, index) => `${"n".repeat(240)}${index}`);
  old.write(Array.from({ length: 17 }, (_, index) => put("pin", `large${index}`, { nodes })));
  for (let index = 0; index < 23; index += 1) old.write([put("pin", `other${index}`, { nodes })]);
  old.write(Array.from({ length: WRITES_MAX }, (_, index) => put("node", `n${index}`, { cordoned: true })));
  old.write([put("slo", "*", { class: "latency" })]);
  const told = new Told();
  const batches = restoringWrites([], old.machine.list());
  expect(batches.length).toBeGreaterThan(2);
  for (const [index, writes] of batches.entries()) {
    const command = { op: "write", key: "k".repeat(128), atMs: 2 ** 52, writes };
    expect("bad" in readCommand(bytesOf(command))).toBe(false);
    told.write(writes, { key: `restore-${index}` });
  }
  expect(said(told)).toEqual(said(old));
});

test("what is no snapshot is refused", () => {
  expect(() => policiesOf(bytesOf({}))).toThrow("this is no snapshot of policies");
});
