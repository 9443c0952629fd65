/** What is no gRPC, over HTTP/2: answered by the same app as over HTTP/1.1. */
import { afterEach, describe, expect, test } from "bun:test";
import { type App, type Front, serveApi } from "../../src/admin/front.ts";
import { Services } from "../../src/admin/services.ts";
import type { AdminConfig } from "../../src/admin/settings.ts";
import { SCHEMA } from "../../src/gen/services.js";
import { Beds, only } from "./api-bed.ts";
import { Http2Client } from "./connect-bed.ts";
import { eventually } from "./raw-client.ts";

const CONTROL = "infermesh.control.v1.ControlPlane";
const fronts: Front[] = [];
const clients: Http2Client[] = [];
const beds = new Beds();
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(fronts.splice(0).map((front) => front.stop(0)));
  await beds.close();
});

function serve(fetch: App["fetch"], limits: Partial<AdminConfig> = {}): { client: Http2Client; errors: unknown[] } {
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const services = new Services({ schema: SCHEMA, readOnly: false, isStopping: () => false, onError });
  const front = serveApi({ hostname: "127.0.0.1", port: 0, app: { fetch }, services, limits, onError });
  fronts.push(front);
  const client = new Http2Client(`http://127.0.0.1:${front.port}`);
  clients.push(client);
  return { client, errors };
}

const echo: App["fetch"] = async (request, env) =>
  Response.json({
    method: request.method,
    url: request.url.replace(/:\d+/, ""),
    field: request.headers.get("x-field"),
    host: request.headers.get("host")?.replace(/:\d+/, ""),
    body: await request.text(),
    isDuplex: env.isDuplex,
  });

test("the app gets the request, and its answer comes back", async () => {
  const { client } = serve(echo);
  const got = await client.ask("/a/b?c=d", { "x-field": "1" });
  expect([got.status, got.headers["content-type"], got.headers["date"] === undefined]).toEqual([
    200,
    "application/json;charset=utf-8",
    false,
  ]);
  expect(JSON.parse(got.body.toString())).toEqual({
    method: "GET",
    url: "http://127.0.0.1/a/b?c=d",
    field: "1",
    host: "127.0.0.1",
    body: "",
    isDuplex: true,
  });
  const posted = await client.ask("/", {}, "x".repeat(300_000));
  expect((JSON.parse(posted.body.toString()) as { body: string }).body).toHaveLength(300_000);
});

test("many at once, of any size, over one connection", async () => {
  const { client } = serve(async (request) => new Response((await request.text()).repeat(3)));
  const sizes = Array.from({ length: 60 }, (_, at) => at * 3001 + 1);
  const answers = await Promise.all(sizes.map((size) => client.ask("/", {}, "y".repeat(size))));
  expect(answers.map(({ body }) => body.length)).toEqual(sizes.map((size) => 3 * size));
});

test.each([
  ["HEAD", 200],
  ["DELETE", 204],
])("%s is answered without a body", async (method, status) => {
  const { client } = serve(() => new Response(status === 204 ? null : "text", { status }));
  const got = await client.ask("/", { ":method": method });
  expect([got.status, got.body.length]).toEqual([status, 0]);
});

test("methods that are not for servers, and hosts that are none, are refused", async () => {
  const { client } = serve(echo);
  expect((await client.ask("/", { ":method": "TRACE" })).status).toBe(501);
  expect((await client.ask("/", { ":authority": "a b" }).catch(() => ({ status: 0 }))).status).not.toBe(200);
});

describe("a body", () => {
  test("longer than allowed is answered 413, whether it says so or not", async () => {
    const { client } = serve(echo, { maxBodyBytes: 2000 });
    const told = await client.ask("/", { "content-length": "3000" }, "x".repeat(3000));
    expect([told.status, told.body.toString()]).toEqual([413, expect.stringContaining("at most 2000")]);
    expect((await client.ask("/", {}, "x".repeat(3000))).status).toBe(413);
    expect((await client.ask("/", {}, "x".repeat(2000))).status).toBe(200);
  });

  test("that does not come is answered 408", async () => {
    const { client } = serve(echo, { bodyTimeoutMs: 40 });
    const stream = client.open({ ":path": "/", ":method": "POST" });
    stream.write("x");
    const status = await new Promise((resolve) => stream.on("response", (head) => resolve(head[":status"])));
    expect(status).toBe(408);
  });
});

test("an app that throws is answered 500, and its words are logged alone", async () => {
  const { client, errors } = serve(() => {
    throw new Error("secret");
  });
  const { status, body } = await client.ask("/");
  expect([status, body.toString().includes("secret"), errors.length]).toEqual([500, false, 1]);
});

test("a stream that breaks resets its stream alone", async () => {
  let pulls = 0;
  const { client, errors } = serve(
    ({ url }) =>
      new Response(
        new ReadableStream({
          pull(controller) {
            if (url.endsWith("/well")) {
              controller.close();
            } else if (++pulls === 2) {
              controller.error(new Error("broken"));
            } else {
              controller.enqueue(new Uint8Array(10));
            }
          },
        }),
      ),
  );
  const stream = client.open({ ":path": "/" });
  const code = await new Promise((resolve) => stream.on("close", () => resolve(stream.rstCode)));
  expect([code, errors.length]).toEqual([2, 1]);
  expect((await client.ask("/well")).status).toBe(200);
});

test("a client that leaves aborts its request, and cancels its stream", async () => {
  let cancelled = false;
  const signals: AbortSignal[] = [];
  const { client } = serve((request) => {
    signals.push(request.signal);
    return new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1000)),
        cancel: () => void (cancelled = true),
      }),
    );
  });
  const stream = client.open({ ":path": "/" });
  await new Promise((resolve) => stream.once("data", resolve));
  stream.destroy();
  await eventually(() => cancelled && signals[0]?.aborted === true);
});

test("Connect's unary calls and those of gRPC share a connection", async () => {
  const bed = beds.open({
    implementations: { [CONTROL]: only(CONTROL, { getNode: async ({ id }: { id: string }) => ({ node: { id } }) }) },
  });
  const client = new Http2Client(bed.url(""));
  clients.push(client);
  const fields = { "content-type": "application/json" };
  const { status, body } = await client.ask(`/${CONTROL}/GetNode`, fields, '{"id": "a"}');
  expect([status, JSON.parse(body.toString())]).toEqual([200, { node: expect.objectContaining({ id: "a" }) }]);
  const grpc = await client.ask(`/${CONTROL}/GetNode`, { "content-type": "application/grpc" }, Buffer.alloc(5));
  expect(grpc.headers["content-type"]).toBe("application/grpc");
  const foreign = { ...fields, origin: "http://evil.example" };
  expect((await client.ask(`/${CONTROL}/PinModel`, foreign, "{}")).status).toBe(400);
});
