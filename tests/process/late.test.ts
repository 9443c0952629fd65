/** Binding late in the router as it is run: several workers, one desk, targets that are saturated, lost or slow. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { Bench, inFlight, type Started, until } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

/** Targets are thought to be so slow that a long prompt closes one until its first token comes. */
const LATE = ["--flow-late-untold", "--score-prefill-tokens-per-second", "1000"];

/** A target that answers each stream when the test lets it. */
class Paced {
  readonly order: string[] = [];
  readonly #go = new Map<string, () => void>();
  readonly server: ReturnType<typeof Bun.serve>;

  constructor() {
    const { order } = this;
    const go = this.#go;
    this.server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      async fetch(request) {
        // It is asked for its health as well.
        if (request.method !== "POST") return new Response("{}");
        const body = (await request.json()) as { messages: { content: string }[] };
        const name = body.messages[0]!.content.split(" ")[0]!;
        const gate = Promise.withResolvers<undefined>();
        go.set(name, () => gate.resolve(undefined));
        order.push(name);
        const events = async function* (): AsyncGenerator<string> {
          await gate.promise;
          yield "data: first\n\n";
          yield "data: [DONE]\n\n";
        };
        return new Response(events(), { headers: { "content-type": "text/event-stream" } });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}`;
  }

  first(name: string): void {
    this.#go.get(name)?.();
  }
}

function send(router: Started, name: string, tokens: number, signal?: AbortSignal): Promise<Response> {
  const content = `${name} ${"x".repeat(Math.max(0, tokens * 4 - 100))}`;
  return fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content }] }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function metric(router: Started, name: string): Promise<number> {
  const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((answer) => answer.text());
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

const waiting = (router: Started): Promise<number> => metric(router, 'infermesh_router_late_waiting{model="m"}');

describe("a router that binds late", () => {
  test("holds what meets a target at work in one order over its workers, and forgets who leaves", async () => {
    const target = new Paced();
    const router = await bench.router(...LATE, "--workers", "2", "--upstream", `m=${target.url}`);
    // Nobody is at work: nothing is told to the desk.
    for (const name of ["a", "b", "c", "d"]) {
      const one = send(router, name, 100);
      await until(() => target.order.includes(name));
      target.first(name);
      expect(await (await one).text()).toContain("[DONE]");
    }
    expect(await metric(router, "infermesh_router_late_messages_total")).toBe(0);
    expect(await metric(router, 'infermesh_router_late_bound_total{how="at-once"}')).toBe(4);

    const long = send(router, "long", 120_000);
    await until(() => target.order.length === 5);
    const gone = new AbortController();
    const held: Promise<Response | null>[] = [];
    for (let count = 0; count < 6; count++) {
      held.push(send(router, `slow${count}`, 20_000));
      await until(async () => (await waiting(router)) === count + 1);
    }
    held.push(send(router, "gone", 50, gone.signal).catch(() => null));
    await until(async () => (await waiting(router)) === 7);
    // Long enough that the target gets the next one after its first token: two that are sent at once overtake each other.
    held.push(send(router, "quick", 2000));
    await until(async () => (await waiting(router)) === 8);
    gone.abort();
    await until(async () => (await waiting(router)) === 7);
    target.first("long");
    await until(() => target.order.length >= 6);
    expect(target.order[5]).toBe("quick");
    // They are bound as the target works them off.
    const done = new Set<string>();
    await until(() => {
      for (const name of target.order) {
        target.first(name);
        done.add(name);
      }
      return done.size === 12;
    }, 30_000);
    for (const one of [long, ...held]) {
      const answer = await one;
      if (answer !== null) expect(await answer.text()).toContain("[DONE]");
    }
    expect(target.order).not.toContain("gone");
    await until(async () => (await inFlight(router)) === 0);
    expect(await metric(router, 'infermesh_router_late_bound_total{how="late"}')).toBe(7);
    expect(await metric(router, "infermesh_router_late_wait_seconds_count")).toBe(7);
    await target.server.stop(true);
  }, 60_000);

  test("forgets what a worker held that died, and serves on", async () => {
    const target = new Paced();
    const router = await bench.router(...LATE, "--workers", "1", "--upstream", `m=${target.url}`);
    const lost = [send(router, "long", 120_000)];
    await until(() => target.order.length === 1);
    lost.push(send(router, "held", 50));
    await until(async () => (await waiting(router)) === 1);
    router.process.kill("SIGUSR2");
    const answers = await Promise.allSettled(lost);
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await until(async () => (await waiting(router)) === 0 && (await inFlight(router)) === 0);
    // Its claims are given back, so the target is open.
    let next: Promise<Response> | null = null;
    await until(async () => {
      next ??= send(router, "next", 50).catch(() => (next = null) as never);
      await Bun.sleep(20);
      return target.order.includes("next");
    });
    target.first("next");
    expect(await (await next!).text()).toContain("[DONE]");
    await target.server.stop(true);
  }, 60_000);

  test("gives what was bound to a target that is lost to another", async () => {
    const targets = [new Paced(), new Paced()];
    const upstreams = targets.flatMap(({ url }) => ["--upstream", `m=${url}`]);
    const router = await bench.router(...LATE, "--workers", "2", ...upstreams);
    const total = (): number => targets.reduce((sum, { order }) => sum + order.length, 0);
    const longs = ["long0", "long1"].map((name) => send(router, name, 120_000).catch(() => null));
    await until(() => total() === 2);
    const held = ["a", "b", "c"].map((name) => send(router, name, 50));
    await until(async () => (await waiting(router)) === 3);
    const [lost, stays] = targets;
    await lost!.server.stop(true);
    for (const name of stays!.order) stays!.first(name);
    await until(() => {
      for (const name of stays!.order) stays!.first(name);
      return ["a", "b", "c"].every((name) => stays!.order.includes(name));
    }, 30_000);
    for (const one of held) expect(await (await one).text()).toContain("[DONE]");
    await until(async () => (await inFlight(router)) === 0, 30_000);
    await Promise.all(longs);
    await stays!.server.stop(true);
  }, 60_000);
});

test("mock agents that are saturated answer everybody, streamed or whole", async () => {
  const { router } = await bench.mesh(2, [], ["--mock-models", "m"]);
  const ask = async (name: string, tokens: number, stream: boolean): Promise<void> => {
    const content = `${name} ${"x".repeat(tokens * 4)}`;
    const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", stream, max_tokens: 2, messages: [{ role: "user", content }] }),
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(stream ? "[DONE]" : '"choices"');
  };
  const all = Array.from({ length: 24 }, (_, count) => ask(`long${count}`, 8000, count % 3 > 0));
  await until(async () => (await waiting(router)) > 0);
  for (let count = 0; count < 8; count++) all.push(ask(`short${count}`, 20, count % 2 > 0));
  await Promise.all(all);
  expect(await metric(router, 'infermesh_router_late_bound_total{how="late"}')).toBeGreaterThan(0);
  await until(async () => (await inFlight(router)) === 0 && (await waiting(router)) === 0);
}, 60_000);
