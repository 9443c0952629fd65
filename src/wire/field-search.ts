/** Finds single fields in heads, for questions that are too rare to be asked of every head while it is parsed. */
import { COLON, CR, HT, LF, SP, ascii, latin1, spells } from "./octets.ts";
import type { FieldSection } from "./fields.ts";

/** The first line of a parsed head, from `from` on, whose name is `name` (in lower case), or -1. */
export function findField(buffer: Uint8Array, head: FieldSection, name: string, from = 0): number {
  const bytes = ascii(name);
  for (let line = from; line < head.lineCount; line++) {
    const start = head.lineStart[line]!;
    if (head.nameEnd[line]! - start === bytes.length && spells(buffer, start, bytes)) return line;
  }
  return -1;
}

/**
 * The value of the field `name` (in lower case) in a well-formed head that lies in [0, end) with its start line, as
 * Latin-1 text without blanks around it; null when there is none. The first one, where there are several.
 */
export function fieldValue(head: Uint8Array, end: number, name: string): string | null {
  const bytes = ascii(name);
  const line = lineOf(head, 0, end, bytes);
  return line < 0 ? null : valueAt(head, line + bytes.length + 1);
}

/** The values of all fields of this name, in their order. */
export function fieldValues(head: Uint8Array, end: number, name: string): string[] {
  const bytes = ascii(name);
  const values: string[] = [];
  for (let line = lineOf(head, 0, end, bytes); line >= 0; line = lineOf(head, line, end, bytes)) {
    values.push(valueAt(head, line + bytes.length + 1));
  }
  return values;
}

/** Where the next line begins, behind the one at `from`, whose name is `name`; or -1. */
function lineOf(head: Uint8Array, from: number, end: number, name: Uint8Array): number {
  let line = head.indexOf(LF, from) + 1;
  while (line > 0 && line < end) {
    if (head[line + name.length] === COLON && spells(head, line, name)) return line;
    line = head.indexOf(LF, line) + 1;
  }
  return -1;
}

function valueAt(head: Uint8Array, start: number): string {
  let from = start;
  let to = head.indexOf(LF, start);
  while (from < to && (head[from] === SP || head[from] === HT)) from++;
  while (to > from && (head[to - 1] === CR || head[to - 1] === SP || head[to - 1] === HT)) to--;
  return latin1(head, from, to);
}
