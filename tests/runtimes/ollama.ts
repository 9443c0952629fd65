/** Ollama with the tiny model, which it names MODEL: there, and loaded when it is first asked. */
import { createHash } from "node:crypto";
import { gguf } from "../../scripts/gguf.ts";
import { tinyModel } from "../../scripts/tiny-model.ts";
import { freePort } from "../ports.ts";
import { installed, RealRuntime, temporaryFolder } from "./real-runtimes.ts";

export const OLLAMA = installed("ollama");
/** As it names models: with a tag. */
export const MODEL = "tiny:latest";

export interface Ollama {
  readonly runtime: RealRuntime;
  readonly url: string;
}

export async function startOllama(): Promise<Ollama> {
  if (OLLAMA === null) throw new Error("ollama is not installed");
  const port = freePort();
  const folder = temporaryFolder("ollama");
  const url = `http://127.0.0.1:${port}`;
  const runtime = await RealRuntime.start({
    command: [OLLAMA, "serve"],
    // Its keys and its models are below HOME.
    env: { HOME: folder, OLLAMA_HOST: `127.0.0.1:${port}`, OLLAMA_CONTEXT_LENGTH: "4096", OLLAMA_NUM_PARALLEL: "2" },
    ready: `${url}/api/version`,
    folder,
  });
  try {
    await create(url, MODEL);
  } catch (error) {
    await runtime.stop();
    throw error;
  }
  return { runtime, url };
}

/** As `ollama create` does: the file's bytes under their hash, then a model of it. */
async function create(url: string, model: string): Promise<void> {
  const bytes = new Uint8Array(gguf(tinyModel(1)));
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const steps: [string, Uint8Array<ArrayBuffer> | string][] = [
    [`${url}/api/blobs/${digest}`, bytes],
    [`${url}/api/create`, JSON.stringify({ model, files: { "tiny.gguf": digest }, stream: false })],
  ];
  for (const [step, body] of steps) {
    const answer = await fetch(step, { method: "POST", body });
    if (!answer.ok) throw new Error(`${step} answered ${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}
