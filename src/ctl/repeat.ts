/**
 * `--watch` of commands that show how things are: they are asked again and again, and shown when something is different.
 * On a terminal the screen is drawn anew, cut to its size so that rows stay rows; elsewhere what is new comes below what
 * was: as YAML each time a document.
 *
 * The first time a failure ends the command; later it is told once, and asked on, since a watcher outlives who is asked.
 */
import { duration, flag } from "../base/settings.ts";
import { EXIT } from "./client.ts";
import { type Format, isWhole } from "./render.ts";
import type { Terminal } from "./terminal.ts";
import { pause, untilEnded } from "./until-ended.ts";

export const watchFields = {
  watch: flag({ default: false, doc: "Go on, and show it again whenever it is different, until Ctrl-C." }),
  intervalMs: duration({ default: "2s", min: "100ms", max: "1h", doc: "With --watch: how often to ask." }),
};

interface WatchConfig {
  readonly watch: boolean;
  readonly intervalMs: number;
  readonly output: Format;
}

const HOME_AND_CLEAR = "\x1b[H\x1b[J";
// oxlint-disable-next-line no-control-regex
const COLOUR_OR_CHARACTER = /\x1b\[[0-9;]*m|./gu;

/** What of a text fits on a screen: lines cut at its width, colours not counted, and the last line free. */
export function fitted(text: string, { columns, lines }: { readonly columns: number; readonly lines: number }): string {
  const all = text.split("\n");
  const rows = all.at(-1) === "" ? all.slice(0, -1) : all;
  const shown = rows.length < lines ? rows : rows.slice(0, Math.max(1, lines - 2));
  const rest = rows.length - shown.length;
  const more = rest === 0 ? [] : [`... ${rest} more lines, for which the screen is too small`];
  return [...shown, ...more].map((row) => `${cutAt(row, columns)}\n`).join("");
}

function cutAt(row: string, columns: number): string {
  let [cut, width, isPainted] = ["", 0, false];
  for (const [part] of row.matchAll(COLOUR_OR_CHARACTER)) {
    const isColour = part.startsWith("\x1b");
    if (!isColour && width === columns) return isPainted ? `${cut}\x1b[0m` : cut;
    if (isColour) isPainted = part !== "\x1b[0m";
    else width += 1;
    cut += part;
  }
  return cut;
}

/** Shows it once, or on and on. */
export async function repeating(
  { watch, intervalMs, output }: WatchConfig,
  terminal: Terminal,
  show: (to: Terminal) => Promise<number>,
): Promise<number> {
  if (!watch) return show(terminal);
  const screen = terminal.size !== undefined && !isWhole(output);
  return untilEnded(terminal, async (ended) => {
    let before = { out: "", err: "" };
    for (let round = 0; ; round += 1) {
      const now = { out: "", err: "" };
      const code = await show({
        color: terminal.color,
        out: (text) => void (now.out += text),
        err: (text) => void (now.err += text),
      });
      if (ended.aborted) return EXIT.ok;
      if (now.err !== before.err) terminal.err(now.err);
      if (code !== EXIT.ok && round === 0) {
        terminal.out(now.out);
        return code;
      }
      if (now.out !== before.out && now.out !== "") {
        const { size } = terminal;
        if (screen && size !== undefined) terminal.out(`${HOME_AND_CLEAR}${fitted(now.out, size)}`);
        else terminal.out(output === "yaml" ? `---\n${now.out}` : now.out);
      }
      before = { out: now.out === "" ? before.out : now.out, err: now.err };
      await pause(intervalMs, ended);
      if (ended.aborted) return EXIT.ok;
    }
  });
}
