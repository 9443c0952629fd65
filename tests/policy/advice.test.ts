import { describe, expect, test } from "bun:test";
import { type Known, adviceFor } from "../../src/policy/advice.ts";
import type { Kind } from "../../src/policy/spec.ts";
import type { Write } from "../../src/policy/write.ts";
import { Told, gone, put } from "./commands.ts";

const known: Known = {
  nodes: [
    { id: "node1", labels: { gpu: "h100", zone: "a" } },
    { id: "node2", labels: { gpu: "a100", zone: "a" } },
  ],
  models: ["llama-3-8b", "meta/qwen"],
};

const say = (kind: Kind, name: string, spec: object): string[] => adviceFor(put(kind, name, spec) as Write, known);

test.each<[Kind, string, object]>([
  ["pin", "llama-3-8b", { nodes: ["node1"] }],
  ["pin", "llama-3-8b", { selector: { zone: "a" }, minReplicas: 2 }],
  ["pin", "llama-3-8b", { revision: "v1" }],
  ["quota", "acme/*", { concurrency: 1 }],
  ["quota", "acme/meta/qwen", { concurrency: 1 }],
  ["slo", "meta/qwen", { class: "latency" }],
  ["slo", "acme/llama-3-8b", { class: "latency" }],
  ["slo", "*", { class: "latency" }],
  ["priority", "acme", { priority: 1 }],
  ["balance", "*", { strategy: "score", weights: { node1: 2 } }],
  ["node", "node2", { draining: true }],
  ["acl", "*/meta/qwen/infer", { effect: "deny" }],
])("of %s %s there is nothing to say", (kind, name, spec) => {
  expect(say(kind, name, spec)).toEqual([]);
});

test.each<[Kind, string, object, string]>([
  ["pin", "llama-3-7b", { revision: "v1" }, "serves the model llama-3-7b (did you mean llama-3-8b?)"],
  ["pin", "llama-3-8b", { nodes: ["node1", "nodee2"] }, "no known node is called nodee2 (did you mean node2?)"],
  [
    "pin",
    "llama-3-8b",
    { selector: { gpu: "h200" } },
    "no known node has the labels gpu=h200: the model may run nowhere; gpu is a100, h100 where it is set",
  ],
  ["pin", "llama-3-8b", { selector: { gpus: "h100" } }, "no node has a label gpus (did you mean gpu?)"],
  [
    "pin",
    "llama-3-8b",
    { selector: { gpu: "h100" }, minReplicas: 2 },
    "1 known nodes have these labels, and minReplicas is 2",
  ],
  ["quota", "acme/gpt", { concurrency: 1 }, "serves the model gpt: this counts once one does"],
  ["acl", "*/gpt/infer", { effect: "deny" }, "the model gpt"],
  ["scaling", "gpt", {}, "the model gpt"],
  ["priority", "acme/gpt", { priority: 1 }, "the model gpt"],
  ["slo", "gpt", { class: "latency" }, "the model gpt"],
  [
    "balance",
    "llama-3-8b",
    { strategy: "score", weights: { nodo1: 2 } },
    "no known node is called nodo1 (did you mean node1?)",
  ],
  ["node", "node3", { draining: true }, "no known node is called node3"],
  ["acl", "*/*/*", { effect: "deny" }, "denies everything to everybody"],
])("of %s %s %p: %s", (kind, name, spec, sentence) => {
  const [first, ...others] = say(kind, name, spec);
  expect(first).toContain(sentence);
  expect(others).toEqual([]);
});

test("many unknown nodes are not all named", () => {
  const nodes = Array.from({ length: 9 }, (_, index) => `x${index}`);
  const said = say("pin", "llama-3-8b", { nodes });
  expect([said.length, said.at(-1)]).toEqual([6, "4 more nodes are not known"]);
});

describe("of access", () => {
  const told = new Told();
  told.write([put("acl", "tenant:acme/llama-3-8b/infer", { effect: "allow" })]);
  told.write([put("acl", "tenant:evil/*/*", { effect: "deny" })]);
  const withItems: Known = { ...known, items: told.machine.list() };
  const advise = (write: object): string[] => adviceFor(write as Write, withItems);

  test("the first allowance shuts others out, the next does not", () => {
    expect(advise(put("acl", "tenant:acme/meta/qwen/*", { effect: "allow" }))).toEqual([
      "this is the first allowance of any action on meta/qwen: whoever no rule allows that may not do it any more",
    ]);
    expect(advise(put("acl", "tenant:globex/llama-3-8b/infer", { effect: "allow" }))).toEqual([]);
    expect(advise(put("acl", "tenant:acme/*/*", { effect: "allow" }))[0]).toContain("any action on every model");
    expect(advise(put("acl", "*/meta/qwen/*", { effect: "allow" }))).toEqual([]);
    // One that is there already shuts nobody out any more.
    expect(advise(put("acl", "tenant:acme/llama-3-8b/infer", { effect: "allow", reason: "paid" }))).toEqual([]);
  });

  test("without the last allowance everybody may", () => {
    expect(advise(gone("acl", "tenant:acme/llama-3-8b/infer"))).toEqual([
      "this was the last allowance of infer on llama-3-8b: everybody may do it now whom no rule denies it",
    ]);
    expect(advise(gone("acl", "tenant:evil/*/*"))).toEqual([]);
    expect(advise(gone("pin", "llama-3-8b"))).toEqual([]);
  });
});
