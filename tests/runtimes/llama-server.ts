/** llama.cpp's server with the tiny model, which it names MODEL; as a router with two copies of it, MODELS. */
import { join } from "node:path";
import { gguf } from "../../scripts/gguf.ts";
import { tinyAdapter, tinyModel } from "../../scripts/tiny-model.ts";
import { freePort } from "../ports.ts";
import { installed, RealRuntime, temporaryFolder } from "./real-runtimes.ts";

export const LLAMA_SERVER = installed("llama-server");
/** Its own executable, which alone has router mode. */
export const LLAMA_ROUTER = installed("llama-server-built");
export const MODEL = "tiny";
export const MODELS = ["tiny-one", "tiny-two"] as const;

export interface LlamaServer {
  readonly runtime: RealRuntime;
  /** As http://127.0.0.1:PORT. */
  readonly url: string;
}

export interface LlamaOptions {
  /** Requests that it serves at once; more wait. Each has 4,096 tokens of context. */
  readonly slots?: number;
  /** With an adapter loaded, of id 0. */
  readonly lora?: boolean;
  readonly port?: number;
  /** More of llama-server's flags. */
  readonly flags?: readonly string[];
}

export async function startLlamaServer(options: LlamaOptions = {}): Promise<LlamaServer> {
  if (LLAMA_SERVER === null) throw new Error("llama-server is not installed");
  const { slots = 2, lora = false, flags = [] } = options;
  const port = options.port ?? freePort();
  const folder = temporaryFolder("llama-server");
  const model = join(folder, "tiny.gguf");
  await Bun.write(model, gguf(tinyModel(1)));
  const adapter = join(folder, "adapter.gguf");
  if (lora) await Bun.write(adapter, gguf(tinyAdapter(2)));
  const given: Record<string, string> = {
    "--model": model,
    "--alias": MODEL,
    "--host": "127.0.0.1",
    "--port": String(port),
    "--ctx-size": String(slots * 4096),
    "--parallel": String(slots),
    // The model is too small for more threads to be of use.
    "--threads": "1",
    ...(lora ? { "--lora": adapter } : {}),
  };
  const url = `http://127.0.0.1:${port}`;
  const command = [LLAMA_SERVER, ...Object.entries(given).flat(), "--metrics", "--slots", "--props", ...flags];
  return { runtime: await RealRuntime.start({ command, ready: `${url}/health`, folder }), url };
}

/** In router mode: no model is loaded until it is asked to, and at most one at a time. */
export async function startLlamaRouter(flags: readonly string[] = []): Promise<LlamaServer> {
  if (LLAMA_ROUTER === null) throw new Error("llama-server-built is not installed");
  const port = freePort();
  const folder = temporaryFolder("llama-router");
  for (const [i, name] of MODELS.entries()) await Bun.write(join(folder, `${name}.gguf`), gguf(tinyModel(i)));
  const given: Record<string, string> = {
    "--models-dir": folder,
    "--models-max": "1",
    "--host": "127.0.0.1",
    "--port": String(port),
    "--ctx-size": "4096",
    "--threads": "1",
  };
  const url = `http://127.0.0.1:${port}`;
  const command = [LLAMA_ROUTER, ...Object.entries(given).flat(), "--no-models-autoload", "--metrics", "--slots"];
  return { runtime: await RealRuntime.start({ command: [...command, ...flags], ready: `${url}/health`, folder }), url };
}
