/** The metrics and labels that a PromQL expression names: as much of the language as ours are written in. */
export interface Named {
  readonly metric: string;
  readonly labels: readonly string[];
}

const KEYWORDS = new Set(["and", "or", "unless", "bool", "offset", "inf", "nan"]);

/** Every metric with the labels of its matchers, and the labels that are grouped by. */
export function namesIn(expression: string): {
  readonly metrics: readonly Named[];
  readonly grouped: readonly string[];
} {
  const grouped: string[] = [];
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\[[^\]]*\]/g, "")
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, list: string) => {
      grouped.push(...list.split(",").map((label) => label.trim()));
      return " ";
    });
  const metrics = [...bare.matchAll(/([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(?!\s*\()(?![a-zA-Z0-9_:])/g)].flatMap(
    ([, metric = "", matchers = ""]): Named[] =>
      KEYWORDS.has(metric)
        ? []
        : [{ metric, labels: [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label) }],
  );
  return { metrics, grouped };
}
