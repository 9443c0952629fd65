/** Finds single fields in heads, for questions that are too rare to be asked of every head while it is parsed. */
import { COLON, CR, HT, LF, SP, spells, ascii } from "./octets.ts";
import type { FieldSection } from "./fields.ts";

/** The line of a parsed head whose name is `name` (in lower case), or -1. */
export function findField(buffer: Uint8Array, head: FieldSection, name: string): number {
  const bytes = ascii(name);
  for (let line = 0; line < head.lineCount; line++) {
    const start = head.lineStart[line]!;
    if (head.nameEnd[line]! - start === bytes.length && spells(buffer, start, bytes)) return line;
  }
  return -1;
}

/**
 * The value of the field `name` (in lower case) in a well-formed head that lies in [0, end) with its start line, as
 * Latin-1 text without blanks around it; null when there is none.
 */
export function fieldValue(head: Uint8Array, end: number, name: string): string | null {
  const bytes = ascii(name);
  let line = head.indexOf(LF) + 1;
  while (line > 0 && line < end) {
    const next = head.indexOf(LF, line) + 1;
    if (head[line + bytes.length] === COLON && spells(head, line, bytes)) {
      let from = line + bytes.length + 1;
      let to = next - 1;
      while (from < to && (head[from] === SP || head[from] === HT)) from++;
      while (to > from && (head[to - 1] === CR || head[to - 1] === SP || head[to - 1] === HT)) to--;
      return latin1(head, from, to);
    }
    line = next;
  }
  return null;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
