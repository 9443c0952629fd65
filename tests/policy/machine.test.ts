import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { COMMAND_BYTES_MAX, encodeCommand, readCommand } from "../../src/policy/command.ts";
import { type Item, keyOf, replay } from "../../src/policy/item.ts";
import { PolicyMachine, SEATS_MAX } from "../../src/policy/machine.ts";
import { KEYS_MAX, KEY_MS_MAX } from "../../src/policy/memories.ts";
import { ITEMS_MAX } from "../../src/policy/write.ts";
import { Told, bytesOf, gone, put, randomCommand } from "./commands.ts";

const decoder = new TextDecoder();
const text = (machine: PolicyMachine): string => decoder.decode(machine.snapshot());

const pin = (nodes: string[]): object => put("pin", "llama", { nodes });

describe("writes", () => {
  test("make items with revisions of the whole store", () => {
    const told = new Told();
    expect(told.write([pin(["a"])]).outcome).toMatchObject({ ok: true, revision: 1, changed: true, repeated: false });
    told.write([put("node", "a", { cordoned: true })], { atMs: 2_000 });
    told.write([pin(["b"])], { atMs: 3_000 });
    const item: Item = {
      kind: "pin",
      name: "llama",
      spec: { nodes: ["b"] },
      revision: 3,
      createdRevision: 1,
      updatedAtMs: 3_000,
    };
    expect(told.machine.get("pin", "llama")).toEqual(item);
    expect(told.machine.list().map(keyOf)).toEqual(["node/a", "pin/llama"]);
    expect(told.machine.list("pin")).toEqual([item]);
    expect(told.machine.revision).toBe(3);
  });

  test("that change nothing make no revision", () => {
    const told = new Told();
    told.write([pin(["a"])]);
    const { outcome, changes } = told.write([pin(["a"])]);
    expect([outcome, changes]).toMatchObject([{ ok: true, changed: false, revision: 1, items: [{ revision: 1 }] }, []]);
  });

  test("of a batch all happen, with one revision, or none", () => {
    const told = new Told();
    told.write([pin(["a"]), put("slo", "*", { class: "latency" })]);
    expect(told.machine.list().map(({ revision }) => revision)).toEqual([1, 1]);
    const before = text(told.machine);
    const { outcome, changes } = told.write([gone("slo", "*"), gone("pin", "other"), pin(["c"])]);
    expect(outcome).toMatchObject({ ok: false, code: "not_found", at: 1, message: "there is no pin/other to delete" });
    expect(changes).toEqual([]);
    expect(JSON.parse(text(told.machine)).items).toEqual(JSON.parse(before).items);
  });

  test("are refused when the item is at another revision, with the item as it is", () => {
    const told = new Told();
    expect(told.write([put("slo", "*", { class: "latency" }, 1)]).outcome).toMatchObject({
      code: "conflict",
      current: null,
      message: expect.stringContaining("slo/* is not there, and was expected at revision 1"),
    });
    expect(told.write([put("slo", "*", { class: "latency" }, 0)]).outcome.ok).toBe(true);
    expect(told.write([put("slo", "*", { class: "throughput" }, 0)]).outcome).toMatchObject({
      code: "conflict",
      current: { revision: 1, spec: { class: "latency" } },
      message: expect.stringContaining("slo/* is at revision 1, and was expected not to exist"),
    });
    expect(told.write([gone("slo", "*", 2)]).outcome).toMatchObject({ code: "conflict" });
    expect(told.write([gone("slo", "*", 1)]).outcome).toMatchObject({ ok: true, revision: 2, items: [null] });
    // Even what would change nothing.
    told.write([put("slo", "*", { class: "latency" })]);
    expect(told.write([put("slo", "*", { class: "latency" }, 1)]).outcome).toMatchObject({ code: "conflict" });
  });

  test("are refused when the store is full, by number", () => {
    const told = new Told();
    for (let from = 0; from < ITEMS_MAX; from += 1000) {
      told.write(Array.from({ length: 1000 }, (_, index) => put("node", `n${from + index}`, { cordoned: true })));
    }
    expect(told.machine.size).toBe(ITEMS_MAX);
    expect(told.write([put("node", "one-more", { cordoned: true })]).outcome).toMatchObject({ code: "limit", at: 0 });
    expect(told.write([gone("node", "n7"), put("node", "one-more", { cordoned: true })]).outcome.ok).toBe(true);
    expect(told.write([put("node", "n8", { draining: true })]).outcome.ok).toBe(true);
  });

  test("are refused when the store is full, by weight", () => {
    const told = new Told();
    const nodes = Array.from({ length: 250 }, (_, index) => `${"n".repeat(245)}${index}`);
    let outcome = told.write([put("pin", "m", { nodes })]).outcome;
    for (let index = 0; index < 600 && outcome.ok; index += 1)
      outcome = told.write([put("pin", `m${index}`, { nodes })]).outcome;
    expect(outcome).toMatchObject({ ok: false, code: "limit", message: expect.stringContaining("bytes") });
    expect(told.machine.specsBytes).toBeLessThanOrEqual(32 * 1024 * 1024);
    const copy = new PolicyMachine();
    copy.restore(told.machine.snapshot());
    expect(copy.specsBytes).toBe(told.machine.specsBytes);
  });
});

