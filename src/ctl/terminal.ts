/** Where a command writes. */
import { dlopen } from "bun:ffi";
import { fstatSync } from "node:fs";
import { whyNoFile } from "./parsed-text.ts";
import { openScreen, type Screen, type ScreenEvents } from "./screen.ts";

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  readonly color: boolean;
  /** Columns and lines of a terminal; undefined where the output is none. */
  readonly size?: { readonly columns: number; readonly lines: number } | undefined;
  /** Takes the whole screen of a terminal; undefined where there is none that can be drawn on. */
  screen?(events: ScreenEvents): Screen;
  /** Shows how far long work is, in place of what it showed before; "" takes it away. Only for a terminal. */
  progress?(text: string): void;
  /** Whether somebody still reads the output; for commands that go on until they are ended. */
  reading?(): boolean;
}

const STDOUT = 1;
const POLLERR = 8;
/** A failure like others. */
const CUT_SHORT = 1;

/**
 * Standard output and error of this process. Whoever reads our output may stop at any time (`| head`): a command ends
 * anyway, and a role goes on without its log.
 */
export function standardTerminal(): Terminal {
  let broken = false;
  let poll: (() => number) | undefined;
  process.stdout.on("error", (error) => {
    // A reader that goes, and a terminal that hangs up, keep nothing that could be taken for whole.
    const isLost = !broken && !process.stdout.isTTY && (error as { code?: unknown }).code !== "EPIPE";
    broken = true;
    if (isLost) failByLoss(error);
  });
  let shown = "";
  const progress = (text: string): void => {
    const line = text.slice(0, (process.stderr.columns || 80) - 1);
    if (line === shown) return;
    shown = line;
    process.stderr.write(`\r\x1b[2K${line}`);
  };
  const clear = (): void => {
    if (shown !== "") progress("");
  };
  // It may be made smaller while something is watched.
  const size = () => ({ columns: process.stdout.columns || 80, lines: process.stdout.rows || 24 });
  const isScreen = process.stdout.isTTY && process.env["TERM"] !== "dumb";
  const screen = (events: ScreenEvents): Screen => {
    clear();
    return openScreen(process.stdout, process.stdin, events);
  };
  return {
    ...(isScreen ? { screen } : {}),
    out(text) {
      clear();
      process.stdout.write(text);
    },
    err(text) {
      clear();
      process.stderr.write(text);
    },
    get size() {
      return process.stdout.isTTY ? size() : undefined;
    },
    ...(process.stderr.isTTY && process.env["TERM"] !== "dumb" ? { progress } : {}),
    color: isScreen && (process.env["NO_COLOR"] ?? "") === "",
    reading() {
      poll ??= pollPipe(STDOUT);
      return !broken && (poll() & POLLERR) === 0;
    },
  };
}

/** What was to be kept is cut short (a full disk, say): whoever reads the exit code must not take it for whole. */
function failByLoss(error: unknown): void {
  process.stderr.write(`infermesh: standard output is cut short: ${whyNoFile(error)}\n`);
  process.on("exit", () => {
    process.exitCode = CUT_SHORT;
  });
}

/**
 * A pipe tells that its reader is gone to who writes; poll(2) tells it to who has nothing to write, too. Bun has no call
 * for that. What is no pipe, and a machine without that libc, has nothing to tell.
 */
function pollPipe(descriptor: number): () => number {
  const nothing = (): number => 0;
  try {
    if (process.platform !== "linux" || !fstatSync(descriptor).isFIFO()) return nothing;
    const { symbols } = dlopen("libc.so.6", { poll: { args: ["ptr", "u64", "i32"], returns: "i32" } });
    // struct pollfd: the descriptor (4 bytes), the events that are asked for (2), those that are so (2).
    const entry = new Int32Array([descriptor, 0]);
    return () => (symbols.poll(entry, 1, 0) > 0 ? (entry[1] ?? 0) >>> 16 : 0);
  } catch {
    return nothing;
  }
}
