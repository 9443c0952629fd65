/** Waiting, repeating and hedging of requests, with real sockets on both sides. */
import { describe, expect, test } from "bun:test";
import { Waiter } from "../../src/flow/fair-order.ts";
import { Choice } from "../../src/proxy/choice.ts";
import { nowMs } from "../../src/proxy/clock.ts";
import type { Waiting } from "../../src/proxy/dispatch.ts";
import { Exchange } from "../../src/proxy/exchange.ts";
import { CLOSE, Client, FLOW, SSE_HEAD, answer, ask, chunk, fixtures, ok, post, statusOf, until } from "./harness.ts";
import type { UpstreamConnection } from "../../src/proxy/upstream.ts";
import type { Script } from "./harness.ts";

const { upstream, relay } = fixtures();

const queueOf = (change: Partial<typeof FLOW.queue>) => ({ flow: { queue: { ...FLOW.queue, ...change } } });
const status =
  (line: string, headers = ""): Script =>
  (socket) =>
    socket.write(answer("{}", headers, line));

/** An upstream that answers each request when the test says so. */
function held(upstreams = upstream) {
  const waiting: (() => void)[] = [];
  const up = upstreams((socket, request) => {
    waiting.push(() => socket.write(answer(JSON.stringify({ for: /"content":"(\w+)"/.exec(request)?.[1] }))));
  });
  return { up, waiting };
}

const chat = (content: string, headers = ""): string =>
  post(JSON.stringify({ model: "m", messages: [{ role: "user", content }] }), headers + CLOSE);

