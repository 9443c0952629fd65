/**
 * Label selectors as Kubernetes writes them: `app=vllm`, `tier!=dev`, `app in (vllm,sglang)`, `app notin (a,b)`, `gpu`,
 * `!old`, with commas between them, all of which must hold. They are checked here, so that a wrong one is told of at the
 * start and not by an API server later, and are matched by the API server alone.
 *
 * Limits: 1,024 characters, 32 requirements.
 */

const LENGTH_MAX = 1024;
const REQUIREMENTS_MAX = 32;
const NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?";
const PREFIX = "[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?";
const KEY = `(?:${PREFIX}/)?${NAME}`;
/** A label may be empty. */
const VALUE = `(?:${NAME})?`;
const REQUIREMENT = new RegExp(
  `^(?:!\\s*${KEY}|${KEY}|${KEY}\\s*(?:=|==|!=)\\s*${VALUE}|${KEY}\\s+(?:in|notin)\\s*\\(\\s*${VALUE}(?:\\s*,\\s*${VALUE})*\\s*\\))$`,
);

export const SELECTOR_EXPECTED = "a label selector, such as app=vllm or app=vllm,tier!=dev";

/** As it is sent, without blanks around requirements; undefined for what is none. */
export function parseSelector(written: string): string | undefined {
  if (written.length > LENGTH_MAX) return undefined;
  const requirements = requirementsIn(written);
  if (requirements.length > REQUIREMENTS_MAX) return undefined;
  return requirements.every((one) => REQUIREMENT.test(one)) ? requirements.join(",") : undefined;
}

/** Between commas that are in no brackets. */
function requirementsIn(written: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= written.length; at += 1) {
    const char = written[at];
    if (char === "(") depth += 1;
    else if (char === ")") depth -= 1;
    else if (char === undefined || (char === "," && depth === 0)) {
      found.push(written.slice(start, at).trim());
      start = at + 1;
    }
  }
  return found;
}
