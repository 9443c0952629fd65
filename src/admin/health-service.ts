/** grpc.health.v1 on an admin port: "" is the process, any other name is one of its services. */
import { MeshError } from "../base/errors.ts";
import type { GrpcHealth, GrpcHealthCheckRequest, GrpcHealthCheckResponse, Init } from "../gen/services.js";
import type { Call, Services } from "./services.ts";

/** A watch looks again this often. */
const WATCH_MS = 500;
const WATCHES_MAX = 1024;
const SERVICE_UNKNOWN = "SERVICE_UNKNOWN";

export class HealthService implements GrpcHealth<Call> {
  readonly #services: Services;
  #watches = 0;

  constructor(services: Services) {
    this.#services = services;
  }

  async check({ service }: GrpcHealthCheckRequest): Promise<Init<GrpcHealthCheckResponse>> {
    const status = this.#status(service);
    if (status !== SERVICE_UNKNOWN) return { status };
    throw new MeshError("not_found", `there is no service ${JSON.stringify(service.slice(0, 200))} here`);
  }

  async *watch(request: GrpcHealthCheckRequest, { signal }: Call): AsyncGenerator<Init<GrpcHealthCheckResponse>> {
    if (this.#watches >= WATCHES_MAX) {
      throw new MeshError("over_capacity", `${WATCHES_MAX} watch the health of this port already; ask by Check`);
    }
    this.#watches += 1;
    try {
      yield* this.#changes(request.service, signal);
    } finally {
      this.#watches -= 1;
    }
  }

  async *#changes(service: string, signal: AbortSignal): AsyncGenerator<Init<GrpcHealthCheckResponse>> {
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
