/** Files of policies: what is refused of them, what is sent of them, and what becomes of it, against a fake. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { batchesOf } from "../../src/ctl/policy-batches.ts";
import { readDocuments } from "../../src/ctl/policy-documents.ts";
import { ControlBed, ctl, type Json, refusal } from "./control-bed.ts";

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());
const directory = mkdtempSync(join(tmpdir(), "infermesh-policies-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const run = (line: string) => ctl(bed.endpoint, line.split(" "));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe("policy apply", () => {
  const TEXT = `kind: pin
name: m
spec:
  nodes: [a, b]
  minReplicas: 1
---
- kind: quota
  name: acme/*
  spec: { concurrency: 4 }
- { kind: priority, name: acme, spec: { priority: 7 } }
`;

  test("shows what each document comes to, all of them in one batch", async () => {
    await run("pin-model m --nodes a --min-replicas 1");
    await run("quota set acme --concurrency 4");
    const applied = await run(`policy apply -f ${file("p.yaml", TEXT)}`);
    expect(applied).toMatchObject({
      code: 0,
      err: "",
      out: "pin/m changed\n  - nodes: a\n  + nodes: a,b\nquota/acme/* unchanged\npriority/acme created\n  + priority: 7\n",
    });
    expect(bed.bodies("ApplyPolicies").map(({ writes }) => (writes as unknown[]).length)).toEqual([3]);
    const again = await run(`policy apply ${file("p.yaml", TEXT)} -o text`);
    expect(again.out).toBe("pin/m\tunchanged\nquota/acme/*\tunchanged\npriority/acme\tunchanged\n");
  });

  test("of what export prints changes nothing, in YAML and in JSON", async () => {
    await run(`policy apply -f ${file("p.yaml", TEXT)}`);
    await run("acl deny * m --reason yes");
    for (const format of ["yaml", "json"]) {
      const { out } = await run(`policy export -o ${format}`);
      for (const revisions of [out, (await run(`policy export -o ${format} --revisions`)).out]) {
        const { code, out: applied } = await run(`policy apply -f ${file(`p.${format}`, revisions)} -o text`);
        expect(code).toBe(0);
        expect(
          applied
            .trim()
            .split("\n")
            .map((line) => line.split("\t")[1]),
        ).toEqual(Array(4).fill("unchanged"));
      }
    }
    expect((await run("policy export --kinds quota")).out).toBe(
      "---\nkind: quota\nname: acme/*\nspec:\n  concurrency: 4\n",
    );
  });

  test("deletes what is not in the file, of the kinds that are named", async () => {
    await run("quota set old --concurrency 1");
    await run("pin-model keep --nodes a");
    const dry = await run(`policy apply -f ${file("p.yaml", TEXT)} --prune quota --dry-run`);
    expect(dry.out).toContain("quota/old/* would be deleted (dry run)\n  - concurrency: 1\n");
    expect(bed.policies).toEqual(["quota/old/*", "pin/keep"]);
    await run(`policy apply -f ${file("p.yaml", TEXT)} --prune quota`);
    expect(bed.policies).toEqual(["pin/keep", "pin/m", "quota/acme/*", "priority/acme"]);
  });

  test("reads a batch of JSON lines too", async () => {
    const lines = '{"kind":"pin","name":"a","spec":{}}\n{"kind":"pin","name":"b","spec":{"nodes":["x"]}}\n';
    expect((await run(`policy apply -f ${file("p.json", lines)} -o text`)).out).toBe(
      "pin/a\tcreated\npin/b\tcreated\n",
    );
  });

  test("with revisions changes only what is still as it was", async () => {
    await run("pin-model m --nodes a");
    const { out } = await run("policy export --revisions");
    await run("pin-model m --nodes b");
    expect(await run(`policy apply -f ${file("p.yaml", out)}`)).toMatchObject({
      code: 4,
      out: "",
      err: `infermesh ctl policy apply: ${join(directory, "p.yaml")} (pin/m) is refused as a whole, and nothing was changed
infermesh ctl: ENDPOINT answered: pin/m has revision 2, not 1 (conflict)
infermesh ctl: look at what is there now, and say its revision in the file, or none
`,
    });
  });

  test("names what is refused, and changes nothing", async () => {
    const text = TEXT.replace("minReplicas: 1", "minReplicas: 99");
    expect(await run(`policy apply -f ${file("p.yaml", text)}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining("ENDPOINT answered: pin/m.minReplicas: found 99; expected less (bad_request)\n"),
    });
    expect(bed.policies).toEqual([]);
  });

  test.each([
    ["kind: pin\nname: [\n", 'line 2: found "name: ["; expected JSON or YAML; the parser says'],
    ["kind: pni\nname: a\nspec: {}", 'policy 1 (line 1): kind is "pni"; expected one of acl, balance'],
    ["\n- kind: pin\n  nam: a", 'policy 1 (line 2): no such key "nam" in a policy'],
    ["kind: pin\nname: a\nspec: 3", "spec is 3"],
    ["- {kind: pin, name: a}\n- {kind: pin, name: a}", 'policy 2 (line 2): "pin/a" a second time'],
    ['{"kind": "pin",\n"name": "a"}\n---\n{"kind": "pin",\n"name": 7}', "policy 2 (line 4): name is 7"],
    ["policies: [7]", "policy 1: found 7"],
    // YAML takes the last one in silence.
    ["kind: slo\nname: a\nname: b", 'line 3: the key "name" a second time'],
    ["kind: slo\nname: a\nspec:\n  class: latency\n  class: throughput", 'line 5: the key "class" a second time'],
    ["", "it holds no policies; an empty list, [], would mean"],
    ["---\n---\n", "it holds no policies"],
    ["kind: pin\nname: a\nrevision: -1", "revision is -1"],
  ])("refuses a file of %j with every fault", async (text, fault) => {
    const { code, err } = await run(`policy apply -f ${file("p.yaml", text)}`);
    expect(code).toBe(2);
    expect(err).toContain("nothing was changed\n");
    expect(err).toContain(fault);
    expect(bed.calls).toEqual([]);
  });

  test("wants a file that can be read, and one only", async () => {
    expect(await run("policy apply")).toMatchObject({ code: 2, err: expect.stringContaining("say which file") });
    expect(await run("policy apply -f /nonexistent/p.yaml")).toMatchObject({
      code: 2,
      err: "infermesh ctl policy apply: can't read /nonexistent/p.yaml: there is no such file or folder\n",
    });
    expect(await run(`policy apply -f ${directory}`)).toMatchObject({ err: expect.stringContaining("it is a folder") });
    expect(await run("policy apply -f a.yaml b.yaml")).toMatchObject({
      code: 2,
      err: expect.stringContaining("say one file"),
    });
    expect(bed.calls).toEqual([]);
  });

  test("an empty list wants none: what --prune names is deleted then, and by no empty file", async () => {
    await run("policy set priority acme priority=1");
    expect(await run(`policy apply --prune priority -f ${file("p.yaml", "")}`)).toMatchObject({ code: 2 });
    expect(bed.policies).toEqual(["priority/acme"]);
    expect(await run(`policy apply -f ${file("p.yaml", "policies: []")}`)).toMatchObject({
      code: 0,
      err: expect.stringContaining("there is nothing to delete"),
    });
    expect((await run(`policy apply --prune priority -f ${file("p.yaml", "[]")}`)).out).toStartWith(
      "priority/acme deleted",
    );
    expect(bed.policies).toEqual([]);
  });

  test("one warning of several policies is told once", async () => {
    const warnings = ["no node", "no node", "another"];
    bed.answers.set("ApplyPolicies", () => ({ changed: true, warnings, policies: [] }));
    expect((await run(`policy apply -f ${file("p.yaml", "kind: slo\nname: a")}`)).err).toBe(
      "infermesh ctl: warning: no node\ninfermesh ctl: warning: another\n",
    );
  });
});

describe("policy apply of what does not fit in one request", () => {
  const many = (count: number, from = 0, priority = 1) =>
    Array.from(
      { length: count },
      (_, at) => `{"kind":"priority","name":"t${from + at}","spec":{"priority":${priority}}}`,
    );

  test("is refused before anything is written, with the limit and the ways out", async () => {
    const { code, err, out } = await run(`policy apply -f ${file("p.json", many(1001).join("\n"))}`);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("makes 1001 changes, which do not fit in one request (1,000 of them, 1 MiB); nothing was");
    expect(err).toContain("--in-parts applies it in 2 requests");
    expect(bed.bodies("ApplyPolicies")).toEqual([]);
    expect((await run(`policy apply -f ${file("p.json", many(1000).join("\n"))}`)).code).toBe(0);
    expect(bed.bodies("ApplyPolicies")).toHaveLength(1);
  });

  test("is applied in parts, all of them checked before; what is as wanted is left out next time", async () => {
    const path = file("p.json", many(2001).join("\n"));
    const { code, out } = await run(`policy apply --in-parts -f ${path} -o text`);
    expect(code).toBe(0);
    expect(out.split("\n").filter((line) => line.endsWith("\tcreated"))).toHaveLength(2001);
    const sent = bed.bodies("ApplyPolicies").map(({ writes, dryRun = false }) => [(writes as Json[]).length, dryRun]);
    expect(sent).toEqual([1000, 1000, 1].map((count) => [count, true]).concat([1000, 1000, 1].map((n) => [n, false])));
    const again = await run(`policy apply -f ${path} -o text`);
    expect(again).toMatchObject({ code: 0, err: "" });
    expect(again.out.split("\n").filter((line) => line.endsWith("\tunchanged"))).toHaveLength(2001);
    expect(bed.bodies("ApplyPolicies")).toHaveLength(6);
    // A few changes of many are one request, all or nothing.
    const changed = file("p.json", [...many(2, 0, 2), ...many(1999, 2)].join("\n"));
    expect((await run(`policy apply -f ${changed}`)).out).toStartWith("priority/t0 changed\n");
    expect(bed.bodies("ApplyPolicies").at(-1)?.["writes"]).toHaveLength(2);
  });

  test("what is refused in a later part is found before the first is written", async () => {
    const bad = '{"kind":"pin","name":"m","spec":{"minReplicas":99}}';
    const { code, err } = await run(`policy apply --in-parts -f ${file("p.json", [...many(1000), bad].join("\n"))}`);
    expect(code).toBe(1);
    expect(err).toContain("p.json, part 2 of 2, is refused as a whole, and nothing was changed\n");
    expect(err).toContain("pin/m.minReplicas");
    expect(bed.policies).toEqual([]);
  });

  test("a part that fails after others is told, with what was applied", async () => {
    let calls = 0;
    bed.answers.set("ApplyPolicies", ({ writes, dryRun = false }) => {
      calls += 1;
      if (calls === 4) return refusal("resource_exhausted", 429, "the store is full", { code: "store_full" });
      const puts = (writes as { put: Json }[]).map(({ put }) => ({ ...put, revision: "1" }));
      return { changed: true, dryRun, policies: puts, revision: "1" };
    });
    const { code, err, out } = await run(`policy apply --in-parts -f ${file("p.json", many(1500).join("\n"))} -o text`);
    expect(code).toBe(1);
    expect(out.trimEnd().split("\n")).toHaveLength(1000);
    expect(out).toStartWith("priority/t0\tcreated\n");
    expect(err).toContain("part 2 of 2 was not applied, nor what follows; part 1, shown above, was\n");
    expect(err).toContain("apply the file again when that is mended");
    expect(err).toContain("the store is full (store_full)");
  });

  test("batches keep the order, and neither limit is passed", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 2500 }), (long, short) => {
        const writes = [...long, ...Array.from({ length: short }, () => 1)].map((size, at) => {
          return { key: String(at), write: { put: { name: "é".repeat(size / 2) } } };
        });
        const batches = batchesOf(writes);
        expect(batches.flat()).toEqual(writes);
        for (const [at, batch] of batches.entries()) {
          const bytes = Buffer.byteLength(JSON.stringify({ writes: batch.map(({ write }) => write) }));
          expect(batch.length).toBeLessThanOrEqual(1000);
          expect(bytes).toBeLessThan(2 ** 20);
          // The next write would not have fitted.
          const next = batches[at + 1]?.[0];
          if (next === undefined || batch.length === 1000) continue;
          expect(bytes + Buffer.byteLength(JSON.stringify(next.write))).toBeGreaterThan(2 ** 20 - 2 ** 14);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("no text makes the reader of documents throw, and every fault is a line", () => {
    const text = fc.array(
      fc.constantFrom(
        "kind: pin",
        "name: a",
        "spec: {}",
        "- ",
        "---",
        "{",
        "}",
        "[",
        "  ",
        "\n",
        "policies:",
        '"',
        ": ",
        "7",
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(text, (parts) => {
        const read = readDocuments(parts.join(""));
        if ("faults" in read) expect(read.faults.length).toBeGreaterThan(0);
        else expect(read.policies.every(({ kind, name }) => kind === "pin" && name !== "")).toBe(true);
      }),
    );
  });
});
