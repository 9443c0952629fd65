/**
 * Records what the real inference servers of this machine answer (scripts/runtimes.md) as fixtures:
 * `bun scripts/record-runtimes.ts NAME VERSION`, e.g. `llama-server b11549`. Answers lie under
 * tests/telemetry/fixtures as RUNTIME-VERSION.STATE.ANSWER, bodies as they came but for this machine's paths; the status
 * and head of each are in RUNTIME-VERSION.heads.json.
 */
import { join } from "node:path";
import { startLlamaRouter, startLlamaServer } from "../tests/runtimes/llama-server.ts";
import { startMlServer } from "../tests/runtimes/mlserver.ts";
import { MODEL as OLLAMA_MODEL, startOllama } from "../tests/runtimes/ollama.ts";
import { startTriton } from "../tests/runtimes/triton.ts";

const FOLDER = join(import.meta.dir, "../tests/telemetry/fixtures");
const JSON_HEAD = { "content-type": "application/json" };
/** Between what a server is asked to do and the record of it at work: enough for it to have begun. */
const SETTLE_MS = 300;

class Record {
  readonly #name: string;
  readonly #heads: globalThis.Record<string, { status: number; head: globalThis.Record<string, string> }> = {};

  constructor(runtime: string, version: string) {
    this.#name = `${runtime}-${version}`;
  }

  async take(file: string, url: string, init: RequestInit = {}): Promise<void> {
    const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
    const body = withoutPaths(await answer.text());
    const head = Object.fromEntries([...answer.headers].filter(([name]) => name !== "date"));
    this.#heads[file] = { status: answer.status, head };
    if (body !== "") await Bun.write(join(FOLDER, `${this.#name}.${file}`), body);
    console.log(`${answer.status} ${this.#name}.${file}: ${body.length} characters`);
  }

  /** An answer that goes on for as long as it is read: what came of it while something was done. */
  async hold(file: string, url: string, during: () => Promise<void>): Promise<void> {
    const end = new AbortController();
    const answer = await fetch(url, { signal: end.signal });
    const pieces: Uint8Array[] = [];
    const reading = (async () => {
      for await (const piece of answer.body ?? []) pieces.push(piece);
    })().catch(() => {});
    await during();
    await Bun.sleep(SETTLE_MS);
    end.abort();
    await reading;
    const body = withoutPaths(Buffer.concat(pieces).toString());
    this.#heads[file] = { status: answer.status, head: Object.fromEntries(answer.headers) };
    await Bun.write(join(FOLDER, `${this.#name}.${file}`), body);
    console.log(`${answer.status} ${this.#name}.${file}: ${body.length} characters`);
  }

  async close(): Promise<void> {
    await Bun.write(join(FOLDER, `${this.#name}.heads.json`), `${JSON.stringify(this.#heads, null, 2)}\n`);
  }
}

/** Without what only this machine has: a server's temporary folder, and where it was installed. */
const withoutPaths = (text: string): string =>
  text.replaceAll(/\/tmp\/infermesh-[\w-]+/g, "/models").replaceAll(/\/[\w./-]*\/infermesh-runtimes\/[\w.-]+/g, "/opt");

function post(body: unknown, headers: globalThis.Record<string, string> = {}): RequestInit {
  return { method: "POST", headers: { ...JSON_HEAD, ...headers }, body: JSON.stringify(body) };
}

const THREE_WORDS = { inputs: [{ name: "text", shape: [1], datatype: "BYTES", data: ["one two three"] }] };
const story = { messages: [{ role: "user", content: "Tell me a long story." }], temperature: 0 };

/** Asks until it answers with `text`. */
async function until(url: string, text: string): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if ((await (await fetch(url)).text()).includes(text)) return;
    await Bun.sleep(25);
  }
  throw new Error(`${url} never answered ${text}`);
}

