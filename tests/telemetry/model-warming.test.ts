/** First requests of models that have just been loaded. */
import { afterEach, describe, expect, test } from "bun:test";
import { ModelWarming, type WarmingOptions } from "../../src/telemetry/model-warming.ts";
import type { Asked } from "../../src/telemetry/runtime-client.ts";
import { until } from "./mock-server.ts";

const OK: Asked = { ok: true, isFromMesh: false, answer: { status: 200, contentType: "", body: new Uint8Array() } };
const warmings: ModelWarming[] = [];
afterEach(() => {
  for (const warming of warmings.splice(0)) warming.stop();
});

function warmingOf(more: Partial<WarmingOptions> = {}) {
  const began: string[] = [];
  const open = new Map<string, (asked: Asked) => void>();
  let most = 0;
  const warming = new ModelWarming({
    isWanted: true,
    limits: { timeoutMs: 1000, bytesMax: 1000 },
    ask: (model) => {
      const { promise, resolve } = Promise.withResolvers<Asked>();
      open.set(model, (asked) => {
        open.delete(model);
        resolve(asked);
      });
      most = Math.max(most, open.size);
      return promise;
    },
    began: (model) => began.push(model),
    failed: () => {},
    changed: () => {},
    ...more,
  });
  warmings.push(warming);
  return { warming, began, open, most: () => most };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `m${at}`);

describe("a runtime with many models", () => {
  test("is asked few first requests at a time, and all of them in the end", async () => {
    const { warming, began, open, most } = warmingOf();
    const all = names(200);
    warming.look(new Set(all));
    expect(all.every((model) => warming.has(model))).toBe(true);
    await until(() => {
      for (const answer of open.values()) answer(OK);
      return !all.some((model) => warming.has(model));
    }, "all are warm");
    expect([most(), began]).toEqual([2, all]);
  });

  test("goes on with the next where one is gone before it was asked, or never answers", async () => {
    const { warming, began, open } = warmingOf();
    warming.look(new Set(["a", "b", "c", "d"]));
    expect(began).toEqual(["a", "b"]);
    warming.look(new Set(["b", "d"]));
    // Who is gone is called off, and its answer ends.
    open.get("a")?.({ ok: false, kind: "broken", message: "it was called off" });
    await until(() => open.has("d"), "the next is asked");
    expect([began, warming.has("c"), warming.has("a")]).toEqual([["a", "b", "d"], false, false]);
    open.get("b")?.({ ok: false, kind: "timeout", message: "no answer" });
    open.get("d")?.(OK);
    await until(() => !warming.has("d"), "it is warm");
    expect([warming.has("b"), warming.why("b")]).toEqual([true, "it does not answer its first request: no answer"]);
    await until(() => open.has("b"), "it is asked again");
    open.get("b")?.(OK);
    await until(() => !warming.has("b"), "it is warm as well");
  });
});
