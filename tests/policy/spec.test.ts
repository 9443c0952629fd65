import { describe, expect, test } from "bun:test";
import type { Fault } from "../../src/base/field.ts";
import { aclNameOf, scopeOf } from "../../src/policy/name.ts";
import { faultsText, readingAt } from "../../src/policy/spec-reading.ts";
import { KINDS, type Kind } from "../../src/policy/spec.ts";
import { readPolicy } from "../../src/policy/write.ts";

/** The spec as it is kept, or what is wrong with it. */
function read(kind: Kind, name: unknown, spec: unknown): unknown {
  const faults: Fault[] = [];
  const policy = readPolicy(kind, name, spec, readingAt("", faults));
  return faultsText(faults) ?? policy?.spec;
}

const HASH = "0123456789abcdef".repeat(4);
const long = "x".repeat(254);

test.each<[Kind, string, unknown]>([
  ["pin", "llama", { revision: "main", nodes: ["b", "a"], minReplicas: 2, maxReplicas: 5 }],
  ["pin", "meta-llama/Llama-3-8B", { selector: { gpu: "h100", zone: "" }, minReplicas: 0 }],
  ["quota", "acme/*", { requestsPerSecond: 0.5 }],
  ["quota", "*/meta/llama", { tokensPerMinute: 1, concurrency: 1 }],
  ["acl", "tenant:acme/meta/llama/infer", { effect: "deny", reason: "over budget" }],
  ["acl", `key:${HASH}/*/*`, { effect: "allow" }],
  ["balance", "m", { strategy: "late" }],
  [
    "balance",
    "m",
    {
      strategy: "ttft",
      zone: "prefer",
      session: { field: "x-session-id", slackMs: 200 },
      split: { v2: 0.1, v3: 0.2 },
      shadow: { revision: "v4", share: 1 },
    },
  ],
  ["balance", "*", { strategy: "two-choices", weights: { n1: 0.5, n2: 2 } }],
  ["scaling", "llama", { minReplicas: 0, maxReplicas: 8, target: { metric: "kv-usage", value: 0.8 } }],
  ["slo", "acme/*", { class: "latency", deadlineMs: 30_000, ttftMs: 500 }],
  ["priority", "acme/llama", { priority: 0 }],
  ["node", "n1", { cordoned: true, draining: false, reason: "new disk" }],
])("%s %s is kept as it is", (kind, name, spec) => {
  expect(read(kind, name, spec)).toEqual(spec);
});

test("what says the same is kept as the same text, whatever the order it was said in", () => {
  const kept = read("pin", "m", { maxReplicas: 2, selector: { b: "2", a: "1" } });
  expect(JSON.stringify(kept)).toBe('{"selector":{"a":"1","b":"2"},"maxReplicas":2}');
  expect(JSON.stringify(read("pin", "m", { minReplicas: -0 }))).toBe('{"minReplicas":0}');
});

test("a label may be called anything, __proto__ too", () => {
  const spec: unknown = JSON.parse('{"selector":{"__proto__":"x"}}');
  expect(JSON.stringify(read("pin", "m", spec))).toBe('{"selector":{"__proto__":"x"}}');
});

