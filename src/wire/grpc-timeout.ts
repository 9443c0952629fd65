/** The deadline of a gRPC call as it travels: `grpc-timeout`, up to eight digits and a unit (gRPC over HTTP/2). */
import type { HeaderField } from "./header-field.ts";

/** Milliseconds of each unit, by its letter: hours, minutes, seconds, milli-, micro- and nanoseconds. */
const UNIT_MS = new Map<number, number>([
  [72, 3_600_000],
  [77, 60_000],
  [83, 1000],
  [109, 1],
  [117, 0.001],
  [110, 0.000_001],
]);
const DIGITS_MAX = 8;
/** The largest number of eight digits. */
const VALUE_MAX = 99_999_999;

/** Milliseconds, or -1 when it is no such value. */
export function parseTimeout({ source, valueStart }: HeaderField): number {
  const digits = source.length - valueStart - 1;
  const unit = UNIT_MS.get(source[source.length - 1] ?? 0);
  if (unit === undefined || digits < 1 || digits > DIGITS_MAX) return -1;
  let value = 0;
  for (let i = valueStart; i < source.length - 1; i++) {
    const digit = source[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value * unit;
}

/** The value for what is left, never more than that, as far as eight digits can say it. */
export function formatTimeout(leftMs: number): string {
  const microseconds = Math.floor(leftMs * 1000);
  if (microseconds <= VALUE_MAX) return `${Math.max(0, microseconds)}u`;
  const milliseconds = Math.floor(leftMs);
  if (milliseconds <= VALUE_MAX) return `${milliseconds}m`;
  return `${Math.min(VALUE_MAX, Math.floor(leftMs / 1000))}S`;
}
