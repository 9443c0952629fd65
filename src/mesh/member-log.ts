/**
 * What a node's log says of the mesh: a line for each event, and one for all who join in one turn. A node that meets a
 * mesh of 1,000 would otherwise write 999 lines, and no one of them is news to anybody. `GET /events` keeps all of them.
 */
import type { SwimEvent, SwimEventKind } from "../swim/event.ts";
import type { AnnouncerLog } from "./announcer.ts";

/** Members that one line names. */
const NAMED_MAX = 5;
const LOUD: ReadonlySet<SwimEventKind> = new Set(["failed", "conflict", "refused", "replaced"]);

export class MemberLog {
  readonly #log: AnnouncerLog;
  #joined: SwimEvent[] = [];

  constructor(log: AnnouncerLog) {
    this.#log = log;
  }

  told(event: SwimEvent): void {
    if (event.kind === "joined") {
      this.#joined.push(event);
      if (this.#joined.length === 1) queueMicrotask(() => this.#flush());
      return;
    }
    // Lines come in the order of events.
    this.#flush();
    this.#line(event);
  }

  #flush(): void {
    const joined = this.#joined;
    if (joined.length === 0) return;
    this.#joined = [];
    const [first] = joined;
    if (joined.length === 1 && first !== undefined) {
      this.#line(first);
      return;
    }
    const more = joined.length > NAMED_MAX ? [`${joined.length - NAMED_MAX} more`] : [];
    const named = joined.slice(0, NAMED_MAX).map(({ id }) => id);
    this.#log.info("members joined", { count: joined.length, members: [...named, ...more].join(", ") });
  }

  #line({ kind, id, address, cause }: SwimEvent): void {
    this.#log[LOUD.has(kind) ? "warn" : "info"](`member ${kind}`, { member: id, address, cause });
  }
}
