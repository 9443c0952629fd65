/**
 * What every store of policies does, whatever its engine: the same tests for all of them. Several nodes of one store may
 * be given; then each is asked in turn, so that what one does is seen by the others.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { type Change, type Item, type ItemOf, keyOf, replay } from "../../src/policy/item.ts";
import type { Outcome, Refusal } from "../../src/policy/outcome.ts";
import { type Kind, type QuotaSpec, SPEC_BYTES_MAX } from "../../src/policy/spec.ts";
import type { Want } from "../../src/policy/want.ts";
import { ITEMS_MAX, WRITES_MAX, type Write } from "../../src/policy/write.ts";
import type { PolicyStore } from "../../src/store/policy-store.ts";
import { policyModel } from "../linearizability/policy-model.ts";
import { checkHistory } from "../linearizability/wgl.ts";
import { historyOf } from "./store-history.ts";
import { done, gone, put } from "./store-writes.ts";

export interface Opened {
  readonly store: PolicyStore;
  /** Other nodes of the same store. */
  readonly others?: readonly PolicyStore[];
  stop(): Promise<void>;
}

const TIMEOUT_MS = 20_000;
const PIN = { minReplicas: 1 };

function refused(outcome: Outcome): Refusal {
  if (outcome.ok) throw new Error(`was done, at revision ${outcome.revision}`);
  return outcome;
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "none";
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
}

/** What a watcher was told, replayed; every step is checked as it comes. */
export class Watching {
  readonly items = new Map<string, Item>();
  readonly changes: Change[] = [];
  revision = -1;
  resets = 0;
  readonly #stop: () => void;
  #waiting: { readonly isIt: () => boolean; readonly resolve: () => void }[] = [];

  /** `byHand`: someone writes into the engine itself, where revisions are not counted. */
  constructor(store: PolicyStore, { byHand = false } = {}) {
    this.#stop = store.watch({
      reset: (items, revision) => {
        this.items.clear();
        for (const item of items) this.items.set(keyOf(item), item);
        this.revision = revision;
        this.resets += 1;
        this.#look();
      },
      changed: (changes, revision) => {
        if (this.resets === 0) throw new Error("a change came before the first reset");
        if (changes.length === 0) throw new Error("a change of nothing");
        if (revision <= this.revision && !byHand) throw new Error(`revision ${revision} came after ${this.revision}`);
        for (const change of changes) {
          const own = "item" in change ? change.item.revision : change.revision;
          if (own !== revision && !byHand) throw new Error(`a change of revision ${own} came with ${revision}`);
          replay(this.items, change);
        }
        this.changes.push(...changes);
        this.revision = revision;
        this.#look();
      },
    });
  }

  until(isIt: () => boolean): Promise<void> {
    if (isIt()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ isIt, resolve }));
  }

  reached(revision: number): Promise<void> {
    return this.until(() => this.revision >= revision);
  }

  stop(): void {
    this.#stop();
  }

  #look(): void {
    for (const { isIt, resolve } of this.#waiting) if (isIt()) resolve();
  }
}

