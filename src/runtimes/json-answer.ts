/** What servers say in JSON, read without trust: a member that is not what it should be counts as not told. */
import { isRecord } from "../base/field.ts";
import type { Answer } from "./adapter.ts";

const decoder = new TextDecoder();

/** Undefined for what is no JSON. */
export function jsonOf(answer: Answer): unknown {
  try {
    return JSON.parse(decoder.decode(answer.body)) as unknown;
  } catch {
    return undefined;
  }
}

/** What lies at a path of members; a whole number is a place in a list. Undefined where nothing does. */
export function memberAt(value: unknown, ...path: readonly (string | number)[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof part === "number") at = Array.isArray(at) ? (at as unknown[])[part] : undefined;
    else at = isRecord(at) && Object.hasOwn(at, part) ? at[part] : undefined;
  }
  return at;
}

/** "" where there is no text. */
export function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const at = memberAt(value, ...path);
  return typeof at === "string" ? at : "";
}

/** A number from 0 on. */
export function numberAt(value: unknown, ...path: readonly (string | number)[]): number | undefined {
  const at = memberAt(value, ...path);
  return typeof at === "number" && at >= 0 && Number.isFinite(at) ? at : undefined;
}

/** Empty where there is no list. */
export function listAt(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const at = memberAt(value, ...path);
  return Array.isArray(at) ? (at as unknown[]) : [];
}
