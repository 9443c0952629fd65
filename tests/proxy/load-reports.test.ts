/** What targets tell of their load in heads and trailers: what a worker makes of it, and what its clients see. */
import { describe, expect, test } from "bun:test";
import {
  answer,
  ask,
  by,
  chunk,
  CHAT,
  Client,
  CLOSE,
  fixtures,
  post,
  type Relay,
  type Serves,
  SSE_HEAD,
  statusOf,
  until,
} from "./harness.ts";
import { framed, GRPC_HEAD, grpcFixtures, whenWhole } from "./http2-bed.ts";

const { upstream, relay } = fixtures();
const { bed } = grpcFixtures();

const LOAD =
  "endpoint-load-metrics: TEXT named_metrics.num_requests_waiting=3, named_metrics.kv_cache_usage_perc=0.5\r\n";
const FIGURES = { waitingRequests: 3, kvUsage: 0.5 };
const WISH = "endpoint-load-metrics-format";
/** A report in gRPC's binary form: `application_utilization` 0.5. */
const BINARY = "SQAAAAAAAOA/";

function counts({ stats }: Relay): Record<string, number> {
  return {
    used: stats.count("loadsUsed"),
    unknown: stats.count("loadsUnknown"),
    malformed: stats.count("loadsMalformed"),
  };
}

/** A target of a kind that tells if it is asked. */
const telling = (port: number): Serves => ({ ...by("http", port), tellsLoad: true });