describe("when every target is full", () => {
  test("a request waits, and is given to the target that has room first", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const second = ask(relayed.port, chat("two"));
    await until(() => relayed.context.dispatch.waiting === 1);
    expect(up.requests).toHaveLength(1);
    waiting[0]!();
    expect(await first).toContain('"for":"one"');
    await until(() => waiting.length === 2);
    waiting[1]!();
    expect(await second).toContain('"for":"two"');
    expect(relayed.context.dispatch.waiting).toBe(0);
    expect(relayed.inFlight).toBe(0);
  });

  test("higher priorities go first, and tenants take turns", async () => {
    const { waiting, up } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    const all = [ask(relayed.port, chat("first"))];
    await until(() => waiting.length === 1);
    const enqueue = async (content: string, headers: string): Promise<void> => {
      const before = relayed.context.dispatch.waiting;
      all.push(ask(relayed.port, chat(content, headers)));
      await until(() => relayed.context.dispatch.waiting === before + 1);
    };
    await enqueue("low", "x-infermesh-priority: 3\r\n");
    await enqueue("a1", "authorization: Bearer a\r\n");
    await enqueue("a2", "authorization: Bearer a\r\n");
    await enqueue("b1", "authorization: Bearer b\r\n");
    await enqueue("high", "x-infermesh-priority: 0\r\n");
    const order: string[] = [];
    for (let i = 0; i < 6; i++) {
      await until(() => waiting.length === i + 1);
      order.push(/"content":"(\w+)"/.exec(up.requests[i]!)![1]!);
      waiting[i]!();
    }
    await Promise.all(all);
    expect(order).toEqual(["first", "high", "a1", "b1", "a2", "low"]);
  });

  test("one that waits in vain is told when to come again", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, ...queueOf({ waitMsMax: 60 }) });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const text = await ask(relayed.port, chat("two"));
    expect(statusOf(text)).toBe(429);
    expect(text).toMatch(/retry-after: \d+\r\n/);
    waiting[0]!();
    expect(statusOf(await first)).toBe(200);
    expect(up.requests).toHaveLength(1);
    const { stats } = relayed;
    expect([stats.count("queued"), stats.count("waiting"), stats.count("expired")]).toEqual([1, 0, 1]);
  });

  test("one that finds no room in the queue is refused at once", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, ...queueOf({ requestsMax: 1 }) });
    const asked = [ask(relayed.port, chat("one"))];
    await until(() => waiting.length === 1);
    asked.push(ask(relayed.port, chat("two")));
    await until(() => relayed.context.dispatch.waiting === 1);
    expect(statusOf(await ask(relayed.port, chat("three")))).toBe(429);
    expect([relayed.stats.count("refused"), relayed.stats.count("waiting")]).toEqual([1, 1]);
    waiting[0]!();
    await until(() => waiting.length === 2);
    waiting[1]!();
    expect((await Promise.all(asked)).map(statusOf)).toEqual([200, 200]);
    expect(relayed.stats.count("waiting")).toBe(0);
  });

  test("a full room pushes the lowest priority out", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, ...queueOf({ requestsMax: 1 }) });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const low = ask(relayed.port, chat("low", "x-infermesh-priority: 3\r\n"));
    await until(() => relayed.context.dispatch.waiting === 1);
    const high = ask(relayed.port, chat("high", "x-infermesh-priority: 0\r\n"));
    const refused = await low;
    expect(statusOf(refused)).toBe(429);
    expect(refused).toContain("higher priority");
    expect(relayed.stats.count("pushedOut")).toBe(1);
    waiting[0]!();
    await first;
    await until(() => waiting.length === 2);
    waiting[1]!();
    expect(await high).toContain('"for":"high"');
  });

  test("a client that leaves gives its place in the queue up", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const second = (await Client.open(relayed.port)).send(chat("two"));
    await until(() => relayed.context.dispatch.waiting === 1);
    second.leave();
    await until(() => relayed.context.dispatch.waiting === 0);
    waiting[0]!();
    await first;
    expect(up.requests).toHaveLength(1);
    expect(relayed.inFlight).toBe(0);
  });

  test.each([true, false])("one served while others still make way for it reads on, late: %p", async (enabled) => {
    const up = upstream(() => {});
    const settings = { late: { ...FLOW.late, enabled }, queue: { ...FLOW.queue, requestsMax: 2 } };
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, flow: settings });
    const { dispatch, routes } = relayed.context;
    const flow = dispatch.flow(0);
    const connection = routes.target(relayed.rows[0]!)!.pool!.take()!;
    await until(() => connection.open);
    // Another worker's place becomes free in the moment in which one of these is pushed out.
    const waiters = [1, 2].map(() => {
      const waiter = new Waiter<Waiting>({
        tryAgain: () => false,
        mayStill: () => true,
        waitOver() {
          connection.release(true);
          dispatch.freed(0);
        },
      });
      waiter.priority = 3;
      expect(dispatch.wait(flow, waiter)).toBe(0);
      return waiter;
    });
    const reads: boolean[] = [];
    const exchange = new Exchange(relayed.context);
    exchange.begin({
      write: () => true,
      pauseReading: () => reads.push(false),
      resumeReading: () => reads.push(true),
      tunnelBegins() {},
      endHalf() {},
      exchangeEnded() {},
      exchangeCut() {},
    });
    exchange.model = 0;
    exchange.wishes.priority = 0;
    expect(exchange.bind()).toBeNull();
    if (enabled) await until(() => reads.at(-1) === true);
    expect(relayed.inFlight).toBeGreaterThan(0);
    expect(reads.at(-1)).toBe(true);
    expect([dispatch.waiting, relayed.stats.count("waiting")]).toEqual([1, 1]);
    for (const waiter of waiters) dispatch.leave(flow, waiter);
    exchange.abandon();
    expect([dispatch.waiting, relayed.inFlight]).toEqual([0, 0]);
  });

  test("a body that is not whole yet waits outside, and goes on when there is room", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, replayBytes: 1024 });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "two" }], pad: "z".repeat(300_000) });
    const bytes = post(body, CLOSE);
    const second = await Client.open(relayed.port);
    let at = second.write(Buffer.from(bytes));
    await until(() => relayed.context.dispatch.waiting === 1);
    waiting[0]!();
    await first;
    while (at < bytes.length) {
      at += Math.max(0, second.write(Buffer.from(bytes.slice(at))));
      await Bun.sleep(1);
    }
    await until(() => waiting.length === 2);
    expect(up.requests[1]).toEndWith(body.slice(-100));
    waiting[1]!();
    expect(await second.end()).toContain('"for":"two"');
  });

  test("while others wait nobody overtakes them, though a place is free", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 2 });
    const all = [ask(relayed.port, chat("one")), ask(relayed.port, chat("two"))];
    await until(() => waiting.length === 2);
    all.push(ask(relayed.port, chat("three")));
    await until(() => relayed.context.dispatch.waiting === 1);
    all.push(ask(relayed.port, chat("four")));
    await until(() => relayed.context.dispatch.waiting === 2);
    waiting[0]!();
    waiting[1]!();
    await until(() => waiting.length === 4);
    waiting[2]!();
    waiting[3]!();
    await Promise.all(all);
    expect(up.requests[2]).toContain('"three"');
    expect(up.requests[3]).toContain('"four"');
  });
});

