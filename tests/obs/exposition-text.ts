/** Whether a text is Prometheus' exposition format (0.0.4), line by line: what is wrong with it. */

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const NUMBER = "[+-]?(?:[0-9]+(?:\\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|Inf)|NaN";
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (${NUMBER})$`);
const COMMENT = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`);
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];

/** The faults of a text; none when every scraper can read it. */
export function expositionFaults(text: string): string[] {
  const faults: string[] = [];
  const fault = (line: number, what: string): void => void faults.push(`line ${line + 1}: ${what}`);
  if (!text.endsWith("\n")) faults.push("the last line does not end");
  const typed = new Map<string, string>();
  const series = new Set<string>();
  const over = new Set<string>();
  let family = "";
  for (const [at, line] of text.split("\n").entries()) {
    if (line === "") continue;
    const comment = COMMENT.exec(line);
    if (comment !== null) {
      const [, word = "", name = "", rest = ""] = comment;
      if (name !== family) over.add(family);
      if (over.has(name)) fault(at, `${name} comes again`);
      family = name;
      if (word === "HELP") continue;
      if (!TYPES.includes(rest)) fault(at, `there is no type ${rest}`);
      if (typed.has(name)) fault(at, `${name} has two types`);
      typed.set(name, rest);
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) {
      fault(at, `not a sample: ${line}`);
      continue;
    }
    const [, name = "", labels = "", number = ""] = sample;
    const isHistogram = typed.get(family) === "histogram";
    if (name !== family && !(isHistogram && [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name))) {
      fault(at, `${name} stands among those of ${family}`);
    }
    if (!typed.has(family)) fault(at, `${name} has no type`);
    const key = `${name}{${labels}}`;
    if (series.has(key)) fault(at, `${key} comes twice`);
    series.add(key);
    if (typed.get(family) === "counter" && !(Number(number) >= 0)) fault(at, `a counter of ${number}`);
  }
  return faults;
}
