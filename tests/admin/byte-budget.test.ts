/** What a port holds of requests: counted whatever brings them, given back whatever ends them. */
import { afterEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { ByteBudget } from "../../src/admin/byte-budget.ts";
import { type Front, serveApi } from "../../src/admin/front.ts";
import { Inflation } from "../../src/admin/inflation.ts";
import { RequestBody } from "../../src/admin/request-body.ts";
import { Services } from "../../src/admin/services.ts";
import { SCHEMA } from "../../src/gen/services.js";
import { enveloped, Http2Client } from "./connect-bed.ts";
import { RawClient } from "./raw-client.ts";

const budgetOf = (bytes: number): ByteBudget => new ByteBudget(() => bytes);

const refusalOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );

describe("a request's body", () => {
  test("in pieces of any size is what was sent, and costs no more than twice its bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 30 }), (pieces) => {
        const budget = budgetOf(1e9);
        const body = new RequestBody(budget);
        for (const piece of pieces) expect(body.append(piece, 0, piece.length, 1e6)).toBe(true);
        const whole = Buffer.concat(pieces);
        expect(Buffer.from(body.bytes).equals(whole)).toBe(true);
        expect(budget.held).toBeLessThanOrEqual(Math.max(1024, 2 * whole.length));
        body.clear();
        expect([budget.held, body.length]).toEqual([0, 0]);
      }),
    );
  });

  test("of single bytes is one buffer", () => {
    const budget = budgetOf(1e9);
    const body = new RequestBody(budget);
    for (let at = 0; at < 100_000; at++) body.append(Uint8Array.of(at & 255), 0, 1, 100_000);
    expect([body.length, budget.held]).toEqual([100_000, 100_000]);
  });

  test("beyond the budget is not taken", () => {
    const budget = budgetOf(3000);
    const [one, other] = [new RequestBody(budget), new RequestBody(budget)];
    expect(one.append(new Uint8Array(2000), 0, 2000, 1e6)).toBe(true);
    expect(other.append(new Uint8Array(2000), 0, 2000, 1e6)).toBe(false);
    one.clear();
    expect(other.append(new Uint8Array(2000), 0, 2000, 1e6)).toBe(true);
  });
});

describe("what is inflated", () => {
  test("counts until the next message, or the end", async () => {
    const budget = budgetOf(1e6);
    const inflation = new Inflation(budget, 1e6);
    expect((await inflation.inflate(gzipSync("x".repeat(5000)))).length).toBe(5000);
    expect(budget.held).toBe(5000);
    expect((await inflation.inflate(gzipSync("y"))).length).toBe(1);
    expect(budget.held).toBe(1);
    inflation.end();
    expect(budget.held).toBe(0);
    expect(await refusalOf(inflation.inflate(Buffer.from("no gzip")))).toContain("and is not");
    expect(await refusalOf(inflation.inflate(gzipSync("x".repeat(1e6 + 1))))).toContain("inflates to more than");
    expect(budget.held).toBe(0);
  });

  test("is refused before it is made when there is no room for it", async () => {
    const inflation = new Inflation(budgetOf(10_000), 1e6);
    expect(await refusalOf(inflation.inflate(gzipSync("x".repeat(5000))))).toContain("holds more requests than it may");
  });
});

describe("a port", () => {
  const fronts: Front[] = [];
  afterEach(async () => {
    await Promise.all(fronts.splice(0).map((front) => front.stop(0)));
  });

  function open(): Front {
    const options = { schema: SCHEMA, readOnly: false, isStopping: () => false, onError() {} };
    const front = serveApi({
      hostname: "127.0.0.1",
      port: 0,
      app: { fetch: async (request) => new Response(String((await request.arrayBuffer()).byteLength)) },
      services: new Services(options),
      heldBytesMax: 100_000,
    });
    fronts.push(front);
    return front;
  }

  test("refuses what it can't hold, in either version of HTTP, and takes it when there is room", async () => {
    const { port } = open();
    const holder = await RawClient.connect(port);
    holder.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n${"x".repeat(80_000)}`);
    const post = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x".repeat(50_000) })).status;
    const untilStatus = async (status: number): Promise<void> => {
      const untilMs = performance.now() + 5000;
      while ((await post()) !== status) {
        if (performance.now() > untilMs) throw new Error(`never answered ${status}`);
      }
    };
    const client = new Http2Client(`http://127.0.0.1:${port}`);
    const call = async (): Promise<unknown> => {
      const fields = { "content-type": "application/grpc" };
      const path = "/infermesh.control.v1.ControlPlane/GetNode";
      return (await client.ask(path, fields, enveloped(new Uint8Array(50_000)))).headers["grpc-status"];
    };
    await untilStatus(429);
    expect((await client.ask("/", {}, "x".repeat(50_000))).status).toBe(429);
    holder.reset();
    await untilStatus(200);
    expect((await client.ask("/", {}, "x".repeat(50_000))).status).toBe(200);
    // Nobody serves the method here; that the call was taken at all is what counts.
    expect(await call()).toBe("12");
    client.close();
  });

  test("a body of a hundred thousand chunks is put together", async () => {
    const { port } = open();
    const client = await RawClient.connect(port);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let at = 0; at < 100; at++) {
      client.send("1\r\nx\r\n".repeat(500));
      await Bun.sleep(0);
    }
    client.send("0\r\n\r\n");
    expect(await client.until((received) => received.includes("50000"))).toContain("200 OK");
    client.reset();
  });
});
