/** MLServer with one model, MODEL, which mlserver/echo.py makes. */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../ports.ts";
import { installed, RealRuntime, temporaryFolder } from "./real-runtimes.ts";

export const MLSERVER = installed("mlserver");
export const MODEL = "echo";

export interface MlServer {
  readonly runtime: RealRuntime;
  readonly url: string;
  readonly grpc: string;
  readonly metrics: string;
}

export async function startMlServer(): Promise<MlServer> {
  if (MLSERVER === null) throw new Error("mlserver is not installed");
  const [http = 0, grpc = 0, metrics = 0] = freePorts(3);
  const folder = temporaryFolder("mlserver");
  const models = join(folder, "models");
  const settings = {
    host: "127.0.0.1",
    http_port: http,
    grpc_port: grpc,
    metrics_port: metrics,
    parallel_workers: 0,
    gzip_enabled: false,
    debug: false,
    metrics_dir: folder,
    environments_dir: folder,
  };
  await Bun.write(join(models, "settings.json"), JSON.stringify(settings));
  const model = { name: MODEL, implementation: "echo.Echo", parameters: { version: "v1" } };
  mkdirSync(join(models, MODEL));
  await Bun.write(join(models, MODEL, "model-settings.json"), JSON.stringify(model));
  copyFileSync(join(import.meta.dir, "mlserver/echo.py"), join(folder, "echo.py"));
  const url = `http://127.0.0.1:${http}`;
  const runtime = await RealRuntime.start({
    command: [MLSERVER, "start", models],
    env: { PYTHONPATH: folder },
    ready: `${url}/v2/health/ready`,
    folder,
  });
  return { runtime, url, grpc: `127.0.0.1:${grpc}`, metrics: `http://127.0.0.1:${metrics}/metrics` };
}
