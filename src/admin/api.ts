/** The services of an admin port, for both roles. */
import { SCHEMA } from "../gen/services.js";
import { controlPlane, type ControlPlaneOptions } from "./control-plane.ts";
import { HealthService } from "./health-service.ts";
import { Services } from "./services.ts";

export interface ApiOptions {
  readonly control: ControlPlaneOptions;
  /** Refuses what changes something: for ports that others can reach. */
  readonly readOnly: boolean;
  isStopping(): boolean;
  /** Errors that are not the caller's. */
  onError(error: unknown, request: string): void;
}

export function apiServices({ control, ...options }: ApiOptions): Services {
  const services = new Services({ schema: SCHEMA, ...options });
  services.add("infermesh.control.v1.ControlPlane", controlPlane(control, services.watchers));
  services.add("grpc.health.v1.Health", new HealthService(services));
  return services;
}
