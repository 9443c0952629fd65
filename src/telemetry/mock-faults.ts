/** The mock's faults as the agent's admin API sets them: checked first, applied whole. */

import type { MeshError } from "../base/errors.ts";
import { NO_FAULTS, changeFaults } from "../sim/faults.ts";
import type { Faults } from "../sim/faults.ts";
import type { MockEngine } from "./mock-engine.ts";

export interface FaultControl {
  get(): Faults;
  /** Applies the JSON value of an admin request, or says what is wrong with it. */
  set(json: unknown): { readonly faults: Faults } | { readonly error: MeshError };
  clear(): Faults;
}

/** `onCrash` is what the crash fault does. */
export function createFaultControl(engine: MockEngine, onCrash: () => void): FaultControl {
  return {
    get: () => engine.faults,
    set(json) {
      const change = changeFaults(engine.faults, json);
      if ("error" in change) return change;
      engine.setFaults(change.faults);
      if (change.crash) onCrash();
      return { faults: change.faults };
    },
    clear() {
      engine.setFaults(NO_FAULTS);
      return NO_FAULTS;
    },
  };
}