export function storeSuite(engine: string, open: () => Promise<Opened>): void {
  describe(`a store of policies: ${engine}`, () => {
    let opened: Opened;
    let store: PolicyStore;
    let stores: readonly PolicyStore[];
    /** The one after the last. */
    let turn = 0;
    const next = (): PolicyStore => stores[turn++ % stores.length]!;
    const revisionNow = async (): Promise<number> => (await store.list({ consistent: true })).revision;

    beforeAll(async () => {
      opened = await open();
      ({ store } = opened);
      stores = [store, ...(opened.others ?? [])];
    }, TIMEOUT_MS);

    /** Each test begins with an empty store. */
    afterEach(async () => {
      const { items } = await store.list({ consistent: true });
      for (let from = 0; from < items.length; from += WRITES_MAX) {
        const part = items.slice(from, from + WRITES_MAX);
        done(
          await store.write(
            part.map(({ kind, name }) => gone(kind, name)),
            { timeoutMs: 10_000 },
          ),
        );
      }
    }, TIMEOUT_MS);

    afterAll(async () => {
      await opened.stop();
    }, TIMEOUT_MS);

    test("items are put, read, listed in order, replaced and deleted; the revision counts the writes", async () => {
      const before = await revisionNow();
      const first = done(await store.write([put("pin", "b", { minReplicas: 1 })]));
      expect(first).toMatchObject({ revision: before + 1, changed: true, repeated: false });
      const second = done(
        await next().write([put("pin", "a/with/slashes", PIN), put("node", "n1", { cordoned: true })]),
      );
      expect(second.revision).toBe(before + 2);
      expect(second.items.map((item) => item?.name)).toEqual(["a/with/slashes", "n1"]);
      const listed = await next().list({ consistent: true });
      expect(listed.items.map(keyOf)).toEqual(["node/n1", "pin/a/with/slashes", "pin/b"]);
      expect(listed.revision).toBe(before + 2);
      expect((await next().list({ kind: "pin", consistent: true })).items.map(keyOf)).toEqual([
        "pin/a/with/slashes",
        "pin/b",
      ]);
      const replaced = done(await next().write([put("pin", "b", { minReplicas: 2 })]));
      const { item, revision } = await next().get("pin", "b", { consistent: true });
      expect(revision).toBe(before + 3);
      expect(item).toMatchObject({
        kind: "pin",
        name: "b",
        spec: { minReplicas: 2 },
        revision: before + 3,
        createdRevision: before + 1,
      });
      expect(replaced.items).toEqual([item]);
      expect(Math.abs((item?.updatedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
      const deleted = done(await next().write([gone("pin", "b"), gone("pin", "a/with/slashes"), gone("node", "n1")]));
      expect(deleted.items).toEqual([null, null, null]);
      expect((await next().get("pin", "b", { consistent: true })).item).toBeNull();
      expect(await next().list({ consistent: true })).toEqual({ items: [], revision: before + 4 });
    });

    test("a write that changes nothing is no revision", async () => {
      const first = done(await store.write([put("priority", "acme", { priority: 3 })]));
      const again = done(await next().write([put("priority", "acme", { priority: 3 })]));
      expect(again).toMatchObject({ revision: first.revision, changed: false, items: first.items });
    });

    test("compare-and-set: a stale revision is a conflict that shows the item as it is", async () => {
      const first = done(await store.write([put("slo", "m", { class: "latency" }, 0)]));
      const second = done(await next().write([put("slo", "m", { class: "throughput" }, first.revision)]));
      for (const write of [
        put("slo", "m", { class: "latency" }, first.revision),
        put("slo", "m", { class: "latency" }, 0),
        gone("slo", "m", first.revision),
      ]) {
        const refusal = refused(await next().write([write]));
        expect(refusal).toMatchObject({ code: "conflict", at: 0, current: second.items[0]! });
        expect(refusal.message).toContain(String(second.revision));
      }
      done(await next().write([gone("slo", "m", second.revision)]));
      expect(refused(await next().write([gone("slo", "m")]))).toMatchObject({ code: "not_found", current: null });
      expect(refused(await next().write([put("slo", "m", { class: "latency" }, second.revision)]))).toMatchObject({
        code: "conflict",
        current: null,
      });
    });

    test("a batch is all or nothing, and names the write at fault", async () => {
      const before = await revisionNow();
      const bad = [put("pin", "one", PIN), put("pin", "two", PIN, 12_345), put("pin", "three", PIN)];
      expect(refused(await store.write(bad))).toMatchObject({ code: "conflict", at: 1, current: null });
      expect(await next().list({ consistent: true })).toEqual({ items: [], revision: before });
    });

    test("an idempotency key is for one write, which is done once and answered alike", async () => {
      const key = `once-${crypto.randomUUID()}`;
      const writes = [put("pin", "k", { minReplicas: 1 })];
      const first = done(await store.write(writes, { key }));
      expect(first.repeated).toBe(false);
      const again = done(await next().write(writes, { key }));
      expect(again).toMatchObject({ revision: first.revision, changed: true, repeated: true, items: first.items });
      const newer = done(await next().write([put("pin", "k", { minReplicas: 5 })]));
      // What is there now, which is not what that write left.
      expect(done(await next().write(writes, { key }))).toMatchObject({ repeated: true, items: newer.items });
      expect(await revisionNow()).toBe(newer.revision);
      expect(refused(await next().write([gone("pin", "k")], { key }))).toMatchObject({ code: "invalid" });

      const other = `once-${crypto.randomUUID()}`;
      const creation = [put("pin", "k", PIN, 0)];
      const refusal = refused(await next().write(creation, { key: other }));
      done(await next().write([gone("pin", "k")]));
      // It would succeed now; it was refused.
      const repeated = refused(await next().write(creation, { key: other }));
      expect(repeated).toMatchObject({ code: "conflict", message: refusal.message, current: null });
    });

    test("many that try one write under one key at a time do it once", async () => {
      const before = await revisionNow();
      const key = `race-${crypto.randomUUID()}`;
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, () => next().write([put("pin", "raced", PIN, 0)], { key })),
      );
      expect(new Set(outcomes.map((outcome) => done(outcome).revision))).toEqual(new Set([before + 1]));
      expect(outcomes.filter((outcome) => !done(outcome).repeated)).toHaveLength(1);
    });

    test("what can't be read, or is too large, is refused before it is written", async () => {
      const before = await revisionNow();
      const pins = (count: number, characters: number): Write[] =>
        Array.from({ length: count }, (_, i) => put("pin", `p${i}`, { revision: "r".repeat(characters) }));
      const nodes = Array.from({ length: 1000 }, (_, i) => `${"n".repeat(70)}${i}`);
      expect(JSON.stringify(nodes).length).toBeGreaterThan(SPEC_BYTES_MAX);
      for (const writes of [
        [],
        [put("pin", "m", { replicas: 3 })],
        [put("pin", "m", {})],
        [put("pin", "m", { minReplicas: 3, maxReplicas: 1 })],
        [put("pin", "m", { nodes })],
        [put("pins" as Kind, "m", PIN)],
        [put("pin", "", PIN)],
        [put("pin", "m", PIN), gone("pin", "m")],
        [put("quota", "acme/*", { requestsPerSecond: 0 })],
        pins(WRITES_MAX + 1, 1),
      ]) {
        const what = JSON.stringify(writes).slice(0, 60);
        expect([what, await codeOf(store.write(writes))]).toEqual([what, "bad_request"]);
      }
      expect(await revisionNow()).toBe(before);
    });

    test("watchers hear of everything in order and once, whichever node wrote", async () => {
      const watchings = stores.map((each) => new Watching(each));
      for (const each of watchings) expect(each.resets).toBe(1);
      const writes = Array.from({ length: 30 }, (_, i) =>
        i % 5 === 4
          ? [gone("pin", `w${(i - 1) % 7}`)]
          : [put("pin", `w${i % 7}`, { minReplicas: i + 1 }), put("node", "w", { reason: `${i}` })],
      );
      const outcomes: Outcome[] = [];
      for (const batch of writes) outcomes.push(await next().write(batch));
      // And those that race each other.
      const race = (write: (i: number) => Write): Promise<Outcome[]> =>
        Promise.all(Array.from({ length: 20 }, (_, i) => next().write([write(i)])));
      outcomes.push(...(await race((i) => put("pin", `c${i}`, PIN))));
      outcomes.push(
        ...(await race((i) => (i % 3 === 0 ? put("pin", `c${i}`, { maxReplicas: i + 1 }) : gone("pin", `c${i}`)))),
      );
      const revision = await revisionNow();
      const { items } = await store.list({ consistent: true });
      for (const each of watchings) {
        await each.reached(revision);
        expect(each.resets).toBe(1);
        expect(new Map(each.items)).toEqual(new Map(items.map((item) => [keyOf(item), item])));
        expect(each.changes).toEqual(watchings[0]!.changes);
      }
      const changed = outcomes.filter((outcome) => outcome.ok && outcome.changed);
      const told = new Set(watchings[0]!.changes.map((change) => ("item" in change ? change.item : change).revision));
      expect(told).toEqual(new Set(changed.map((outcome) => done(outcome).revision)));

      const late = new Watching(store);
      expect([late.resets, late.revision, late.items.size]).toEqual([1, revision, items.length]);
      for (const each of watchings) each.stop();
      const heard = watchings.map(({ changes }) => changes.length);
      done(await store.write(items.map(({ kind, name }) => gone(kind, name))));
      await late.reached(revision + 1);
      late.stop();
      expect(late.items.size).toBe(0);
      expect(watchings.map(({ changes }) => changes.length)).toEqual(heard);
    });

    test("a consistent read has every write that was acknowledged, by whomever", async () => {
      for (let i = 0; i < 30; i++) {
        const { revision } = done(await next().write([put("pin", "fresh", { minReplicas: i })]));
        const [{ item }, listed] = await Promise.all([
          next().get("pin", "fresh", { consistent: true }),
          next().list({ kind: "pin", consistent: true }),
        ]);
        expect([item?.revision, item?.spec]).toEqual([revision, { minReplicas: i }]);
        expect(listed.revision).toBeGreaterThanOrEqual(revision);
      }
      // Whoever wrote sees it without asking others.
      const { revision } = done(await store.write([gone("pin", "fresh")]));
      expect(await store.get("pin", "fresh")).toEqual({ item: null, revision });
    });

    test("writers that race lose no update", async () => {
      done(await store.write([put("pin", "counter", { minReplicas: 0 })]));
      const increments = 8;
      await Promise.all(
        Array.from({ length: 6 }, async (_, writer) => {
          const own = stores[writer % stores.length]!;
          let { item } = await own.get("pin", "counter", { consistent: true });
          for (let i = 0; i < increments;) {
            const { minReplicas = 0 } = (item as ItemOf<"pin">).spec;
            const outcome = await own.write([put("pin", "counter", { minReplicas: minReplicas + 1 }, item!.revision)]);
            item = outcome.ok ? outcome.items[0]! : outcome.current!;
            if (outcome.ok) i += 1;
          }
        }),
      );
      expect((await next().get("pin", "counter", { consistent: true })).item?.spec).toEqual({
        minReplicas: 6 * increments,
      });
    });

    test("what clients see at the same time is as if it had been one after the other", async () => {
      const history = await historyOf(stores, { seed: 1, clients: 6, operations: 25 });
      expect(history).toHaveLength(150);
      expect(checkHistory(policyModel, history)).toMatchObject({ verdict: "linearizable" });
    });

    test("shares of quotas never add up to more than the limit, and go when the quota does", async () => {
      const spec: QuotaSpec = { requestsPerSecond: 100, concurrency: 7 };
      done(await store.write([put("quota", "acme/llama", spec), put("quota", "acme/*", { tokensPerMinute: 1000 })]));
      const held = new Map<string, { requests: number; concurrency: number; serial: number }>();
      const check = (): void => {
        const total = { requests: 0, concurrency: 0 };
        for (const { requests, concurrency } of held.values()) {
          total.requests += requests;
          total.concurrency += concurrency;
        }
        expect(total.requests).toBeLessThanOrEqual(100);
        expect(total.concurrency).toBeLessThanOrEqual(7);
      };
      const ask = async (holder: string, wanted: number): Promise<void> => {
        const want = wantOf(holder, "acme/llama", wanted, held.get(holder)?.serial ?? 0);
        const grants = await next().lease([
          want,
          wantOf(holder, "nobody/nothing", 1, 0),
          wantOf(holder, "acme/*", 5, 0),
        ]);
        expect(grants.map(({ quota }) => quota)).toEqual(["acme/llama", "acme/*"]);
        expect(grants[0]).toMatchObject({ holder, tokens: null });
        const { requests, concurrency, serial } = grants[0]!;
        held.set(holder, { requests: requests!, concurrency: concurrency!, serial });
        check();
      };
      // One alone may have more than its part, the newcomers wait for it to hear of them.
      await ask("r0/1/0", 1000);
      for (let round = 0; round < 4; round++) {
        await Promise.all(Array.from({ length: 10 }, (_, i) => ask(`r${i}/1/0`, i === 3 ? 2 : 1000)));
      }
      // All that want have something by now.
      for (const { requests } of held.values()) expect(requests).toBeGreaterThan(0);
      // A quota that is deleted and put again is a new one, of which nobody holds anything.
      done(await next().write([gone("quota", "acme/llama")]));
      done(await next().write([put("quota", "acme/llama", { concurrency: 7 })]));
      expect(await next().lease([wantOf("new/1/0", "acme/llama", 7, 0)])).toMatchObject([
        { concurrency: 7, requests: null },
      ]);
      done(await next().write([gone("quota", "acme/llama"), gone("quota", "acme/*")]));
      expect(await next().lease([wantOf("r0/1/0", "acme/llama", 1, 0)])).toEqual([]);
      expect(await codeOf(store.lease([]))).toBe("bad_request");
    });

    test("a quota counts for all nodes as soon as it was acknowledged", async () => {
      for (let i = 0; i < 15; i++) {
        done(await next().write([put("quota", `t${i}/m`, { concurrency: 3 })]));
        expect(await next().lease([wantOf("r/1/0", `t${i}/m`, 9, 0)])).toMatchObject([{ concurrency: 3 }]);
        done(await next().write([put("quota", `t${i}/m`, { concurrency: 2 })]));
        const [grant] = await next().lease([wantOf("r/1/0", `t${i}/m`, 9, 1)]);
        expect(grant).toMatchObject({ concurrency: 2 });
      }
    });

    test("a limit that is lowered makes every share as much smaller, also of those that have not asked again", async () => {
      done(await store.write([put("quota", "t/m", { concurrency: 100 })]));
      const ask = async (holder: string, holding: number): Promise<{ concurrency: number; serial: number }> => {
        const [grant] = await next().lease([wantOf(holder, "t/m", 50, holding)]);
        return { concurrency: grant!.concurrency!, serial: grant!.serial };
      };
      let [first, second] = [await ask("a/1/0", 0), await ask("b/1/0", 0)];
      for (let round = 0; round < 20 && Math.min(first.concurrency, second.concurrency) < 30; round++) {
        first = await ask("a/1/0", first.serial);
        second = await ask("b/1/0", second.serial);
      }
      expect(Math.min(first.concurrency, second.concurrency)).toBeGreaterThanOrEqual(30);
      done(await store.write([put("quota", "t/m", { concurrency: 10 })]));
      // The first one is silent: what it has is taken for a tenth, and leaves something for the second at once.
      const { concurrency } = await ask("b/1/0", second.serial);
      expect(concurrency).toBeGreaterThan(0);
      expect(concurrency).toBeLessThanOrEqual(10 - Math.floor(first.concurrency / 10));
    });

    test("what was saved can be restored over something else", async () => {
      const kept = [put("pin", "kept", { minReplicas: 1 }), put("balance", "*", { strategy: "random" })];
      done(await store.write(kept));
      const saved = await next().save(5000);
      done(
        await store.write([gone("pin", "kept"), put("pin", "new", PIN), put("balance", "*", { strategy: "score" })]),
      );
      done(await next().restore(saved, 5000));
      const { items } = await store.list({ consistent: true });
      expect(items.map((item) => [keyOf(item), item.spec])).toEqual([
        ["balance/*", { strategy: "random" }],
        ["pin/kept", { minReplicas: 1 }],
      ]);
      expect(await codeOf(store.restore(saved.subarray(0, -3), 5000))).toBe("bad_request");
    });

    test("the status tells who leads, and that all is well", async () => {
      const { revision } = done(await store.write([put("pin", "s", PIN)]));
      await store.list({ consistent: true });
      const status = await store.status();
      expect(status).toMatchObject({ engine: store.engine, writable: true, alarm: "", revision, items: 1 });
      expect(status.cluster).toMatch(/^[0-9a-f]{32}$/);
      expect(status.members.filter(({ role }) => role === "leader")).toHaveLength(1);
      expect(status.members.find(({ role }) => role === "leader")?.node).toBe(status.leader);
      expect(status.leader).not.toBe("");
      expect(status.commitIndex).toBeGreaterThan(0);
    });

    test(
      "the store holds so many policies and no more, and goes on at its limit",
      async () => {
        const pins = (from: number): Write[] =>
          Array.from({ length: WRITES_MAX }, (_, i) => put("pin", `p${from + i}`, PIN));
        for (let from = 0; from < ITEMS_MAX; from += WRITES_MAX)
          done(await store.write(pins(from), { timeoutMs: 10_000 }));
        expect((await next().list({ consistent: true })).items).toHaveLength(ITEMS_MAX);
        expect(
          refused(await next().write([put("pin", "p0", { minReplicas: 2 }), put("pin", "more", PIN)])),
        ).toMatchObject({
          code: "limit",
          at: 1,
        });
        done(await next().write([gone("pin", "p0"), put("pin", "more", PIN)]));
        done(await next().write([gone("pin", "p1")]));
        const racing = await Promise.all([1, 2, 3].map((i) => store.write([put("pin", `last${i}`, PIN)])));
        expect(racing.filter(({ ok }) => ok)).toHaveLength(1);
      },
      TIMEOUT_MS,
    );
  });
}

function wantOf(holder: string, quota: string, amount: number, holding: number): Want {
  const amounts = { requests: amount, tokens: amount, concurrency: amount };
  return { holder, quota, ...amounts, used: { requests: 0, tokens: 0, concurrency: 0 }, holding };
}
