/**
 * Records what the real inference servers of this machine answer (scripts/runtimes.md) as fixtures:
 * `bun scripts/record-runtimes.ts NAME VERSION`, e.g. `llama-server b11549`. Answers lie under
 * tests/telemetry/fixtures as RUNTIME-VERSION.STATE.ANSWER, bodies as they came but for this machine's paths; the status
 * and head of each are in RUNTIME-VERSION.heads.json.
 */
import { join } from "node:path";
import { startLlamaServer } from "../tests/runtimes/llama-server.ts";
import { startMlServer } from "../tests/runtimes/mlserver.ts";

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
    const body = (await answer.text()).replaceAll(/\/tmp\/infermesh-[\w-]+/g, "/models");
    const head = Object.fromEntries([...answer.headers].filter(([name]) => name !== "date"));
    this.#heads[file] = { status: answer.status, head };
    if (body !== "") await Bun.write(join(FOLDER, `${this.#name}.${file}`), body);
    console.log(`${answer.status} ${this.#name}.${file}: ${body.length} characters`);
  }

  async close(): Promise<void> {
    await Bun.write(join(FOLDER, `${this.#name}.heads.json`), `${JSON.stringify(this.#heads, null, 2)}\n`);
  }
}

function post(body: unknown, headers: globalThis.Record<string, string> = {}): RequestInit {
  return { method: "POST", headers: { ...JSON_HEAD, ...headers }, body: JSON.stringify(body) };
}

const story = { messages: [{ role: "user", content: "Tell me a long story." }], temperature: 0 };

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
  // Two of these are at work, and three wait; each by a connection that no earlier request left behind, which may close.
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

async function recordMlServer(version: string): Promise<void> {
  const { runtime, url, metrics } = await startMlServer();
  await using _ = runtime;
  const record = new Record("mlserver", version);
  const input = { inputs: [{ name: "text", shape: [1], datatype: "BYTES", data: ["one two three"] }] };
  await record.take("server.json", `${url}/v2`);
  await record.take("live.json", `${url}/v2/health/live`);
  await record.take("ready.json", `${url}/v2/health/ready`);
  await record.take("model.json", `${url}/v2/models/echo`);
  await record.take("model-ready.json", `${url}/v2/models/echo/ready`);
  await record.take("index.json", `${url}/v2/repository/index`, post({}));
  await record.take("infer.json", `${url}/v2/models/echo/infer`, post(input));
  await record.take("infer.sse", `${url}/v2/models/echo/infer_stream`, post(input));
  await record.take("metrics.txt", metrics);
  await record.take("unload.json", `${url}/v2/repository/models/echo/unload`, post({}));
  await record.take("unloaded.index.json", `${url}/v2/repository/index`, post({}));
  await record.take("unloaded.model-ready.json", `${url}/v2/models/echo/ready`);
  await record.take("load.json", `${url}/v2/repository/models/echo/load`, post({}));
  await record.take("load-unknown.json", `${url}/v2/repository/models/nothing/load`, post({}));
  await record.close();
}

const RECORDERS: globalThis.Record<string, (version: string) => Promise<void>> = {
  "llama-server": recordLlamaServer,
  mlserver: recordMlServer,
};
const [name = "", version = ""] = process.argv.slice(2);
const recorder = RECORDERS[name];
if (recorder === undefined || version === "") {
  console.error(`usage: bun scripts/record-runtimes.ts ${Object.keys(RECORDERS).join("|")} VERSION`);
  process.exit(2);
}
await recorder(version);