describe("heads of HTTP/1.1", () => {
  test("are heard at once, without what is over, and not passed on", async () => {
    const up = upstream((socket) => socket.write(answer('{"ok":1}', `x-a: 1\r\n${LOAD}x-b: 2\r\n`)));
    const router = relay([up.port]);
    const text = await ask(router.port, post(CHAT, CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(text.toLowerCase()).not.toContain("endpoint-load");
    expect(text).toContain("x-a: 1\r\nx-b: 2\r\n");
    await until(() => router.loads.length === 1);
    const [row] = router.rows;
    expect(router.loads[0]).toMatchObject({ row, requests: 0, tokens: 0, figures: FIGURES });
    expect(router.loads[0]?.generation).toBe(router.table.generation(row!));
    expect(counts(router)).toEqual({ used: 1, unknown: 0, malformed: 0 });
  });

  test("of streams tell of their own request too: it has only begun", async () => {
    const up = upstream((socket) =>
      socket.write(SSE_HEAD.replace("\r\n\r\n", `\r\n${LOAD}\r\n`) + chunk("data: 1\n\n")),
    );
    const router = relay([up.port]);
    const client = (await Client.open(router.port)).send(post(CHAT));
    const text = await client.until((heard) => heard.includes("data: 1"));
    expect(text.toLowerCase()).not.toContain("endpoint-load");
    await until(() => router.loads.length === 1);
    expect(router.loads[0]).toMatchObject({ requests: 1, figures: FIGURES });
    expect(router.loads[0]?.tokens).toBeGreaterThan(0);
    client.leave();
  });

  test("count what else is in flight there when they come", async () => {
    const up = upstream((socket, _request, nth) => {
      if (nth === 3) socket.write(answer("{}", LOAD));
    });
    const router = relay([up.port]);
    const others = await Promise.all([Client.open(router.port), Client.open(router.port)]);
    for (const other of others) other.send(post(CHAT));
    await until(() => up.requests.length === 2);
    await ask(router.port, post(CHAT, CLOSE));
    await until(() => router.loads.length === 1);
    expect(router.loads[0]?.requests).toBe(2);
    for (const other of others) other.leave();
  });

  test("of an answer that is given up for another target's are heard all the same", async () => {
    const full = upstream((socket) => socket.write(answer("{}", LOAD, "503 Busy")));
    const up = upstream((socket) => socket.write(answer("{}")));
    const router = relay([full.port, up.port]);
    for (let i = 0; i < 20 && full.requests.length === 0; i++) await ask(router.port, post(CHAT, CLOSE));
    await until(() => router.loads.length > 0);
    expect(router.loads[0]).toMatchObject({ row: router.rows[0], figures: FIGURES });
  });

  test("in pieces, in other letter case, and in the binary form", async () => {
    const up = upstream(async (socket, _request, nth) => {
      const line = nth === 1 ? LOAD.toUpperCase().replace(/NAMED.*/, (names) => names.toLowerCase()) : "";
      const text = answer("{}", line || `Endpoint-Load-Metrics-Bin: ${BINARY}\r\n`);
      for (let at = 0; at < text.length; at += 40) {
        socket.write(text.slice(at, at + 40));
        socket.flush();
        await Bun.sleep(1);
      }
    });
    const router = relay([up.port]);
    await ask(router.port, post(CHAT, CLOSE));
    expect((await ask(router.port, post(CHAT, CLOSE))).toLowerCase()).not.toContain("endpoint-load");
    await until(() => router.loads.length === 2);
    expect(router.loads.map(({ figures }) => figures)).toMatchObject([FIGURES, { utilization: 0.5 }]);
  });

  test("that are malformed, huge, told twice or say nothing that is known are counted, and the answer is not harmed", async () => {
    const lines = [
      "endpoint-load-metrics: TEXT num_requests_waiting=x\r\n",
      LOAD + LOAD,
      `${LOAD}endpoint-load-metrics-bin: ${BINARY}\r\n`,
      `endpoint-load-metrics: TEXT ${"a=1,".repeat(7000)}\r\n`,
      "endpoint-load-metrics: \r\n",
      "endpoint-load-metrics: TEXT cpu_utilization=0.5\r\n",
    ];
    const up = upstream((socket, _request, nth) => socket.write(answer('{"ok":1}', lines[nth - 1])));
    const router = relay([up.port]);
    for (const _ of lines) {
      const text = await ask(router.port, post(CHAT, CLOSE));
      expect(text.endsWith('{"ok":1}')).toBe(true);
      expect(text.toLowerCase()).not.toContain("endpoint-load");
    }
    expect(counts(router)).toEqual({ used: 0, unknown: 1, malformed: 5 });
    expect(router.loads).toEqual([]);
  });

  test("go to clients where that is set, and are left unread where that is", async () => {
    const up = upstream((socket) => socket.write(answer("{}", LOAD)));
    const open = relay([up.port], { loadReportsPass: true });
    expect(await ask(open.port, post(CHAT, CLOSE))).toContain(LOAD);
    await until(() => open.loads.length === 1);
    const deaf = relay([up.port], { loadReports: "off" });
    expect((await ask(deaf.port, post(CHAT, CLOSE))).toLowerCase()).not.toContain("endpoint-load");
    expect(counts(deaf)).toEqual({ used: 0, unknown: 0, malformed: 0 });
  });

  test("of many answers make few messages, whose reports are the newest", async () => {
    const up = upstream((socket, _request, nth) =>
      socket.write(answer("{}", `endpoint-load-metrics: TEXT num_requests_waiting=${nth}\r\n`)),
    );
    const router = relay([up.port]);
    const client = await Client.open(router.port);
    const COUNT = 200;
    for (let i = 1; i <= COUNT; i++) {
      client.send(post(CHAT));
      await client.until((text) => text.split("HTTP/1.1 200").length > i);
    }
    client.leave();
    await until(() => router.loads.at(-1)?.figures.waitingRequests === COUNT);
    const told = router.loads.map(({ figures }) => figures.waitingRequests ?? 0);
    expect(told[0]).toBe(1);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.length).toBeLessThan(COUNT / 2);
    expect(counts(router)["used"]).toBe(COUNT);
  });
});

describe("requests that ask for it", () => {
  const wishes = (requests: readonly string[]): number =>
    requests.filter((request) => request.includes(`${WISH}: text\r\n`)).length;

  test("go to targets of a kind that tells, one in a while, and are whole", async () => {
    const up = upstream((socket) => socket.write(answer("{}")));
    const router = relay([telling(up.port)], { loadReportEveryMs: 60_000 });
    for (let i = 0; i < 3; i++) expect(statusOf(await ask(router.port, post(CHAT, `x-a: ${i}\r\n${CLOSE}`)))).toBe(200);
    expect(wishes(up.requests)).toBe(1);
    const [first = "", second = ""] = up.requests;
    expect(first).toContain(`${WISH}: text\r\n\r\n${CHAT}`);
    expect(first.replace(`${WISH}: text\r\n`, "").replace(/x-request-id.*|x-a.*/g, "")).toBe(
      second.replace(/x-request-id.*|x-a.*/g, ""),
    );
  });

  test("come again when the while is over", async () => {
    const up = upstream((socket) => socket.write(answer("{}")));
    const router = relay([telling(up.port)], { loadReportEveryMs: 100 });
    await until(async () => {
      await ask(router.port, post(CHAT, CLOSE));
      return wishes(up.requests) === 3;
    });
    expect(up.requests.length).toBeGreaterThanOrEqual(3);
  });

  test("go to nobody else, unless all are to be asked; and nobody is asked where that is set", async () => {
    const up = upstream((socket) => socket.write(answer("{}")));
    await ask(relay([up.port]).port, post(CHAT, CLOSE));
    await ask(relay([telling(up.port)], { loadReports: "hear" }).port, post(CHAT, CLOSE));
    await ask(relay([telling(up.port)], { loadReports: "off" }).port, post(CHAT, CLOSE));
    expect(wishes(up.requests)).toBe(0);
    await ask(relay([up.port], { loadReports: "ask-all" }).port, post(CHAT, CLOSE));
    expect(wishes(up.requests)).toBe(1);
  });

  test("are left as they are where the client asks by itself", async () => {
    const up = upstream((socket) => socket.write(answer("{}", LOAD)));
    const router = relay([telling(up.port)]);
    const text = await ask(router.port, post(CHAT, `${WISH}: JSON\r\n${CLOSE}`));
    expect(up.requests[0]?.split(WISH).length).toBe(2);
    expect(up.requests[0]).toContain(`${WISH}: JSON`);
    expect(text.toLowerCase()).not.toContain("endpoint-load");
  });

  test("may be long, and reshaped on their way", async () => {
    const up = upstream((socket) => socket.write(answer("{}")));
    const long = JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(300_000) }] });
    const router = relay([telling(up.port)]);
    expect(statusOf(await ask(router.port, post(long, CLOSE)))).toBe(200);
    expect(up.requests[0]?.endsWith(`\r\n\r\n${long}`)).toBe(true);
    expect(wishes(up.requests)).toBe(1);
    const aliases = { aliases: [{ alias: "other", model: "m" }], fallbacks: [] };
    const renaming = relay([telling(up.port)], { content: { aliases } });
    const text = await ask(renaming.port, post(CHAT.replace('"m"', '"other"'), CLOSE));
    expect(statusOf(text)).toBe(200);
    expect(up.requests[1]?.endsWith(`${WISH}: text\r\n\r\n${CHAT}`)).toBe(true);
  });
});

