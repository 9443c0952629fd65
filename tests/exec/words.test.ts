/** A command line's words: as a shell splits them, by the shell of this machine, and refusals of what needs one. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { COMMAND_CHARS_MAX, commandWords } from "../../src/exec/words.ts";

const words = (text: string): readonly string[] => {
  const read = commandWords(text);
  if ("fault" in read) throw new Error(read.fault);
  return read.words;
};
const fault = (text: string): string => {
  const read = commandWords(text);
  return "fault" in read ? read.fault : `none: ${JSON.stringify(read.words)}`;
};

describe("a command's words", () => {
  for (const [text, expected] of [
    ["vllm serve  m", ["vllm", "serve", "m"]],
    ["  a\tb ", ["a", "b"]],
    [`a 'b c' "d e"`, ["a", "b c", "d e"]],
    [`a'b'"c"d`, ["abcd"]],
    [`a '' ""`, ["a", "", ""]],
    [`a \\  \\"x\\'`, ["a", " ", `"x'`]],
    [`a "\\$HOME \\\`x\\\` \\"q\\" \\\\ \\n"`, ["a", '$HOME `x` "q" \\ \\n']],
    [`a '$HOME | \`x\` *' b`, ["a", "$HOME | `x` *", "b"]],
    ["a b\\\nc", ["a", "bc"]],
    [`a --x='{"image": 2}' k=v`, ["a", `--x={"image": 2}`, "k=v"]],
    ["a 5$ a#b b~ {} {a,b} a=~", ["a", "5$", "a#b", "b~", "{}", "{a,b}", "a=~"]],
    [`'if' then`, ["if", "then"]],
    [`sh -c 'a | b && c > d'`, ["sh", "-c", "a | b && c > d"]],
    [`"A"=b`, ["A=b"]],
  ] as const) {
    test(JSON.stringify(text), () => expect([...words(text)]).toEqual([...expected]));
  }

  for (const [text, expected] of [
    ["", "it names no program"],
    ["  \t", "it names no program"],
    ["''", "the program's name is empty"],
    ["a 'b", "the ' at character 3 is never closed"],
    [`a "b'`, 'the " at character 3 is never closed'],
    ["a \\", "it ends with a \\ that has nothing to quote"],
    ["a | b", '"|" at character 3 means a pipe, which needs a shell; quote it, or let a shell run all of it: sh -c'],
    ["a & b", "a command in the background"],
    ["a; b", "a second command"],
    ["a\nb", "a second command"],
    ["a > b", "a redirection"],
    ["a < b", "a redirection"],
    ["(a)", "a subshell"],
    ["a $HOME", '"$" at character 3 means a variable'],
    ["a ${X}", "a variable"],
    ["a $'x'", "a variable"],
    [`a "x $HOME"`, '"$" at character 6 means a variable'],
    [`a "\`x\`"`, "a command's output"],
    ["a `x`", "a command's output"],
    ["a *.bin", "a pattern of file names"],
    ["a b?", "a pattern of file names"],
    ["a [x]", "a pattern of file names"],
    ["a # b", "a comment"],
    ["a ~/b", "a home directory"],
    ["A=b c", '"A=" sets a variable, as a shell does before a command; use --exec-env for that'],
    ["if x", '"if" begins a command of the shell\'s own'],
    ["! a", '"!" begins a command'],
    ["a \0", "a NUL character"],
    ["a".repeat(COMMAND_CHARS_MAX + 1), "more than 32768 characters"],
  ] as const) {
    test(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => expect(fault(text)).toContain(expected));
  }

  test("quoted in any way come back as they were", () => {
    const single = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
    const double = (word: string): string => `"${word.replace(/[$`"\\]/g, "\\$&")}"`;
    const bare = (word: string): string =>
      word === "" || word.includes("\n") ? single(word) : word.replace(/[^A-Za-z0-9]/gu, "\\$&");
    const word = fc.string({ unit: fc.constantFrom(..."ab$'\"\\`|*?~# \t\n=é\u{1f600}".split("")), maxLength: 12 });
    const quote = fc.constantFrom(single, double, bare);
    fc.assert(
      fc.property(fc.array(fc.tuple(word, quote), { maxLength: 6 }), (parts) => {
        const text = ["prog", ...parts.map(([one, how]) => how(one.replaceAll(/[\ud800-\udfff]/g, "x")))].join(" ");
        expect([...words(text)]).toEqual(["prog", ...parts.map(([one]) => one.replaceAll(/[\ud800-\udfff]/g, "x"))]);
      }),
    );
  });

  test("are those that the shell of this machine makes, of whatever is not refused", () => {
    const unit = fc.constantFrom(..."ab01 '\"\\$`|&;<>()*?[]#~={},!-./:%@+^\t\n".split(""));
    const texts: string[] = [];
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 14 }), (text) => {
        const read = commandWords(`prog ${text}`);
        if ("words" in read) texts.push(`prog ${text}`);
        else expect(read.fault).not.toBe("");
      }),
      { numRuns: 3000 },
    );
    expect(texts.length).toBeGreaterThan(300);
    // A newline parts what each of them gives, so it is shown as two characters.
    const script = texts.map((text) => `${text}\nprintf 'END\\n'`).join("\n");
    const shell = Bun.spawnSync(["sh"], {
      stdin: new TextEncoder().encode(`prog() { for w in "$@"; do printf '%s\\0' "$w"; done; }\n${script}\n`),
    });
    expect(shell.exitCode).toBe(0);
    const given = shell.stdout.toString().split("END\n").slice(0, -1);
    expect(given).toHaveLength(texts.length);
    texts.forEach((text, at) => {
      const expected = words(text).slice(1);
      expect({ text, words: (given[at] ?? "").split("\0").slice(0, -1) }).toEqual({ text, words: [...expected] });
    });
  });
});
