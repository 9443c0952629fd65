/** Requests that are bound late, from their clients to their targets and back, over HTTP and gRPC. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { by, chunk, Client, CLOSE, FLOW, post, SSE_HEAD, statusOf, until, type Script } from "./harness.ts";
import { framed, grpcFixtures, proto, UNARY, whenWhole } from "./http2-bed.ts";

const { relay, upstream, target, client } = grpcFixtures();

const LATE = { ...defaultsOf(lateSettings), untold: true, horizonMs: 20 };
const late = (more: object = {}) => ({ flow: { ...FLOW, late: LATE }, ...more });

/** A request of so many prompt tokens (four bytes each), named by its content. */
function prompt(name: string, tokens: number, headers = "", more: object = { stream: true }): string {
  const content = `${name} ${"x".repeat(Math.max(0, tokens * 4 - 90))}`;
  return post(JSON.stringify({ model: "m", messages: [{ role: "user", content }], ...more }), headers + CLOSE);
}

/** A target that begins to answer when the test says so, each by its name. */
function paced(how: Script = (socket) => socket.write(SSE_HEAD + chunk("data: first\n\n"))) {
  const order: string[] = [];
  const go = new Map<string, () => void>();
  const end = new Map<string, () => void>();
  const up = upstream((socket, request, nth) => {
    const name = /"content":"(\w+)/.exec(request)?.[1] ?? "";
    order.push(name);
    go.set(name, () => how(socket, request, nth));
    end.set(name, () => socket.write(chunk("data: [DONE]\n\n") + chunk("")));
  });
  return { up, order, first: (name: string) => go.get(name)?.(), end: (name: string) => end.get(name)?.() };
}

async function begin(port: number, bytes: string): Promise<Client> {
  const one = await Client.open(port);
  const all = Buffer.from(bytes);
  for (let at = 0; at < all.length;) {
    at += Math.max(0, one.write(all.subarray(at)));
    if (at < all.length) await Bun.sleep(1);
  }
  return one;
}

/** Minutes of work, so that a target stays closed until its first token. */
const LONG = 120_000;

describe("while targets are open", () => {
  test("nothing is told to the desk, and nothing waits", async () => {
    const { up, first, end, order } = paced();
    const relayed = relay([up.port], late());
    for (const name of ["a", "b", "c"]) {
      const one = await begin(relayed.port, prompt(name, 100));
      await until(() => order.includes(name));
      first(name);
      await one.until((text) => text.includes("first"));
      end(name);
      expect(statusOf(await one.end())).toBe(200);
    }
    const { stats } = relayed;
    expect([stats.count("lateMessages"), stats.count("queued"), stats.count("lateAtOnce")]).toEqual([0, 0, 3]);
    expect(relayed.inFlight).toBe(0);
  });
});

