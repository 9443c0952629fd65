/** The services of an admin port, for both roles. */
import { SCHEMA } from "../gen/services.js";
import { controlPlane, type ControlPlaneOptions } from "./control-plane.ts";
import { HealthService } from "./health-service.ts";
import type { ScoringService } from "./scoring-service.ts";
import { Services } from "./services.ts";
import { StateService, type StateSource } from "./state-service.ts";

const SCORING = "infermesh.scoring.v1.Scoring";

export interface ApiOptions {
  readonly control: ControlPlaneOptions;
  readonly states: StateSource;
  /** Routers only. */
  readonly scoring?: ScoringService;
  /** Refuses what changes something: for ports that others can reach. */
  readonly readOnly: boolean;
  isStopping(): boolean;
  /** Errors that are not the caller's. */
  onError(error: unknown, request: string): void;
}

export function apiServices({ control, states, scoring, ...options }: ApiOptions): Services {
  const services = new Services({ schema: SCHEMA, ...options });
  services.add("infermesh.control.v1.ControlPlane", controlPlane(control, services.watchers));
  services.add("infermesh.state.v1.StatePlane", new StateService(services.types, states));
  if (scoring === undefined) services.leaveOut(SCORING, "an agent chooses no nodes; ask a router's --api port");
  else services.add(SCORING, scoring);
  services.add("grpc.health.v1.Health", new HealthService(services));
  return services;
}
