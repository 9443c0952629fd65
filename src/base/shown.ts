/**
 * Values from outside as they are shown in reports: JSON, cut short, bounded in work as well as in length, and without the
 * passwords of URLs.
 */
import { escaped } from "./printable.ts";
import { withoutUrlSecrets } from "./url-secrets.ts";

const SHOWN_LENGTH_MAX = 80;
/** How much of a text is looked through for URLs: more than any that is taken. */
const LOOKED_AT_MAX = 4096;

/** A value as JSON, cut short. Bounded in work too: a small YAML file can stand for an endless tree. */
export function shown(value: unknown): string {
  const full = escaped(sketch(value, 3));
  return full.length <= SHOWN_LENGTH_MAX ? full : `${full.slice(0, SHOWN_LENGTH_MAX - 3)}...`;
}

function sketch(value: unknown, depth: number): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    return JSON.stringify(withoutUrlSecrets(value.slice(0, LOOKED_AT_MAX)).slice(0, SHOWN_LENGTH_MAX + 1));
  }
  if (typeof value === "bigint" || typeof value === "number") return String(value);
  if (typeof value === "symbol" || typeof value === "function") return typeof value;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (depth === 0) return Array.isArray(value) ? "[...]" : "{...}";
  if (Array.isArray(value)) return `[${few(value.length, (i) => sketch(value[i], depth - 1))}]`;
  const keys = Object.keys(value);
  const inside = value as Record<string, unknown>;
  return `{${few(keys.length, (i) => `${sketch(keys[i], 1)}:${sketch(inside[keys[i] ?? ""], depth - 1)}`)}}`;
}

function few(length: number, item: (index: number) => string): string {
  const parts = Array.from({ length: Math.min(length, 8) }, (_, index) => item(index));
  return (length > 8 ? [...parts, "..."] : parts).join(",");
}
