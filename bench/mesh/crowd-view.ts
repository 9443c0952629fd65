/**
 * What a member of a crowd sees, read from its log: infermesh and Serf both write a line for each event of their
 * membership, so that nobody has to be asked, which for 300 members would cost more than their membership does.
 */
import { closeSync, openSync, readSync } from "node:fs";

const JOINED = "joined";
const BACK = "back";
const FAILED = "failed";
const LEFT = "left";
const SUSPECT = "suspect";
type Seen = typeof JOINED | typeof BACK | typeof FAILED | typeof LEFT | typeof SUSPECT;

type Told =
  | { readonly seen: Seen; readonly id: string }
  /** So many joined at once, of whom not all are named: none of them had been there before. */
  | { readonly joined: number };

/** What a line of the log says, if it is of the membership. */
export type ReadLine = (line: string) => Told | undefined;

const OURS: Readonly<Record<string, Seen>> = {
  "member joined": JOINED,
  "member alive-again": BACK,
  "member failed": FAILED,
  "member left": LEFT,
  "member suspect": SUSPECT,
};

/** A line of infermesh, which tells of every suspicion. */
export const readOurs: ReadLine = (line) => {
  if (!line.includes('"msg":"member')) return undefined;
  const { msg, member, count } = JSON.parse(line) as { msg: string; member: string; count: number };
  if (msg === "members joined") return { joined: count };
  const seen = OURS[msg];
  return seen === undefined ? undefined : { seen, id: member };
};

const THEIRS: Readonly<Record<string, Seen>> = { Join: JOINED, Failed: FAILED, Leave: LEFT, Reap: LEFT };

/** A line of Serf, which tells of its own suspicions only, and not of their end. */
export const readSerf: ReadLine = (line) => {
  const event = /serf: EventMember(\w+): (\S+)/.exec(line);
  if (event !== null) {
    const seen = THEIRS[event[1] ?? ""];
    return seen === undefined ? undefined : { seen, id: event[2] ?? "" };
  }
  const suspect = /memberlist: Suspect (\S+) has failed/.exec(line);
  return suspect === null ? undefined : { seen: SUSPECT, id: suspect[1] ?? "" };
};

const CHUNK = Buffer.alloc(64 * 1024);

/** The view of one member, kept up to date from its log's file. */
export class View {
  /** Those who joined and were named. */
  readonly #joined = new Set<string>();
  #unnamed = 0;
  readonly #suspects = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #file: number;
  readonly #read: ReadLine;
  #rest = "";
  #at = 0;
  /** Deaths that it declared or was told of, and suspicions. */
  failures = 0;
  suspicions = 0;

  constructor(own: string, file: string, read: ReadLine) {
    this.#file = openSync(file, "r");
    this.#read = read;
    // Serf tells of itself too, infermesh does not.
    this.#joined.add(own);
  }

  /** Members that it holds for present: alive or suspected. */
  get present(): number {
    return this.#joined.size + this.#unnamed - this.#gone.size;
  }

  /** Those of them that it suspects, as far as its log tells: of Serf's, how many it ever suspected. */
  get suspects(): number {
    return this.#suspects.size;
  }

  /** Whom it has declared failed, ever. */
  get failed(): ReadonlySet<string> {
    return this.#failed;
  }

  /** Reads what the log has grown by. */
  update(): void {
    for (;;) {
      const length = readSync(this.#file, CHUNK, 0, CHUNK.length, this.#at);
      if (length === 0) return;
      this.#at += length;
      const lines = (this.#rest + CHUNK.toString("latin1", 0, length)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#line(line);
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #line(line: string): void {
    const told = this.#read(line);
    if (told === undefined) return;
    if ("joined" in told) {
      this.#unnamed += told.joined;
      return;
    }
    const { seen, id } = told;
    const wasGone = this.#gone.delete(id);
    this.#suspects.delete(id);
    if (seen === JOINED && !wasGone) this.#joined.add(id);
    else if (seen === FAILED || seen === LEFT) this.#gone.add(id);
    else if (seen === SUSPECT) this.#suspects.add(id);
    if (seen === FAILED) {
      this.failures++;
      this.#failed.add(id);
    } else if (seen === SUSPECT) this.suspicions++;
  }
}
