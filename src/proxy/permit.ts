/**
 * What the policies let one request do: use a model, at the expense of quotas. It is given back once, by `end`, whatever
 * way the request ends.
 */
import { MeshError } from "../base/errors.ts";
import type { ErrorCode, MeshErrorOptions } from "../base/errors.ts";
import type { Action } from "../policy/spec.ts";
import type { Caller } from "./caller.ts";

/** A policy does not let a request pass. */
export class PolicyError extends MeshError {
  /** Which one, as KIND/NAME. */
  readonly policy: string;

  constructor(code: ErrorCode, policy: string, message: string, options: MeshErrorOptions = {}) {
    super(code, message, options);
    this.policy = policy;
  }
}

/** A quota that a request was counted in. One that is made anew has another `life`, and knows nothing of that. */
export interface Spent {
  readonly quota: string;
  readonly life: number;
}

/** Who gives permits (enforcement.ts). */
interface Giver {
  denial(caller: Caller, model: string, action: Action): PolicyError | null;
  spend(caller: Caller, model: string, tokens: number, kept: readonly Spent[]): readonly Spent[] | PolicyError;
  end(spent: readonly Spent[], tokens: number): void;
}

export class Permit {
  /** Tokens that it was counted with. */
  readonly tokens: number;
  readonly #giver: Giver;
  readonly #caller: Caller;
  readonly #action: Action;
  /** Null: it is counted nowhere. */
  #spent: readonly Spent[] | null;

  constructor(giver: Giver, caller: Caller, action: Action, tokens: number, spent: readonly Spent[] | null) {
    this.#giver = giver;
    this.#caller = caller;
    this.#action = action;
    this.tokens = tokens;
    this.#spent = spent;
  }

  /** Whether it may be given to another model, as far as access rules go. */
  allows(model: string): boolean {
    return this.#giver.denial(this.#caller, model, this.#action) === null;
  }

  /** Goes on at the expense of another model's quotas; false: those have no room, and all is as before. */
  moveTo(model: string): boolean {
    const before = this.#spent;
    if (before === null) return true;
    const spent = this.#giver.spend(this.#caller, model, this.tokens, before);
    if (spent instanceof PolicyError) return false;
    const left = before.filter((one) => !spent.includes(one));
    if (left.length > 0) this.#giver.end(left, -this.tokens);
    this.#spent = spent;
    return true;
  }

  /** The request is over, and took so many tokens. */
  end(tokens: number): void {
    if (this.#spent !== null) this.#giver.end(this.#spent, tokens - this.tokens);
  }
}