async function recordLlamaServer(version: string): Promise<void> {
  const { runtime, url } = await startLlamaServer({ lora: true });
  await using _ = runtime;
  const record = new Record("llamacpp", version);
  await record.take("health.json", `${url}/health`);
  await record.take("models.json", `${url}/v1/models`);
  await record.take("props.json", `${url}/props`);
  await record.take("lora-adapters.json", `${url}/lora-adapters`);
  await record.take("idle.metrics.txt", `${url}/metrics`);
  await record.take("idle.slots.json", `${url}/slots`);
  await record.take("chat.json", `${url}/v1/chat/completions`, post({ ...story, max_tokens: 16 }));
  const streamed = { ...story, max_tokens: 8, stream: true, stream_options: { include_usage: true } };
  await record.take("chat.sse", `${url}/v1/chat/completions`, post(streamed));
  // Two of these are at work, and three wait; each by a connection of its own, lest a kept one is reset.
  const work = Array.from({ length: 5 }, (_each, i) =>
    fetch(
      `${url}/completion`,
      post({ prompt: `${i} and on`, n_predict: 3000, temperature: 0 }, { connection: "close" }),
    ),
  );
  await Bun.sleep(SETTLE_MS);
  await record.take("busy.metrics.txt", `${url}/metrics`);
  await record.take("busy.slots.json", `${url}/slots`);
  for (const each of await Promise.all(work)) await each.arrayBuffer();
  await record.take("used.metrics.txt", `${url}/metrics`);
  await record.take("no-such-page.json", `${url}/v2/health/ready`);
  await record.close();
}

async function recordLlamaRouter(version: string): Promise<void> {
  const { runtime, url } = await startLlamaRouter();
  await using _ = runtime;
  const record = new Record("llamacpp-router", version);
  await record.take("health.json", `${url}/health`);
  await record.take("props.json", `${url}/props`);
  await record.take("unloaded.models.json", `${url}/models`);
  await record.take("metrics-without-model.json", `${url}/metrics`);
  await record.take("unloaded.metrics.json", `${url}/metrics?model=tiny-one`);
  await record.take("load.json", `${url}/models/load`, post({ model: "tiny-one" }));
  await record.take("loading.models.json", `${url}/models`);
  await until(`${url}/models`, '"loaded"');
  await record.take("loaded.models.json", `${url}/models`);
  await record.take("loaded.v1-models.json", `${url}/v1/models`);
  await record.take("loaded.metrics.txt", `${url}/metrics?model=tiny-one`);
  await record.take("loaded.slots.json", `${url}/slots?model=tiny-one`);
  await record.take("chat.json", `${url}/v1/chat/completions`, post({ ...story, model: "tiny-one", max_tokens: 8 }));
  const other = { ...story, model: "tiny-two", max_tokens: 8 };
  await record.take("chat-unloaded.json", `${url}/v1/chat/completions`, post(other));
  await record.take("load-again.json", `${url}/models/load`, post({ model: "tiny-one" }));
  await record.take("load-unknown.json", `${url}/models/load`, post({ model: "nothing" }));
  await record.take("unload.json", `${url}/models/unload`, post({ model: "tiny-one" }));
  await record.take("unloading.models.json", `${url}/models`);
  await Bun.sleep(SETTLE_MS);
  await record.hold("events.sse", `${url}/models/sse`, async () => {
    const say = (verb: string, model: string) => fetch(`${url}/models/${verb}`, post({ model }));
    await say("load", "tiny-one");
    await until(`${url}/models`, '"loaded"');
    // Only one fits: the other one has to go.
    await say("load", "tiny-two");
    await Bun.sleep(4 * SETTLE_MS);
    await say("unload", "tiny-two");
    await until(`${url}/models?reload=1`, '"unloaded"');
  });
  await record.close();
}

/** What KServe's protocol has in common, before anything is asked of a model. */
async function takeOpenInference(record: Record, url: string): Promise<void> {
  await record.take("server.json", `${url}/v2`);
  await record.take("live.json", `${url}/v2/health/live`);
  await record.take("ready.json", `${url}/v2/health/ready`);
  await record.take("model.json", `${url}/v2/models/echo`);
  await record.take("model-ready.json", `${url}/v2/models/echo/ready`);
}

