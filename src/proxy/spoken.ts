/** What clients say in a tunnel while policies are in force. */
import { MeshError } from "../base/errors.ts";
import type { ApiShape } from "../wire/api-shapes.ts";
import { takenFor } from "./body-names.ts";
import { actionOf, type Caller } from "./caller.ts";
import type { WorkerContext } from "./context.ts";
import type { Enforcement } from "./enforcement.ts";
import { otherModel } from "./refusals.ts";
import type { Tunnel } from "./tunnel.ts";

interface Speaker {
  readonly shape: ApiShape;
  callerOf(enforcement: Enforcement): Caller;
}

/** Why what the client says must not go on: its target may go by another model than the policies were asked for. */
export function spokenFault(
  { enforcement, routes }: Pick<WorkerContext, "enforcement" | "routes">,
  tunnel: Tunnel | null,
  ownName: string,
  speaker: Speaker,
  bytes: Buffer,
  start: number,
  end: number,
): MeshError | null {
  if (tunnel === null) return null;
  for (const name of tunnel.namesIn(bytes, start, end)) {
    const model = routes.find(name);
    if (model >= 0 && routes.modelName(model) !== ownName) return otherModel("request", "message");
    if (model >= 0) continue;
    if (takenFor(name, routes.names).some((one) => one !== ownName)) return otherModel("request", "message");
    const denial = enforcement?.denial(speaker.callerOf(enforcement), name, actionOf(speaker.shape)) ?? null;
    if (denial !== null) return denial;
  }
  if (!tunnel.isUnreadable) return null;
  return new MeshError("bad_request", "policies are in force, and can't be asked of this message: send plain JSON");
}
