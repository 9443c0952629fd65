/** CHANGELOG.md, in the form of Keep a Changelog. */

export interface ChangelogEntry {
  readonly version: string;
  /** As YYYY-MM-DD. */
  readonly date: string;
  /** What is below its heading. */
  readonly text: string;
}

const HEADING = /^## \[(?<version>[^\]]+)\](?: - (?<date>\d{4}-\d{2}-\d{2}))?\s*$/;
/** Links of the headings, at the end of the file. */
const REFERENCE = /^\[[^\]]+\]: /;

/** The entry of a version; undefined where there is none, or one without a date or a text. */
export function entryOf(changelog: string, version: string): ChangelogEntry | undefined {
  const lines = changelog.split("\n");
  const at = lines.findIndex((line) => HEADING.exec(line)?.groups?.["version"] === version);
  const date = HEADING.exec(lines[at] ?? "")?.groups?.["date"];
  if (date === undefined) return undefined;
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => line.startsWith("## ") || REFERENCE.test(line));
  const text = rest
    .slice(0, end < 0 ? undefined : end)
    .join("\n")
    .trim();
  return text === "" ? undefined : { version, date, text };
}
