/** What clients see while nodes fail under load. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { Bench, inFlight, nodes, raw, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

async function modelOf(router: Started): Promise<string> {
  return (await nodes(router))[0]?.models[0] ?? "";
}

function chat(router: Started, body: object): Promise<Response> {
  return fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "hello there" }], ...body }),
  });
}

describe("kill -9 of a node under load", () => {
  test("only requests that were already streaming from it fail, each with a clean error", async () => {
    const { router, agents } = await bench.mesh(3, [], ["--mock-speed", "4"]);
    const model = await modelOf(router);
    let done = false;
    const outcomes: { node: string | null; status: number; text: string; cut: boolean }[] = [];
    const loop = async (stream: boolean): Promise<void> => {
      while (!done) {
        const response = await chat(router, { model, stream, max_tokens: 60 });
        const node = response.headers.get("x-infermesh-node");
        let text = "";
        let cut = false;
        try {
          text = await response.text();
        } catch {
          cut = true;
        }
        outcomes.push({ node, status: response.status, text, cut });
      }
    };
    const loops = [...Array.from({ length: 12 }, () => loop(true)), ...Array.from({ length: 12 }, () => loop(false))];
    // One that serves, whichever that is: on a busy machine another may look slower for longer than this would wait.
    await until(() => outcomes.some(({ node, status }) => node !== null && status === 200));
    const victim = outcomes.at(-1)!.node!;
    await agents.find(({ ready }) => ready["id"] === victim)!.kill();
    const before = outcomes.length;
    await until(() => outcomes.length > before + 48);
    done = true;
    await Promise.all(loops);

    const bad = outcomes.filter(({ status, text, cut }) => status !== 200 || cut || text.includes('"error"'));
    for (const { node, status, text, cut } of bad) {
      // Its head had gone out with the name of the node that died; the stream ends with an error event, not silently.
      expect({ node, status, cut }).toEqual({ node: victim, status: 200, cut: false });
      expect(text).toContain('data: {"error":');
    }
    const complete = outcomes.filter(({ text }) => text.includes("[DONE]") || text.includes('"finish_reason"'));
    expect(complete.length).toBeGreaterThan(20);
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe("a router without targets", () => {
  test("answers 404 for a model that it never heard of, and 503 when all its nodes are down", async () => {
    const router = await bench.router("--workers", "1", "--upstream", "lonely=http://127.0.0.1:9");
    expect((await chat(router, { model: "stranger" })).status).toBe(404);
    const response = await chat(router, { model: "lonely" });
    expect([502, 503]).toContain(response.status);
    const { error } = (await response.json()) as { error: { type: string; message: string } };
    expect(error.type).toBe("server_error");
  });
});

describe("a graceful stop", () => {
  test("finishes what is in flight, refuses what is new, and exits 0", async () => {
    const { router } = await bench.mesh(1, [], ["--mock-speed", "2"]);
    const model = await modelOf(router);
    const running = chat(router, { model, stream: true, max_tokens: 100 });
    const response = await running;
    const exit = router.stop();
    const text = await response.text();
    expect(text).toContain("[DONE]");
    expect(await exit).toBe(0);
  });

  test("an agent deregisters as it stops", async () => {
    const { router, agents } = await bench.mesh(2);
    expect(await agents[0]?.stop()).toBe(0);
    await until(async () => (await nodes(router)).map(({ id }) => id).join() === "node2");
  });
});

describe("a worker that dies", () => {
  test("is replaced, and what it held in flight is given back", async () => {
    const { router } = await bench.mesh(1, ["--workers", "1"], ["--mock-speed", "1"]);
    const model = await modelOf(router);
    const streams = await Promise.all(
      Array.from({ length: 4 }, () => chat(router, { model, stream: true, max_tokens: 2000 })),
    );
    await until(async () => (await inFlight(router)) > 0);
    router.process.kill("SIGUSR2");
    await Promise.all(streams.map((response) => response.text().catch(() => "")));
    await until(async () => (await inFlight(router)) === 0);
    await until(async () => (await chat(router, { model, max_tokens: 2 }).catch(() => null))?.status === 200);
    expect(router.lines.some(({ msg }) => String(msg).includes("worker died"))).toBe(true);
  });
});

describe("registration", () => {
  test("--allow-register takes registrations on the data port; without it there is no such path", async () => {
    const body = JSON.stringify({ id: "far", address: "127.0.0.1:9", metrics_port: 9, models: ["m"] });
    const post = (router: Started): Promise<Response> =>
      fetch(`http://${router.address("listen")}/register`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
    const open = await bench.router("--workers", "1", "--allow-register");
    expect((await post(open)).status).toBe(201);
    expect((await post(open)).status).toBe(200);
    expect((await nodes(open)).map(({ id }) => id)).toEqual(["far"]);
    const closed = await bench.router("--workers", "1");
    expect((await post(closed)).status).toBe(404);
  });

  test("a port in use is refused with a clear error", async () => {
    const router = await bench.router("--workers", "1");
    const second = await bench
      .start("router", "--listen", router.address("listen"), "--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
      .catch((error: unknown) => String(error));
    expect(second).toMatch(/in use/);
  });
});

test("a raw client sees the router's errors", async () => {
  const router = await bench.router("--workers", "1");
  const answer = await raw(router.address("listen"), ["GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]);
  expect(answer).toStartWith("HTTP/1.1 404 ");
  expect(answer).toContain('"code":"not_found"');
});
