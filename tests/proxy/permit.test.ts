/** What permits hold of quotas, whatever happens to requests and to the quotas meanwhile. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import type { Item } from "../../src/policy/item.ts";
import { actionOf, type Caller, callActionOf, Callers, isQuestion, isQuestionCall } from "../../src/proxy/caller.ts";
import { Enforcement } from "../../src/proxy/enforcement.ts";
import { type Permit, PolicyError } from "../../src/proxy/permit.ts";
import { Shares } from "../../src/proxy/shares.ts";
import { Wishes } from "../../src/proxy/wishes.ts";

const QUOTAS = ["a/m", "a/*", "*/m", "*/*"] as const;
const LIMITS = { "a/m": 1, "a/*": 2, "*/m": 3, "*/*": 4 };
const TENANTS = ["a", "b"] as const;
const MODELS = ["m", "n"] as const;

function enforcementOf(): Enforcement {
  const shares = new Shares(
    "r/1/1",
    1,
    () => {},
    () => {},
  );
  return new Enforcement(shares, { denied() {} });
}

function quotaOf(name: (typeof QUOTAS)[number], revision: number): Item {
  const spec = { concurrency: LIMITS[name] };
  return { kind: "quota", name, spec, revision, createdRevision: revision, updatedAtMs: 0 };
}

function admitted(enforcement: Enforcement, tenant: string, model: string): Permit | PolicyError {
  return enforcement.admit({
    caller: { tenant, keyHashes: [""] },
    action: "infer",
    isQuestion: false,
    meant: model,
    model,
    tokens: 1,
    wishes: new Wishes(),
  });
}

const matches = (quota: string, tenant: string, model: string): boolean => {
  const [who, what] = quota.split("/");
  return (who === "*" || who === tenant) && (what === "*" || what === model);
};

describe("permits", () => {
  test("never hold more of a quota than there is, and hold nothing of it in the end", () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant("begin" as const),
        tenant: fc.constantFrom(...TENANTS),
        model: fc.constantFrom(...MODELS),
      }),
      fc.record({ do: fc.constant("end" as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant("move" as const), which: fc.nat(20), model: fc.constantFrom(...MODELS) }),
      fc.record({ do: fc.constant("renew" as const), quota: fc.constantFrom(...QUOTAS) }),
      fc.record({ do: fc.constant("reset" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        const enforcement = enforcementOf();
        let revision = 1;
        const items = new Map<string, Item>(QUOTAS.map((name) => [name, quotaOf(name, 1)]));
        enforcement.take({ revision, items: [...items.values()] });
        /** Each with the quotas, by the revision that made them, in which it counts. */
        let open: { permit: Permit; tenant: string; model: string; counts: Map<string, number> }[] = [];
        const born = (quota: string): number => items.get(quota)!.createdRevision;
        const held = (quota: string): number => open.filter(({ counts }) => counts.get(quota) === born(quota)).length;
        const countsOf = (tenant: string, model: string): Map<string, number> =>
          new Map(QUOTAS.filter((quota) => matches(quota, tenant, model)).map((quota) => [quota, born(quota)]));
        for (const each of steps) {
          const one = "which" in each && open.length > 0 ? open[each.which % open.length]! : null;
          if (each.do === "begin") {
            const { tenant, model } = each;
            const isFull = QUOTAS.some((quota) => matches(quota, tenant, model) && held(quota) >= LIMITS[quota]);
            const permit = admitted(enforcement, tenant, model);
            expect(permit instanceof PolicyError).toBe(isFull);
            if (!(permit instanceof PolicyError)) open.push({ permit, tenant, model, counts: countsOf(tenant, model) });
          } else if (each.do === "end" && one !== null) {
            one.permit.end(5);
            open = open.filter((other) => other !== one);
          } else if (each.do === "move" && one !== null && one.model !== each.model) {
            const before = one.counts;
            const next = countsOf(one.tenant, each.model);
            const isFull = [...next.keys()].some(
              (quota) => before.get(quota) !== born(quota) && held(quota) >= LIMITS[quota as keyof typeof LIMITS],
            );
            expect(one.permit.moveTo(each.model)).toBe(!isFull);
            if (isFull) continue;
            one.model = each.model;
            one.counts = next;
          } else if (each.do === "renew") {
            revision += 2;
            const { quota } = each;
            items.set(quota, quotaOf(quota, revision));
            enforcement.take({
              revision: revision - 1,
              changes: [{ deleted: { kind: "quota", name: quota }, revision: revision - 1 }],
            });
            enforcement.take({ revision, changes: [{ item: items.get(quota)! }] });
          } else if (each.do === "reset") {
            enforcement.take({ revision, items: [...items.values()] });
          }
        }
        for (const { permit } of open) permit.end(1);
        open = [];
        for (const quota of QUOTAS) expect(held(quota)).toBe(0);
        const again = [
          admitted(enforcement, "b", "m"),
          admitted(enforcement, "a", "n"),
          admitted(enforcement, "a", "m"),
        ];
        expect(again.map((permit) => permit instanceof PolicyError)).toEqual([false, false, false]);
      }),
      { numRuns: 150 },
    );
  });
});

