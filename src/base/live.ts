/**
 * A configuration that changes while it is in use: one copy that its owner holds and overwrites in place, so that
 * whoever was handed it, or a part of it, reads the new values at its next look. What was worked out from old values at
 * construction stays as it was: read a live setting where it is used.
 */

/** A copy that may be overwritten, sections within it too. Lists and other values are shared: they are never changed. */
export function liveCopy<T extends object>(config: T): T {
  const entries = Object.entries(config).map(([key, value]): [string, unknown] => [
    key,
    isPlain(value) ? liveCopy(value) : value,
  ]);
  return Object.fromEntries(entries) as T;
}

/** Gives a copy that `liveCopy` made the values of another config of its shape. */
export function overwrite<T extends object>(live: T, next: T): void {
  const target = live as Record<string, unknown>;
  for (const key of Object.keys(target)) if (!Object.hasOwn(next, key)) delete target[key];
  for (const [key, value] of Object.entries(next)) {
    const known = target[key];
    if (isPlain(value) && isPlain(known)) overwrite(known, value);
    else target[key] = isPlain(value) ? liveCopy(value) : value;
  }
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
