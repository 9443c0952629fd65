/** MLServer, a real server of the open inference protocol: what its adapter is tested against is itself sound. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { figures } from "./figures.ts";
import { call, events, index, infer, post, repository } from "./kserve.ts";
import { MLSERVER, MODEL, startMlServer } from "./mlserver.ts";
import type { MlServer } from "./mlserver.ts";

const TIMEOUT_MS = 90_000;
const TRUE = Buffer.from([0x08, 0x01]);
const nameOf = (model: string): Uint8Array => Buffer.from([0x0a, model.length, ...Buffer.from(model)]);

describe.skipIf(MLSERVER === null)("a real MLServer", () => {
  let server: MlServer;
  beforeAll(async () => {
    server = await startMlServer();
  }, TIMEOUT_MS);
  afterAll(() => server.runtime.stop());

  test("tells its health, its name and its model, by HTTP and gRPC", async () => {
    for (const path of ["health/live", "health/ready", `models/${MODEL}/ready`]) {
      expect((await fetch(`${server.url}/v2/${path}`)).status).toBe(200);
    }
    expect(await (await fetch(`${server.url}/v2`)).json()).toMatchObject({ name: "mlserver" });
    expect(await (await fetch(`${server.url}/v2/models/${MODEL}`)).json()).toMatchObject({ name: MODEL });
    expect(await call(server.grpc, "ServerLive", Buffer.of())).toEqual(TRUE);
    expect(await call(server.grpc, "ServerReady", Buffer.of())).toEqual(TRUE);
    expect(await call(server.grpc, "ModelReady", nameOf(MODEL))).toEqual(TRUE);
  }, 60_000);

  test("infers and streams, and counts both in its metrics", async () => {
    const count = async (): Promise<number> => {
      const all = await figures(server.metrics);
      return all.get(`model_infer_request_success_total{model="${MODEL}",version="None"}`) ?? 0;
    };
    expect(await (await infer(server.url, MODEL, "one two")).json()).toMatchObject({
      outputs: [{ data: ["one two"] }],
    });
    const before = await count();
    await (await infer(server.url, MODEL, "again")).arrayBuffer();
    expect(await count()).toBe(before + 1);
    const inputs = [{ name: "text", shape: [1], datatype: "BYTES", data: ["one two three"] }];
    const streamed = await post(`${server.url}/v2/models/${MODEL}/infer_stream`, { inputs });
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    expect(await events(streamed)).toMatchObject(
      ["one", "two", "three"].map((word) => ({ model_name: MODEL, outputs: [{ data: [word] }] })),
    );
  }, 60_000);

  test("lets its model go and loads it again", async () => {
    expect(await index(server.url)).toEqual({ [MODEL]: "READY" });
    expect((await repository(server.url, MODEL, "unload")).status).toBe(200);
    expect(await index(server.url)).toEqual({ [MODEL]: "UNAVAILABLE" });
    expect((await fetch(`${server.url}/v2/models/${MODEL}/ready`)).status).toBe(404);
    expect((await infer(server.url, MODEL, "one")).status).toBe(404);
    expect((await repository(server.url, MODEL, "load")).status).toBe(200);
    expect(await index(server.url)).toEqual({ [MODEL]: "READY" });
    expect((await repository(server.url, "nothing", "load")).status).toBe(404);
  }, 60_000);
});
