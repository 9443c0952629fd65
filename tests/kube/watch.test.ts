import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { type KubeRequest, KubeWatch, OBJECTS_MAX, PAGE_TOO_LARGE } from "../../src/kube/watch.ts";
import { ModelApi, nameOf, questionIn, sliceOf } from "./model-api.ts";

const QUESTION = { namespace: "default", resource: "endpointslices", selector: "app=vllm" } as const;
const HOUR_MS = 3_600_000;

/** A watch with its clock, driven by hand. */
class Hand {
  nowMs = 0;
  readonly watch = new KubeWatch(QUESTION, (object) => object, new Prng(1), 0);
  readonly news: string[] = [];
  cancels = 0;
  wakeAtMs = 0;
  changed = false;

  /** What is asked next, at once or after the pause. */
  next(): KubeRequest {
    for (let turn = 0; turn < 3; turn += 1) {
      const request = this.look();
      if (request !== undefined) return request;
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      this.watch.wake(this.nowMs);
    }
    throw new Error("nothing is asked");
  }

  look(): KubeRequest | undefined {
    const { request, cancel, changed, news, wakeAtMs } = this.watch.take();
    if (cancel) this.cancels += 1;
    this.changed = changed;
    this.news.push(...news.map((one) => (one.kind === "synced" ? "synced" : `${one.kind}: ${one.why}`)));
    this.wakeAtMs = wakeAtMs;
    return request;
  }

  /** A list of one page. */
  list(version: string, names: readonly string[] = [], continued?: string): KubeRequest {
    const request = this.next();
    expect(request.kind).toBe("list");
    const metadata = { resourceVersion: version, ...(continued === undefined ? {} : { continue: continued }) };
    const items = names.map((name) => sliceOf(name, []));
    this.answer(request, 200, { metadata, items });
    return request;
  }

  /** A watch that is taken. */
  open(): KubeRequest {
    const request = this.next();
    expect(request.kind).toBe("watch");
    this.watch.opened(request.id, this.nowMs);
    return request;
  }

  answer(request: KubeRequest, status: number, body?: unknown, retryAfterMs?: number): void {
    this.watch.answered(request.id, { status, body, retryAfterMs }, this.nowMs);
  }

  event(request: KubeRequest, type: string, name: string, version: string): void {
    const object = sliceOf(name, []);
    const metadata = { ...object.metadata, resourceVersion: version };
    this.watch.event(request.id, { type, object: { ...object, metadata } }, this.nowMs);
  }

  get names(): string[] {
    return [...this.watch.objects.keys()].toSorted();
  }
}

const query = (request: KubeRequest): URLSearchParams => questionIn(request.path).query;

