/**
 * Models that come and go at a server with metrics, on a virtual clock: how soon it is known, and what it costs. A load of
 * ours is known by its own answer; one of somebody else by the page that counts it, or by the list alone.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ModelCall } from "../../src/runtimes/adapter.ts";
import { LLAMACPP } from "../../src/runtimes/llamacpp.ts";
import { VLLM } from "../../src/runtimes/vllm.ts";
import { PlayedServer } from "./played-server.ts";
import { json, recorded, text } from "./replay.ts";

const BASE = "base";
const LIST = "/v1/models";
const PAGE = "/metrics";

/** A vLLM, whose adapters come and go. */
class PlayedVllm extends PlayedServer {
  readonly adapters = new Set<string>();
  /** It counts what it answers. */
  counts = true;
  /** Adapters that run, by name. */
  atWork = "";
  readonly #answered = { "/v1/load_lora_adapter": 0, "/v1/unload_lora_adapter": 0 };

  constructor() {
    super(VLLM, {
      "/version": json({ version: "0.11.0" }),
      "/health": text(""),
      [LIST]: () => json({ data: [card(BASE, null), ...[...this.adapters].map((name) => card(name, BASE))] }),
      [PAGE]: () => text(this.#page()),
    });
  }

  /** Since it was ready for a while: what its start has cost is saved up again. */
  static atRest(): PlayedVllm {
    const server = new PlayedVllm();
    server.pass(60_000);
    expect(server.watch.status.state).toBe("ready");
    return server;
  }

  #page(): string {
    const counts = { [LIST]: 1, ...this.#answered };
    const counted = Object.entries(counts).map(
      ([path, count]) => `http_requests_total{handler="${path}",method="POST"} ${count}\n`,
    );
    const info = `vllm:lora_requests_info{running_lora_adapters="${this.atWork}"} 1\n`;
    return `vllm:num_requests_running{model_name="${BASE}"} 0\n${info}${this.counts ? counted.join("") : ""}`;
  }

  /** Somebody else does it. */
  change(verb: "load" | "unload", name: string): void {
    this.#answered[`/v1/${verb}_lora_adapter`] += 1;
    if (verb === "load") this.adapters.add(name);
    else this.adapters.delete(name);
  }

  /** By the plan of the agent, which believes what the answer proves. */
  byPlan(verb: "load" | "unload", name: string): ModelCall {
    const reading = this.watch.reading(this.nowMs);
    const call =
      verb === "load"
        ? this.adapter.load(name, { source: `/adapters/${name}`, parent: BASE }, reading)
        : this.adapter.unload(name, reading);
    if (call === undefined) throw new Error(`there is no plan to ${verb} ${name}`);
    this.change(verb, name);
    this.watch.proved(name, call.proves!(text(`Success: LoRA adapter '${name}'`))!, this.nowMs);
    return call;
  }

  get served(): string[] {
    return Object.keys(this.models).filter((name) => name !== BASE);
  }
}

function card(id: string, parent: string | null) {
  return { id, owned_by: "vllm", parent, max_model_len: 8192 };
}

describe("a load of ours", () => {
  test("is known by its answer, with what is known of its base, and costs no request", () => {
    const server = PlayedVllm.atRest();
    const asked = server.asked.length;
    const call = server.byPlan("load", "a");
    expect(call.settled(server.watch.reading(server.nowMs))).toBe(true);
    expect(server.watch.reading(server.nowMs).models.find(({ model }) => model === "a")).toMatchObject({
      state: "loaded",
      parent: BASE,
      contextTokensMax: 8192,
    });
    const { asks, changed } = server.watch.take();
    expect([asks.length, changed, server.asked.length]).toEqual([0, true, asked]);
  });

  test.each([50, 400, 1000, 3000, 11_000])("is known at once though another was %i ms before", (pauseMs) => {
    const server = PlayedVllm.atRest();
    const fromMs = server.nowMs;
    const names: string[] = [];
    for (let load = 0; load < 40; load++) {
      server.pass(pauseMs);
      names.push(`a${load}`);
      server.byPlan("load", `a${load}`);
      expect(server.served).toEqual(names);
    }
    server.expectBudget();
    // They are confirmed where there is room for it: the metrics come as ever.
    expect(Math.max(...server.pauses(PAGE, fromMs))).toBeLessThanOrEqual(1160);
    server.pass(30_000);
    expect(server.served).toEqual(names);
  });

  test("is confirmed by one look at the list, behind the next page", () => {
    const server = PlayedVllm.atRest();
    for (let load = 0; load < 5; load++) {
      server.pass(20_000 + load * 230);
      const atMs = server.nowMs;
      server.byPlan("load", `a${load}`);
      server.pass(5000);
      // The page counts it, which is no news.
      expect(server.since(atMs).filter((path) => path === LIST)).toHaveLength(1);
      expect(server.since(atMs)[0]).toBe(PAGE);
    }
  });

  test("that the list does not confirm was none", () => {
    const server = PlayedVllm.atRest();
    server.byPlan("load", "a");
    server.adapters.delete("a");
    server.pass(2400);
    expect(server.served).toEqual([]);
  });

  test("is over when the process is another one", () => {
    const server = PlayedVllm.atRest();
    server.byPlan("load", "a");
    server.watch.refused("ECONNREFUSED", server.nowMs);
    expect(server.served).toEqual([]);
  });

  test("and what is let go and loaded again are so at each moment", () => {
    const server = PlayedVllm.atRest();
    for (let round = 0; round < 20; round++) {
      server.byPlan("load", "a");
      expect(server.served).toEqual(["a"]);
      server.pass(round * 120);
      expect(server.served).toEqual(["a"]);
      server.byPlan("unload", "a");
      expect(server.served).toEqual([]);
      server.pass(round * 70);
      expect(server.served).toEqual([]);
    }
    server.expectBudget();
  });

  test("at one of several runtimes is no matter of the others", () => {
    const servers = [0, 1, 2, 3].map(() => PlayedVllm.atRest());
    for (let round = 0; round < 12; round++) {
      const [one, ...others] = [...servers.slice(round % 4), ...servers.slice(0, round % 4)];
      const served = others.map((other) => other.served);
      one!.byPlan("load", `a${round}`);
      for (const server of servers) server.pass(300);
      expect(one!.served).toContain(`a${round}`);
      expect(others.map((other) => other.served)).toEqual(served);
    }
    for (const server of servers) server.expectBudget();
  });

  test("among changes of others: what is served comes to what there is, within the budget", () => {
    const step = fc.record({
      ms: fc.integer({ min: 0, max: 5000 }),
      verb: fc.constantFrom("load", "unload"),
      name: fc.constantFrom("a", "b", "c"),
      isOurs: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, counts) => {
        const server = PlayedVllm.atRest();
        server.counts = counts;
        for (const { ms, verb, name, isOurs } of steps) {
          server.pass(ms);
          const isKnown = server.served.includes(name);
          if (!isOurs || (verb === "unload" && !isKnown)) server.change(verb, name);
          else {
            server.byPlan(verb, name);
            expect(server.served.includes(name)).toBe(verb === "load");
          }
        }
        server.pass(60_000);
        expect(new Set(server.served)).toEqual(server.adapters);
        server.expectBudget();
      }),
      { numRuns: 60 },
    );
  });
});

