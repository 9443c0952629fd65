/**
 * Text from elsewhere on its way to a terminal: names, causes and errors that others tell must neither break a line nor
 * steer a terminal, nor turn the order of what stands beside them.
 */

/** Control characters (C0, DEL, C1), line separators, and what embeds, overrides or isolates a direction of writing. */
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE.source, "g");

export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

/** A "?" for each character that can't be printed: the text stays as wide as it is, for tables. */
export function printable(text: string): string {
  return text.replace(EACH_UNPRINTABLE, "?");
}

/** What can't be printed as JSON escapes it, so that nothing is lost. JSON on one line stays the same JSON. */
export function escaped(text: string): string {
  return text.replace(EACH_UNPRINTABLE, (char) => {
    const json = JSON.stringify(char).slice(1, -1);
    return json.length > 1 ? json : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
