/**
 * The words of a command line, split as a POSIX shell splits them ("2.2 Quoting", "2.6 Word Expansions"), but without a
 * shell: blanks part words, '...' keeps all, "..." keeps all but \ before $ ` " \, and \ keeps the next character.
 * What only a shell could do (pipes, variables, patterns, several commands) is refused rather than passed on as it
 * stands: a program that is given a "|" would do something else than what was meant.
 */

export const COMMAND_CHARS_MAX = 32_768;

export type Words = { readonly words: readonly string[] } | { readonly fault: string };

/** What a character does in a shell when nothing quotes it. */
const NEEDS_SHELL: Readonly<Record<string, string>> = {
  "|": "a pipe",
  "&": "a command in the background",
  ";": "a second command",
  "<": "a redirection",
  ">": "a redirection",
  "(": "a subshell",
  ")": "a subshell",
  "`": "a command's output",
  "*": "a pattern of file names",
  "?": "a pattern of file names",
  "[": "a pattern of file names",
  "\n": "a second command",
};
const EXPANDS = /^\$[A-Za-z0-9_{(@*#?$!-]/;
const ASSIGNS = /^[A-Za-z_][A-Za-z0-9_]*\+?=/;
/** Words that a shell takes for its own when a command begins with them. */
const RESERVED = ["!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then"].concat(
  "until",
  "while",
);

export function commandWords(text: string): Words {
  if (text.length > COMMAND_CHARS_MAX) return { fault: `it has more than ${COMMAND_CHARS_MAX} characters` };
  if (text.includes("\0")) return { fault: "it has a NUL character, which no argument can hold" };
  const words: string[] = [];
  /** Undefined between words; "" is a word when it was quoted. */
  let word: string | undefined;
  /** Nothing of the word was quoted: then it may still mean something to a shell. */
  let isBare = true;
  const end = (): Words | undefined => {
    if (word === undefined) return undefined;
    if (words.length === 0 && isBare && RESERVED.includes(word)) {
      return { fault: `"${word}" begins a command of the shell's own; ${ADVICE}` };
    }
    words.push(word);
    word = undefined;
    isBare = true;
    return undefined;
  };
  let at = 0;
  while (at < text.length) {
    const char = text[at]!;
    if (char === " " || char === "\t") {
      const fault = end();
      if (fault !== undefined) return fault;
      at += 1;
    } else if (char === "'") {
      const close = text.indexOf("'", at + 1);
      if (close < 0) return { fault: `the ' at character ${at + 1} is never closed` };
      word = (word ?? "") + text.slice(at + 1, close);
      isBare = false;
      at = close + 1;
    } else if (char === '"') {
      const part = doubleQuoted(text, at);
      if ("fault" in part) return part;
      word = (word ?? "") + part.text;
      isBare = false;
      at = part.end;
    } else if (char === "\\") {
      if (at + 1 === text.length) return { fault: "it ends with a \\ that has nothing to quote" };
      // A quoted end of a line joins the lines.
      if (text[at + 1] !== "\n") {
        word = (word ?? "") + text[at + 1]!;
        isBare = false;
      }
      at += 2;
    } else {
      const why = whyShell(text, at, word === undefined);
      if (why !== undefined) return { fault: shellFault(char, at, why) };
      word = (word ?? "") + char;
      at += 1;
      if (char === "=" && words.length === 0 && isBare && ASSIGNS.test(word)) {
        return { fault: `"${word}" sets a variable, as a shell does before a command; use --exec-env for that` };
      }
    }
  }
  const fault = end();
  if (fault !== undefined) return fault;
  if (words.length === 0) return { fault: "it names no program" };
  return words[0] === "" ? { fault: "the program's name is empty" } : { words };
}

const ADVICE = "quote it, or let a shell run all of it: sh -c '...'";

function shellFault(char: string, at: number, why: string): string {
  return `${JSON.stringify(char)} at character ${at + 1} means ${why}, which needs a shell; ${ADVICE}`;
}

function whyShell(text: string, at: number, isFirst: boolean): string | undefined {
  const char = text[at]!;
  if (Object.hasOwn(NEEDS_SHELL, char)) return NEEDS_SHELL[char];
  if (char === "$" && (EXPANDS.test(text.slice(at, at + 2)) || /["']/.test(text[at + 1] ?? ""))) return "a variable";
  if (char === "#" && isFirst) return "a comment";
  if (char === "~" && isFirst) return "a home directory";
  return undefined;
}

function doubleQuoted(text: string, from: number): { text: string; end: number } | { fault: string } {
  let inside = "";
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') return { text: inside, end: at + 1 };
    if (char === "`") return { fault: shellFault(char, at, "a command's output") };
    if (char === "$" && EXPANDS.test(text.slice(at, at + 2))) return { fault: shellFault(char, at, "a variable") };
    const next = text[at + 1] ?? "";
    if (char === "\\" && next !== "" && '$`"\\\n'.includes(next)) {
      if (next !== "\n") inside += next;
      at += 1;
    } else {
      inside += char;
    }
  }
  return { fault: `the " at character ${from + 1} is never closed` };
}
