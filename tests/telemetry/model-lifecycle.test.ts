/** Models that come and go by calls, where what the runtime tells of them comes late, wrong or not at all. */
import { describe, expect, test } from "bun:test";
import type { Adapter, Ask, ModelCall } from "../../src/runtimes/adapter.ts";
import { callOf, isLoaded, isOut, post, refusedCall } from "../../src/runtimes/model-plans.ts";
import { provesLoaded } from "../../src/runtimes/proofs.ts";
import { LOADED_MODEL, type ModelReading, NO_FIGURES, type RuntimeReading } from "../../src/runtimes/reading.ts";
import { type LifecycleOptions, ModelLifecycle } from "../../src/telemetry/model-lifecycle.ts";
import type { Asked } from "../../src/telemetry/runtime-client.ts";
import { until } from "./mock-server.ts";

const OK: Asked = { ok: true, isFromMesh: false, answer: { status: 200, contentType: "", body: new Uint8Array() } };

function modelOf(model: string, more: Partial<ModelReading> = {}): ModelReading {
  return {
    model,
    ...LOADED_MODEL,
    ...more,
  };
}

interface Setup {
  readonly models: readonly ModelReading[];
  readonly call: Partial<Pick<Adapter, "load" | "unload" | "kind">>;
  readonly more?: Partial<LifecycleOptions>;
}

function lifecycleOf({ models, call, more = {} }: Setup) {
  const seen = {
    reading: { version: "1", models, figures: NO_FIGURES, figuresAtMs: undefined } as RuntimeReading,
    notServing: "",
    asked: [] as Ask[],
    told: [] as string[],
    hurries: 0,
    proved: [] as string[],
  };
  const adapter = { kind: "vllm", ...call } as Adapter;
  const lifecycle: ModelLifecycle = new ModelLifecycle({
    name: "vllm",
    adapter,
    bytesMax: 1000,
    warmup: false,
    warmupTimeoutMs: 1000,
    loadTimes: { loadTimeMs: 20_000, loadBytesPerSecond: 1e9 },
    goodbyeMs: 1,
    ask: async (ask) => {
      seen.asked.push(ask);
      return OK;
    },
    reading: () => seen.reading,
    notServing: () => seen.notServing,
    hurry: () => (seen.hurries += 1),
    proved: (model, proof) => {
      seen.proved.push(model);
      seen.reading = { ...seen.reading, models: proof.models(seen.reading.models) };
      lifecycle.looked();
    },
    hasLooked: () => true,
    changed: () => lifecycle.looked(),
    tell: ({ kind, model, cause }) => seen.told.push(`${kind} ${model}: ${cause}`),
    ...more,
  });
  const show = (...shown: readonly ModelReading[]): void => {
    seen.reading = { ...seen.reading, models: shown };
    lifecycle.looked();
  };
  return { lifecycle, seen, show };
}

const signal = new AbortController().signal;
const wordsOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: Error) => error.message,
  );
const loadOf = (model: string): ModelCall => callOf({ verb: "load", model, asks: [post("/load", { model })] });

