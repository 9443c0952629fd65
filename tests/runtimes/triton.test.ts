/** Triton without a GPU: what its adapter is tested against is itself sound. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { figures } from "./figures.ts";
import { call, events, index, infer, post, repository } from "./kserve.ts";
import { IDLE, MODEL, startTriton, TRITON, WORDS } from "./triton.ts";
import type { Triton } from "./triton.ts";

const TIMEOUT_MS = 90_000;
const TRUE = Buffer.from([0x08, 0x01]);

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await holds()) return;
    await Bun.sleep(20);
  }
  throw new Error(`never came true: ${what}`);
}

describe.skipIf(TRITON === null)("a real Triton", () => {
  let server: Triton;
  beforeAll(async () => {
    server = await startTriton();
  }, TIMEOUT_MS);
  afterAll(() => server.runtime.stop());

  test("tells its health, its name and its models, by HTTP and gRPC", async () => {
    for (const path of ["health/live", "health/ready", `models/${MODEL}/ready`, `models/${WORDS}/ready`]) {
      expect((await fetch(`${server.url}/v2/${path}`)).status).toBe(200);
    }
    expect(await (await fetch(`${server.url}/v2`)).json()).toMatchObject({ name: "triton" });
    expect(await index(server.url)).toEqual({ [MODEL]: "READY", [WORDS]: "READY", [IDLE]: "" });
    expect(await call(server.grpc, "ServerLive", Buffer.of())).toEqual(TRUE);
    expect(await call(server.grpc, "ServerReady", Buffer.of())).toEqual(TRUE);
  }, 60_000);

  test("infers and streams, and counts requests in its metrics", async () => {
    expect(await (await infer(server.url, MODEL, "one two")).json()).toMatchObject({
      outputs: [{ data: ["one two"] }],
    });
    const streamed = await post(`${server.url}/v2/models/${WORDS}/generate_stream`, { text: "one two three" });
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    expect(await events(streamed)).toMatchObject(
      ["one", "two", "three"].map((word) => ({ model_name: WORDS, text: word })),
    );
    const all = await figures(server.metrics);
    expect(all.get(`nv_inference_request_success{model="${MODEL}",version="1"}`)).toBe(1);
    expect(all.get(`nv_inference_pending_request_count{model="${MODEL}",version="1"}`)).toBe(0);
  }, 60_000);

  test("lets a model go and loads another", async () => {
    expect((await infer(server.url, IDLE, "one")).status).toBe(404);
    expect((await repository(server.url, IDLE, "load")).status).toBe(200);
    expect(await (await infer(server.url, IDLE, "one")).json()).toMatchObject({ outputs: [{ data: ["one"] }] });
    expect((await repository(server.url, IDLE, "unload")).status).toBe(200);
    await until(async () => (await index(server.url))[IDLE] === "UNAVAILABLE", "the model is gone");
    expect((await repository(server.url, "nothing", "load")).ok).toBe(false);
  }, 60_000);
});
