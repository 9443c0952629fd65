/**
 * A terminal's whole screen, for a command that shows how things are as they change: on a page of its own, so that what was
 * there before is there again afterwards, with keys as they are pressed.
 *
 * Only lines that are different are written, each at its place: nothing flickers, and little is sent over a slow line.
 * However the process ends, the terminal is put back as it was.
 */

export interface ScreenEvents {
  /** One at a time: a character, or what a key sends that is none, such as PAGE_DOWN. */
  key(key: string): void;
  /** It is larger or smaller now; what was drawn is gone. */
  resized(): void;
  /** Nobody sits at it any more: it hung up. */
  gone(): void;
}

export interface Screen {
  readonly size: { readonly columns: number; readonly lines: number };
  /** Lines of at most `size.columns`, at most `size.lines`. */
  draw(lines: readonly string[]): void;
  close(): void;
}

/** What of a process's streams is needed. */
export interface ScreenOutput {
  readonly columns: number;
  readonly rows: number;
  write(text: string): unknown;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
}
export interface ScreenInput {
  readonly isTTY: boolean;
  setRawMode(raw: boolean): unknown;
  resume(): unknown;
  pause(): unknown;
  on(event: "data", listener: (bytes: Uint8Array) => void): unknown;
  on(event: "end" | "error", listener: () => void): unknown;
  off(event: "data", listener: (bytes: Uint8Array) => void): unknown;
  off(event: "end" | "error", listener: () => void): unknown;
}

export const CTRL_C = "\u0003";
export const PAGE_UP = "\u001b[5~";
export const PAGE_DOWN = "\u001b[6~";

/** Another page, no cursor, and lines that are cut rather than wrapped; and back. */
const OPEN = "\u001b[?1049h\u001b[?25l\u001b[?7l\u001b[2J";
const CLOSE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const CLEAR = "\u001b[2J";
// oxlint-disable-next-line no-control-regex
const KEY = /\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Z]|[^]/gu;
const KEYS_MAX = 64;

export function openScreen(output: ScreenOutput, input: ScreenInput, events: ScreenEvents): Screen {
  let shown: readonly string[] = [];
  let isOpen = true;
  const size = () => ({ columns: output.columns || 80, lines: output.rows || 24 });
  const onData = (bytes: Uint8Array): void => {
    const keys = new TextDecoder().decode(bytes).match(KEY) ?? [];
    // What is pasted is no wish.
    for (const key of keys.slice(0, KEYS_MAX)) if (isOpen) events.key(key);
  };
  const onResize = (): void => {
    shown = [];
    output.write(CLEAR);
    events.resized();
  };
  const onGone = (): void => {
    if (isOpen) events.gone();
  };
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    process.off("exit", close);
    output.off("resize", onResize);
    if (input.isTTY) {
      input.off("data", onData);
      input.off("end", onGone);
      restored(input);
      input.pause();
    }
    output.write(CLOSE);
  };
  process.on("exit", close);
  output.on("resize", onResize);
  if (input.isTTY) {
    input.setRawMode(true);
    input.on("data", onData);
    input.on("end", onGone);
    // Also after it is closed: what fails then is to surprise nobody.
    input.on("error", onGone);
    input.resume();
  }
  output.write(OPEN);
  return {
    get size() {
      return size();
    },
    draw(lines) {
      if (!isOpen) return;
      const fitting = lines.slice(0, size().lines);
      const rows = Math.max(fitting.length, shown.length);
      let text = "";
      for (let row = 0; row < rows; row += 1) {
        const line = fitting[row] ?? "";
        if (line !== (shown[row] ?? "")) text += `\u001b[${row + 1};1H\u001b[2K${line}`;
      }
      shown = fitting;
      if (text !== "") output.write(text);
    },
    close,
  };
}

/** One that hung up can't be put back. */
function restored(input: ScreenInput): void {
  try {
    input.setRawMode(false);
  } catch {}
}
