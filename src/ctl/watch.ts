/**
 * `infermesh ctl members --watch`: the members once, then each event as it happens, until it is ended (Ctrl-C) or
 * nobody reads on.
 *
 * The stream is opened before the members are asked for, so that nothing happens unseen between the two. When it breaks
 * off, or brings not even a heartbeat for a while, it is opened again after the last event that came, with growing
 * pauses: a watcher outlives the one who is asked. If events were missed meanwhile, the members are shown anew.
 */
import { EXIT, type Stream, errorMessage, failureOf, openStream } from "./client.ts";
import { type EventRow, renderEvent } from "./events.ts";
import { askMembers, listMembers, MEMBER_COLUMNS } from "./members.ts";
import { renderRows, renderWhole } from "./render.ts";
import type { MembersConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** Heartbeats come every 10 s. */
const SILENCE_MS = 35_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5000;
const READER_LOOK_MS = 500;
const LINE_LENGTH_MAX = 2 ** 20;

/** A line of the stream. */
interface StreamLine extends EventRow {
  /** Of a heartbeat or a gap: the number to go on after. */
  readonly next?: number;
  readonly missed?: number;
}

/** The members, once or on and on. */
export async function showMembers(config: MembersConfig, terminal: Terminal): Promise<number> {
  if (!config.watch) return listMembers(config, terminal);
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  const looking = setInterval(() => {
    if (terminal.reading?.() === false) end();
  }, READER_LOOK_MS);
  try {
    return await watchMembers(config, terminal, ended.signal);
  } finally {
    clearInterval(looking);
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}

async function watchMembers(config: MembersConfig, terminal: Terminal, ended: AbortSignal): Promise<number> {
  const first = await openStream(config.endpoint, "/events?watch=1", config.timeoutMs, ended);
  if (ended.aborted) return EXIT.ok;
  if (first.kind !== "stream") return failureOf(first, terminal) ?? EXIT.failed;
  const { endpoint } = first;
  const say = (text: string): void => terminal.err(`infermesh ctl: ${text}\n`);
  let idWidth = 0;
  let next: number | undefined;
  const showTable = async (): Promise<number> => {
    const members = await askMembers(endpoint, config.timeoutMs, terminal);
    if (typeof members === "number") return members;
    idWidth = Math.max(...members.map(({ id = "" }) => id.length), 2);
    if (config.output === "json") terminal.out(`${JSON.stringify({ members })}\n`);
    else if (config.output === "yaml") terminal.out(`---\n${renderWhole("yaml", { members })}`);
    else terminal.out(renderRows(config.output, members, MEMBER_COLUMNS, {}, terminal.color));
    return EXIT.ok;
  };
  const show = async (line: StreamLine): Promise<void> => {
    next = line.seq ?? line.next ?? next;
    if (line.kind === "gap") {
      say(`${line.missed ?? "some"} events were missed; these are the members now`);
      await showTable();
    } else if (line.kind !== "heartbeat") terminal.out(renderEvent(config.output, line, idWidth, terminal.color));
  };

  const shown = await showTable();
  if (shown !== EXIT.ok) return ended.aborted ? EXIT.ok : shown;
  let stream: Stream = first;
  for (;;) {
    const why = await follow(stream, show, ended);
    if (ended.aborted) return EXIT.ok;
    say(`lost ${endpoint}: ${why}; trying again`);
    const again = await reopen(endpoint, next, { timeoutMs: config.timeoutMs, terminal, ended });
    if (again === null) return EXIT.ok;
    say(`reached ${endpoint} again`);
    stream = again;
  }
}

/** Opens the stream anew, however long it takes; null when it is no longer wanted. */
async function reopen(
  endpoint: string,
  next: number | undefined,
  { timeoutMs, terminal, ended }: { timeoutMs: number; terminal: Terminal; ended: AbortSignal },
): Promise<Stream | null> {
  const path = next === undefined ? "/events?watch=1" : `/events?watch=1&after=${next}`;
  let said = "";
  for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
    await pause(pauseMs, ended);
    if (ended.aborted) return null;
    const opened = await openStream(endpoint, path, timeoutMs, ended);
    if (ended.aborted) return null;
    if (opened.kind === "stream") return opened;
    // Unreachable is what one expects of a restart; another answer is worth a line, once.
    const why = opened.kind === "answer" ? errorMessage(opened.status, opened.body) : said;
    if (why !== said) terminal.err(`infermesh ctl: ${endpoint} answered: ${why}; trying again\n`);
    said = why;
  }
}

/** Shows what the stream brings; resolves with why it ended. */
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
      if (rest.length > LINE_LENGTH_MAX) return "it sent a line that is too long";
      for (const line of lines.filter((text) => text.trim() !== "")) {
        if (ended.aborted) return "";
        await show(JSON.parse(line) as StreamLine);
      }
    }
  } catch (error) {
    return error instanceof SyntaxError ? "it sent a line that is not JSON" : (error as Error).message;
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {});
  }
}

async function pause(ms: number, ended: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  ended.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
