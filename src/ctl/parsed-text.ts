/** The tree that a file's text holds, as YAML or JSON; or what is wrong with the text, and where. */
import type { Fault } from "../base/field.ts";
import { lineOfFailure } from "../base/settings-file.ts";
import { shown } from "../base/shown.ts";

/** `at` names the place of a line, or the file where no line is known. */
export function parsedText(
  text: string,
  isJson: boolean,
  at: (line: number | undefined) => string,
): { readonly tree: unknown } | { readonly fault: Fault } {
  try {
    return { tree: isJson && text.trim() !== "" ? JSON.parse(text) : Bun.YAML.parse(text) };
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^(YAML|JSON) Parse error: /, "") : String(error);
    // JSON that is broken is looked through as YAML, which includes it and can be cut at a line's end.
    const line = lineOfFailure(text, isJson ? canBeginJson : canReadYaml);
    const expected = `${isJson ? "JSON" : "YAML"}; the parser says: ${why}`;
    const found = shown((text.split("\n")[(line ?? 1) - 1] ?? "").trim());
    return { fault: { path: "(file)", source: at(line), found, expected, hint: "" } };
  }
}

function canReadYaml(text: string): boolean {
  try {
    Bun.YAML.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether the text may be the beginning of a JSON value: only its end is missing. */
function canBeginJson(text: string): boolean {
  const closers: string[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === "{" || token === "[") closers.push(token === "{" ? "}" : "]");
    else if (token === "}" || token === "]") closers.pop();
  }
  const ending = closers.reverse().join("");
  const body = text.trimEnd();
  // A line may end after a comma or a colon; then one more element or value makes it whole.
  const endings = [ending, `null${ending}`, `"":null${ending}`, `,"":null${ending}`, `:null${ending}`];
  return body === "" || endings.some((end) => isWhole(body + end));
}

function isWhole(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Why a file can't be read or written, in words; a path is told beside it. */
export function whyNoFile(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string };
  switch (code) {
    case "ENOENT":
      return "there is no such file or folder";
    case "ENOTDIR":
      return "a part of the path is no folder";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
    case "EPERM":
      return "it is not allowed";
    case "ENOSPC":
      return "no space is left there";
    default:
      return message ?? String(error);
  }
}