describe("while targets are at work", () => {
  /** A target that works at a long prompt. */
  async function busy(more: object = {}, targets = 1) {
    const all = Array.from({ length: targets }, () => paced());
    const relayed = relay(
      all.map(({ up }) => up.port),
      late({ promptTokensMax: 131_072, ...more }),
    );
    const clients: Client[] = [];
    for (let count = 0; count < targets; count++) {
      clients.push(await begin(relayed.port, prompt(`long${count}`, LONG)));
      await until(() => all.reduce((sum, { order }) => sum + order.length, 0) === count + 1);
    }
    const [one] = all;
    const hold = async (name: string, tokens: number, headers = "", body?: object): Promise<Client> => {
      const before = relayed.late.waiting;
      const held = await begin(relayed.port, prompt(name, tokens, headers, body));
      await until(() => relayed.late.waiting === before + 1);
      return held;
    };
    return { ...one!, all, relayed, clients, hold };
  }

  test("the short ones overtake the long ones, and all are answered", async () => {
    const { first, end, order, relayed, hold, clients } = await busy();
    const slow = await hold("slow", 20_000);
    const quick = await hold("quick", 50);
    expect(relayed.context.dispatch.waiting).toBe(2);
    first("long0");
    await until(() => order.length >= 2);
    expect(order.slice(0, 2)).toEqual(["long0", "quick"]);
    first("quick");
    await until(() => order.length === 3);
    first("slow");
    for (const name of order) end(name);
    for (const each of [clients[0]!, quick, slow]) expect(await each.end()).toContain("[DONE]");
    await until(() => relayed.inFlight === 0);
    expect([relayed.late.waiting, relayed.context.dispatch.waiting]).toEqual([0, 0]);
    expect(relayed.stats.picks(relayed.rows[0]!).get("late")).toBe(2);
    expect([relayed.stats.count("lateBound"), relayed.stats.lateWaits().cumulative.at(-1)]).toEqual([2, 2]);
  });

  test("higher priorities go first, whatever their length", async () => {
    const { first, order, hold } = await busy();
    await hold("low", 50, "x-infermesh-priority: 3\r\n");
    await hold("high", 20_000, "x-infermesh-priority: 0\r\n");
    first("long0");
    await until(() => order.length >= 2);
    expect(order[1]).toBe("high");
  });

  test("those of a session are bound where it is, as those that are not held", async () => {
    const { all, relayed, hold } = await busy({}, 2);
    relayed.obey({
      kind: "balance",
      name: "m",
      spec: { strategy: "late", session: { field: "x-s", slackMs: 60_000 } },
    });
    const sessions = Array.from({ length: 8 }, (_, index) => `s${index}`);
    for (const session of sessions) await hold(`held${session}`, 50, `x-s: ${session}\r\n`);
    const at = (name: string): number => all.findIndex(({ order }) => order.includes(name));
    const answer = (): void => {
      for (const { order, first, end } of all) {
        for (const name of order) {
          first(name);
          end(name);
        }
      }
    };
    await until(() => {
      answer();
      return sessions.every((session) => at(`held${session}`) >= 0);
    });
    for (const session of sessions) {
      await until(() => {
        answer();
        return relayed.inFlight === 0;
      });
      await begin(relayed.port, prompt(`again${session}`, 50, `x-s: ${session}\r\n`));
      await until(() => at(`again${session}`) >= 0);
    }
    const homes = sessions.map((session) => at(`again${session}`));
    expect(sessions.map((session) => at(`held${session}`))).toEqual(homes);
  });

  test("a client that leaves is forgotten", async () => {
    const { first, order, relayed, hold } = await busy();
    const gone = await hold("gone", 50);
    const stays = await hold("stays", 20_000);
    gone.leave();
    await until(() => relayed.late.waiting === 1);
    first("long0");
    await until(() => order.length >= 2);
    expect(order[1]).toBe("stays");
    stays.leave();
    await until(() => relayed.inFlight === 1);
  });

  test("one whose time is over is told so", async () => {
    const { relayed, hold } = await busy();
    const one = await hold("one", 50, "x-infermesh-timeout: 100ms\r\n");
    expect(statusOf(await one.end())).toBe(504);
    await until(() => relayed.late.waiting === 0);
  });

  test("nobody waits longer than the queue lets them", async () => {
    const { hold, relayed } = await busy({ flow: { ...FLOW, late: LATE, queue: { ...FLOW.queue, waitMsMax: 100 } } });
    const text = await (await hold("one", 50)).end();
    expect(statusOf(text)).toBe(429);
    expect(text).toMatch(/retry-after: \d+\r\n/);
    await until(() => relayed.late.waiting === 0);
    expect(relayed.stats.count("expired")).toBe(1);
  });

  test("the queue's bounds count what is held", async () => {
    const { hold, relayed } = await busy({ flow: { ...FLOW, late: LATE, queue: { ...FLOW.queue, requestsMax: 1 } } });
    const low = await hold("low", 50, "x-infermesh-priority: 3\r\n");
    const same = await begin(relayed.port, prompt("same", 50, "x-infermesh-priority: 3\r\n"));
    expect(statusOf(await same.end())).toBe(429);
    // A higher one pushes it out, and takes its place at the desk.
    await begin(relayed.port, prompt("high", 50, "x-infermesh-priority: 0\r\n"));
    expect(await low.end()).toContain("higher priority");
    await until(() => relayed.late.waiting === 1);
  });

  test("who may not any more is denied while it waits, and the place is another's", async () => {
    const { first, order, relayed, hold } = await busy();
    const denied = await hold("denied", 50, "x-infermesh-tenant: acme\r\n");
    await hold("other", 5000);
    relayed.obey({ kind: "acl", name: "tenant:acme/m/*", spec: { effect: "deny" } });
    expect(statusOf(await denied.end())).toBe(403);
    first("long0");
    await until(() => order.length >= 2);
    expect(order[1]).toBe("other");
    await until(() => relayed.table.inFlight(relayed.rows[0]!) === 2);
  });

  test("a target that is lost gives what was bound to it to the others", async () => {
    const { all, relayed, hold } = await busy({}, 2);
    const held = [await hold("one", 50), await hold("two", 60)];
    const [lost, stays] = all;
    lost!.up.stop();
    for (let count = 0; count < 2; count++) for (const { first } of all) first(`long${count}`);
    await until(() => ["one", "two"].every((name) => stays!.order.includes(name)));
    for (const name of ["one", "two"]) {
      stays!.first(name);
      stays!.end(name);
    }
    for (const each of held) expect(await each.end()).toContain("[DONE]");
    await until(() => relayed.late.waiting === 0);
  });

  test("while the desk is held up, the worker binds by itself what meets an open target", async () => {
    const { first, end, order, relayed, hold, clients } = await busy({
      flow: { ...FLOW, late: { ...LATE, silenceMs: 50 } },
    });
    const low = await hold("low", 2000, "x-infermesh-priority: 3\r\n");
    relayed.stallDesk();
    const high = await begin(relayed.port, prompt("high", 2000));
    await until(() => relayed.context.dispatch.waiting === 2);
    await until(() => relayed.context.late!.isSilent);
    // The target is at work all the time, so nobody goes there.
    await Bun.sleep(50);
    expect(order).toEqual(["long0"]);
    first("long0");
    await until(() => order.length === 2);
    // By priority, and each when what is there is computed.
    expect(order[1]).toBe("high");
    await Bun.sleep(50);
    expect(order).toHaveLength(2);
    first("high");
    await until(() => order.length === 3);
    first("low");
    // Who comes now finds an open target, and does not wait, though the desk still counts those that waited.
    const next = await begin(relayed.port, prompt("next", 10));
    await until(() => order.length === 4);
    expect([relayed.context.dispatch.waiting, relayed.late.waiting]).toEqual([0, 1]);
    expect(relayed.stats.count("lateAlone")).toBe(3);
    relayed.resumeDesk();
    await until(() => relayed.late.waiting === 0 && !relayed.context.late!.isSilent);
    first("next");
    for (const name of order) end(name);
    for (const each of [clients[0]!, high, low, next]) expect(await each.end()).toContain("[DONE]");
    // What the desk claimed for those that were gone is given back.
    await until(() => relayed.inFlight === 0);
    const held = await busy();
    const again = await held.hold("again", 10);
    held.first("long0");
    await until(() => held.order.length === 2);
    again.leave();
  });

  test("one that never comes whole keeps no others away for longer than it could take", async () => {
    const { up, order, first } = paced();
    const flow = { ...FLOW, late: { ...LATE, horizonMs: 1 } };
    const relayed = relay([up.port], { flow, promptTokensMax: 2000, replayBytes: 1024 });
    // Its client declares more than it sends, and what is here of it is on its way.
    const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "x".repeat(4000) }] });
    const stuck = await begin(relayed.port, post(body, CLOSE).slice(0, -100));
    await until(() => relayed.table.inFlightTokens(relayed.rows[0]!) > 0);
    for (let count = 0; count < 3; count++) {
      const one = await begin(relayed.port, prompt(`n${count}`, 100));
      await until(() => order.includes(`n${count}`));
      first(`n${count}`);
      await one.until((text) => text.includes("first"));
      one.leave();
    }
    stuck.leave();
    await until(() => relayed.inFlight === 0 && relayed.late.waiting === 0);
  });

  test("whole answers, whose first token nobody sees, keep no other away", async () => {
    const { first, order, relayed, hold } = await busy();
    const whole = await hold("whole", 1000, "", {});
    first("long0");
    await until(() => order.length === 2);
    // It has not answered, and takes 50 ms to compute; then the target is open again, though nothing came.
    const next = await begin(relayed.port, prompt("next", 50));
    await until(() => order.length === 3);
    expect(order).toEqual(["long0", "whole", "next"]);
    whole.leave();
    next.leave();
    await until(() => relayed.inFlight === 1);
  });

  test("a policy says per model how it is bound", async () => {
    const { relayed, order, first, hold } = await busy();
    await hold("held", 50);
    relayed.obey({ kind: "balance", name: "m", spec: { strategy: "score" } });
    first("long0");
    await until(() => order.length === 2);
    // By the score it goes at once, though the target is at work.
    const { order: seen, up } = paced();
    const other = relay([up.port], { flow: { ...FLOW, late: { ...LATE, enabled: false } } });
    await begin(other.port, prompt("a", LONG));
    await begin(other.port, prompt("b", 50));
    await until(() => seen.length === 2);
    other.obey({ kind: "balance", name: "m", spec: { strategy: "late" } });
    await begin(other.port, prompt("c", 50));
    await until(() => other.late.waiting === 1);
  });

  test("when its model's number goes to another, those that wait are refused", async () => {
    const { relayed, hold } = await busy();
    const one = await hold("one", 50);
    relayed.context.dispatch.forget(0);
    expect(statusOf(await one.end())).toBe(429);
    await until(() => relayed.late.waiting === 0);
  });
});