describe("a watch of Kubernetes", () => {
  test("lists, then watches from the list's version on, with bookmarks and an end", () => {
    const hand = new Hand();
    const list = hand.list("7", ["a", "b"]);
    expect(list.path).toBe(
      "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=app%3Dvllm&limit=500",
    );
    expect(hand.watch.hasSynced).toBe(true);
    const watch = hand.open();
    expect(query(watch).get("resourceVersion")).toBe("7");
    expect(query(watch).get("allowWatchBookmarks")).toBe("true");
    expect(Number(query(watch).get("timeoutSeconds"))).toBeWithin(60, 121);
    hand.event(watch, "ADDED", "c", "8");
    hand.event(watch, "MODIFIED", "a", "9");
    hand.event(watch, "DELETED", "b", "10");
    expect(hand.names).toEqual(["default/a", "default/c"]);
    hand.look();
    expect(hand.changed).toBe(true);
    hand.nowMs += 60_000;
    hand.watch.event(watch.id, { type: "BOOKMARK", object: { metadata: { resourceVersion: "50" } } }, hand.nowMs);
    hand.look();
    expect(hand.changed).toBe(false);
    hand.watch.ended(watch.id, "", hand.nowMs);
    const again = hand.look();
    expect(query(again!).get("resourceVersion")).toBe("50");
    expect(hand.news).toEqual(["synced"]);
  });

  test("all namespaces and pods have paths of their own", () => {
    const pods = new KubeWatch({ namespace: "", resource: "pods", selector: "a in (b,c)" }, (x) => x, new Prng(1), 0);
    expect(pods.take().request?.path).toBe("/api/v1/pods?labelSelector=a%20in%20(b%2Cc)&limit=500");
  });

  test("a list of several pages counts when it is whole", () => {
    const hand = new Hand();
    hand.list("7", ["a"], "more of it");
    expect(hand.names).toEqual([]);
    const second = hand.list("7", ["b"]);
    expect(query(second).get("continue")).toBe("more of it");
    expect(hand.names).toEqual(["default/a", "default/b"]);
  });

  test("a version that is gone leads to a new list, which takes the place of what was known in one step", () => {
    const hand = new Hand();
    hand.list("7", ["a", "b"]);
    const watch = hand.open();
    hand.watch.event(
      watch.id,
      { type: "ERROR", object: { kind: "Status", code: 410, message: "too old" } },
      hand.nowMs,
    );
    expect(hand.names).toEqual(["default/a", "default/b"]);
    hand.list("20", ["b", "c"]);
    expect(hand.cancels).toBe(1);
    expect(hand.names).toEqual(["default/b", "default/c"]);
    hand.open();
    // As a status it means the same.
    const refused = new Hand();
    refused.list("7", ["a"]);
    refused.answer(refused.next(), 410, { message: "too old" });
    expect(refused.next().kind).toBe("list");
    expect(refused.news).toEqual([]);
  });

  test("pages that expire are asked for from the beginning", () => {
    const hand = new Hand();
    hand.list("7", ["a"], "2");
    hand.answer(hand.next(), 410, { message: "the continue token is too old" });
    expect(query(hand.list("9", ["a", "b"])).get("continue")).toBe(null);
    expect(hand.names).toEqual(["default/a", "default/b"]);
  });

  test("a page that is too large is asked for in quarters, down to one object", () => {
    const hand = new Hand();
    const limits: string[] = [];
    for (let turn = 0; turn < 6; turn += 1) {
      const request = hand.next();
      limits.push(query(request).get("limit") ?? "");
      hand.watch.ended(request.id, PAGE_TOO_LARGE, hand.nowMs);
    }
    expect(limits).toEqual(["500", "125", "31", "7", "1", "1"]);
    hand.look();
    expect(hand.news).toEqual([`failed: ${PAGE_TOO_LARGE}`]);
  });

  test("failures are told once, tried again at growing pauses, and what was known stays", () => {
    const hand = new Hand();
    hand.list("7", ["a"]);
    const watch = hand.open();
    hand.nowMs += 10;
    hand.watch.ended(watch.id, "connection refused", hand.nowMs);
    const pauses: number[] = [];
    const kinds: string[] = [];
    for (let turn = 0; turn < 9; turn += 1) {
      const before = hand.nowMs;
      const request = hand.next();
      pauses.push(hand.nowMs - before);
      kinds.push(request.kind);
      hand.watch.ended(request.id, "connection refused", hand.nowMs);
    }
    // The third failure in a row makes the version doubtful.
    expect(kinds).toEqual(["watch", "watch", ...Array.from({ length: 7 }, () => "list")]);
    pauses.forEach((pause, index) => {
      const whole = Math.min(30_000, 500 * 2 ** index);
      expect(pause).toBeWithin(whole / 2, whole + 1);
    });
    expect(hand.names).toEqual(["default/a"]);
    expect(hand.watch.failure).toBe("connection refused");
    hand.list("9", ["b"]);
    hand.open();
    hand.look();
    expect(hand.watch.failure).toBe("");
    expect(hand.news).toEqual(["synced", "failed: connection refused", "synced"]);
  });

  test("the server says when to come again", () => {
    const hand = new Hand();
    hand.answer(hand.next(), 429, { message: "too many requests" }, 7000);
    const before = hand.nowMs;
    hand.next();
    expect(hand.nowMs - before).toBeWithin(7000, 7501);
    expect(hand.news).toEqual(["failed: too many requests"]);
  });

  test("a server that lets list and does not let watch is asked ever more seldom, and told of once", () => {
    const hand = new Hand();
    for (let turn = 0; turn < 12; turn += 1) {
      const request = hand.next();
      if (request.kind === "list") hand.answer(request, 200, { metadata: { resourceVersion: "7" }, items: null });
      else hand.answer(request, 403, { message: "cannot watch" });
    }
    hand.look();
    expect(hand.watch.hasSynced).toBe(true);
    expect(hand.news).toEqual(["failed: cannot watch"]);
    expect(hand.wakeAtMs - hand.nowMs).toBeGreaterThan(4000);
  });

  test("a request that is not answered is called off, and one that comes late says nothing", () => {
    const hand = new Hand();
    const late = hand.next();
    hand.look();
    hand.nowMs = hand.wakeAtMs;
    hand.watch.wake(hand.nowMs);
    hand.look();
    expect(hand.cancels).toBe(1);
    expect(hand.news).toEqual(["failed: no answer to a list within 15 s"]);
    hand.answer(late, 200, { metadata: { resourceVersion: "1" }, items: [sliceOf("late", [])] });
    expect(hand.names).toEqual([]);
  });

  test("a watch that nobody ends is ended, and looked for again at once", () => {
    const hand = new Hand();
    hand.list("7", ["a"]);
    hand.open();
    hand.look();
    const openedAtMs = hand.nowMs;
    hand.nowMs = hand.wakeAtMs;
    hand.watch.wake(hand.nowMs);
    expect(hand.nowMs - openedAtMs).toBe(130_000);
    expect(hand.look()?.kind).toBe("watch");
    expect(hand.cancels).toBe(1);
    expect(hand.news).toEqual(["synced"]);
  });

  test("a line that is no event ends the watch: what comes behind it can't be trusted", () => {
    for (const bad of [
      undefined,
      null,
      7,
      {},
      { type: "ADDED" },
      { type: "ADDED", object: {} },
      { type: "WHAT", object: sliceOf("x", []) },
    ]) {
      const hand = new Hand();
      hand.list("7", ["a"]);
      const watch = hand.open();
      hand.watch.event(watch.id, bad, hand.nowMs);
      expect(hand.next().kind).toBe("list");
      expect(hand.cancels).toBe(1);
      expect(hand.names).toEqual(["default/a"]);
    }
  });

  test("more objects than there may be are left out, which is told once", () => {
    const hand = new Hand();
    const names = Array.from({ length: OBJECTS_MAX + 5 }, (_, index) => `s${index}`);
    hand.list("7", names);
    hand.look();
    expect(hand.watch.objects.size).toBe(OBJECTS_MAX);
    expect(hand.news).toEqual([`odd: more than ${OBJECTS_MAX} objects match; the others are left out`]);
  });
});

