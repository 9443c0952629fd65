/**
 * Where things stand in a configuration file, for reports: parsers of YAML and JSON hand over values without places,
 * and their complaints without lines. Both searches are bounded, and only as good as a report needs: they may find
 * nothing, in unusual layouts, but the value itself is always right.
 */

const SEARCH_LINES_MAX = 2000;

/** The line (from 1) on which the key of a path such as `fleet.pollInterval` stands, in YAML blocks or JSON. */
export function lineOfPath(text: string, path: string): number | undefined {
  const lines = text.split("\n", 20_000);
  let from = 0;
  let parentIndent = -1;
  let found: number | undefined;
  for (const segment of path.split(".")) {
    const key = segment.replace(/\[\d+\]$/, "");
    const at = lines.findIndex((line, index) => index >= from && indentOf(line) > parentIndent && keyOf(line) === key);
    if (at < 0) return found;
    found = at + 1;
    from = at + 1;
    parentIndent = indentOf(lines[at] ?? "");
  }
  return found;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

function keyOf(line: string): string | undefined {
  const match = /^\s*(?:"([^"]*)"|'([^']*)'|([^\s"'#:{}[\],][^:#]*?))\s*:(?:\s|$)/.exec(line.slice(0, 300));
  return match?.[1] ?? match?.[2] ?? match?.[3];
}

/**
 * The line on which a text stops being readable, when its parser does not tell: the one after the longest run of
 * lines from the start that can be read.
 */
export function lineOfFailure(text: string, canRead: (text: string) => boolean): number | undefined {
  const lines = text.split("\n", SEARCH_LINES_MAX + 1);
  if (lines.length > SEARCH_LINES_MAX) return undefined;
  // Halving finds a boundary between readable and not in few steps; what is open over several lines is found at its
  // start, which is where one looks.
  let good = 0;
  let bad = lines.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (canRead(lines.slice(0, middle).join("\n"))) good = middle;
    else bad = middle;
  }
  return bad;
}

/** Keys that stand twice in one YAML block: parsers keep the last one in silence. With the line of the second. */
export function duplicateKeys(text: string): readonly { readonly key: string; readonly line: number }[] {
  const found: { key: string; line: number }[] = [];
  const open: { indent: number; keys: Set<string> }[] = [];
  let blockIndent = Number.POSITIVE_INFINITY;
  for (const [index, line] of text.split("\n", 20_000).entries()) {
    if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
    // A document of its own.
    if (/^---(?:\s|$)/.test(line)) {
      open.length = 0;
      blockIndent = Number.POSITIVE_INFINITY;
      continue;
    }
    const indent = indentOf(line);
    // The lines of a block scalar (`key: |`) are text.
    if (indent > blockIndent) continue;
    blockIndent = /:\s+[|>][+-]?\d*\s*$/.test(line) ? indent : Number.POSITIVE_INFINITY;
    while ((open.at(-1)?.indent ?? -1) > indent) open.pop();
    const item = line.trimStart().startsWith("- ");
    // A list's item begins a block of its own, two deeper.
    if (item) open.push({ indent: indent + 2, keys: new Set() });
    const key = keyOf(item ? line.replace("- ", "  ") : line);
    if (key === undefined) continue;
    const depth = item ? indent + 2 : indent;
    if (open.at(-1)?.indent !== depth) open.push({ indent: depth, keys: new Set() });
    const keys = open.at(-1)?.keys;
    if (keys?.has(key) === true) found.push({ key, line: index + 1 });
    keys?.add(key);
  }
  return found;
}