describe("an answer that says that the target is ill or full", () => {
  test.each([
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "429 Too Many Requests",
  ])("%s of one target is another's to answer", async (line) => {
    const ill = upstream(status(line));
    const well = upstream(ok);
    const relayed = relay([ill.port, well.port]);
    for (let i = 0; i < 12; i++) expect(statusOf(await ask(relayed.port, chat("x")))).toBe(200);
    expect(ill.requests.length).toBeGreaterThan(0);
    expect(relayed.inFlight).toBe(0);
  });

  test("is passed on as it is when nobody else can be asked", async () => {
    const relayed = relay([upstream(status("500 Internal Server Error", "x-why: out of memory\r\n")).port]);
    const text = await ask(relayed.port, chat("x"));
    expect(statusOf(text)).toBe(500);
    expect(text).toContain("x-why: out of memory");
  });

  test("stateful paths are repeated only after a refusal", async () => {
    const counts = { ill: 0, full: 0, well: 0 };
    const ill = upstream((socket) => {
      counts.ill++;
      socket.write(answer("{}", "", "500 Internal Server Error"));
    });
    const full = upstream((socket) => {
      counts.full++;
      socket.write(answer("{}", "", "503 Service Unavailable"));
    });
    const well = upstream((socket) => {
      counts.well++;
      socket.write(answer("{}"));
    });
    const stored = post(JSON.stringify({ model: "m", input: "x" }), CLOSE, "/v1/responses");
    const both = relay([ill.port, well.port]);
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push(statusOf(await ask(both.port, stored)));
    expect(statuses).toContain(500);
    expect(counts.ill + counts.well).toBe(12);
    const refusing = relay([full.port, well.port]);
    for (let i = 0; i < 12; i++) expect(statusOf(await ask(refusing.port, stored))).toBe(200);
    expect(counts.full).toBeGreaterThan(0);
  });

  test("a failure after which nobody else can be asked is counted as no retry", async () => {
    const up = upstream((socket) => socket.terminate());
    const relayed = relay([up.port]);
    expect(statusOf(await ask(relayed.port, chat("x")))).toBe(502);
    expect(relayed.stats.retries()).toBe(0);
  });

  test("x-infermesh-retry: never is obeyed", async () => {
    const ill = upstream(status("503 Service Unavailable"));
    const well = upstream(ok);
    const relayed = relay([ill.port, well.port]);
    let refused = 0;
    for (let i = 0; i < 12; i++) {
      if (statusOf(await ask(relayed.port, chat("x", "x-infermesh-retry: never\r\n"))) === 503) refused++;
    }
    expect(refused).toBe(ill.requests.length);
    expect(refused).toBeGreaterThan(0);
  });

  test("retries end with their budget", async () => {
    const ill = upstream(status("500 Internal Server Error"));
    const budget = { retry: { ...FLOW.retry, share: 0, perSecondMin: 0 } };
    const relayed = relay([ill.port, upstream(status("500 Internal Server Error")).port], { flow: budget });
    expect(statusOf(await ask(relayed.port, chat("x")))).toBe(500);
    expect(relayed.stats.retries()).toBe(0);
  });

  test("a target that goes on failing is ejected, and tried again after a while", async () => {
    let isIll = true;
    const ill = upstream((socket) => socket.write(answer("{}", "", isIll ? "500 Internal Server Error" : "200 OK")));
    const well = upstream(ok);
    const breaker = { ...FLOW.breaker, failuresInRow: 3, openMs: 200, probeSuccesses: 1 };
    const relayed = relay([ill.port, well.port], { flow: { breaker } });
    await until(async () => {
      await ask(relayed.port, chat("x"));
      return ill.requests.length >= 3;
    });
    const before = ill.requests.length;
    expect(relayed.stats.count("breakerOpenings")).toBe(1);
    for (let i = 0; i < 10; i++) await ask(relayed.port, chat("x"));
    expect(ill.requests.length).toBeLessThanOrEqual(before + 1);
    isIll = false;
    const broken = ill.requests.length;
    await until(async () => {
      await ask(relayed.port, chat("x"));
      return ill.requests.length > broken + 3;
    });
  });

  test("a trial that tells nothing of its target makes way for the next one", async () => {
    const breaker = { ...FLOW.breaker, failuresInRow: 1, openMs: 20, probeMs: 60_000, probeSuccesses: 1 };
    const up = upstream((socket, _request, nth) => {
      socket.write(answer("{}", "", nth === 1 ? "500 Internal Server Error" : "501 Not Implemented"));
    });
    const other = upstream(ok);
    const relayed = relay([up.port, other.port], { flow: { breaker } });
    const { context } = relayed;
    // One that fails, one that is tried, and one more after that.
    await until(async () => {
      await ask(relayed.port, chat("x"));
      return up.requests.length === 3;
    });
    const row = relayed.rows[0]!;
    context.dispatch.observe(0, row, "failure", nowMs());
    await Bun.sleep(60);
    // A trial for which there is no connection.
    const none = new Choice<never>(() => null);
    expect(none.make(context, 0, 1, [relayed.rows[1]!], false)).toBeLessThan(0);
    expect(context.dispatch.allows(row)).toBe(true);
    await until(() => relayed.inFlight === 0);
  });

  test("when every target fails, each is still asked", async () => {
    const targets = [1, 2].map(() => upstream(status("500 Internal Server Error")));
    const breaker = { ...FLOW.breaker, failuresInRow: 1 };
    const relayed = relay(
      targets.map(({ port }) => port),
      { flow: { breaker } },
    );
    for (let i = 0; i < 10; i++) expect(statusOf(await ask(relayed.port, chat("x")))).toBe(500);
    expect(targets.every(({ requests }) => requests.length > 2)).toBe(true);
  });
});

