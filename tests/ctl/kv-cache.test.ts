import { describe, expect, test } from "bun:test";
import { enginesOf } from "../../src/ctl/kv-cache.ts";
import { renderRows } from "../../src/ctl/render.ts";

const known = { engine: "127.0.0.1:5557", runtime: "vllm", blocks: 12_345, blockTokens: 16, whole: true };
const table = (targets: readonly object[], status: object | null = null): string[] => {
  const { rows, columns } = enginesOf(targets, status);
  return renderRows("table", rows, columns, {}).trimEnd().split("\n");
};

describe("KV caches in describe-node", () => {
  test("by a router: each engine once, however many targets stand for it, and how far behind it is", () => {
    const current = { ...known, current: true, updatesBehind: 0, behindMs: null };
    const behind = {
      ...known,
      engine: "127.0.0.1:5558",
      whole: false,
      current: false,
      updatesBehind: 3,
      behindMs: 2500,
    };
    const silent = { ...known, engine: "ipc:///a", blockTokens: 0, current: false, updatesBehind: 0, behindMs: null };
    const deaf = { ...current, engine: "127.0.0.1:5559", heard: false };
    const lines = table([{ kvCache: [current, behind] }, { kvCache: [current, silent, deaf] }]);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(/^ENGINE +RUNTIME +BLOCKS +KNOWN +TOKENS\/BLOCK +LAG$/);
    expect(lines[1]).toMatch(/^127.0.0.1:5557 +vllm +12.?345 +whole +16 +none$/);
    expect(lines[2]).toMatch(/^127.0.0.1:5558 +vllm +12.?345 +in part +16 +3 updates for 2.*s$/);
    expect(lines[3]).toMatch(/^ipc:\/\/\/a +vllm +12.?345 +whole +- +behind$/);
    expect(lines[4]).toMatch(/5559 +vllm +12.?345 +whole +16 +the node does not hear it$/);
  });

  test("by the node itself: whether its events are heard, and why its index began as it did", () => {
    const heard = { ...known, subscribed: true, fault: "", began: "all was replayed" };
    const lost = { ...known, subscribed: false, fault: "connection refused", began: "" };
    const lines = table([{ kvCache: [{ ...known, current: true }] }], { kvCache: [heard, lost, { engine: "e" }] });
    expect(lines[0]).toMatch(/^ENGINE +RUNTIME +BLOCKS +KNOWN +EVENTS +SINCE$/);
    expect(lines[1]).toMatch(/whole +heard +all was replayed$/);
    expect(lines[2]).toMatch(/whole +connection refused +-$/);
    expect(lines[3]).toMatch(/^e +- +- +in part +not heard yet +-$/);
  });

  test("nothing of nodes that tell nothing, or answer something else", () => {
    for (const answer of [{}, { kvCache: [] }, { kvCache: "x" }, { kvCache: [1] }]) {
      expect(enginesOf([answer], answer).rows).toEqual([]);
    }
    expect(enginesOf([], null).rows).toEqual([]);
  });
});
