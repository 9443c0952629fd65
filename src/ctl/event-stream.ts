/**
 * Following the events of a process: each as it happens, until it is ended (Ctrl-C) or nobody reads on.
 *
 * When the stream breaks off, or brings not even a heartbeat for a while, it is opened again after the last event that
 * came, with growing pauses: a watcher outlives the one who is asked.
 */
import { escaped } from "../base/printable.ts";
import { EXIT, type Stream, errorMessage, failureOf, openStream, recordOf, whyCut } from "./client.ts";
import type { Caller } from "./control-plane.ts";
import type { EventRow } from "./events.ts";
import type { Terminal } from "./terminal.ts";
import { pause } from "./until-ended.ts";

/** Heartbeats come every 10 s. */
const SILENCE_MS = 35_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5000;
/** A stream that lasted this long was a good one. */
const STEADY_MS = 5000;
const LINE_LENGTH_MAX = 2 ** 20;

/** A line of the stream. */
export interface StreamLine extends EventRow {
  /** Of a heartbeat or a gap: the number to go on after. */
  readonly next?: number;
  readonly missed?: number;
  /** Of a heartbeat: the beginning of the journal; another one after each start of the process. */
  readonly first?: number;
}

/** Thrown by who shows the lines: it is of no use to go on. It has been said why. */
export class OfNoUse extends Error {
  readonly code: number;

  constructor(code: number) {
    super("it tells nothing of what is to be shown");
    this.code = code;
  }
}

class LineTooLong extends Error {}

/**
 * Follows the events at `/events?watch=1` and `query`, which says from where and which. Resolves to an exit code. What
 * `show` throws is taken for a broken stream, whose last line comes again.
 */
export async function followEvents(
  caller: Caller,
  query: string,
  terminal: Terminal,
  ended: AbortSignal,
  show: (line: StreamLine, endpoint: string) => Promise<void> | void,
): Promise<number> {
  const opened = await openStream(caller.endpoint, `/events?watch=1${query}`, caller.timeoutMs, ended);
  if (ended.aborted) return EXIT.ok;
  if (opened.kind !== "stream") return failureOf(opened, terminal) ?? EXIT.failed;
  const { endpoint } = opened;
  const say = (text: string): void => terminal.err(`infermesh ctl: ${escaped(text)}\n`);
  let next: number | undefined;
  const showLine = async (line: StreamLine): Promise<void> => {
    await show(line, endpoint);
    // Last, so that what could not be shown is asked for again.
    next = line.seq ?? line.next ?? next;
  };
  let stream: Stream = opened;
  let pauseMs = RETRY_MS_MIN;
  for (;;) {
    const sinceMs = performance.now();
    const why = await follow(stream, showLine, ended).catch((error: unknown) => error);
    if (ended.aborted) return EXIT.ok;
    if (why instanceof OfNoUse) return why.code;
    if (why instanceof LineTooLong) {
      say(`${endpoint} sent a line of more than ${LINE_LENGTH_MAX} characters; is this an infermesh --api port?`);
      return EXIT.failed;
    }
    // One whose streams end at once is asked less and less often.
    if (performance.now() - sinceMs >= STEADY_MS) pauseMs = RETRY_MS_MIN;
    say(`lost ${endpoint}: ${typeof why === "string" ? why : whyCut(why)}; trying again`);
    const again = next === undefined ? query : `${query.replace(/&after=\d+/, "")}&after=${next}`;
    const reopened = await reopen(endpoint, again, pauseMs, { timeoutMs: caller.timeoutMs, say, ended });
    if (reopened === null) return EXIT.ok;
    say(`reached ${endpoint} again`);
    stream = reopened;
    pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
  }
}

/** Opens the stream anew, however long it takes; null when it is no longer wanted. */
async function reopen(
  endpoint: string,
  query: string,
  firstPauseMs: number,
  { timeoutMs, say, ended }: { timeoutMs: number; say: (text: string) => void; ended: AbortSignal },
): Promise<Stream | null> {
  let said = "";
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
    await pause(pauseMs, ended);
    if (ended.aborted) return null;
    const opened = await openStream(endpoint, `/events?watch=1${query}`, timeoutMs, ended);
    if (ended.aborted) return null;
    if (opened.kind === "stream") return opened;
    // Unreachable is what one expects of a restart; another answer is worth a line, once.
    const why = opened.kind === "answer" ? errorMessage(opened.status, opened.body) : said;
    if (why !== said) say(`${endpoint} answered: ${why}; trying again`);
    said = why;
  }
}

/** Shows what the stream brings; resolves with why it ended, or throws. */
async function follow(
  { body }: Stream,
  show: (line: StreamLine) => Promise<void>,
  ended: AbortSignal,
): Promise<string> {
  const reader = body.getReader();
  const { promise: silent, resolve: fallSilent } = Promise.withResolvers<null>();
  const silence = setTimeout(() => fallSilent(null), SILENCE_MS);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const part = await Promise.race([reader.read(), silent]);
      if (part === null) return `nothing came for ${SILENCE_MS / 1000} s`;
      if (part.done) return "it ended the stream; it may be stopping";
      silence.refresh();
      rest += decoder.decode(part.value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      if ([rest, ...lines].some(({ length }) => length > LINE_LENGTH_MAX)) throw new LineTooLong();
      for (const line of lines.filter((text) => text.trim() !== "")) {
        if (ended.aborted) return "";
        const read = recordOf(JSON.parse(line));
        if (read === undefined) return "it sent a line that is no event";
        await show(read);
      }
    }
  } catch (error) {
    if (error instanceof SyntaxError) return "it sent a line that is not JSON";
    throw error;
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {});
  }
}