describe("refused, and told what is wrong", () => {
  test.each<[Kind, unknown, unknown, string]>([
    ["pin", "m", { nodez: ["a"] }, 'spec.nodez: found ["a"]; no such field; did you mean nodes?'],
    ["pin", "m", {}, "at least one of revision, nodes"],
    ["pin", "m", [], "spec: found []; expected an object of revision, nodes"],
    ["pin", "m", { nodes: [] }, "expected a list of 1 to 1000 node ids"],
    ["pin", "m", { nodes: ["a", "a"] }, 'spec.nodes[1]: found "a"; expected each of the node ids once'],
    ["pin", "m", { nodes: ["a", 7] }, "spec.nodes[1]: found 7"],
    ["pin", "m", { nodes: ["a"], selector: { b: "c" } }, "nodes or a selector, not both"],
    [
      "pin",
      "m",
      { minReplicas: 3, maxReplicas: 2 },
      "spec.minReplicas: found 3; expected at most maxReplicas, which is 2",
    ],
    ["pin", "m", { minReplicas: 2, nodes: ["a"] }, "at most the number of nodes, which is 1"],
    ["pin", "m", { minReplicas: 1.5 }, "expected a whole number from 0 to 100000"],
    ["pin", "m", { selector: { a: 1 } }, "spec.selector.a: found 1"],
    ["pin", "m*", { minReplicas: 1 }, 'name: found "m*"; expected a model\'s name'],
    ["pin", "", { minReplicas: 1 }, "name of 1 to 253 printable characters"],
    ["pin", "a b", { minReplicas: 1 }, "without spaces"],
    ["pin", long, { minReplicas: 1 }, "name of 1 to 253"],
    ["pin", "\ud800", { minReplicas: 1 }, "printable"],
    ["quota", "acme/m", { requestsPerSecond: 0 }, "spec.requestsPerSecond: found 0; expected a number above 0"],
    ["quota", "acme/m", { tokensPerMinute: -5 }, "found -5"],
    ["quota", "acme/m", { concurrency: "7" }, 'found "7"'],
    ["quota", "acme/m", {}, "at least one of requestsPerSecond, tokensPerMinute, concurrency"],
    ["quota", "acme", { concurrency: 1 }, "expected TENANT/MODEL"],
    ["quota", "/m", { concurrency: 1 }, "expected TENANT/MODEL"],
    ["quota", "acme/", { concurrency: 1 }, "expected TENANT/MODEL"],
    ["quota", "ac*/m", { concurrency: 1 }, "expected TENANT/MODEL"],
    ["acl", "acme/m/infer", { effect: "allow" }, "expected SUBJECT/MODEL/ACTION"],
    ["acl", "tenant:acme/m/inferr", { effect: "allow" }, "expected SUBJECT/MODEL/ACTION"],
    ["acl", "tenant:acme/infer", { effect: "allow" }, "expected SUBJECT/MODEL/ACTION"],
    ["acl", "key:ABC/m/infer", { effect: "allow" }, "64 or 16 small hexadecimal digits"],
    ["acl", "*/m/*", { effect: "alow" }, 'spec.effect: found "alow"; expected allow or deny; did you mean allow?'],
    ["acl", "*/m/*", {}, "spec.effect: found nothing; expected a value, since it must be said"],
    ["balance", "m", { strategy: "scoer" }, "did you mean score?"],
    ["balance", "m", { strategy: "score", weights: { n: 0 } }, "spec.weights.n: found 0"],
    ["balance", "m", { strategy: "score", weights: {} }, "1 to 1000 keys"],
    ["balance", "m", { strategy: "ttft", zone: "a" }, "any or prefer or only"],
    ["balance", "m", { strategy: "ttft", session: { field: "X-Session" } }, "the name of a field in small letters"],
    ["balance", "m", { strategy: "ttft", session: {} }, "spec.session.field"],
    ["balance", "m", { strategy: "ttft", split: { v2: 0.6, v3: 0.5 } }, "at most 1 together"],
    ["balance", "m", { strategy: "ttft", split: { v2: 0 } }, "spec.split.v2: found 0"],
    ["balance", "m", { strategy: "ttft", shadow: { revision: "v2" } }, "spec.shadow.share"],
    [
      "balance",
      "m",
      { strategy: "ttft", split: { v2: 0.1 }, shadow: { revision: "v2", share: 0.1 } },
      "a revision that the split does not name",
    ],
    [
      "scaling",
      "m",
      { minReplicas: 2, maxReplicas: 1, target: { metric: "kv-usage", value: 1 } },
      "at most maxReplicas",
    ],
    [
      "scaling",
      "m",
      { minReplicas: 1, maxReplicas: 1, target: { metric: "kv-usage", value: 80 } },
      "a share above 0, at most 1",
    ],
    [
      "scaling",
      "m",
      { minReplicas: 1, maxReplicas: 1, target: { metric: "cpu", value: 1 } },
      "queue-seconds or kv-usage",
    ],
    ["slo", "m", { class: "fast" }, "latency or throughput"],
    ["slo", "m", { class: "latency", ttftMs: 0 }, "(milliseconds)"],
    ["priority", "acme", { priority: 4 }, "a whole number from 0 to 3, 0 being served first"],
    ["node", "n", { draining: "yes" }, "true or false"],
    ["node", "n", { reason: "\u001b[2J" }, "printable"],
  ])("%s %p", (kind, name, spec, message) => {
    expect(read(kind, name, spec)).toContain(message);
  });

  test("a spec that is too large", () => {
    const nodes = Array.from({ length: 900 }, (_, index) => `${"n".repeat(90)}${index}`);
    expect(read("pin", "m", { nodes })).toContain("at most 65536 bytes");
  });

  test("many faults at once, the first of them shown", () => {
    const spec = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, 1]));
    expect(read("slo", "m", spec)).toMatch(/spec\.f0: .* and 13 more$/);
  });
});

test("names come apart at the right slashes", () => {
  expect(scopeOf("acme/meta/llama")).toEqual({ tenant: "acme", model: "meta/llama" });
  expect(aclNameOf("tenant:a/meta/llama/*")).toEqual({
    subject: { by: "tenant", tenant: "a" },
    model: "meta/llama",
    action: "*",
  });
  expect(aclNameOf(`key:${HASH.slice(0, 16)}/*/embed`)?.subject).toEqual({ by: "key", hash: HASH.slice(0, 16) });
});

test("kinds are in the order of the alphabet, which lists rely on", () => {
  expect([...KINDS]).toEqual([...KINDS].toSorted());
});
