/** Streams that the router resets at a target: how many a connection to it has to bear, and whose. */
import { describe, expect, test } from "bun:test";
import { RestlessClients } from "../../src/proxy/restless.ts";
import { until } from "./harness.ts";
import { type Call, type End, framed, GRPC_HEAD, grpcFixtures, type H2Client, type H2Target } from "./http2-bed.ts";

const { client, bed } = grpcFixtures();

const MODEL = { "x-infermesh-model": "m" };
const STREAM = "/inference.GRPCInferenceService/ModelStreamInfer";

/** Answers the head alone: the call goes on until somebody ends it. */
const open = (call: Call): void => void call.respond(GRPC_HEAD);

const resetsOn = (end: End): number => end.calls.filter(({ code }) => code !== null).length;

/** Begins a call and waits until the target has it. */
async function begun(up: H2Target, one: H2Client, metadata = {}): Promise<Call> {
  const before = up.calls.length;
  const call = one.call(STREAM, { ...MODEL, ...metadata }).send(framed("x"));
  await until(() => up.calls.length > before && call.head[":status"] === "200");
  return call;
}

/** Begins a call and cancels it, and waits until the target knows. */
async function cancelled(up: H2Target, one: H2Client): Promise<void> {
  const call = await begun(up, one);
  const there = up.calls.at(-1)!;
  call.reset();
  await until(() => there.code !== null);
}

describe("resets at a target", () => {
  test("who cancels many calls leaves others' connection alone", async () => {
    const { up, router, client: calm } = await bed(open, { http2ResetsMax: 12 });
    const held = await begun(up, calm);
    const restless = await client(router.port);
    for (let i = 0; i < 60; i++) await cancelled(up, restless);
    const [shared, ...apart] = up.ends;
    // A quarter of what retires a connection.
    expect(resetsOn(shared!)).toBe(3);
    for (const end of apart) expect(resetsOn(end)).toBeLessThanOrEqual(12);
    expect(apart.reduce((sum, end) => sum + resetsOn(end), 0)).toBe(57);
    // A new connection of that client's is no new client.
    await cancelled(up, await client(router.port));
    expect(resetsOn(shared!)).toBe(3);
    // What is over closes.
    await until(() => apart.filter(({ closed }) => !closed).length === 1);
    await begun(up, calm);
    expect(shared!.calls.length).toBe(3 + 2);
    expect(shared!.closed).toBe(false);
    const there = shared!.calls[0]!;
    there.respond({ "grpc-status": "0" }, true);
    expect((await held.over()).status).toBe(0);
  });

  test("calls whose deadlines pass count like those that are cancelled", async () => {
    const { up, client: one } = await bed(open, { http2ResetsMax: 4 });
    for (let i = 0; i < 6; i++) {
      const call = await begun(up, one, { "grpc-timeout": "20m" });
      const there = up.calls.at(-1)!;
      expect((await call.over()).status).toBe(4);
      await until(() => there.code !== null);
    }
    expect(up.ends.map(resetsOn)).toEqual([1, 4, 1]);
  });

  test("a connection with as many resets as it may have takes no new calls, and closes behind its last", async () => {
    const { up, router, client: calm } = await bed(open, { http2ResetsMax: 4 });
    const others = await Promise.all(Array.from({ length: 4 }, () => client(router.port)));
    await until(() => router.connections.size === 5);
    const held = await begun(up, calm);
    // Each is calm when it begins, since nothing was reset when it came.
    const calls: Call[] = [];
    for (const other of others) calls.push(await begun(up, other));
    expect(up.ends.length).toBe(1);
    for (const call of calls) call.reset();
    await until(() => resetsOn(up.ends[0]!) === 4);
    const next = await begun(up, calm);
    expect(up.ends.length).toBe(2);
    expect(up.ends[0]!.closed).toBe(false);
    up.ends[0]!.calls[0]!.respond({ "grpc-status": "0" }, true);
    expect((await held.over()).status).toBe(0);
    await until(() => up.ends[0]!.closed);
    up.ends[1]!.calls[0]!.respond({ "grpc-status": "0" }, true);
    expect((await next.over()).status).toBe(0);
    expect(up.ends[1]!.closed).toBe(false);
    expect(router.inFlight).toBe(0);
  });

  test("retired connections that still have calls are few, whoever holds them", async () => {
    const { up, router, client: calm } = await bed(open, { http2ResetsMax: 4, upstreamConnectionsMax: 24 });
    const held = [await begun(up, calm)];
    const restless = await client(router.port);
    await cancelled(up, restless);
    for (let i = 0; i < 30; i++) {
      held.push(await begun(up, restless));
      for (let k = 0; k < 4; k++) await cancelled(up, restless);
    }
    // The shared one, sixteen retired ones, and one that is kept in use.
    expect(up.ends.length).toBe(18);
    held.push(await begun(up, calm));
    expect(up.ends.length).toBe(18);
    for (const call of up.calls.filter(({ code }) => code === null)) call.respond({ "grpc-status": "0" }, true);
    for (const call of held) expect((await call.over()).status).toBe(0);
    await until(() => up.ends.filter(({ closed }) => !closed).length === 2);
    // There is room for a new one again.
    await cancelled(up, restless);
    expect(up.ends.length).toBe(19);
  });
});

test("of many addresses the one whose calls have not been reset for longest is forgotten", () => {
  const clients = new RestlessClients();
  for (let i = 0; i < 1024; i++) clients.note(`a${i}`, 4, i);
  clients.note("a0", 4, 2000);
  clients.note("b", 4, 2000);
  expect([clients.find("a0")?.isFull(2000), clients.find("a1"), clients.find("a2")?.isFull(2000)]).toEqual([
    true,
    null,
    true,
  ]);
  expect(clients.find("b")?.isFull(2000 + 30_000)).toBe(false);
});
