/**
 * `infermesh ctl members --watch`: the members once, then each event as it happens, until it is ended (Ctrl-C) or
 * nobody reads on.
 *
 * The stream's first line comes before the members are asked for, so that nothing happens unseen between the two. When
 * it breaks off, or brings not even a heartbeat for a while, it is opened again after the last event that came, with
 * growing pauses: a watcher outlives the one who is asked. If events were missed meanwhile, or the process is a new one,
 * which never knew those who died before, the members are shown anew.
 */
import { escaped } from "../base/printable.ts";
import { EXIT, type Stream, errorMessage, failureOf, openStream, recordOf, whyCut } from "./client.ts";
import { type EventRow, renderEvent } from "./events.ts";
import { askMembers, listMembers, MEMBER_COLUMNS } from "./members.ts";
import { renderJsonLine, renderRows, renderWhole } from "./render.ts";
import type { MembersConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { pause, untilEnded } from "./until-ended.ts";

/** Heartbeats come every 10 s. */
const SILENCE_MS = 35_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5000;
/** A stream that lasted this long was a good one. */
const STEADY_MS = 5000;
const LINE_LENGTH_MAX = 2 ** 20;

/** A line of the stream. */
interface StreamLine extends EventRow {
  /** Of a heartbeat or a gap: the number to go on after. */
  readonly next?: number;
  readonly missed?: number;
  /** Of a heartbeat: the beginning of the journal; another one after each start of the process. */
  readonly first?: number;
}

/** The members, once or on and on. */
export async function showMembers(config: MembersConfig, terminal: Terminal): Promise<number> {
  if (!config.watch) return listMembers(config, terminal);
  return untilEnded(terminal, (ended) => watchMembers(config, terminal, ended));
}

async function watchMembers(config: MembersConfig, terminal: Terminal, ended: AbortSignal): Promise<number> {
  const opened = await openStream(config.endpoint, "/events?watch=1", config.timeoutMs, ended);
  if (ended.aborted) return EXIT.ok;
  if (opened.kind !== "stream") return failureOf(opened, terminal) ?? EXIT.failed;
  const { endpoint } = opened;
  const say = (text: string): void => terminal.err(`infermesh ctl: ${escaped(text)}\n`);
  let idWidth = 0;
  let next: number | undefined;
  /** The beginning of the journal that the table is of; null while there is no table. */
  let life: number | undefined | null = null;
  const showTable = async (): Promise<void> => {
    const members = await askMembers(endpoint, config.timeoutMs, terminal);
    if (typeof members === "number") throw new NoTable(members);
    idWidth = Math.max(...members.map(({ id }) => (typeof id === "string" ? id.length : 0)), 2);
    if (config.output === "json") terminal.out(renderJsonLine({ members }));
    else if (config.output === "yaml") terminal.out(`---\n${renderWhole("yaml", { members })}`);
    else terminal.out(renderRows(config.output, members, MEMBER_COLUMNS, {}, terminal.color));
  };
  const show = async (line: StreamLine): Promise<void> => {
    if (line.kind === "heartbeat" && (life === null || (line.first ?? life) !== life)) {
      if (life !== null) say(`${endpoint} has begun anew; these are the members now`);
      await showTable();
      life = line.first;
    } else if (line.kind === "gap") {
      say(`${line.missed ?? "some"} events were missed; these are the members now`);
      await showTable();
    } else if (line.kind !== "heartbeat") terminal.out(renderEvent(config.output, line, idWidth, terminal.color));
    // Last, so that what could not be shown is asked for again.
    next = line.seq ?? line.next ?? next;
  };

  let stream: Stream = opened;
  let pauseMs = RETRY_MS_MIN;
  for (;;) {
    const sinceMs = performance.now();
    const why = await follow(stream, show, ended).catch((error: unknown) => error);
    if (ended.aborted) return EXIT.ok;
    if (why instanceof NoTable && life === null) return why.code;
    if (why instanceof LineTooLong) {
      say(`${endpoint} sent a line of more than ${LINE_LENGTH_MAX} characters; is this an infermesh --api port?`);
      return EXIT.failed;
    }
    // One whose streams end at once is asked less and less often.
    if (performance.now() - sinceMs >= STEADY_MS) pauseMs = RETRY_MS_MIN;
    say(`lost ${endpoint}: ${typeof why === "string" ? why : whyCut(why)}; trying again`);
    const again = await reopen(endpoint, next, pauseMs, { timeoutMs: config.timeoutMs, say, ended });
    if (again === null) return EXIT.ok;
    say(`reached ${endpoint} again`);
    stream = again;
    pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
  }
}

/** The members could not be had; it has been said why. */
class NoTable extends Error {
  readonly code: number;

  constructor(code: number) {
    super("it tells no members");
    this.code = code;
  }
}

class LineTooLong extends Error {}

/** Opens the stream anew, however long it takes; null when it is no longer wanted. */
async function reopen(
  endpoint: string,
  next: number | undefined,
  firstPauseMs: number,
  { timeoutMs, say, ended }: { timeoutMs: number; say: (text: string) => void; ended: AbortSignal },
): Promise<Stream | null> {
  const path = next === undefined ? "/events?watch=1" : `/events?watch=1&after=${next}`;
  let said = "";
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2)) {
    await pause(pauseMs, ended);
    if (ended.aborted) return null;
    const opened = await openStream(endpoint, path, timeoutMs, ended);
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
