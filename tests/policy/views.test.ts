import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AclView } from "../../src/policy/acl-view.ts";
import type { Item } from "../../src/policy/item.ts";
import { aclNameOf } from "../../src/policy/name.ts";
import { PinView } from "../../src/policy/pin-view.ts";
import { ServingView } from "../../src/policy/serving-view.ts";
import { Eligibility } from "../../src/proxy/eligibility.ts";
import { PolicyViews } from "../../src/policy/policy-views.ts";
import { ACTIONS, type AclSpec, type Action, type PinSpec } from "../../src/policy/spec.ts";
import { Told, gone, put, randomWrite } from "./commands.ts";

describe("who serves a model", () => {
  const node = fc.record({
    id: fc.constantFrom("a", "b", "c", "d", "e"),
    labels: fc.constantFrom({}, { gpu: "h100" }),
  });
  const able = fc.uniqueArray(node, { selector: ({ id }) => id });

  test("is by the same rules as at a router, whatever the policies", () => {
    const ids = fc.subarray(["a", "b", "c", "d", "e"], { minLength: 1 });
    const most = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
    const where = fc.oneof(
      fc.record({ nodes: ids }),
      fc.constant<PinSpec>({ selector: { gpu: "h100" } }),
      fc.constant<PinSpec>({}),
    );
    fc.assert(
      fc.property(able, where, most, fc.subarray(["a", "b", "c"]), (nodes, place, maxReplicas, closed) => {
        const spec: PinSpec = { ...place, minReplicas: 0, ...(maxReplicas === undefined ? {} : { maxReplicas }) };
        const told = new Told();
        told.write([put("pin", "m", spec), ...closed.map((id) => put("node", id, { cordoned: true }))]);
        const pins = new PinView();
        pins.put("m", spec);
        const eligibility = new Eligibility();
        const limits = new Map(
          maxReplicas === undefined ? [] : [["m", { replicas: maxReplicas, nodes: spec.nodes ?? [] }]],
        );
        eligibility.setRules({
          isClosed: (id) => closed.includes(id),
          allows: (model, id, labels) => pins.allows(model, id, labels),
          limits,
          zone: () => undefined,
          revision: () => "",
          weight: () => 1,
        });
        const targets = nodes.map((one) => ({ node: one.id, labels: one.labels }));
        eligibility.choose(targets.map((one) => ["m", one] as const));
        const serving = new ServingView(told.machine.list()).serving("m", nodes);
        for (const one of targets) expect(serving.has(one.node)).toBe(eligibility.allows("m", one));
      }),
    );
  });
});

const HASH = "0123456789abcdef".repeat(4);
const SHORT = HASH.slice(0, 16);

function aclOf(rules: Readonly<Record<string, AclSpec["effect"]>>): AclView {
  const view = new AclView();
  for (const [name, effect] of Object.entries(rules)) view.put(name, { effect });
  return view;
}

type Question = readonly [tenant: string, keyHash: string, model: string, action: Action];

