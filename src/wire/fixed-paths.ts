/**
 * The table of paths that stand as they are, as a hash of three bytes and the length: a look-up compares one path, or a
 * few where they share a slot, and allocates nothing.
 */
import { FIXED_PATHS } from "./api-shapes.ts";
import type { ApiShape } from "./api-shapes.ts";
import { METHOD } from "./http1.ts";
import { ascii } from "./octets.ts";

const SLOTS = 512;
const METHODS = 8;

/** One path of the table, with a shape for each METHOD. */
export interface FixedPath {
  readonly bytes: Uint8Array;
  readonly shapes: (ApiShape | undefined)[];
  readonly next: FixedPath | undefined;
}

/** The three bytes in which the table's paths differ most: the last one, the middle one, and one from behind. */
function slotOf(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const near = length > 4 ? end - 4 : start;
  return (length * 61 + buffer[end - 1]! * 5 + buffer[start + (length >> 1)]! * 131 + buffer[near]! * 29) & (SLOTS - 1);
}

const FIXED: (FixedPath | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
for (const { method, path, shape } of FIXED_PATHS) {
  const bytes = ascii(path);
  const slot = slotOf(bytes, 0, bytes.length);
  let entry = fixedPath(bytes, 0, bytes.length);
  if (entry === undefined) {
    entry = { bytes, shapes: Array.from({ length: METHODS }, () => undefined), next: FIXED[slot] };
    FIXED[slot] = entry;
  }
  entry.shapes[method] = shape;
  // Whatever may be read may be asked for without its body (RFC 9110 section 9.3.2).
  if (method === METHOD.GET) entry.shapes[METHOD.HEAD] = shape;
}

/** The entry of the path [start, end), which is not empty. */
export function fixedPath(buffer: Uint8Array, start: number, end: number): FixedPath | undefined {
  let entry = FIXED[slotOf(buffer, start, end)];
  while (entry !== undefined && !(entry.bytes.length === end - start && begins(buffer, start, end, entry.bytes))) {
    entry = entry.next;
  }
  return entry;
}

/** Whether bytes [start, end) begin with `bytes`. */
export function begins(buffer: Uint8Array, start: number, end: number, bytes: Uint8Array): boolean {
  const length = bytes.length;
  if (end - start < length) return false;
  for (let i = 0; i < length; i++) if (buffer[start + i] !== bytes[i]) return false;
  return true;
}
