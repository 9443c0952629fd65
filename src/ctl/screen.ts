/**
 * A terminal's whole screen, for a command that shows how things are as they change: on a page of its own, so that what was
 * there before is there again afterwards, with keys as they are pressed.
 *
 * Only lines that are different are written, each at its place: nothing flickers, and little is sent over a slow line.
 * However the process ends, the terminal is put back as it was; so it is while the process is stopped (Ctrl-Z), and the
 * screen is taken again when it goes on. Since keys come as they are pressed, Ctrl-Z and its like are no signals.
 */

export interface ScreenEvents {
  /** One at a time: a character, or what a key sends that is none, such as PAGE_DOWN. */
  key(key: string): void;
  /** It is larger or smaller now; what was drawn is gone. */
  resized(): void;
  /** Nobody sits at it any more, since it hung up, or the process was told to quit. */
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
export const CTRL_BACKSLASH = "\u001c";
const CTRL_Z = "\u001a";
export const PAGE_UP = "\u001b[5~";
export const PAGE_DOWN = "\u001b[6~";

/** Another page, no cursor, and lines that are cut rather than wrapped; and back. */
const PAGE = "\u001b[?1049h";
const STYLE = "\u001b[?25l\u001b[?7l\u001b[2J";
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
    for (const key of keys.slice(0, KEYS_MAX)) {
      // To all of the job, as the terminal itself would send it.
      if (key === CTRL_Z) pause(0);
      else if (isOpen) events.key(key);
    }
  };
  const onResize = (): void => {
    shown = [];
    output.write(CLEAR);
    events.resized();
  };
  const onGone = (): void => {
    if (isOpen) events.gone();
  };
  const take = (): void => {
    if (input.isTTY) input.setRawMode(true);
    output.write(PAGE + STYLE);
  };
  const giveBack = (): void => {
    if (input.isTTY) restored(input);
    output.write(CLOSE);
  };
  /** It goes on. To take the page a second time would lose where the cursor was before the first. */
  const onContinue = (): void => {
    if (input.isTTY) {
      // Another one has set it meanwhile, of which the runtime knows nothing.
      restored(input);
      input.setRawMode(true);
    }
    output.write(STYLE);
    shown = [];
    events.resized();
  };
  /** Stops this process, or those of its job (0), and comes back when it goes on; at once where nobody could let it go on. */
  const pause = (whom: number): void => {
    if (!isOpen) return;
    giveBack();
    process.off("SIGTSTP", onStop);
    process.kill(whom, "SIGTSTP");
    process.on("SIGTSTP", onStop);
    take();
    shown = [];
    events.resized();
  };
  const onStop = (): void => pause(process.pid);
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    process.off("exit", close);
    process.off("SIGTSTP", onStop).off("SIGCONT", onContinue).off("SIGHUP", onGone).off("SIGQUIT", onGone);
    output.off("resize", onResize);
    if (input.isTTY) {
      input.off("data", onData);
      input.off("end", onGone);
    }
    giveBack();
    if (input.isTTY) input.pause();
  };
  process.on("exit", close);
  // SIGSTOP asks nobody: who was stopped by it comes back to a terminal that others have used.
  process.on("SIGTSTP", onStop).on("SIGCONT", onContinue).on("SIGHUP", onGone).on("SIGQUIT", onGone);
  output.on("resize", onResize);
  if (input.isTTY) {
    input.on("data", onData);
    input.on("end", onGone);
    // Also after it is closed: what fails then is to surprise nobody.
    input.on("error", onGone);
    input.resume();
  }
  take();
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
