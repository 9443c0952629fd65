/** The mock's faults as the agent's admin API sets them: checked first, applied whole. */

import type { MeshError } from "../base/errors.ts";
import { NO_FAULTS, changeFaults } from "../sim/faults.ts";
import type { Faults } from "../sim/faults.ts";
import type { MockEngine } from "./mock-engine.ts";
import type { MockGpus } from "./mock-gpus.ts";

export interface FaultControl {
  get(): Faults;
  /** Applies the JSON value of an admin request, or says what is wrong with it. */
  set(json: unknown): { readonly faults: Faults } | { readonly error: MeshError };
  /** Ends those that last; what happened has happened. */
  clear(): Faults;
}

/** `onCrash` is what the crash fault does. */
export function createFaultControl(engine: MockEngine, gpus: MockGpus, onCrash: () => void): FaultControl {
  const machine = { gpus: engine.gpus().states.length, hasXids: engine.profile.gpu.vendor === "nvidia" };
  return {
    get: () => engine.faults,
    set(json) {
      const change = changeFaults(engine.faults, json, machine);
      if ("error" in change) return change;
      gpus.apply(change.faults, change.incidents);
      if (change.crash) onCrash();
      return { faults: change.faults };
    },
    clear() {
      gpus.apply(NO_FAULTS, []);
      return NO_FAULTS;
    },
  };
}