describe("a caller", () => {
  test("is known by its tenant and by the hash of its key, however the key is shown", () => {
    const callers = new Callers();
    const of = (fields: Record<string, string | string[]>) => callers.of((name) => [fields[name] ?? []].flat());
    const digits = (caller: Caller): string[] => caller.keyHashes.map((hash) => hash.slice(0, 8));
    expect(of({})).toEqual({ tenant: "", keyHashes: [""] });
    expect(digits(of({ "x-infermesh-tenant": "acme", authorization: "Bearer sk-1" }))).toEqual(["0f2c10bf"]);
    expect(digits(of({ authorization: "bearer\tsk-1", "x-api-key": "sk-1" }))).toEqual(["0f2c10bf"]);
    expect(digits(of({ authorization: "Basic eDp5", "x-api-key": "sk-1" }))).toEqual(["0f2c10bf"]);
    for (let n = 0; n < 10_000; n++) of({ "x-api-key": `made-up-${n}` });
    expect(digits(of({ "x-api-key": "sk-1" }))).toEqual(["0f2c10bf"]);
  });

  test("is known by each of the keys that it shows, since any of them may be the one that counts at a target", () => {
    const callers = new Callers();
    const of = (fields: Record<string, string[]>) => callers.of((name) => fields[name] ?? []);
    const both = of({ authorization: ["Bearer junk", "Bearer sk-1"], "x-api-key": ["other"] });
    expect(both.keyHashes).toHaveLength(3);
    expect(both.keyHashes).toContain(of({ "x-api-key": ["sk-1"] }).keyHashes[0]!);
    expect(both.keyHashes).toContain(of({ "x-api-key": ["other"] }).keyHashes[0]!);
  });

  test("is known by bytes, which are UTF-8 for its tenant", () => {
    const bytes = (text: string): string => Buffer.from(text).toString("latin1");
    const caller = new Callers().of((name) => [name === "x-api-key" ? bytes("schl\u00fcssel") : bytes("b\u00fcro")]);
    expect(caller.tenant).toBe("b\u00fcro");
    expect(caller.keyHashes).toEqual([createHash("sha256").update("schl\u00fcssel").digest("hex")]);
  });

  test("asks for one of three kinds of work, or only a question", () => {
    expect(actionOf({ name: "openai.chat", work: "inference" })).toBe("infer");
    expect(actionOf({ name: "tei.embed", work: "inference" })).toBe("embed");
    expect(actionOf({ name: "ollama.manage", work: "management" })).toBe("admin");
    expect(callActionOf("/inference.GRPCInferenceService/ModelInfer")).toBe("infer");
    expect(callActionOf("/vllm.grpc.engine.VllmEngine/Embed")).toBe("embed");
    expect(callActionOf("/inference.GRPCInferenceService/RepositoryModelUnload")).toBe("admin");
    expect([isQuestion({ work: "read" }), isQuestion({ work: "inference" })]).toEqual([true, false]);
    const questions = [
      "/inference.GRPCInferenceService/ModelReady",
      "/fmaas.GenerationService/ModelInfo",
      "/a.B/Generate",
    ];
    expect(questions.map(isQuestionCall)).toEqual([true, true, false]);
  });
});
