/** `infermesh load` by KServe's protocol, against the official library's server, alone and through the router. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import { decoded, element, encoded, inputsOf, type KserveMessage, uint32 } from "../load/kserve-proto.ts";
import type { LoadReport } from "../../src/load/report.ts";
import { Bench } from "./harness.ts";
import { loadRun } from "./load-run.ts";

setDefaultTimeout(60_000);

type Asked = Record<string, unknown>;
const method = (name: string, response: KserveMessage, isStream: boolean) => ({
  path: `/inference.GRPCInferenceService/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: (value: object) => encoded("ModelInferRequest", value),
  requestDeserialize: (bytes: Buffer) => decoded("ModelInferRequest", bytes),
  responseSerialize: (value: object) => encoded(response, value),
  responseDeserialize: (bytes: Buffer) => decoded(response, bytes),
});

const piece = (text: string, tokens: number) => ({
  outputs: ["num_input_tokens", "text_output", "num_output_tokens"].map((name) => ({ name, shape: [1] })),
  rawOutputContents: [uint32(100), element(text), uint32(tokens)],
});
const seen: Asked[] = [];
let manner: (number: number) => "well" | "fail" | "told" | "hang" = () => "well";
const FULL = { code: grpc.status.UNAVAILABLE, details: "all engines are busy" };
const server = new grpc.Server();
const bench = new Bench();
let port = 0;

beforeAll(async () => {
  server.addService(
    {
      infer: method("ModelInfer", "ModelInferResponse", false),
      stream: method("ModelStreamInfer", "ModelStreamInferResponse", true),
    },
    {
      infer(call: grpc.ServerUnaryCall<Asked, object>, done: grpc.sendUnaryData<object>) {
        if (manner(seen.push(call.request) - 1) === "fail") done(FULL);
        else done(null, piece("a b c", 3));
      },
      stream(call: grpc.ServerDuplexStream<Asked, object>) {
        call.on("data", (request: Asked) => {
          const how = manner(seen.push(request) - 1);
          if (how === "hang") return;
          if (how === "fail") return void call.emit("error", FULL);
          if (how === "told") call.write({ errorMessage: "the prompt is too long" });
          else for (const text of ["a", " b", " c"]) call.write({ inferResponse: piece(text, 1) });
          call.end();
        });
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

const asked = "--grpc kserve --model m --rate 100 --max-requests 30 --prompt-tokens 300".split(" ");
const report = (url: string, ...args: readonly string[]) => loadRun(url, ...asked, ...args);

const countsOf = ({ errors }: LoadReport): Record<string, number> =>
  Object.fromEntries(errors.map(({ kind, count }) => [kind, count]));

test("streams and whole answers", async () => {
  const url = `grpc://127.0.0.1:${port}`;
  const streamed = await report(url, "--output-tokens", "500", "--ignore-eos", "--workers", "2");
  expect(streamed).toMatchObject({ ok: 30, failed: 0, outputTokens: 90, promptTokens: 3000 });
  expect(streamed.gapMs.count).toBe(60);
  const inputs = inputsOf(seen[0]!);
  expect(inputs).toMatchObject({ stream: true, sampling_parameters: '{"max_tokens":500,"ignore_eos":true}' });
  expect(String(inputs["text_input"]).split(" ")).toHaveLength(301);
  const whole = await report(url, "--no-stream", "--no-usage");
  expect(whole).toMatchObject({ ok: 30, failed: 0, outputTokens: 90, gapMs: { count: 0 } });
  expect(inputsOf(seen[30]!)).toMatchObject({ stream: false });
  expect(inputsOf(seen[30]!)).not.toHaveProperty("return_num_output_tokens");
});

test("failures by their status, errors in messages, and what never ends", async () => {
  const manners = ["well", "fail", "told"] as const;
  manner = (number) => manners[number % 3]!;
  const made = await report(`grpc://127.0.0.1:${port}`);
  expect(made).toMatchObject({ requests: 30, ok: 10 });
  expect(countsOf(made)).toEqual({ "grpc 14": 10, "error in the answer": 10 });
  const words = Object.fromEntries(made.errors.map(({ kind, words: of }) => [kind, of]));
  expect(words).toMatchObject({ "grpc 14": FULL.details, "error in the answer": "the prompt is too long" });
  // By themselves: on a busy machine others would not be answered within that time either.
  manner = () => "hang";
  const hung = await report(`grpc://127.0.0.1:${port}`, "--max-requests", "10", "--timeout", "500ms");
  expect(hung).toMatchObject({ requests: 10, ok: 0 });
  // A server's deadline may be told before this side's has passed.
  const { timeout = 0, "grpc 4": deadline = 0, ...others } = countsOf(hung);
  expect([timeout + deadline, others]).toEqual([10, {}]);
});

test("through the router, which finds the model in the first message and says which node it was", async () => {
  const router = await bench.router("--upstream", `m=grpc://127.0.0.1:${port}`);
  for (const how of ["--stream", "--no-stream"]) {
    const made = await report(`grpc://${router.address("listen")}`, how);
    expect(made).toMatchObject({ ok: 30, failed: 0, outputTokens: 90 });
    expect(made.nodes).toHaveLength(1);
  }
  const unknown = await report(`grpc://${router.address("listen")}`, "--model", "other", "--max-requests", "3");
  expect(unknown).toMatchObject({ ok: 0, errors: [{ kind: "grpc 5", count: 3 }] });
});
