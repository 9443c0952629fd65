/** grpc.health.v1 on an admin port: "" is the process, any other name is one of its services. */
import { MeshError } from "../base/errors.ts";
import type { GrpcHealth, GrpcHealthCheckRequest, GrpcHealthCheckResponse, Init } from "../gen/services.js";
import type { Call, Services } from "./services.ts";

/** A watch looks again this often. */
const WATCH_MS = 500;
const SERVICE_UNKNOWN = "SERVICE_UNKNOWN";

export class HealthService implements GrpcHealth<Call> {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async check({ service }: GrpcHealthCheckRequest): Promise<Init<GrpcHealthCheckResponse>> {
    const status = this.#status(service);
    if (status !== SERVICE_UNKNOWN) return { status };
    throw new MeshError("not_found", `there is no service ${JSON.stringify(service.slice(0, 200))} here`);
  }

  async *watch({ service }: GrpcHealthCheckRequest, { signal }: Call): AsyncGenerator<Init<GrpcHealthCheckResponse>> {
    let said = "";
    while (!signal.aborted) {
      const status = this.#status(service);
      if (status !== said) yield { status };
      said = status;
      await pause(WATCH_MS, signal);
    }
  }

  #status(service: string): "SERVING" | "NOT_SERVING" | typeof SERVICE_UNKNOWN {
    if (service !== "" && !this.#services.has(service)) return SERVICE_UNKNOWN;
    return this.#services.options.isStopping() ? "NOT_SERVING" : "SERVING";
  }
}

/** Resolves after that time, or when the signal says so. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onAbort = (): void => resolve();
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", onAbort);
}
