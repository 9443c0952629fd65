/**
 * What calls have proved: a server that answers when a model is loaded has said by its answer all that the list of models
 * would say, so it is believed at once and costs no request. It holds until all looks that tell of it were asked since then
 * and answered well; from then on they alone count. A list that was asked for before the answer may come after it: it
 * changes nothing.
 */
import type { Proof } from "./adapter.ts";
import { LOADED_MODEL, type ModelReading, type RuntimeReading } from "./reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";

/** Of one runtime, if none of its looks ever answers: the oldest go first. */
const PROOFS_MAX = 256;

interface Kept {
  readonly proof: Proof;
  readonly sinceMs: number;
}

export class Proofs {
  /** By the model that each is of, in the order in which they came. */
  readonly #kept = new Map<string, Kept>();
  #of: RuntimeReading | undefined;
  #made: RuntimeReading | undefined;

  get isEmpty(): boolean {
    return this.#kept.size === 0;
  }

  add(model: string, proof: Proof, nowMs: number): void {
    this.#kept.delete(model);
    this.#kept.set(model, { proof, sinceMs: nowMs });
    const [oldest] = this.#kept.size > PROOFS_MAX ? this.#kept.keys() : [];
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#of = undefined;
  }

  /** Those are over of which all was told since then. */
  end(isTold: (proof: Proof, sinceMs: number) => boolean): void {
    for (const [model, { proof, sinceMs }] of this.#kept) {
      if (!isTold(proof, sinceMs)) continue;
      this.#kept.delete(model);
      this.#of = undefined;
    }
  }

  clear(): void {
    this.#kept.clear();
    this.#of = undefined;
  }

  /** What the looks told, and what was proved since then: the same reading as long as both are. */
  over(told: RuntimeReading): RuntimeReading {
    if (this.#kept.size === 0) return told;
    if (this.#of !== told || this.#made === undefined) {
      let { models } = told;
      for (const { proof } of this.#kept.values()) models = proof.models(models);
      this.#of = told;
      this.#made = { ...told, models };
    }
    return this.#made;
  }
}

/** These names are loaded. Of one that no look has named yet what is known of its parent holds too. */
export function provesLoaded(names: readonly string[], more: Partial<ModelReading> = {}): Proof {
  return {
    models: (before) => [
      ...before.map((model) =>
        names.includes(model.model) ? { ...model, state: "loaded" as const, reason: "" } : model,
      ),
      ...names.filter((name) => before.every(({ model }) => model !== name)).map((name) => added(name, more, before)),
    ],
  };
}

/** They are known, and not in memory. */
export function provesAvailable(names: readonly string[]): Proof {
  return provesState(names, "available");
}

/** Those of them that are known are so. */
export function provesState(names: readonly string[], state: ModelState, reason = ""): Proof {
  return {
    models: (before) => before.map((model) => (names.includes(model.model) ? { ...model, state, reason } : model)),
  };
}

/** All that are known are so together. */
export function provesAll(state: ModelState): Proof {
  return { models: (before) => before.map((model) => ({ ...model, state, reason: "" })) };
}

/** They are not known any more. */
export function provesGone(names: readonly string[]): Proof {
  return { models: (before) => before.filter(({ model }) => !names.includes(model)) };
}

function added(model: string, more: Partial<ModelReading>, before: readonly ModelReading[]): ModelReading {
  const parent = before.find((each) => each.model === more.parent);
  const inherited = { contextTokensMax: parent?.contextTokensMax, capabilities: parent?.capabilities ?? [] };
  return { ...LOADED_MODEL, ...inherited, ...more, model };
}