test("a request goes to where its prompt came to be cached while it waited", async () => {
  const index = PrefixIndex.create(1 << 20, 256);
  const [near, home] = [paced(), paced()];
  const prefixes = { index: index.buffer, sizes: new SharedArrayBuffer(256), missWeight: 2 };
  const flow = { ...FLOW, late: { ...LATE, refreshMs: 1 } };
  const relayed = relay([near.up.port, home.up.port], { flow, prefixes, promptTokensMax: 131_072 });
  for (const row of relayed.rows) index.reset(row, 1e6, 4);
  const [nearRow = -1, homeRow = -1] = relayed.rows;
  const longs = [await begin(relayed.port, prompt("long0", LONG)), await begin(relayed.port, prompt("long1", LONG))];
  await until(() => near.order.length + home.order.length === 2);
  const talk = (more: string, priority: number): string => {
    const messages = ["w ".repeat(20_000), more].map((content) => ({ role: "user", content }));
    const body = JSON.stringify({ model: "m", stream: true, messages });
    return post(body, `x-infermesh-priority: ${priority}\r\n${CLOSE}`);
  };
  const later = await begin(relayed.port, talk("later", 2));
  await until(() => relayed.late.waiting === 1);
  const sooner = await begin(relayed.port, talk("sooner", 0));
  await until(() => relayed.late.waiting === 2);
  // One of them is free: there goes the higher priority.
  home.first(home.order[0]!);
  await until(() => home.order.length === 2);
  expect(relayed.late.waiting).toBe(1);
  // Then both are, and where it would be alone it would have to be computed anew.
  home.first("w");
  near.first(near.order[0]!);
  await until(() => relayed.late.waiting === 0 && home.order.length + near.order.length === 4);
  expect([relayed.table.inFlight(nearRow), relayed.table.inFlight(homeRow)]).toEqual([1, 3]);
  expect(relayed.stats.count("prefixExpected")).toBeGreaterThan(9000);
  for (const one of [...longs, later, sooner]) one.leave();
  await until(() => relayed.inFlight === 0);
});

