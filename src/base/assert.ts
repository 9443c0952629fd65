/**
 * Assertions state what the code around them relies on. One that fails is a bug, never bad input: it must crash the
 * worker or the process (the router respawns its workers), so nobody catches AssertionError to go on.
 */

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the default branch of an exhaustive switch: the compiler refuses it while a case is missing. */
export function unreachable(value: never, message = "unreachable"): never {
  throw new AssertionError(`${message}: ${String(value)}`);
}