async function recordTriton(version: string): Promise<void> {
  const { runtime, url, metrics } = await startTriton(["--metrics-config", "summary_latencies=true"]);
  await using _ = runtime;
  const record = new Record("triton", version);
  await takeOpenInference(record, url);
  await record.take("model-config.json", `${url}/v2/models/echo/config`);
  await record.take("index.json", `${url}/v2/repository/index`, post({}));
  await record.take("unused.metrics.txt", metrics);
  await record.take("infer.json", `${url}/v2/models/echo/infer`, post(THREE_WORDS));
  await record.take("generate.json", `${url}/v2/models/echo/generate`, post({ text: "one two three" }));
  await record.take("generate.sse", `${url}/v2/models/words/generate_stream`, post({ text: "one two three" }));
  await record.take("infer-unloaded.json", `${url}/v2/models/idle/infer`, post(THREE_WORDS));
  await record.take("stats.json", `${url}/v2/models/echo/stats`);
  await record.take("used.metrics.txt", metrics);
  await record.take("unload.json", `${url}/v2/repository/models/echo/unload`, post({}));
  await record.take("unloading.index.json", `${url}/v2/repository/index`, post({}));
  await record.take("unloading.model-ready.json", `${url}/v2/models/echo/ready`);
  await record.take("load.json", `${url}/v2/repository/models/idle/load`, post({}));
  await record.take("loaded.index.json", `${url}/v2/repository/index`, post({}));
  await record.take("load-unknown.json", `${url}/v2/repository/models/nothing/load`, post({}));
  await record.close();
}

async function recordMlServer(version: string): Promise<void> {
  const { runtime, url, metrics } = await startMlServer();
  await using _ = runtime;
  const record = new Record("mlserver", version);
  await takeOpenInference(record, url);
  await record.take("index.json", `${url}/v2/repository/index`, post({}));
  await record.take("infer.json", `${url}/v2/models/echo/infer`, post(THREE_WORDS));
  await record.take("infer.sse", `${url}/v2/models/echo/infer_stream`, post(THREE_WORDS));
  await record.take("metrics.txt", metrics);
  await record.take("unload.json", `${url}/v2/repository/models/echo/unload`, post({}));
  await record.take("unloaded.index.json", `${url}/v2/repository/index`, post({}));
  await record.take("unloaded.model-ready.json", `${url}/v2/models/echo/ready`);
  await record.take("load.json", `${url}/v2/repository/models/echo/load`, post({}));
  await record.take("load-unknown.json", `${url}/v2/repository/models/nothing/load`, post({}));
  await record.close();
}

async function recordOllama(version: string): Promise<void> {
  const { runtime, url } = await startOllama();
  await using _ = runtime;
  const record = new Record("ollama", version);
  const model = OLLAMA_MODEL;
  const asked = { model, prompt: "Tell me a story.", options: { num_predict: 8, temperature: 0 } };
  await record.take("root.txt", url);
  await record.take("version.json", `${url}/api/version`);
  await record.take("tags.json", `${url}/api/tags`);
  await record.take("models.json", `${url}/v1/models`);
  await record.take("show.json", `${url}/api/show`, post({ model }));
  await record.take("unloaded.ps.json", `${url}/api/ps`);
  await record.take("load.json", `${url}/api/generate`, post({ model, stream: false }));
  await record.take("loaded.ps.json", `${url}/api/ps`);
  await record.take("generate.ndjson", `${url}/api/generate`, post(asked));
  const chat = { ...story, model, max_tokens: 8, stream: true, stream_options: { include_usage: true } };
  await record.take("chat.sse", `${url}/v1/chat/completions`, post(chat));
  await record.take("unload.json", `${url}/api/generate`, post({ model, keep_alive: 0, stream: false }));
  await record.take("load-unknown.json", `${url}/api/generate`, post({ model: "nothing", stream: false }));
  await record.take("no-metrics.txt", `${url}/metrics`);
  await record.close();
}

const RECORDERS: globalThis.Record<string, (version: string) => Promise<void>> = {
  "llama-server": recordLlamaServer,
  "llama-server-built": recordLlamaRouter,
  mlserver: recordMlServer,
  ollama: recordOllama,
  tritonserver: recordTriton,
};
const [name = "", version = ""] = process.argv.slice(2);
const recorder = RECORDERS[name];
if (recorder === undefined || version === "") {
  console.error(`usage: bun scripts/record-runtimes.ts ${Object.keys(RECORDERS).join("|")} VERSION`);
  process.exit(2);
}
await recorder(version);
