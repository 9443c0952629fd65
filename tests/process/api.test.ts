/** The API of live processes: an agent that keeps the policies, one that follows it, and a router, by JSON and gRPC. */
import { afterAll, expect, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import { SCHEMA } from "../../src/gen/services.js";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { type Message, ProtoTypes } from "../../src/wire/proto-schema.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { Bench, type Started, until } from "./harness.ts";

const bench = new Bench();
afterAll(() => bench.end());

const CONTROL = "infermesh.control.v1.ControlPlane";
const FAST = ["--swim-probe-interval", "200ms", "--swim-probe-timeout", "100ms", "--swim-gossip-interval", "40ms"];
const types = new ProtoTypes(SCHEMA);

type Json = Record<string, unknown> & { code?: string };

async function call(one: Started, method: string, request: object = {}, service = CONTROL): Promise<Json> {
  const response = await fetch(`http://${one.address("api")}/${service}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "10000" },
    body: JSON.stringify(request),
  });
  return (await response.json()) as Json;
}

/** Events by gRPC, as they come. */
function events(one: Started, types_: string[]): { seen: Message[]; end: () => void } {
  const client = new grpc.Client(one.address("api"), grpc.credentials.createInsecure());
  const request = types.message(CONTROL.replace("ControlPlane", "SubscribeEventsRequest"));
  const response = types.message(CONTROL.replace("ControlPlane", "SubscribeEventsResponse"));
  const seen: Message[] = [];
  const stream = client.makeServerStreamRequest(
    `/${CONTROL}/SubscribeEvents`,
    (message: Message) => Buffer.from(encodeMessage(request, message)),
    (bytes: Buffer) => decodeMessage(response, bytes) as { message: Message },
    { since: 0, types: types_ },
  );
  stream.on("data", ({ message }: { message: Message }) => {
    if (message["event"] !== undefined) seen.push(message["event"] as Message);
  });
  stream.on("error", () => {});
  return {
    seen,
    end() {
      stream.cancel();
      client.close();
    },
  };
}

test("policies, models, events and choices, at whichever process they are asked for", async () => {
  const keeper = await bench.agent("keeper", null, ...FAST);
  const seed = String(keeper.ready["gossip"]);
  const [follower, router] = await Promise.all([
    bench.agent("follower", null, "--join", seed, ...FAST),
    bench.router("--workers", "1", "--join", seed, "--fleet-poll-interval", "200ms", ...FAST),
  ]);
  for (const one of [router, follower]) {
    await until(async () => ((await call(one, "ListNodes"))["nodes"] as Json[]).length === 3);
  }
  const told = events(router, ["policy", "model"]);

  // A write at the follower is in force at the router.
  const [model = ""] = keeper.ready["models"] as string[];
  await until(async () => (await call(follower, "GetStoreStatus"))["writable"] === true);
  expect(await call(follower, "PinModel", { model, nodes: ["keeper", "follower"], minReplicas: 1 })).toMatchObject({
    changed: true,
    warnings: [],
  });
  await until(async () => (await call(router, "ListPins", { local: true }))["revision"] === "1");
  expect(await call(router, "ListPins")).toMatchObject({ policies: [{ name: model }] });
  await until(() => told.seen.some(({ type, subject }) => type === "policy.created" && subject === `pin/${model}`));

  // A model is loaded at another node, by way of the router.
  expect(await call(router, "LoadModel", { node: "follower", model: "extra" })).toMatchObject({ changed: true });
  await until(() => told.seen.some(({ type, subject }) => type === "model.available" && subject === "extra"));
  expect(await call(router, "LoadModel", { model: "extra" })).toMatchObject({ code: "unimplemented" });
  await until(async () => (await call(keeper, "GetModel", { id: "extra" })).code === undefined);
  expect(await call(keeper, "GetModel", { id: "extra" })).toMatchObject({ model: { nodes: [{ id: "follower" }] } });

  // What is placed is explained, before and after.
  await until(async () => ((await call(router, "ListNodes", { model }))["nodes"] as Json[]).length === 2);
  const now = await call(router, "ExplainRoute", { model, promptTokens: 10 });
  expect(new Set((now["candidates"] as Json[]).map(({ node }) => node))).toEqual(new Set(["follower", "keeper"]));
  const messages = [{ role: "user", content: "hi" }];
  await until(async () => {
    const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      headers: { "x-request-id": "asked-for" },
      body: JSON.stringify({ model, messages, max_tokens: 1 }),
    });
    await response.text();
    return response.status === 200;
  });
  const past = await call(router, "ExplainRoute", { requestId: "asked-for" });
  expect(past).toMatchObject({ requestId: "asked-for", model });
  expect((past["candidates"] as Json[]).filter(({ chosen }) => chosen).map(({ node }) => node)).toEqual([
    past["winner"],
  ]);
  const { ticket } = await call(router, "Admit", { model }, "infermesh.scoring.v1.Scoring");
  const outcome = { ticket, outcome: "success" };
  expect(await call(router, "ReportOutcome", outcome, "infermesh.scoring.v1.Scoring")).toEqual({ known: true });
  told.end();
});