type Act =
  | { readonly kind: "put" | "delete" | "relabel"; readonly name: number }
  | {
      readonly kind: "compact" | "pass" | "bookmark" | "deliver" | "end" | "cut" | "wait" | "refuse" | "gone" | "swell";
    };

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("put", "delete", "relabel"), name: fc.nat(12) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "compact",
        "pass",
        "bookmark",
        "deliver",
        "deliver",
        "end",
        "cut",
        "wait",
        "refuse",
        "gone",
        "swell",
      ),
    }),
  },
);

/** A watch against a server that keeps objects, with whatever goes wrong between them. */
class World {
  readonly api = new ModelApi();
  readonly watch = new KubeWatch(QUESTION, (object) => nameOf(object as never), new Prng(3), 0);
  nowMs = 0;
  #request: KubeRequest | undefined;
  #isOpen = false;
  #heard = "";
  #wakeAtMs = 0;

  do(what: Act): void {
    if ("name" in what) this.#change(what.kind, `s${what.name}`);
    else if (what.kind === "compact") this.api.compact();
    else if (what.kind === "pass") this.api.pass(3);
    else if (what.kind === "wait") this.nowMs = Math.max(this.nowMs, this.#wakeAtMs);
    else this.#answer(what.kind);
    this.#step();
  }

  #change(kind: string, name: string): void {
    if (kind === "delete") this.api.delete("endpointslices", "default", name);
    else this.api.put("endpointslices", sliceOf(name, [], { labels: { app: kind === "put" ? "vllm" : "other" } }));
  }

