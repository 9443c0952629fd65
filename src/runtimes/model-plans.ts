/** What the plans for loading and unloading models have in common, whichever server carries them out. */
import type { Answer, Ask, ModelCall, Proof } from "./adapter.ts";
import { complaint } from "./json-answer.ts";
import type { RuntimeReading } from "./reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";

/** Servers that answer when the model is loaded take minutes for a large one. */
export const LOAD_PATIENCE_MS = 30 * 60_000;
export const UNLOAD_PATIENCE_MS = 5 * 60_000;

export function stateOf({ models }: RuntimeReading, model: string): ModelState | undefined {
  return models.find((reading) => reading.model === model)?.state;
}

export function isLoaded(reading: RuntimeReading, model: string): boolean {
  return stateOf(reading, model) === "loaded";
}

/** Not in memory, whether it is known still or not. */
export function isOut(reading: RuntimeReading, model: string): boolean {
  const state = stateOf(reading, model);
  return state === undefined || state === "available" || state === "failed";
}

export function isGood({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

/** A plan that can't be carried out, and says why: nothing is asked. */
export function refusedCall(why: string): ModelCall {
  return { asks: [], patienceMs: 0, fault: () => why, settled: () => false };
}

export function post(path: string, body: Readonly<Record<string, unknown>>, port: Ask["port"] = "api"): Ask {
  return { method: "POST", port, path, body: JSON.stringify(body) };
}

export interface Plan {
  readonly verb: "load" | "unload";
  readonly model: string;
  readonly asks: readonly Ask[];
  /** What to do about a refusal: of what it said, with its status. "" where what was asked for is so already. */
  readonly advice?: (said: string, answer: Answer) => string | undefined;
  readonly patienceMs?: number;
  readonly progress?: NonNullable<ModelCall["progress"]>;
  /** What a good answer proves, where the server answers when it is done. */
  readonly proof?: (answer: Answer) => Proof | undefined;
}

/** As most are: a good status means that it was taken up, and the list of models shows when it is done. */
export function callOf({ verb, model, asks, advice, patienceMs, progress, proof }: Plan): ModelCall {
  return {
    asks,
    patienceMs: patienceMs ?? (verb === "load" ? LOAD_PATIENCE_MS : UNLOAD_PATIENCE_MS),
    ...(progress === undefined ? {} : { progress }),
    // A refusal may be fine: it says that it was so before, not that it is so now.
    ...(proof === undefined ? {} : { proves: (answer) => (isGood(answer) ? proof(answer) : undefined) }),
    fault(answer) {
      if (isGood(answer)) return "";
      const said = complaint(answer);
      const advised = advice?.(said, answer);
      return advised ?? `the runtime did not ${verb} ${model}: ${said}`;
    },
    settled: (reading) => (verb === "load" ? isLoaded(reading, model) : isOut(reading, model)),
  };
}
