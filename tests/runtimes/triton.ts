/**
 * Triton with its Python backend and models that triton/echo.py makes: MODEL answers at once, WORDS word by word, both
 * loaded; IDLE is in its repository alone.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../ports.ts";
import { installed, RealRuntime, temporaryFolder } from "./real-runtimes.ts";

export const TRITON = installed("tritonserver");
export const MODEL = "echo";
export const WORDS = "words";
export const IDLE = "idle";

export interface Triton {
  readonly runtime: RealRuntime;
  readonly url: string;
  readonly grpc: string;
  readonly metrics: string;
}

export async function startTriton(flags: readonly string[] = []): Promise<Triton> {
  if (TRITON === null) throw new Error("tritonserver is not installed");
  const [http = 0, grpc = 0, metrics = 0] = freePorts(3);
  const folder = temporaryFolder("triton");
  for (const name of [MODEL, WORDS, IDLE]) await addModel(folder, name);
  const given: Record<string, string> = {
    "--model-repository": folder,
    "--model-control-mode": "explicit",
    "--http-address": "127.0.0.1",
    "--http-port": String(http),
    "--grpc-address": "127.0.0.1",
    "--grpc-port": String(grpc),
    "--metrics-address": "127.0.0.1",
    "--metrics-port": String(metrics),
  };
  const loaded = [MODEL, WORDS].flatMap((name) => ["--load-model", name]);
  const url = `http://127.0.0.1:${http}`;
  const runtime = await RealRuntime.start({
    command: [TRITON, ...Object.entries(given).flat(), ...loaded, "--disable-auto-complete-config", ...flags],
    // Opened last, when models are loaded and the other ports are open.
    ready: `http://127.0.0.1:${metrics}/metrics`,
    folder,
  });
  return { runtime, url, grpc: `127.0.0.1:${grpc}`, metrics: `http://127.0.0.1:${metrics}/metrics` };
}

async function addModel(repository: string, name: string): Promise<void> {
  const decoupled = name === WORDS ? "model_transaction_policy { decoupled: true }" : "";
  const configuration = `
    backend: "python"
    max_batch_size: 0
    ${decoupled}
    input [{ name: "text" data_type: TYPE_STRING dims: [ 1 ] }]
    output [{ name: "text" data_type: TYPE_STRING dims: [ 1 ] }]
    instance_group [{ kind: KIND_CPU count: 1 }]
  `;
  await Bun.write(join(repository, name, "config.pbtxt"), configuration);
  mkdirSync(join(repository, name, "1"));
  copyFileSync(join(import.meta.dir, "triton/echo.py"), join(repository, name, "1", "model.py"));
}