describe("idempotency keys", () => {
  test("make a repeated command apply once, with the first outcome", () => {
    const told = new Told();
    const first = told.write([pin(["a"])], { key: "k" });
    told.write([pin(["b"])]);
    const again = told.write([pin(["a"])], { key: "k", atMs: 9_000 });
    expect(first.outcome).toMatchObject({ revision: 1, repeated: false });
    expect(again.outcome).toMatchObject({
      ok: true,
      revision: 1,
      changed: true,
      repeated: true,
      items: [{ revision: 2 }],
    });
    expect(again.changes).toEqual([]);
    expect(told.machine.get("pin", "llama")?.spec).toEqual({ nodes: ["b"] });
  });

  test("remember refusals too: what was refused once does not happen later", () => {
    const told = new Told();
    const write = [gone("pin", "llama")];
    expect(told.write(write, { key: "k" }).outcome).toMatchObject({ code: "not_found" });
    told.write([pin(["a"])]);
    expect(told.write(write, { key: "k" }).outcome).toMatchObject({ ok: false, code: "not_found", at: 0 });
    expect(told.machine.size).toBe(1);
  });

  test("are for one command each", () => {
    const told = new Told();
    told.write([pin(["a"])], { key: "k" });
    const { outcome } = told.write([pin(["b"])], { key: "k" });
    expect(outcome).toMatchObject({ code: "invalid", message: expect.stringContaining("use a new key") });
  });

  test("are forgotten after an hour, and the oldest when there are too many", () => {
    const told = new Told();
    told.write([pin(["a"])], { key: "k", atMs: 0 });
    expect(told.write([pin(["a"])], { key: "k", atMs: KEY_MS_MAX - 1 }).outcome).toMatchObject({ repeated: true });
    expect(told.write([pin(["a"])], { key: "k", atMs: KEY_MS_MAX }).outcome).toMatchObject({ repeated: false });
    for (let index = 1; index < KEYS_MAX; index += 1) told.write([pin([`n${index}`])], { atMs: KEY_MS_MAX });
    expect(told.write([pin(["a"])], { key: "k", atMs: KEY_MS_MAX }).outcome).toMatchObject({ repeated: true });
    told.write([pin(["z"])], { atMs: KEY_MS_MAX });
    expect(told.write([pin(["a"])], { key: "k", atMs: KEY_MS_MAX }).outcome).toMatchObject({ repeated: false });
  });
});

describe("members", () => {
  test("have seats that change neither policies nor their revision", () => {
    const told = new Told();
    expect(told.tell({ op: "seat", member: 7, node: "n1", address: "10.0.0.1:7950" }).outcome).toMatchObject({
      changed: true,
      revision: 0,
    });
    expect(told.tell({ op: "seat", member: 7, node: "n1", address: "10.0.0.1:7950" }).outcome).toMatchObject({
      changed: false,
    });
    expect([...told.machine.seats]).toEqual([[7, { node: "n1", address: "10.0.0.1:7950" }]]);
    expect(told.tell({ op: "unseat", member: 7 }).outcome).toMatchObject({ changed: true });
    expect(told.machine.seats.size).toBe(0);
  });

  test("are bounded in number", () => {
    const told = new Told();
    for (let member = 1; member <= SEATS_MAX; member += 1) told.tell({ op: "seat", member, node: "n", address: "a:1" });
    expect(told.tell({ op: "seat", member: 99, node: "n", address: "a:1" }).outcome).toMatchObject({ code: "limit" });
    expect(told.tell({ op: "seat", member: 1, node: "n", address: "b:1" }).outcome.ok).toBe(true);
  });
});

