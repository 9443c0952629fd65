/**
 * What the policies let one request do: use a model, at the expense of quotas. It is given back once, by `end`, whatever
 * way the request ends.
 */
import { MeshError } from "../base/errors.ts";
import type { ErrorCode, MeshErrorOptions } from "../base/errors.ts";
import type { Action } from "../policy/spec.ts";
import type { Caller } from "./caller.ts";
import type { Enforcement } from "./enforcement.ts";

/** A policy does not let a request pass. */
export class PolicyError extends MeshError {
  /** Which one, as KIND/NAME. */
  readonly policy: string;

  constructor(code: ErrorCode, policy: string, message: string, options: MeshErrorOptions = {}) {
    super(code, message, options);
    this.policy = policy;
  }
}

/** Quotas that a request was counted in, and when: a quota that was made anew since knows nothing of it. */
export interface Spent {
  readonly quotas: readonly string[];
  readonly epoch: number;
}

export class Permit {
  /** Tokens that it was counted with. */
  readonly tokens: number;
  readonly #enforcement: Enforcement;
  readonly #caller: Caller;
  readonly #action: Action;
  #spent: Spent;

  constructor(enforcement: Enforcement, caller: Caller, action: Action, tokens: number, spent: Spent) {
    this.#enforcement = enforcement;
    this.#caller = caller;
    this.#action = action;
    this.tokens = tokens;
    this.#spent = spent;
  }

  /** Whether it may be given to another model, as far as access rules go. */
  allows(model: string): boolean {
    return this.#enforcement.denial(this.#caller, model, this.#action) === null;
  }

  /** Goes on at the expense of another model's quotas; false: those have no room, and all is as before. */
  moveTo(model: string): boolean {
    const before = this.#spent;
    const spent = this.#enforcement.spend(this.#caller, model, this.tokens, before.quotas);
    if (spent instanceof PolicyError) return false;
    const left = before.quotas.filter((quota) => !spent.quotas.includes(quota));
    if (left.length > 0) this.#enforcement.end({ quotas: left, epoch: before.epoch }, -this.tokens);
    this.#spent = spent;
    return true;
  }

  /** The request is over, and took so many tokens. */
  end(tokens: number): void {
    this.#enforcement.end(this.#spent, tokens - this.tokens);
  }
}