describe("wishes", () => {
  test.each([
    ["x-infermesh-priority: 4", "0 to 3"],
    ["x-infermesh-priority: high", "0 to 3"],
    ["x-infermesh-slo: fast", "latency or throughput"],
    ["x-infermesh-retry: always", "never"],
    ["x-infermesh-timeout: soon", "duration"],
    ["x-infermesh-timeout: 0", "duration"],
  ])("%s is refused", async (line, expected) => {
    const relayed = relay([upstream(ok).port]);
    const text = await ask(relayed.port, chat("x", `${line}\r\n`));
    expect(statusOf(text)).toBe(400);
    expect(text).toContain(expected);
  });

  test("a request is ended at its own deadline, before and during its answer", async () => {
    const silent = relay([upstream(() => {}).port]);
    const late = await ask(silent.port, chat("x", "x-infermesh-timeout: 80ms\r\n"));
    expect(statusOf(late)).toBe(504);
    expect(late).toContain("80 ms");
    const slow = relay([upstream((socket) => void socket.write(SSE_HEAD + chunk("data: a\n\n"))).port]);
    const text = await ask(slow.port, chat("x", "x-infermesh-timeout: 80\r\n"));
    expect(statusOf(text)).toBe(200);
    expect(text).toContain("upstream_timeout");
    expect(text).toEndWith("0\r\n\r\n");
    expect(slow.inFlight + silent.inFlight).toBe(0);
  });

  test("a request is ended at its own deadline while its body still comes", async () => {
    const up = upstream(ok);
    const client = await Client.open(relay([up.port]).port);
    const body = JSON.stringify({ model: "m", prompt: "x".repeat(1000) });
    client.send(post(body, "x-infermesh-timeout: 60ms\r\n").slice(0, -900));
    const text = await client.end();
    expect(statusOf(text)).toBe(504);
    expect(text).toContain("within 60 ms");
    expect(up.requests).toHaveLength(0);
  });

  test("one that waits is refused at its deadline", async () => {
    const { up, waiting } = held();
    const relayed = relay([up.port], { upstreamConnectionsMax: 1 });
    const first = ask(relayed.port, chat("one"));
    await until(() => waiting.length === 1);
    const text = await ask(relayed.port, chat("two", "x-infermesh-timeout: 60ms\r\n"));
    expect(statusOf(text)).toBe(504);
    waiting[0]!();
    await first;
  });

  test("a client that asks for too much is told when to come again", async () => {
    const limit = { ...FLOW.limit, requestsPerSecond: 0.5, requestsBurst: 2 };
    const relayed = relay([upstream(ok).port], { flow: { limit } });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push(await ask(relayed.port, chat("x", "authorization: Bearer a\r\n")));
    expect(statuses.map(statusOf)).toEqual([200, 200, 429]);
    expect(statuses[2]).toMatch(/retry-after: [12]\r\n/);
    expect(statusOf(await ask(relayed.port, chat("x", "authorization: Bearer b\r\n")))).toBe(200);
  });
});

