/**
 * The router's control plane: its --api and --metrics ports, and the registrations that come in on the data port. What
 * they are answered from is the router's other parts. Wiring only.
 */
import type { Hono } from "hono";
import { newApp } from "./admin/app.ts";
import { type Front, serveApi } from "./admin/front.ts";
import type { Operations } from "./admin/operations-api.ts";
import { registrationRoutes, routerApi, type RouterApiOptions, type RouterHealth } from "./admin/router-api.ts";
import type { AdminConfig } from "./admin/settings.ts";
import type { Address } from "./base/units.ts";
import type { Registration } from "./fleet/registration.ts";
import { isRoutable } from "./fleet/target.ts";
import type { Journal } from "./mesh/journal.ts";
import { meshView } from "./mesh/mesh-view.ts";
import { joined } from "./mesh/node-membership.ts";
import type { Log } from "./obs/log.ts";
import type { RouterMetrics } from "./obs/metrics.ts";
import type { Placement } from "./proxy/placement.ts";
import type { Standing } from "./standing.ts";
import type { Targets } from "./targets.ts";

export interface ControlOptions {
  readonly targets: Targets;
  readonly placement: Placement;
  readonly standing: Standing;
  readonly journal: Journal;
  readonly log: Log;
  /** The configuration in force, as a file would hold it. */
  readonly config: () => unknown;
  readonly limits: () => AdminConfig;
  readonly isDraining: () => boolean;
  /** Begins an end in order. */
  readonly leave: () => void;
  readonly operations: Operations;
}

const STOP_MS = 1000;

export class Control {
  readonly #options: ControlOptions;
  readonly #relayed: Hono;
  readonly #fronts: Front[] = [];

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#relayed = newApp(this.#onError);
    registrationRoutes(this.#relayed, this.#registry());
  }

  /** Answers a registration that came in on the data port. */
  async relay(path: string, body: string): Promise<{ status: number; body: string }> {
    const headers = { "content-type": "application/json" };
    const request = new Request(`http://localhost${path}`, { method: "POST", body, headers });
    const response = await this.#relayed.fetch(request);
    return { status: response.status, body: await response.text() };
  }

  /** Opens a port, or goes on with a predecessor's; on a read-only one, which others can reach, nothing can be changed. */
  open(address: Address, fd: number | undefined, readOnly: boolean, metrics: RouterMetrics): Front {
    const front = serveApi({
      hostname: address.host,
      port: address.port,
      fd,
      app: routerApi({ ...this.#apiOptions(metrics), readOnly }),
      limits: this.#options.limits(),
      onError: this.#onError,
      onNotice: (message, remote) => this.#options.log.debug("admin client refused", { message, remote }),
    });
    this.#fronts.push(front);
    return front;
  }

  setLimits(limits: AdminConfig): void {
    for (const front of this.#fronts) front.setLimits(limits);
  }

  /** Resolves when answers under way are given, or soon. */
  async stop(): Promise<void> {
    await Promise.all(this.#fronts.splice(0).map((front) => front.stop(STOP_MS)));
  }

  #apiOptions(metrics: RouterMetrics): RouterApiOptions {
    const { targets, placement, standing, journal, config, isDraining, leave, operations } = this.#options;
    return {
      nowMs: () => performance.now(),
      targets: () => targets.all(),
      target: (id) => targets.get(id),
      load(id) {
        const target = targets.get(id);
        if (target === undefined) return { inFlight: 0, inFlightTokens: 0, othersInFlight: 0 };
        const { requests, tokens } = placement.load(target);
        return { inFlight: requests, inFlightTokens: tokens, othersInFlight: placement.othersLoad(target).requests };
      },
      ...this.#registry(),
      stats: () => ({ ...metrics.stats() }),
      health(): RouterHealth {
        if (isDraining()) return { status: "draining", reason: "stopping" };
        const routable = targets.all().some(isRoutable);
        return routable ? { status: "ok" } : { status: "degraded", reason: "no target is routable" };
      },
      ...meshView(() => standing.node?.membership ?? null, journal),
      leave,
      metricsText: () => metrics.text(),
      config,
      keyring: () => joined(standing.node).keys,
      operations,
      onError: this.#onError,
    };
  }

  #registry(): Pick<RouterApiOptions, "register" | "deregister"> {
    const { targets } = this.#options;
    return {
      register: (registration: Registration) => targets.register(registration),
      deregister: (id: string) => targets.deregister(id),
    };
  }

  readonly #onError = (error: unknown, request: string): void =>
    this.#options.log.error("request to the admin API failed", { request, error: String(error) });
}