  #answer(how: string): void {
    const request = this.#request;
    if (request === undefined) return;
    const { query: asked, ...selection } = questionIn(request.path);
    const { id } = request;
    if (how === "cut" || how === "end")
      this.#over(() => this.watch.ended(id, how === "end" ? "" : "reset", this.nowMs));
    else if (this.#isOpen) this.#deliver(id, selection, how);
    else if (how === "refuse")
      this.#over(() => this.watch.answered(id, { status: 500, body: {}, retryAfterMs: undefined }, this.nowMs));
    else if (how === "gone")
      this.#over(() => this.watch.answered(id, { status: 410, body: {}, retryAfterMs: undefined }, this.nowMs));
    else if (how === "swell") this.#over(() => this.watch.ended(id, PAGE_TOO_LARGE, this.nowMs));
    else if (request.kind === "watch") {
      this.#isOpen = true;
      this.#heard = asked.get("resourceVersion") ?? "";
      this.watch.opened(id, this.nowMs);
    } else {
      // Two to a page, so that there are pages.
      const answer = this.api.list(selection, Math.min(2, Number(asked.get("limit"))), asked.get("continue") ?? "");
      this.#over(() => this.watch.answered(id, { ...answer, retryAfterMs: undefined }, this.nowMs));
    }
  }

  #deliver(id: number, selection: Parameters<ModelApi["since"]>[0], how: string): void {
    const events = this.api.since(selection, this.#heard);
    const [first] = events;
    if (how === "bookmark" && events.length === 0) {
      this.watch.event(id, this.api.bookmark(), this.nowMs);
      this.#heard = this.api.version;
    } else if (first !== undefined) {
      this.watch.event(id, first, this.nowMs);
      const { metadata } = first.object as { metadata?: { resourceVersion?: string } };
      this.#heard = metadata?.resourceVersion ?? this.#heard;
    }
  }

  #over(tell: () => void): void {
    this.#request = undefined;
    this.#isOpen = false;
    tell();
  }

  #step(): void {
    this.watch.wake(this.nowMs);
    const { request, cancel, wakeAtMs } = this.watch.take();
    this.#wakeAtMs = wakeAtMs;
    if (cancel) {
      this.#request = undefined;
      this.#isOpen = false;
    }
    if (request === undefined) return;
    if (this.#request !== undefined) throw new Error("two requests at a time");
    this.#request = request;
    this.#isOpen = false;
  }

  /** Nothing goes wrong any more, until all is told. */
  quiesce(): void {
    for (let turn = 0; turn < 400; turn += 1) {
      this.do({ kind: "deliver" });
      if (this.#request === undefined) this.do({ kind: "wait" });
    }
  }
}

describe("whatever happens", () => {
  test("in the end the watch knows what a fresh list would tell", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
        const world = new World();
        for (const one of acts) world.do(one);
        world.quiesce();
        expect([...world.watch.objects.keys()].toSorted()).toEqual(world.api.matching(QUESTION).map(nameOf));
        expect(world.watch.failure).toBe("");
      }),
      { numRuns: 300 },
    );
  });

  test("answers of any kind neither throw nor make it ask more than the server bears", () => {
    const answer = fc.record({
      status: fc.constantFrom(200, 200, 200, 301, 401, 403, 404, 410, 429, 500, 503),
      body: fc.oneof(
        fc.jsonValue(),
        fc.record({ metadata: fc.jsonValue(), items: fc.jsonValue() }),
        fc.record({ metadata: fc.constant({ resourceVersion: "5" }), items: fc.array(fc.jsonValue()) }),
        fc.constant({ metadata: { resourceVersion: "5", continue: "x" }, items: [] }),
      ),
      retryAfterMs: fc.option(fc.nat(100_000), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(answer, fc.jsonValue()), { maxLength: 60 }), (answers) => {
        const watch = new KubeWatch(QUESTION, (object) => object, new Prng(9), 0);
        let nowMs = 0;
        for (const [given, event] of answers) {
          const { request, wakeAtMs } = watch.take();
          if (request === undefined) {
            nowMs = wakeAtMs;
            watch.wake(nowMs);
            continue;
          }
          if (request.kind === "watch" && given.status === 200) {
            watch.opened(request.id, nowMs);
            watch.event(request.id, event, nowMs);
            watch.ended(request.id, "", nowMs);
          } else watch.answered(request.id, given, nowMs);
        }
        expect(watch.take().wakeAtMs).toBeLessThanOrEqual(nowMs + HOUR_MS);
      }),
    );
  });
});