function field(number: number, value: Uint8Array): Buffer {
  const length: number[] = [];
  for (let left = value.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), value]);
}

/** A message that names the model first, and is as long as that. */
function named(text: string, bytes: number): Buffer {
  return framed(Buffer.concat([proto({ 1: "m", 3: text }), field(5, Buffer.alloc(bytes, "x"))]));
}

describe("calls of gRPC", () => {
  test("wait at the same desk, and are bound by it", async () => {
    const up = target((call) => whenWhole(call, () => {}));
    const relayed = relay([by("grpc", up.port)], late());
    const one = await client(relayed.port);
    // The message names the model, so its length is known when it is bound.
    const send = (text: string, bytes: number) => one.call(UNARY).send(named(text, bytes), true);
    const long = send("long", LONG * 4);
    await until(() => up.calls.length === 1);
    const slow = send("slow", 40_000);
    await until(() => relayed.late.waiting === 1);
    const quick = send("quick", 10);
    await until(() => relayed.late.waiting === 2);
    up.calls[0]!.answer("done");
    expect((await long.over()).status).toBe(0);
    await until(() => up.calls.length >= 2 && up.calls[1]!.messages.length > 0);
    expect(up.calls[1]!.messages[0]).toContain("quick");
    up.calls[1]!.answer("re");
    expect((await quick.over()).messages).toEqual(["re"]);
    await until(() => up.calls.length === 3);
    up.calls[2]!.answer("at last");
    expect((await slow.over()).messages).toEqual(["at last"]);
    await until(() => relayed.inFlight === 0 && relayed.late.waiting === 0);
  });

  test("go to where the beginning of their prompt is cached, held or not", async () => {
    const index = PrefixIndex.create(1 << 20, 256);
    const ups = [0, 1, 2].map(() => target((call) => whenWhole(call, () => {})));
    const flow = { ...FLOW, late: { ...LATE, refreshMs: 1 } };
    const prefixes = { index: index.buffer, sizes: new SharedArrayBuffer(256), missWeight: 2 };
    const relayed = relay(
      ups.map((up) => by("grpc", up.port)),
      { flow, prefixes, promptTokensMax: 131_072 },
    );
    for (const row of relayed.rows) index.reset(row, 1e6, 4);
    const one = await client(relayed.port);
    const calls = (): number => ups.reduce((sum, up) => sum + up.calls.length, 0);
    const words = (seed: number): string => Array.from({ length: 1500 }, (_, at) => `w${at * seed}`).join(" ");
    // As TGIS has it: the model's name, and messages of texts.
    const ask = (text: string) => {
      const message = Buffer.concat([proto({ 1: "m" }), field(3, field(2, Buffer.from(text)))]);
      return one.call(UNARY).send(framed(message), true);
    };
    const homes: number[] = [];
    for (const talk of [1, 2, 3]) {
      const before = ups.map((up) => up.calls.length);
      ask(words(talk));
      await until(() => calls() === homes.length + 1);
      homes.push(ups.findIndex((up, at) => up.calls.length > before[at]!));
      ups[homes.at(-1)!]!.calls.at(-1)!.answer("done");
    }
    await until(() => relayed.inFlight === 0);
    for (const [at, talk] of [1, 2, 3].entries()) {
      const before = ups[homes[at]!]!.calls.length;
      const again = ask(`${words(talk)} and more`);
      await until(() => ups[homes[at]!]!.calls.length === before + 1);
      ups[homes[at]!]!.calls.at(-1)!.answer("done");
      expect((await again.over()).status).toBe(0);
    }
    expect(relayed.stats.count("prefixExpected")).toBeGreaterThan(3 * 1500);
    // All are at work; it waits, and goes home though another one is as free.
    const longs = [one.call(UNARY), one.call(UNARY), one.call(UNARY)].map((call, at) =>
      call.send(named(`long${at}`, LONG * 4), true),
    );
    await until(() => relayed.rows.every((row) => relayed.table.inFlight(row) === 1));
    const held = ask(`${words(2)} at last`);
    await until(() => relayed.late.waiting === 1);
    const home = ups[homes[1]!]!;
    const before = home.calls.length;
    for (const up of ups) up.calls.at(-1)!.answer("done");
    await until(() => home.calls.length === before + 1);
    home.calls.at(-1)!.answer("home");
    expect((await held.over()).messages).toEqual(["home"]);
    for (const long of longs) expect((await long.over()).status).toBe(0);
    await until(() => relayed.inFlight === 0);
  });

  test("that are cancelled while they wait are forgotten, and deadlines count", async () => {
    const up = target((call) => whenWhole(call, () => {}));
    const relayed = relay([by("grpc", up.port)], late());
    const one = await client(relayed.port);
    one.call(UNARY).send(named("long", LONG * 4), true);
    await until(() => up.calls.length === 1);
    const gone = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("a"), true);
    await until(() => relayed.late.waiting === 1);
    gone.reset();
    await until(() => relayed.late.waiting === 0);
    const timed = one.call(UNARY, { "x-infermesh-model": "m", "grpc-timeout": "100m" }).send(framed("b"), true);
    expect((await timed.over()).status).toBe(4);
    await until(() => relayed.late.waiting === 0);
    expect(up.calls).toHaveLength(1);
  });
});