describe("loading", () => {
  test("a model that failed before waits for what the runtime says of this time", async () => {
    const broken = modelOf("m", { state: "failed", reason: "of yesterday" });
    const { lifecycle, seen, show } = lifecycleOf({ models: [broken], call: { load: loadOf } });
    const work = wordsOf(lifecycle.load("m", signal));
    await until(() => seen.asked.length === 1 && seen.hurries > 0, "it is asked for");
    // Something else was read meanwhile; of the model nothing new is known.
    show(broken);
    await until(() => seen.hurries > 1, "it is waited for again");
    show(modelOf("m", { state: "loading" }));
    show(modelOf("m"));
    expect(await work).toBe("done");
  });

  test("is over with the answer of a server that answers when it is done, and nothing is looked at for it", async () => {
    const call: ModelCall = { ...loadOf("m"), proves: () => provesLoaded(["m"]) };
    const { lifecycle, seen } = lifecycleOf({ models: [], call: { load: () => call } });
    expect(await lifecycle.load("m", signal)).toEqual({ changed: true, models: ["m"] });
    expect([seen.proved, seen.hurries]).toEqual([["m"], 0]);
  });

  test("believes no answer of a runtime that serves nothing by then", async () => {
    const call: ModelCall = { ...loadOf("m"), proves: () => provesLoaded(["m"]) };
    const { lifecycle, seen } = lifecycleOf({
      models: [],
      call: { load: () => call },
      more: {
        ask: async () => {
          seen.notServing = "it is down: refused";
          return OK;
        },
      },
    });
    expect(await wordsOf(lifecycle.load("m", signal))).toBe("vllm serves nothing now: it is down: refused");
    expect(seen.proved).toEqual([]);
  });

  test("one that fails again says why", async () => {
    const { lifecycle, seen, show } = lifecycleOf({
      models: [modelOf("m", { state: "failed", reason: "of yesterday" })],
      call: { load: loadOf },
    });
    const work = wordsOf(lifecycle.load("m", signal));
    await until(() => seen.hurries > 0, "it is waited for");
    show(modelOf("m", { state: "failed", reason: "out of memory" }));
    expect(await work).toBe("vllm failed to load it: out of memory");
  });

  test("goes on where progress comes in more bytes than one answer may have", async () => {
    const line = `{"status":"${"x".repeat(80)}"}\n`;
    let limit = 0;
    const call: ModelCall = {
      ...loadOf("m"),
      progress: () => undefined,
      fault: ({ body }) => (Buffer.from(body).toString().endsWith('"success"}') ? "" : "no success"),
    };
    const { lifecycle, seen, show } = lifecycleOf({
      models: [],
      call: { load: () => call },
      more: {
        ask: async (_, { bytesMax, piece }) => {
          limit = bytesMax;
          for (let sent = 0; sent < 100; sent += 1) piece?.(Buffer.from(line));
          piece?.(Buffer.from('{"status":"success"}'));
          return OK;
        },
      },
    });
    const work = wordsOf(lifecycle.load("m", signal));
    await until(() => seen.hurries > 0, "it is waited for");
    show(modelOf("m"));
    expect(await work).toBe("done");
    // A pull of hours tells of itself many times a second.
    expect(limit).toBeGreaterThan(1e9);
  });

  test.each([
    [400, "bad_request"],
    [404, "bad_request"],
    [500, "upstream_failed"],
  ] as const)("that is refused with %d is %s", async (status, code) => {
    const answer = { status, contentType: "", body: Buffer.from("no such path") };
    const { lifecycle } = lifecycleOf({
      models: [],
      call: { load: loadOf },
      more: { ask: async () => ({ ok: true, isFromMesh: false, answer }) },
    });
    const error = await lifecycle.load("m", signal).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error).toMatchObject({ code, message: "vllm refuses: the runtime did not load m: no such path" });
  });

  test("ends when the agent does, and tells nobody that it failed", async () => {
    const { lifecycle, seen } = lifecycleOf({ models: [], call: { load: loadOf } });
    const work = wordsOf(lifecycle.load("m", signal));
    await until(() => seen.hurries > 0, "it is waited for");
    lifecycle.stop();
    expect(await work).toBe("the agent is stopping");
    expect(seen.told.filter((told) => told.startsWith("failed"))).toEqual([]);
  });
});

describe("unloading", () => {
  test("what can't be unloaded is served on, and refused at once", async () => {
    const busy = modelOf("m", { figures: { ...NO_FIGURES, runningRequests: 1 } });
    const served: boolean[] = [];
    const { lifecycle, seen } = lifecycleOf({
      models: [busy],
      call: { unload: () => refusedCall("change its configuration") },
      more: { changed: () => served.push(lifecycle.serves(busy)) },
    });
    expect(await wordsOf(lifecycle.unload("m", 600_000, signal))).toBe("vllm: change its configuration");
    expect([served.filter((is) => !is), seen.told]).toEqual([[], []]);
  });

  test("is not done because the runtime went down", async () => {
    const { lifecycle, seen, show } = lifecycleOf({
      models: [modelOf("m")],
      call: { unload: (model) => callOf({ verb: "unload", model, asks: [post("/unload", { model })] }) },
    });
    const work = wordsOf(lifecycle.unload("m", 10, signal));
    await until(() => seen.asked.length === 1 && seen.hurries > 0, "it is asked for");
    seen.notServing = "it is down: refused";
    show();
    expect(await work).toBe("vllm serves nothing now: it is down: refused");
  });
});

test.each(["", ".", "..", "a b", "a\nb", "x".repeat(257), "modèle"])("%j is no name of a model", async (name) => {
  const { lifecycle, seen } = lifecycleOf({ models: [], call: { load: loadOf } });
  expect(await wordsOf(lifecycle.load(name, signal))).toContain("expected 1 to 256 printable characters");
  expect(seen.asked).toEqual([]);
});

test("of two calls for one model the second is refused, and other models do not wait", async () => {
  const { lifecycle, seen, show } = lifecycleOf({ models: [], call: { load: loadOf } });
  const first = wordsOf(lifecycle.load("m", signal));
  expect(await wordsOf(lifecycle.load("m", signal))).toBe("m is loading already; try again in a moment");
  const other = wordsOf(lifecycle.load("n", signal));
  await until(() => seen.asked.length === 2, "both are asked for");
  show(modelOf("m"), modelOf("n"));
  expect([await first, await other]).toEqual(["done", "done"]);
  expect([isLoaded(seen.reading, "m"), isOut(seen.reading, "x")]).toEqual([true, true]);
});
