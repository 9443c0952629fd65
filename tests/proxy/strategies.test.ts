/** Each strategy of the list from a client to its target and back, by policies and by the setting. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RowSides } from "../../src/score/row-sides.ts";
import { ARRIVAL_STRATEGIES } from "../../src/score/strategies.ts";
import { STRATEGIES } from "../../src/policy/spec.ts";
import { checkStrategies } from "../../src/proxy/strategy-module.ts";
import { CHOOSES, wasm } from "../score/wasm-modules.ts";
import { answer, by, CHAT, chunk, Client, CLOSE, post, SSE_HEAD, statusOf, until } from "./harness.ts";
import { echo, framed, grpcFixtures, proto, UNARY } from "./http2-bed.ts";

const { relay, upstream, target, client } = grpcFixtures();

const OK = answer('{"choices":[]}');

async function ask(port: number, headers = "", body = CHAT): Promise<string> {
  const one = await Client.open(port);
  return one.send(post(body, headers + CLOSE)).end();
}

describe.each([...STRATEGIES])("the policy balance says %s", (strategy) => {
  test("requests reach every target, over HTTP and gRPC, and give back what they claimed", async () => {
    const ups = [upstream((socket) => socket.write(OK)), upstream((socket) => socket.write(OK))];
    const calls = target(echo);
    const relayed = relay([...ups.map(({ port }) => port), by("grpc", calls.port)]);
    relayed.obey({ kind: "balance", name: "*", spec: { strategy } });
    for (let count = 0; count < 60; count += 1) expect(statusOf(await ask(relayed.port))).toBe(200);
    for (const { requests } of ups) expect(requests.length).toBeGreaterThan(0);
    const call = (await client(relayed.port)).call(UNARY, { "x-infermesh-model": "m" });
    expect((await call.send(framed(proto({ 1: "m" })), true).over()).status).toBe(0);
    await until(() => relayed.inFlight === 0);
  });
});

describe("without a policy", () => {
  test.each([...ARRIVAL_STRATEGIES])("the setting counts: %s", async (strategy) => {
    const relayed = relay([upstream((socket) => socket.write(OK)).port], { strategy });
    expect(relayed.context.strategies.nameOf(0)).toBe(strategy);
    expect(statusOf(await ask(relayed.port))).toBe(200);
    relayed.obey({ kind: "balance", name: "m", spec: { strategy: "late" } });
    expect(relayed.context.strategies.nameOf(0)).toBe("late");
    relayed.obey({ kind: "balance", name: "other", spec: { strategy: "random" } });
    expect(relayed.context.strategies.nameOf(0)).toBe(strategy);
  });

  test("late is ttft where binding late is off", () => {
    const relayed = relay([upstream((socket) => socket.write(OK)).port], { strategy: "late" });
    expect(relayed.context.strategies.isBoundLate(0)).toBe(relayed.context.late?.isDefault === true);
  });
});

test("names that policies had before mean what they meant", () => {
  const relayed = relay([upstream((socket) => socket.write(OK)).port]);
  const means = (strategy: string): string => {
    relayed.obey({ kind: "balance", name: "m", spec: { strategy } } as Parameters<typeof relayed.obey>[0]);
    return relayed.context.strategies.nameOf(0);
  };
  expect(["score", "least-loaded", "two-choices"].map(means)).toEqual(["ttft", "least-request", "p2c"]);
});

test("a strategy learns from first tokens, and keeps what it knows while others' policies change", async () => {
  const slow = upstream(async (socket) => {
    await Bun.sleep(60);
    socket.write(OK);
  });
  const quick = upstream((socket) => socket.write(OK));
  const relayed = relay([slow.port, quick.port]);
  const policy = { kind: "balance", name: "m", spec: { strategy: "peak-ewma" } } as const;
  relayed.obey(policy);
  for (let count = 0; count < 6; count += 1) await ask(relayed.port);
  relayed.obey(policy, { kind: "balance", name: "other", spec: { strategy: "random" } });
  const before = slow.requests.length;
  expect(before).toBeGreaterThan(0);
  for (let count = 0; count < 12; count += 1) await ask(relayed.port);
  expect(slow.requests.length).toBe(before);
});

test("kv-cost counts contexts while requests run, and takes them back", async () => {
  const go = Promise.withResolvers<undefined>();
  const up = upstream(async (socket) => {
    socket.write(SSE_HEAD + chunk("data: first\n\n"));
    await go.promise;
    socket.write(chunk("data: [DONE]\n\n") + chunk(""));
  });
  const relayed = relay([up.port]);
  relayed.obey({ kind: "balance", name: "*", spec: { strategy: "kv-cost" } });
  const sides = new RowSides(relayed.table);
  const one = await Client.open(relayed.port);
  one.send(post(CHAT.replace("hi", "x".repeat(4000)), CLOSE));
  await one.until((text) => text.includes("first"));
  // Its prompt is computed, and its context is there.
  expect(relayed.table.inFlightTokens(relayed.rows[0]!)).toBe(0);
  expect(sides.contextTokens(relayed.rows[0]!)).toBeGreaterThan(900);
  // What was counted is taken back, whatever the policy is by then.
  relayed.obey({ kind: "balance", name: "*", spec: { strategy: "random" } });
  go.resolve(undefined);
  expect(await one.end()).toContain("[DONE]");
  await until(() => relayed.inFlight === 0);
  expect(sides.contextTokens(relayed.rows[0]!)).toBe(0);
});

describe("sessions", () => {
  const FIELD = "x-session-id";
  const served = (ups: readonly { requests: string[] }[], session: string): number[] =>
    ups.map(({ requests }) => requests.filter((text) => text.includes(`${FIELD}: ${session}\r\n`)).length);

  test.each([...STRATEGIES])("stay with their target by %s, and are spread over all", async (strategy) => {
    const ups = [1, 2, 3].map(() => upstream((socket) => socket.write(OK)));
    const relayed = relay(ups.map(({ port }) => port));
    relayed.obey({ kind: "balance", name: "m", spec: { strategy, session: { field: FIELD } } });
    const used = new Set<number>();
    for (let session = 0; session < 12; session += 1) {
      for (let count = 0; count < 3; count += 1) await ask(relayed.port, `${FIELD}: s${session}\r\n`);
      const counts = served(ups, `s${session}`);
      expect(counts.toSorted((a, b) => a - b)).toEqual([0, 0, 3]);
      used.add(counts.indexOf(3));
    }
    expect(used.size).toBe(3);
  });

  test("leave it where it is behind by more than the slack, or can't be chosen, and go to the same next one", async () => {
    const ups = [1, 2, 3].map(() => upstream((socket) => socket.write(OK)));
    const relayed = relay(ups.map(({ port }) => port));
    const session = { field: FIELD, slackMs: 100 };
    relayed.obey({ kind: "balance", name: "m", spec: { strategy: "ttft", session } });
    const send = (): Promise<string> => ask(relayed.port, `${FIELD}: a\r\n`);
    await send();
    const home = served(ups, "a").indexOf(1);
    // 0.05 s of work wait there, then 5 s.
    const row = relayed.rows[home]!;
    expect(relayed.table.tryBegin(1, row, 1000)).toBe(true);
    await send();
    expect(served(ups, "a")[home]).toBe(2);
    expect(relayed.table.tryBegin(1, row, 100_000)).toBe(true);
    await send();
    expect(served(ups, "a")[home]).toBe(2);
    relayed.table.endPrefill(1, row, 101_000);
    relayed.table.end(1, row);
    relayed.table.end(1, row);
    relayed.table.eject(row, relayed.table.nowDeciseconds(Date.now()) + 600);
    const before = served(ups, "a");
    await send();
    await send();
    const more = served(ups, "a").map((count, at) => count - before[at]!);
    expect(more.toSorted((a, b) => a - b)).toEqual([0, 0, 2]);
    expect(more[home]).toBe(0);
    // Requests of no session go as the strategy says.
    expect(statusOf(await ask(relayed.port))).toBe(200);
  });

  test("of gRPC are named by their metadata", async () => {
    const ups = [1, 2, 3].map(() => target(echo));
    const relayed = relay(ups.map(({ port }) => by("grpc", port)));
    relayed.obey({ kind: "balance", name: "m", spec: { strategy: "random", session: { field: FIELD } } });
    const one = await client(relayed.port);
    for (let count = 0; count < 6; count += 1) {
      const call = one.call(UNARY, { "x-infermesh-model": "m", [FIELD]: "a" });
      expect((await call.send(framed(proto({ 1: "m" })), true).over()).status).toBe(0);
    }
    expect(ups.map(({ calls }) => calls.length).toSorted((a, b) => a - b)).toEqual([0, 0, 6]);
  });
});

describe("a strategy of one's own", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "strategy-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const file = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  /** The second target, whatever comes. */
  const second = (): string =>
    file("second.ts", "export default (seed: number) => ({ choose: (view: { count: number }) => view.count - 1 });\n");

  async function bed(config: object) {
    const ups = [upstream((socket) => socket.write(OK)), upstream((socket) => socket.write(OK))] as const;
    const relayed = relay(
      ups.map(({ port }) => port),
      { strategyBudgetMs: 1000, ...config },
    );
    await relayed.context.strategies.user.follow();
    const counts = (): number[] => ups.map(({ requests }) => requests.length);
    const send = async (count: number): Promise<void> => {
      for (let nth = 0; nth < count; nth += 1) expect(statusOf(await ask(relayed.port))).toBe(200);
    };
    return { relayed, counts, send };
  }

  test("in TypeScript or WebAssembly chooses, unless a policy says otherwise", async () => {
    for (const strategy of [second(), file("last.wasm", wasm(CHOOSES.last))]) {
      const { relayed, counts, send } = await bed({ strategy });
      expect(relayed.context.strategies.nameOf(0)).toBe("module");
      await send(6);
      expect(counts()).toEqual([0, 6]);
      relayed.obey({ kind: "balance", name: "m", spec: { strategy: "round-robin" } });
      await send(4);
      expect(counts()).toEqual([2, 8]);
      expect(relayed.notices).toEqual([]);
    }
  });

  test.each([
    ["throws", "moduleThrew", "throw.ts", "export default () => ({ choose() { throw new Error('oh'); } });"],
    ["traps", "moduleThrew", "trap.wasm", wasm(CHOOSES.trap)],
    ["answers nonsense", "moduleInvalid", "stranger.wasm", wasm(CHOOSES.stranger)],
  ] as const)(
    "that %s costs no request anything, and is asked no more in the end",
    async (_what, count, name, content) => {
      const { relayed, send } = await bed({ strategy: file(name, content), strategyFaultsMax: 3 });
      await send(8);
      expect(relayed.stats.count(count)).toBe(3);
      expect(relayed.notices).toHaveLength(1);
      expect(relayed.notices[0]).toMatch(/^the strategy \S+ is asked no more in this worker, after 3 faults/);
    },
  );

  test("that is too slow is not believed", async () => {
    const slow =
      "export default () => ({ choose() { for (const end = performance.now() + 5; performance.now() < end; ); return 0; } });";
    const { relayed, send } = await bed({
      strategy: file("slow.mjs", slow),
      strategyBudgetMs: 1,
      strategyFaultsMax: 2,
    });
    await send(4);
    expect(relayed.stats.count("moduleSlow")).toBe(2);
    expect(relayed.notices[0]).toContain("it took ");
  });

  test("in the shadow is asked and compared, and decides nothing", async () => {
    const strategyShadow = second();
    const { relayed, counts, send } = await bed({ strategy: "round-robin", strategyShadow });
    await send(10);
    expect(counts()).toEqual([5, 5]);
    expect([relayed.stats.count("moduleAgreed"), relayed.stats.count("moduleDiffered")]).toEqual([5, 5]);
    const { relayed: scanned, send: more } = await bed({ strategy: "ttft", strategyShadow });
    await more(10);
    expect(scanned.stats.count("moduleAgreed") + scanned.stats.count("moduleDiffered")).toBe(10);
  });

  test("that can't be used is refused at the start, with the reason; later it is told, and ttft chooses", async () => {
    const bad = [
      [join(folder, "none.wasm"), "ENOENT"],
      [file("empty.ts", "export const x = 1;"), "its default export is no function that makes a strategy"],
      [file("nothing.js", "export default () => ({});"), "has no function choose"],
      [file("text.wasm", "hello"), ""],
    ] as const;
    for (const [path, why] of bad) {
      const refused = checkStrategies({ strategy: path, strategyShadow: "" });
      expect(refused).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining(why) });
      const { relayed, send } = await bed({ strategy: path });
      expect(relayed.notices).toHaveLength(1);
      expect(relayed.context.strategies.nameOf(0)).toBe("ttft");
      await send(1);
    }
    await checkStrategies({ strategy: second(), strategyShadow: "" });
  });

  test("another one takes its place when the settings say so", async () => {
    const { relayed, counts, send } = await bed({ strategy: second() });
    await send(2);
    Object.assign(relayed.context.config, { strategy: file("first.wasm", wasm(CHOOSES.first)) });
    await relayed.context.strategies.user.follow();
    await send(3);
    expect(counts()).toEqual([3, 2]);
    Object.assign(relayed.context.config, { strategy: "round-robin" });
    relayed.context.strategies.changed();
    await relayed.context.strategies.user.follow();
    expect(relayed.context.strategies.nameOf(0)).toBe("round-robin");
  });
});