describe("a load that is looked at until it is done", () => {
  test("takes turns with the metrics", () => {
    const R = "llamacpp-router-b11434";
    const page = "/metrics?model=tiny-one&autoload=false";
    const router = new PlayedServer(LLAMACPP, {
      "/props": recorded(`${R}.props.json`),
      "/health": recorded(`${R}.health.json`),
      [LIST]: recorded(`${R}.loaded.v1-models.json`),
      [page]: recorded(`${R}.loaded.metrics.txt`),
    }).pass(30_000);
    expect(router.models["tiny-one"]).toBe("loaded");
    const fromMs = router.nowMs;
    // A minute of loading another model, during which its list is wanted once a second.
    for (let second = 0; second < 60; second++) {
      router.watch.hurry(router.nowMs);
      router.pass(1000);
    }
    const paths = router.since(fromMs);
    expect(paths.filter((path) => path === page).length).toBeGreaterThan(24);
    expect(paths.filter((path) => path === LIST).length).toBeGreaterThan(24);
    expect(paths.length).toBeLessThanOrEqual(60);
  });
});

describe("a load of somebody else", () => {
  /** How long each was not known. */
  function delays(server: PlayedVllm, pauseMs: number, loads = 40): number[] {
    return Array.from({ length: loads }, (_, load) => {
      server.pass(pauseMs + ((load * 367) % 1150));
      const atMs = server.nowMs;
      server.change("load", `a${load}`);
      server.pass(60_000, () => server.served.includes(`a${load}`));
      return server.nowMs - atMs;
    });
  }

  test.each([12_000, 17_000, 23_000, 31_000])(
    "that the page counts is known with it, %i ms after another",
    (pauseMs) => {
      const server = PlayedVllm.atRest();
      expect(Math.max(...delays(server, pauseMs))).toBeLessThanOrEqual(1200);
      server.expectBudget();
    },
  );

  test("one right after the other waits for the next request at most, and metrics with it", () => {
    const server = PlayedVllm.atRest();
    const fromMs = server.nowMs;
    expect(Math.max(...delays(server, 1000))).toBeLessThanOrEqual(1150 + 1060);
    expect(Math.max(...server.pauses(PAGE, fromMs))).toBeLessThanOrEqual(2 * 1150);
    server.expectBudget();
  });

  test("that only a label hints at is known with it, as long as the label tells of new ones", () => {
    const server = PlayedVllm.atRest();
    server.counts = false;
    server.pass(60_000);
    const delaysOf = (pauseMs: number) =>
      Array.from({ length: 5 }, (_, load) => {
        server.pass(pauseMs + load * 170);
        const atMs = server.nowMs;
        server.adapters.add(`a${server.adapters.size}`);
        const count = server.served.length;
        server.atWork = [...server.adapters].join();
        server.pass(60_000, () => server.served.length > count);
        return server.nowMs - atMs;
      });
    expect(Math.max(...delaysOf(17_000))).toBeLessThanOrEqual(1200);
    // All take turns now, which says nothing, and makes no page late.
    const fromMs = server.nowMs;
    for (let page = 0; page < 200; page++) {
      server.atWork = `a${page % 5}`;
      server.pass(1150);
    }
    expect(Math.max(...server.pauses(PAGE, fromMs + 5000))).toBeLessThanOrEqual(1200);
    expect(Math.max(...server.pauses(LIST, fromMs))).toBeLessThanOrEqual(26_000);
    // One that came to something is worth it again.
    delaysOf(17_000);
    expect(Math.max(...delaysOf(17_000))).toBeLessThanOrEqual(1200);
    server.expectBudget();
  });

  test("that is counted no more is known by the list, as where it never was", () => {
    const server = PlayedVllm.atRest();
    server.pass(60_000, () => server.since(server.nowMs - 2000).includes(LIST)).pass(3000);
    server.counts = false;
    const atMs = server.nowMs;
    server.adapters.add("a");
    server.pass(60_000, () => server.served.includes("a"));
    expect(server.nowMs - atMs).toBeLessThanOrEqual(13_000);
  });

  test("soon after the list was looked at is known no later for that", () => {
    for (let offsetMs = 0; offsetMs < 1150; offsetMs += 50) {
      const server = PlayedVllm.atRest();
      const looks = (): number => server.since(0).filter((path) => path === LIST).length;
      const before = looks();
      server.pass(60_000, () => looks() > before).pass(offsetMs);
      const atMs = server.nowMs;
      server.change("load", "a");
      server.pass(60_000, () => server.served.includes("a"));
      expect(server.nowMs - atMs).toBeLessThanOrEqual(1200);
    }
  });

  test("that no page counts is known by the list, which is looked at more often then", () => {
    const lists = (counts: boolean): number[] => {
      const server = new PlayedVllm();
      server.counts = counts;
      server.pass(1_800_000);
      return server.pauses(LIST, 60_000);
    };
    expect(Math.max(...lists(false))).toBeLessThanOrEqual(38_000);
    expect(lists(false).toSorted((a, b) => a - b)[Math.floor(lists(false).length / 2)]).toBeLessThanOrEqual(13_000);
    expect(Math.min(...lists(true))).toBeGreaterThan(25_000);
    expect(Math.max(...lists(true))).toBeLessThanOrEqual(36_000);
  });
});