describe("hedging", () => {
  const hedge = { ...FLOW.hedge, share: 0.5, samplesMin: 4, delayMsMin: 30, burst: 10 };
  const latency = "x-infermesh-slo: latency\r\n";

  /** A relay in front of one target that stalls when told to, and one that answers. */
  async function warm(stall: { on: boolean }, whenStalled: Script = () => {}) {
    const slow = upstream((socket, request, nth) => {
      if (stall.on) whenStalled(socket, request, nth);
      else socket.write(SSE_HEAD + chunk("data: slow\n\n") + "0\r\n\r\n");
    });
    const fast = upstream((socket) => socket.write(SSE_HEAD + chunk("data: fast\n\n") + "0\r\n\r\n"));
    const relayed = relay([slow.port, fast.port], { flow: { hedge } });
    for (let i = 0; i < 16; i++) expect(statusOf(await ask(relayed.port, chat("x", latency)))).toBe(200);
    return { slow, fast, relayed };
  }

  test.each<[string, Script]>([
    ["nothing", () => {}],
    ["a head without an event", (socket) => void socket.write(SSE_HEAD)],
    ["a comment", (socket) => void socket.write(SSE_HEAD + chunk(": wait\n\n"))],
  ])("a late first token is overtaken by another target's; so far came %s", async (_name, whenStalled) => {
    const stall = { on: false };
    const { slow, relayed } = await warm(stall, whenStalled);
    stall.on = true;
    const before = slow.requests.length;
    let hedged = 0;
    for (let i = 0; i < 12 && hedged === 0; i++) {
      const text = await ask(relayed.port, chat("x", latency));
      expect(text).toContain("data: fast");
      hedged = slow.requests.length - before;
    }
    expect(hedged).toBe(1);
    expect(relayed.stats.hedges()).toBe(1);
    // The loser is cancelled at once.
    await until(() => slow.open === 0 && relayed.inFlight === 0);
  });

  test("a model whose policy is hedged needs no class, nor a share in the settings; what was in vain is counted", async () => {
    const stall = { on: false };
    const answers = (name: string): Script => {
      return (socket) => {
        if (name !== "slow" || !stall.on) socket.write(SSE_HEAD + chunk(`data: ${name}\n\n`) + "0\r\n\r\n");
      };
    };
    const slow = upstream(answers("slow"));
    const fast = upstream(answers("fast"));
    const relayed = relay([slow.port, fast.port], { flow: { hedge: { ...hedge, share: 0 } } });
    relayed.obey({ kind: "balance", name: "m", spec: { strategy: "hedged" } });
    for (let count = 0; count < 40; count++) expect(statusOf(await ask(relayed.port, chat("x")))).toBe(200);
    expect(relayed.stats.hedges()).toBe(0);
    stall.on = true;
    const before = slow.requests.length;
    for (let count = 0; count < 40 && slow.requests.length === before; count++) {
      expect(await ask(relayed.port, chat("x"))).toContain("data: fast");
    }
    const { stats } = relayed;
    expect([stats.hedges(), stats.count("hedgesWon")]).toEqual([1, 1]);
    expect(stats.count("hedgeWaste")).toBeGreaterThan(0);
    await until(() => slow.open === 0 && relayed.inFlight === 0);
    // A client that says that it is of another class is not hedged.
    const client = (await Client.open(relayed.port)).send(chat("x", "x-infermesh-slo: throughput\r\n"));
    await until(() => relayed.stats.count("hedges") > 1 || client.text.includes("data:") || slow.open > 0);
    expect(relayed.stats.hedges()).toBe(1);
    client.leave();
  });

  test("requests of no such class are not sent twice", async () => {
    const stall = { on: false };
    const { slow, relayed } = await warm(stall);
    stall.on = true;
    const clients: Client[] = [];
    const before = slow.requests.length;
    for (let i = 0; i < 20 && slow.requests.length === before; i++) {
      const client = await Client.open(relayed.port);
      clients.push(client.send(chat("x")));
      await until(() => client.closed || slow.requests.length > before);
    }
    await Bun.sleep(80);
    expect(relayed.stats.hedges()).toBe(0);
    for (const client of clients) client.leave();
    await until(() => relayed.inFlight === 0);
  });

  test("each request shows once how long its first token takes, and errors do not", async () => {
    let head = "";
    const stall = { on: false };
    const { slow, relayed } = await warm(stall, (socket) => void socket.write(head));
    const { hedge: observed } = relayed.context.dispatch.flow(0);
    const seen: number[] = [];
    observed.observe = (ms) => void seen.push(ms);
    /** Asks until the slow one was asked, or hedged, as it is wanted. */
    const asked = async (isSo: (asks: number, hedges: number) => boolean): Promise<boolean> => {
      for (let i = 0; i < 50; i++) {
        const [asks, hedges] = [slow.requests.length, relayed.stats.hedges()];
        seen.length = 0;
        await ask(relayed.port, chat("x", latency));
        if (isSo(slow.requests.length - asks, relayed.stats.hedges() - hedges)) return true;
      }
      return false;
    };
    // Errors come fast; where a machine is too busy for that, a hedge comes first.
    stall.on = true;
    head = answer("{}", "", "400 Bad Request");
    expect(await asked((asks, hedges) => asks > 0 && hedges === 0)).toBe(true);
    expect(seen).toEqual([]);
    // One of both is used, and the other is cancelled.
    head = "";
    expect(await asked((_, hedges) => hedges === 1)).toBe(true);
    expect(seen).toHaveLength(1);
    // One whose client does not wait any longer took at least that.
    seen.length = 0;
    const before = slow.requests.length;
    while (slow.requests.length === before) {
      seen.length = 0;
      const client = (await Client.open(relayed.port)).send(chat("x"));
      await until(() => client.closed || slow.requests.length > before);
      client.leave();
      await until(() => relayed.inFlight === 0);
    }
    expect(seen).toHaveLength(1);
  });

  test("one whose kept connection closes as it is used is planned for once", async () => {
    let cuts = 0;
    const up = upstream((socket) => {
      if (cuts-- > 0) socket.terminate();
      else socket.write(SSE_HEAD + chunk("data: x\n\n") + "0\r\n\r\n");
    });
    const relayed = relay([up.port], { flow: { hedge } });
    for (let i = 0; i < 16; i++) expect(statusOf(await ask(relayed.port, chat("x", latency)))).toBe(200);
    cuts = 1;
    expect(statusOf(await ask(relayed.port, chat("x", latency)))).toBe(200);
    expect(up.connections).toBe(2);
    await until(() => relayed.inFlight === 0);
  });

  test("a hedge whose first target fails goes on with the second", async () => {
    const stall = { on: false };
    let cut = (): void => {};
    const { relayed, slow } = await warm(stall, (socket) => {
      cut = () => socket.terminate();
    });
    stall.on = true;
    const gate = Promise.withResolvers<void>();
    const before = slow.requests.length;
    for (let i = 0; i < 20 && slow.requests.length === before; i++) {
      const asked = ask(relayed.port, chat("x", latency));
      await until(() => slow.requests.length > before || relayed.inFlight === 0);
      cut();
      expect(await asked).toContain("data: fast");
    }
    gate.resolve();
    await until(() => relayed.inFlight === 0);
  });
});

describe("a router that has no descriptor left", () => {
  test("blames no target for that, and says so", async () => {
    const relayed = relay([upstream(ok).port, upstream(ok).port]);
    const { pool } = relayed.context.routes.target(relayed.rows[0]!)!;
    // What the lane says when the kernel gives it no socket.
    const exhausted = (connection: UpstreamConnection | null): UpstreamConnection | null => {
      queueMicrotask(() => connection?.lost("exhausted", "no socket: the process has no file descriptor left"));
      return connection;
    };
    for (const row of relayed.rows) {
      const one = relayed.context.routes.target(row)!.pool!;
      const take = one.take.bind(one);
      one.take = () => exhausted(take());
    }
    expect(pool).not.toBeNull();
    const text = await ask(relayed.port, chat("x"));
    expect(statusOf(text)).toBe(429);
    expect(text).toContain("no file descriptor left");
    const { table } = relayed;
    const now = table.nowDeciseconds(Date.now());
    for (const row of relayed.rows) expect(table.isEjected(row, now)).toBe(false);
    expect(relayed.inFlight).toBe(0);
    expect(relayed.rows.map((row) => relayed.stats.upstreamErrors(row).get("exhausted"))).toEqual([1, 1]);
  });
});