describe("commands", () => {
  test.each<[string, unknown, string]>([
    ["no object", [], "a JSON object"],
    ["an unknown op", { op: "wirte" }, "did you mean write?"],
    ["no writes", { op: "write", key: "k", atMs: 1, writes: [] }, "a list of 1 to 1000 writes"],
    ["no key", { op: "write", atMs: 1, writes: [pin(["a"])] }, "key: found nothing"],
    ["put and delete", { op: "write", key: "k", atMs: 1, writes: [{ put: {}, delete: {} }] }, "put or delete"],
    [
      "an unknown kind",
      { op: "write", key: "k", atMs: 1, writes: [{ delete: { kind: "pins", name: "m" } }] },
      'writes[0].delete.kind: found "pins"; expected one of acl, balance',
    ],
    [
      "a misspelt condition",
      { op: "write", key: "k", atMs: 1, writes: [{ ...pin(["a"]), ifRevison: 1 }] },
      "did you mean ifRevision?",
    ],
    ["the same policy twice", { op: "write", key: "k", atMs: 1, writes: [pin(["a"]), pin(["b"])] }, "each policy once"],
    [
      "deleting what must not be",
      { op: "write", key: "k", atMs: 1, writes: [gone("pin", "m", 0)] },
      "a revision to delete",
    ],
    ["a clock before 1970", { op: "write", key: "k", atMs: -1, writes: [pin(["a"])] }, "atMs: found -1"],
    ["no port", { op: "seat", member: 1, node: "n", address: "host" }, "HOST:PORT"],
    ["no member", { op: "unseat", member: 0 }, "member: found 0"],
  ])("with %s are refused", (_, command, message) => {
    const read = readCommand(bytesOf(command));
    expect("bad" in read && read.bad).toContain(message);
    const machine = new PolicyMachine();
    expect(machine.apply(1, bytesOf(command)).outcome).toMatchObject({ ok: false, code: "invalid", at: -1 });
    expect([machine.appliedIndex, machine.revision]).toEqual([1, 0]);
  });

  test("that are too large or too deep are refused before anything is made of them", () => {
    const large = readCommand(new Uint8Array(COMMAND_BYTES_MAX + 1));
    expect("bad" in large && large.bad).toContain("at most 1048576 bytes");
    const deep = new TextEncoder().encode("[".repeat(500_000));
    expect(readCommand(deep)).toEqual({ bad: "a command is a JSON object in UTF-8" });
    expect(readCommand(bytesOf({ op: "unseat", member: 3 }))).toEqual({ op: "unseat", member: 3 });
  });

  test("are read as they were written", () => {
    fc.assert(
      fc.property(randomCommand, (raw) => {
        const command = readCommand(bytesOf(raw));
        if ("bad" in command) return;
        const bytes = encodeCommand(command);
        // By what is remembered of them at the one who proposes, and anew at the others: to the letter the same.
        for (const each of [bytes, bytes.slice()])
          expect(JSON.stringify(readCommand(each))).toBe(JSON.stringify(command));
      }),
      { numRuns: 300 },
    );
  });

  test("are believed unread only where their writes and their key were read", () => {
    const right = readCommand(bytesOf({ op: "write", key: "k", atMs: 1, writes: [pin(["a"])] }));
    if ("bad" in right || right.op !== "write") throw new Error("it was right");
    const badOf = (command: typeof right): string => {
      const read = readCommand(encodeCommand(command));
      return "bad" in read ? read.bad : "";
    };
    expect(badOf(right)).toBe("");
    expect(badOf({ ...right, key: "a key" })).toContain("an idempotency key");
    expect(badOf({ ...right, atMs: -1 })).toContain("atMs: found -1");
    expect(badOf({ ...right, writes: [pin(["a"]), pin(["b"])] as typeof right.writes })).toContain("each policy once");
    expect(badOf({ ...right, writes: [{ put: { kind: "pin", name: "m", spec: {} } }] })).toContain("spec");
  });

  test("of any bytes never throw", () => {
    const machine = new PolicyMachine();
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(randomCommand, fc.nat(), fc.nat(255)).map(([command, at, byte]) => {
        const damaged = bytesOf(command).slice();
        damaged[at % damaged.length] = byte;
        return damaged;
      }),
    );
    fc.assert(
      fc.property(bytes, (each) => {
        const { outcome } = machine.apply(machine.appliedIndex + 1, each);
        expect(typeof outcome.ok).toBe("boolean");
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("whatever it is told", () => {
  test("its changes replayed make the same items, revisions only grow, and snapshots are the state", () => {
    fc.assert(
      fc.property(fc.array(randomCommand, { maxLength: 40 }), fc.nat(40), (commands, at) => {
        const told = new Told();
        const copy = new Map<string, Item>();
        // One that is started from a snapshot half way and told the rest.
        let late: Told | undefined;
        for (const [index, command] of commands.entries()) {
          if (index === at) {
            late = new Told();
            late.machine.restore(told.machine.snapshot());
          }
          const before = told.machine.revision;
          const { outcome, changes } = told.tell(command);
          expect(late === undefined ? outcome : late.tell(command).outcome).toEqual(outcome);
          expect(told.machine.revision - before).toBe(changes.length > 0 ? 1 : 0);
          for (const change of changes) {
            expect("item" in change ? change.item.revision : change.revision).toBe(told.machine.revision);
            replay(copy, change);
          }
          if (outcome.ok && !outcome.repeated) expect(outcome.revision).toBe(told.machine.revision);
        }
        expect(new Map(told.machine.list().map((item) => [keyOf(item), item]))).toEqual(copy);
        const again = new PolicyMachine();
        again.restore(told.machine.snapshot());
        expect(text(again)).toBe(text(told.machine));
        expect([again.size, again.specsBytes, again.appliedIndex]).toEqual([
          told.machine.size,
          told.machine.specsBytes,
          told.machine.appliedIndex,
        ]);
        if (late !== undefined) expect(text(late.machine)).toBe(text(told.machine));
      }),
      { numRuns: 200 },
    );
  });
});

describe("a snapshot", () => {
  const some = new Told();
  some.tell({ op: "seat", member: 7, node: "n1", address: "h:1" });
  some.write([pin(["a"]), put("quota", "acme/*", { concurrency: 3 })]);
  some.write([gone("pin", "nothing")]);
  const used = { requests: 0, tokens: 0, concurrency: 1 };
  some.lease([{ holder: "r/1/0", quota: "acme/*", ...used, used, holding: 0 }], 5_000);

  test("holds everything, and is the same for the same state", () => {
    const copy = new PolicyMachine();
    copy.restore(some.machine.snapshot());
    expect(text(copy)).toBe(text(some.machine));
    expect(copy.seats.get(7)).toEqual({ node: "n1", address: "h:1" });
    expect(JSON.parse(text(copy))).toMatchObject({
      format: "infermesh-policies",
      version: 1,
      memories: [{ outcome: { ok: true } }, { outcome: { ok: false, code: "not_found" } }],
      ledgers: [{ quota: "acme/*", leases: [{ holder: "r/1/0", concurrency: { share: 3 } }] }],
    });
  });

  test.each<[string, (state: Record<string, unknown>) => void, string]>([
    ["another format", (state) => (state["format"] = "other"), "no snapshot of policies"],
    ["a later version", (state) => (state["version"] = 2), "version 2 and this program reads 1"],
    ["a field too many", (state) => (state["more"] = 1), "more: found 1; no such field"],
    ["items out of order", (state) => (state["items"] as unknown[]).reverse(), "items[1]"],
    [
      "an item that no command could make",
      (state) => ((state["items"] as { spec: object }[])[0]!.spec = {}),
      "items[0].spec",
    ],
    ["no revision", (state) => delete state["revision"], "revision: found nothing"],
  ])("with %s is refused, and changes nothing", (_, change, message) => {
    const state = JSON.parse(text(some.machine)) as Record<string, unknown>;
    change(state);
    const machine = new PolicyMachine();
    machine.restore(some.machine.snapshot());
    expect(() => machine.restore(bytesOf(state))).toThrow(message);
    expect(text(machine)).toBe(text(some.machine));
  });

  test("that is cut short or damaged is refused or is another state, never a crash of another kind", () => {
    const bytes = some.machine.snapshot();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.option(fc.nat(255), { nil: undefined }), (at, byte) => {
        const damaged = byte === undefined ? bytes.slice(0, at) : bytes.slice();
        if (byte !== undefined) damaged[at] = byte;
        const machine = new PolicyMachine();
        try {
          machine.restore(damaged);
        } catch (error) {
          expect(error).toMatchObject({ name: "MeshError", code: "bad_request" });
        }
      }),
      { numRuns: 500 },
    );
  });
});