describe("access", () => {
  test.each<[string, Readonly<Record<string, AclSpec["effect"]>>, Question, boolean]>([
    ["without rules", {}, ["acme", "", "llama", "infer"], true],
    ["denied to a tenant", { "tenant:acme/llama/infer": "deny" }, ["acme", "", "llama", "infer"], false],
    ["another action", { "tenant:acme/llama/infer": "deny" }, ["acme", "", "llama", "embed"], true],
    ["another model", { "tenant:acme/llama/infer": "deny" }, ["acme", "", "qwen", "infer"], true],
    ["another tenant", { "tenant:acme/llama/infer": "deny" }, ["globex", "", "llama", "infer"], true],
    ["on the list", { "tenant:acme/llama/infer": "allow" }, ["acme", "", "llama", "infer"], true],
    ["not on the list", { "tenant:acme/llama/infer": "allow" }, ["globex", "", "llama", "infer"], false],
    ["a list of another action", { "tenant:acme/llama/admin": "allow" }, ["globex", "", "llama", "infer"], true],
    ["a list of another model", { "tenant:acme/llama/*": "allow" }, ["globex", "", "qwen", "infer"], true],
    ["a list of every model", { "tenant:acme/*/*": "allow" }, ["globex", "", "qwen", "infer"], false],
    [
      "an exception for a tenant",
      { "*/llama/*": "deny", "tenant:acme/llama/*": "allow" },
      ["acme", "", "llama", "infer"],
      true,
    ],
    [
      "an exception for an action",
      { "*/llama/*": "deny", "*/llama/embed": "allow" },
      ["a", "", "llama", "embed"],
      true,
    ],
    [
      "an exception of an exception",
      { "*/*/*": "deny", "tenant:a/*/*": "allow", "tenant:a/m/*": "deny" },
      ["a", "", "m", "infer"],
      false,
    ],
    [
      "its key before its tenant",
      { "tenant:a/m/*": "deny", [`key:${HASH}/m/*`]: "allow" },
      ["a", HASH, "m", "infer"],
      true,
    ],
    [
      "a key by its first digits",
      { "tenant:a/m/*": "deny", [`key:${SHORT}/m/*`]: "allow" },
      ["a", HASH, "m", "infer"],
      true,
    ],
    [
      "a key by both, at odds",
      { [`key:${HASH}/m/*`]: "allow", [`key:${SHORT}/m/*`]: "deny" },
      ["a", HASH, "m", "infer"],
      false,
    ],
    ["rules that cross", { "*/m/*": "deny", "tenant:a/*/*": "allow" }, ["a", "", "m", "infer"], false],
    ["a model with slashes", { "*/meta/llama/infer": "deny" }, ["a", "", "meta/llama", "infer"], false],
    ["nobody known", { "tenant:a/m/infer": "allow" }, ["", "", "m", "infer"], false],
  ])("%s", (_, rules, question, expected) => {
    expect(aclOf(rules).allows(...question)).toBe(expected);
    expect(aclOf(rules).explain(...question).allowed).toBe(expected);
  });

  test("is explained by the rule that decides", () => {
    const view = aclOf({ "*/*/*": "deny", "tenant:a/*/*": "allow", [`key:${SHORT}/m/infer`]: "allow" });
    view.put("tenant:a/m/*", { effect: "deny", reason: "over budget" });
    expect(view.explain("a", "", "m", "infer")).toEqual({
      allowed: false,
      rule: "tenant:a/m/*",
      why: "tenant:a/m/* denies it: over budget",
    });
    expect(view.explain("a", HASH, "m", "infer").rule).toBe(`key:${SHORT}/m/infer`);
    expect(view.explain("a", "", "other", "infer").rule).toBe("tenant:a/*/*");
    expect(view.explain("b", "", "m", "infer").rule).toBe("*/*/*");
    const listed = aclOf({ "tenant:a/m/infer": "allow" });
    expect(listed.explain("b", "", "m", "infer")).toMatchObject({
      allowed: false,
      rule: null,
      why: expect.stringContaining("others are allowed"),
    });
    expect(listed.explain("b", "", "n", "infer")).toMatchObject({ allowed: true, rule: null });
  });

  test("is what its rules say when read one by one, however they came about", () => {
    const subject = fc.constantFrom("*", "tenant:a", "tenant:b", `key:${HASH}`, `key:${SHORT}`);
    const model = fc.constantFrom("*", "m", "x/y");
    const name = fc.tuple(subject, model, fc.constantFrom("*", ...ACTIONS)).map((parts) => parts.join("/"));
    const effect = fc.constantFrom<(AclSpec["effect"] | null)[]>("allow", "allow", "deny", null);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, effect), { maxLength: 14 }), (steps) => {
        const rules = new Map<string, AclSpec["effect"]>();
        const view = new AclView();
        for (const [each, is] of steps) {
          rules.delete(each);
          if (is !== null) rules.set(each, is);
          if (is === null) view.delete(each);
          else view.put(each, { effect: is });
        }
        expect(view.size).toBe(rules.size);
        for (const tenant of ["a", "b", ""]) {
          for (const keyHash of ["", HASH]) {
            for (const asked of ["m", "x/y", "other"]) {
              for (const action of ACTIONS) {
                const question: Question = [tenant, keyHash, asked, action];
                const expected = oneByOne(rules, question);
                expect([question, view.allows(...question)]).toEqual([question, expected]);
                const { allowed, rule } = view.explain(...question);
                expect(allowed).toBe(expected);
                if (rule !== null) expect(rules.get(rule)).toBe(expected ? "allow" : "deny");
              }
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** The words of the header of acl-view.ts, without any art. */
function oneByOne(rules: ReadonlyMap<string, AclSpec["effect"]>, [tenant, keyHash, model, action]: Question): boolean {
  const parsed = [...rules].map(([name, effect]) => ({ ...aclNameOf(name)!, effect }));
  const special = ({ subject, model: named, action: does }: (typeof parsed)[number]): number[] => [
    subject.by === "key" ? 2 : subject.by === "tenant" ? 1 : 0,
    named === "*" ? 0 : 1,
    does === "*" ? 0 : 1,
  ];
  const isAbout = (rule: (typeof parsed)[number]): boolean =>
    (rule.model === "*" || rule.model === model) && (rule.action === "*" || rule.action === action);
  const matching = parsed.filter((rule) => {
    const { subject } = rule;
    if (!isAbout(rule)) return false;
    if (subject.by === "tenant") return subject.tenant === tenant;
    return subject.by === "any" || (keyHash !== "" && keyHash.startsWith(subject.hash));
  });
  if (matching.length === 0) return !parsed.some((rule) => rule.effect === "allow" && isAbout(rule));
  const top = matching.filter((rule) => {
    const own = special(rule);
    return !matching.some((other) => {
      const its = special(other);
      return its.every((level, at) => level >= own[at]!) && its.some((level, at) => level > own[at]!);
    });
  });
  return top.every(({ effect }) => effect === "allow");
}

describe("pins", () => {
  const pins = new PinView();
  pins.put("nodes", { nodes: ["n1", "n2"] });
  pins.put("labels", { selector: { gpu: "h100", zone: "a" } });
  pins.put("version", { revision: "v2" });

  test.each<[string, string, Record<string, string>, boolean]>([
    ["free", "n9", {}, true],
    ["nodes", "n2", {}, true],
    ["nodes", "n3", { gpu: "h100" }, false],
    ["labels", "n3", { gpu: "h100", zone: "a", more: "x" }, true],
    ["labels", "n3", { gpu: "h100", zone: "b" }, false],
    ["labels", "n3", { gpu: "h100" }, false],
    ["version", "n3", {}, true],
  ])("%s on %s with %p: %p", (model, node, labels, expected) => {
    expect(pins.allows(model, node, labels)).toBe(expected);
  });

  test("go", () => {
    const view = new PinView();
    view.put("m", { nodes: ["n1"] });
    view.put("m", { nodes: ["n2"] });
    expect([view.allows("m", "n1", {}), view.size, view.pinFor("m")]).toEqual([false, 1, { nodes: ["n2"] }]);
    view.delete("m");
    expect([view.allows("m", "n1", {}), view.pinFor("m")]).toEqual([true, undefined]);
  });
});

/** Views of what these writes left. */
function viewsOf(...writes: object[]): PolicyViews {
  const told = new Told();
  const { outcome } = told.write(writes);
  expect(outcome).toMatchObject({ ok: true });
  const views = new PolicyViews();
  views.reset(told.machine.list(), told.machine.revision);
  return views;
}

describe("views", () => {
  test("find all quotas that count", () => {
    const names = ["acme/meta/llama", "acme/*", "*/meta/llama", "*/*", "globex/*"];
    const views = viewsOf(...names.map((name) => put("quota", name, { concurrency: 1 })));
    const found: string[] = ["old"];
    expect(views.quotasFor("acme", "meta/llama", found)).toEqual(names.slice(0, 4));
    expect(views.quotasFor("acme", "qwen", found)).toEqual(["acme/*", "*/*"]);
    expect(views.quotasFor("other", "meta/llama", found)).toEqual(["*/meta/llama", "*/*"]);
    expect(views.quotasFor("globex", "qwen", found)).toEqual(["globex/*", "*/*"]);
    expect(views.quotas.size).toBe(5);
  });

  test("find the one SLO, priority and strategy that names most", () => {
    const slo = (ttftMs: number): object => ({ class: "latency", ttftMs });
    const views = viewsOf(
      put("slo", "acme/llama", slo(1)),
      put("slo", "acme/*", slo(2)),
      put("slo", "meta/llama", slo(3)),
      put("slo", "*", slo(4)),
      put("priority", "acme/llama", { priority: 0 }),
      put("priority", "acme", { priority: 1 }),
      put("priority", "*/llama", { priority: 2 }),
      put("priority", "*", { priority: 3 }),
      put("balance", "llama", { strategy: "random" }),
      put("balance", "*", { strategy: "score" }),
    );
    const slos: [string, string][] = [
      ["acme", "llama"],
      ["acme", "qwen"],
      ["globex", "meta/llama"],
      ["meta", "llama"],
      ["globex", "qwen"],
    ];
    expect(slos.map((each) => views.sloFor(...each)?.ttftMs)).toEqual([1, 2, 3, 3, 4]);
    const priorities: [string, string][] = [
      ["acme", "llama"],
      ["acme", "qwen"],
      ["globex", "llama"],
      ["globex", "qwen"],
    ];
    expect(priorities.map((each) => views.priorityFor(...each))).toEqual([0, 1, 2, 3]);
    // Nobody becomes another's by calling itself as a policy is called.
    expect(views.priorityFor("acme/llama", "qwen")).toBe(3);
    expect(["llama", "qwen"].map((model) => views.balanceFor(model)?.strategy)).toEqual(["random", "score"]);
    const none = viewsOf(put("node", "n", { cordoned: true }));
    expect([none.sloFor("a", "b"), none.priorityFor("a", "b"), none.balanceFor("b")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("know nodes that are cordoned or drained, and what scales", () => {
    const scaling = { minReplicas: 1, maxReplicas: 2, target: { metric: "kv-usage", value: 0.8 } };
    const views = viewsOf(
      put("node", "n1", { cordoned: true }),
      put("node", "n2", { draining: true }),
      put("node", "n3", { reason: "watched" }),
      put("scaling", "llama", scaling),
    );
    const nodes = ["n1", "n2", "n3", "n4"];
    expect(nodes.map((node) => views.isCordoned(node))).toEqual([true, true, false, false]);
    expect(nodes.map((node) => views.isDraining(node))).toEqual([false, true, false, false]);
    expect([...views.scalings.keys(), ...views.nodes.keys()]).toEqual(["llama", "n1", "n2", "n3"]);
  });

  test("told change by change are as those told all at once", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(randomWrite, fc.nat(), fc.boolean()), { maxLength: 60 }), (steps) => {
        const told = new Told();
        const live = new PolicyViews();
        for (const [write, which, removes] of steps) {
          live.changed(told.write([write]).changes, told.machine.revision);
          const there = told.machine.list();
          const item = there[which % Math.max(1, there.length)];
          if (!removes || item === undefined) continue;
          live.changed(told.write([gone(item.kind, item.name)]).changes, told.machine.revision);
        }
        const fresh = new PolicyViews();
        // Of something else before.
        fresh.reset([{ kind: "pin", name: "llama", spec: { nodes: ["zz"] } } as unknown as Item], 99);
        fresh.reset(told.machine.list(), told.machine.revision);
        expect(answers(live)).toEqual(answers(fresh));
      }),
      { numRuns: 100 },
    );
  });
});

/** All that can be asked about a small world. */
function answers(views: PolicyViews): unknown[] {
  const models = ["llama", "meta/llama-3", "qwen", "other"];
  const about = ["acme", "globex", "meta", "x"].flatMap((tenant) =>
    models.map((model) => [
      views.quotasFor(tenant, model, []),
      views.sloFor(tenant, model),
      views.priorityFor(tenant, model),
      ACTIONS.map((action) => views.acl.explain(tenant, HASH, model, action)),
    ]),
  );
  const places = ["n1", "n2", "n3"].flatMap((node) => [
    views.isCordoned(node),
    views.isDraining(node),
    ...models.map((model) => views.pins.allows(model, node, { zone: "n1" })),
  ]);
  const sorted = (map: ReadonlyMap<string, unknown>): unknown[] => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const kept = [sorted(views.quotas), sorted(views.scalings), sorted(views.nodes), views.revision];
  return [about, places, models.map((model) => [views.balanceFor(model), views.pins.pinFor(model)]), kept];
}
