/** The first request that a model is asked: for one token, or for the vector of a word. */
import type { Ask } from "../runtimes/adapter.ts";
import type { ModelReading, RuntimeKind } from "../runtimes/reading.ts";

/** Those that speak OpenAI's API where they do not tell what a model can do. */
const CHATTING: readonly RuntimeKind[] = ["vllm", "sglang", "tgi", "llamacpp", "ollama", "lmdeploy"];
const WORD = "Hello";

/** Undefined where there is nothing that can be asked without knowing more of the model. */
export function warmupAsk(kind: RuntimeKind, reading: ModelReading | undefined): Ask | undefined {
  if (reading === undefined) return undefined;
  const { model, capabilities } = reading;
  const can = capabilities.length === 0 && CHATTING.includes(kind) ? ["chat"] : capabilities;
  if (can.includes("chat")) {
    return asking("/v1/chat/completions", { model, messages: [{ role: "user", content: WORD }], max_tokens: 1 });
  }
  if (can.includes("completions")) return asking("/v1/completions", { model, prompt: WORD, max_tokens: 1 });
  if (can.includes("embeddings")) return asking("/v1/embeddings", { model, input: WORD });
  return undefined;
}

function asking(path: string, body: object): Ask {
  return { method: "POST", port: "api", path, body: JSON.stringify(body) };
}