describe("gRPC", () => {
  test("in trailers: heard when the call is over, and kept from the client", async () => {
    const { router, client } = await bed((call) =>
      whenWhole(call, () => call.answer("yes", { "endpoint-load-metrics-bin": BINARY, "x-t": "1" })),
    );
    for (let i = 0; i < 3; i++) expect((await client.unary()).tail).toEqual({ "grpc-status": "0", "x-t": "1" });
    await until(() => router.loads.length >= 1);
    expect(router.loads[0]).toMatchObject({ requests: 0, tokens: 0, figures: { utilization: 0.5 } });
    expect(counts(router)).toEqual({ used: 3, unknown: 0, malformed: 0 });
  });

  test("in the head: the call goes on, and counts", async () => {
    const { router, client } = await bed((call) => {
      const load = 'JSON {"named_metrics":{"num_requests_waiting":3,"kv_cache_usage_perc":0.5}}';
      call.respond({ ...GRPC_HEAD, "endpoint-load-metrics": load }).send(framed("a"));
    });
    const call = client.call(undefined, { "x-infermesh-model": "m" }).send(framed("hi"), true);
    await until(() => router.loads.length === 1);
    expect(router.loads[0]).toMatchObject({ requests: 1, figures: FIGURES });
    await until(() => call.messages.length === 1);
    expect(Object.keys(call.head).some((name) => name.startsWith("endpoint-load"))).toBe(false);
    call.reset();
  });

  test("twice, malformed or for the client: counted, and passed where that is set", async () => {
    const tails = [{ "endpoint-load-metrics-bin": "!" }, { "endpoint-load-metrics-bin": BINARY }];
    let nth = 0;
    const { router, client } = await bed(
      (call) =>
        whenWhole(call, () => {
          const tail = tails[nth++ % 2]!;
          call
            .respond(GRPC_HEAD)
            .send(framed("x"))
            .respond({ "grpc-status": "0", ...tail }, true);
        }),
      { loadReportsPass: true },
    );
    expect((await client.unary()).tail).toEqual({ "grpc-status": "0", ...tails[0]! });
    expect((await client.unary()).tail).toEqual({ "grpc-status": "0", ...tails[1]! });
    expect(counts(router)).toEqual({ used: 1, unknown: 0, malformed: 1 });
  });

  test("an answer of trailers alone, and what clients themselves send", async () => {
    const { up, router, client } = await bed((call) =>
      whenWhole(call, () =>
        call.respond({ ...GRPC_HEAD, "grpc-status": "3", "endpoint-load-metrics-bin": BINARY }, true),
      ),
    );
    const call = await client.unary("hi", { "endpoint-load-metrics-bin": "client" });
    expect(call.head["endpoint-load-metrics-bin"]).toBeUndefined();
    expect(call.status).toBe(3);
    await until(() => router.loads.length === 1);
    expect(router.loads[0]).toMatchObject({ requests: 0, tokens: 0 });
    expect(up.calls[0]?.head["endpoint-load-metrics-bin"]).toBe("client");
    expect(counts(router)).toEqual({ used: 1, unknown: 0, malformed: 0 });
  });
});
