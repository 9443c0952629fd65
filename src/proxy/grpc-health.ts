/**
 * What the router says of its own health to clients of gRPC (grpc.health.v1): "" is the router, which serves unless it
 * drains; any other service is a model, which serves while some target of it may be picked.
 */
import { ALL_FULL } from "../score/pick.ts";
import { MODEL_BYTES_MAX } from "../wire/body-reader.ts";
import { unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";

/** HealthCheckResponse.ServingStatus. */
export const SERVING_STATUS = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;

/** Whether a service's name is longer than that of any model can be. */
export function isTooLong(service: string): boolean {
  return Buffer.byteLength(service) > MODEL_BYTES_MAX;
}

/** What may be said of a service at this moment. */
export function healthOf(context: WorkerContext, service: string): number {
  if (service === "") return context.draining ? SERVING_STATUS.notServing : SERVING_STATUS.serving;
  const models = [context.routes.calls.find(service), context.routes.find(service)].filter((model) => model >= 0);
  if (models.length === 0) return SERVING_STATUS.serviceUnknown;
  return models.some((model) => isServed(context, model)) ? SERVING_STATUS.serving : SERVING_STATUS.notServing;
}

/** Whether some target of the model may be picked, were it idle. */
function isServed({ pick, picker, table }: WorkerContext, model: number): boolean {
  pick.model = model;
  pick.promptTokens = 1;
  pick.clearExcluded();
  pick.seed = 0;
  pick.nowDeciseconds = table.nowDeciseconds(unixMs());
  const row = picker.pick(pick);
  // One that is full serves; one that was passed over for failing does not.
  return row >= 0 || row === ALL_FULL;
}
