/** `infermesh load` over gRPC, against the official library's server, whose messages protobufjs reads and writes. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import type { LoadReport } from "../../src/load/report.ts";
import { Bench } from "./harness.ts";
import { loadRun } from "./load-run.ts";

setDefaultTimeout(60_000);

/** As far as it is used: github.com/opendatahub-io/vllm-tgis-adapter, proto/generation.proto. */
const PROTO = protobuf.parse(`
  syntax = "proto3";
  package fmaas;
  message GenerationRequest { string text = 2; }
  message StoppingCriteria { uint32 max_new_tokens = 1; uint32 min_new_tokens = 2; }
  message Parameters { StoppingCriteria stopping = 3; }
  message SingleGenerationRequest { string model_id = 1; GenerationRequest request = 3; Parameters params = 10; }
  message BatchedGenerationRequest { string model_id = 1; repeated GenerationRequest requests = 3; Parameters params = 10; }
  message GenerationResponse { uint32 generated_token_count = 2; string text = 4; uint32 input_token_count = 6; float x = 99; fixed64 y = 98; }
  message BatchedGenerationResponse { repeated GenerationResponse responses = 1; }
`).root;

const of = (name: string) => ({
  serialize: (value: object) => Buffer.from(PROTO.lookupType(`fmaas.${name}`).encode(value).finish()),
  deserialize: (bytes: Buffer) => PROTO.lookupType(`fmaas.${name}`).decode(bytes).toJSON(),
});
const method = (name: string, request: string, response: string, responseStream: boolean) => ({
  path: `/fmaas.GenerationService/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: of(request).serialize,
  requestDeserialize: of(request).deserialize,
  responseSerialize: of(response).serialize,
  responseDeserialize: of(response).deserialize,
});

type Asked = Record<string, unknown>;
const seen: { readonly asked: Asked; readonly key: unknown }[] = [];
let manner: (number: number) => "well" | "fail" | "hang" | "part" = () => "well";

function note(call: { readonly request: Asked; readonly metadata: grpc.Metadata }): ReturnType<typeof manner> {
  return manner(seen.push({ asked: call.request, key: call.metadata.get("x-team")[0] }) - 1);
}

const FULL = { code: grpc.status.RESOURCE_EXHAUSTED, details: "too many requests are waiting" };
const server = new grpc.Server();
const bench = new Bench();
let port = 0;

beforeAll(async () => {
  server.addService(
    {
      generate: method("Generate", "BatchedGenerationRequest", "BatchedGenerationResponse", false),
      stream: method("GenerateStream", "SingleGenerationRequest", "GenerationResponse", true),
    },
    {
      generate(call: grpc.ServerUnaryCall<Asked, object>, done: grpc.sendUnaryData<object>) {
        if (note(call) === "fail") return done(FULL);
        const whole = { generatedTokenCount: 3, text: "a b c", inputTokenCount: 100, x: 1.5, y: 7 };
        return done(null, { responses: [whole] });
      },
      stream(call: grpc.ServerWritableStream<Asked, object>) {
        const how = note(call);
        if (how === "hang") return;
        if (how === "fail") {
          call.emit("error", FULL);
          return;
        }
        call.write({ inputTokenCount: 100 });
        for (const [at, text] of ["a", " b", " c"].entries()) call.write({ generatedTokenCount: at + 1, text });
        if (how === "part") call.emit("error", { code: grpc.status.INTERNAL, details: "half" });
        else call.end();
      },
    },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
    error === null ? resolve(bound) : reject(error),
  );
  port = await promise;
});
beforeEach(() => {
  seen.length = 0;
  manner = () => "well";
});
afterAll(async () => {
  server.forceShutdown();
  await bench.end();
});

const asked = ["--model", "m", "--rate", "100", "--max-requests", "30", "--prompt-tokens", "300"];

const countsOf = ({ errors }: LoadReport): Record<string, number> =>
  Object.fromEntries(errors.map(({ kind, count }) => [kind, count]));

test("streams and whole answers", async () => {
  const url = `grpc://127.0.0.1:${port}`;
  const streamed = await loadRun(url, ...asked, "--output-tokens", "500", "--ignore-eos", "--header", "x-team: a");
  expect(streamed).toMatchObject({ ok: 30, failed: 0, outputTokens: 90, promptTokens: 3000 });
  expect(streamed.gapMs.count).toBe(60);
  expect(seen).toHaveLength(30);
  expect(seen[0]?.key).toBe("a");
  expect(seen[0]?.asked).toMatchObject({
    modelId: "m",
    params: { stopping: { maxNewTokens: 500, minNewTokens: 500 } },
  });
  expect((seen[0]!.asked["request"] as { text: string }).text.split(" ")).toHaveLength(301);
  const whole = await loadRun(url, ...asked, "--no-stream");
  expect(whole).toMatchObject({ ok: 30, failed: 0, outputTokens: 90, promptTokens: 3000, gapMs: { count: 0 } });
  expect(seen[30]?.asked).toMatchObject({ requests: [{ text: expect.any(String) }] });
});

test("failures by their status, half streams, and what never ends", async () => {
  const manners = ["well", "fail", "part"] as const;
  manner = (number) => manners[number % 3]!;
  const made = await loadRun(`grpc://127.0.0.1:${port}`, ...asked);
  expect(made).toMatchObject({ requests: 30, ok: 10 });
  expect(countsOf(made)).toEqual({ "grpc 8": 10, "grpc 13": 10 });
  // By themselves: on a busy machine others would not be answered within that time either.
  manner = () => "hang";
  const hung = await loadRun(`grpc://127.0.0.1:${port}`, ...asked, "--max-requests", "10", "--timeout", "500ms");
  expect(hung).toMatchObject({ requests: 10, ok: 0 });
  // A server's deadline may be told before this side's has passed.
  const { timeout = 0, "grpc 4": deadline = 0, ...others } = countsOf(hung);
  expect([timeout + deadline, others]).toEqual([10, {}]);
  expect(made.errors.find(({ kind }) => kind === "grpc 8")?.words).toBe(FULL.details);
});

test("nobody there; and through the router, which says which node it was", async () => {
  expect(await loadRun("grpc://127.0.0.1:1", ...asked)).toMatchObject({
    ok: 0,
    errors: [{ kind: "connection refused", count: 30 }],
  });
  const router = await bench.router("--upstream", `m=grpc://127.0.0.1:${port}`);
  const made = await loadRun(`grpc://${router.address("listen")}`, ...asked);
  expect(made).toMatchObject({ ok: 30, failed: 0, outputTokens: 90 });
  expect(made.nodes).toHaveLength(1);
  expect(made.nodes[0]?.node).not.toBe("");
});
