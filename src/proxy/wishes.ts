/**
 * What a client asks of the router itself, in fields of its head:
 *
 *   x-infermesh-priority  0 (first) to 3 (last), 1 unless given: who waits for a place, and for how long
 *   x-infermesh-slo       `latency`: the first token matters most; the request may be hedged
 *   x-infermesh-retry     `never`: not to be sent a second time, whatever happens
 *   x-infermesh-timeout   `30s`, `500ms`: all of it must be done by then; a plain number is milliseconds
 *   x-infermesh-tenant    whose it is, where the authorization does not say so; policies know tenants by this alone
 *   x-infermesh-model     which model is meant, whatever the body says (not where the path names one); read elsewhere
 *
 * Policies add to it: a priority, a class, a deadline where the client gives none, and the earliest priority that it may
 * ask for.
 *
 * A value that is none of these is refused with 400: a wish that is passed over in silence is worse. The lines are
 * looked at only where one of them is there.
 */
import { MeshError } from "../base/errors.ts";
import { parseDuration } from "../base/units.ts";
import type { Urgency } from "../score/pick.ts";
import { PRIORITIES } from "../flow/queue.ts";
import { fieldValue, findField } from "../wire/field-search.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import type { RequestHead } from "../wire/http1.ts";

const PRIORITY_DEFAULT = 1;
const TENANT = "x-infermesh-tenant";
const TENANT_CHARACTERS_MAX = 256;

/** What an SLO policy says. */
interface Promised {
  readonly class: "latency" | "throughput";
  readonly deadlineMs?: number;
  readonly ttftMs?: number;
}

export class Wishes implements Urgency {
  priority = PRIORITY_DEFAULT;
  isLatency = false;
  mayRepeat = true;
  /** Infinity: as long as the settings allow. */
  timeoutMs = Infinity;
  /** When the request came. */
  cameMs = 0;
  /** When the first token should be there, from then; Infinity: nobody says. */
  firstTokenMs = Infinity;
  /** The client itself said so. */
  #hasPriority = false;
  #hasClass = false;

  reset(cameMs = 0): void {
    this.cameMs = cameMs;
    this.priority = PRIORITY_DEFAULT;
    this.isLatency = false;
    this.mayRepeat = true;
    this.timeoutMs = Infinity;
    this.firstTokenMs = Infinity;
    this.#hasPriority = false;
    this.#hasClass = false;
  }

  leftMs(patienceMs: number, nowMs: number): number {
    const wantedMs = this.firstTokenMs === Infinity ? patienceMs : this.firstTokenMs;
    return this.cameMs + Math.min(wantedMs, this.timeoutMs) - nowMs;
  }

  /** Its model is hedged: so is the request, unless its client says that it is of another class. */
  hedge(): void {
    if (!this.#hasClass) this.isLatency = true;
  }

  /** A policy's priority: what counts unless the client asks for a later one. */
  limitPriority(priority: number): void {
    this.priority = this.#hasPriority ? Math.max(this.priority, priority) : priority;
  }

  /** A policy's promise: counts where the client says nothing else. */
  promise({ class: kind, deadlineMs, ttftMs }: Promised): void {
    if (!this.#hasClass) this.isLatency = kind === "latency";
    if (deadlineMs !== undefined && this.timeoutMs === Infinity) this.timeoutMs = deadlineMs;
    if (ttftMs !== undefined) this.firstTokenMs = ttftMs;
  }

  /** Reads the lines of a parsed head; what is wrong with them, or null. */
  read(buffer: Buffer, head: RequestHead): MeshError | null {
    const tenant = findField(buffer, head, TENANT);
    if (tenant >= 0 && findField(buffer, head, TENANT, tenant + 1) >= 0) return twoTenants();
    return this.#readBy((name) => {
      const line = findField(buffer, head, name);
      return line < 0 ? null : buffer.toString("latin1", head.valueStart[line], head.valueEnd[line]);
    });
  }

  /** The same of a head of HTTP/2. */
  readBlock(head: HeaderBlock): MeshError | null {
    return head.repeats(TENANT) ? twoTenants() : this.#readBy((name) => head.value(name));
  }

  /** The same, wherever the values come from. */
  #readBy(value: (name: string) => string | null): MeshError | null {
    if (value(TENANT) === "*") return unknown("tenant", "*", "the name of one; * stands for every tenant in policies");
    const priority = value("x-infermesh-priority");
    if (priority !== null) {
      this.#hasPriority = true;
      this.priority = Number(priority);
      if (!/^\d$/.test(priority) || this.priority >= PRIORITIES) return unknown("priority", priority, "0 to 3");
    }
    const slo = value("x-infermesh-slo");
    if (slo !== null && slo !== "latency" && slo !== "throughput") return unknown("slo", slo, "latency or throughput");
    this.isLatency = slo === "latency";
    this.#hasClass = slo !== null;
    const retry = value("x-infermesh-retry");
    if (retry !== null && retry !== "never") return unknown("retry", retry, "never");
    this.mayRepeat = retry === null;
    const timeout = value("x-infermesh-timeout");
    if (timeout === null) return null;
    const timeoutMs = /^\d{1,9}$/.test(timeout) ? Number(timeout) : parseDuration(timeout);
    if (timeoutMs === undefined || timeoutMs <= 0) return unknown("timeout", timeout, "a duration such as 30s");
    this.timeoutMs = timeoutMs;
    return null;
  }

  /** Whose request it is whose head lies in held[0, headEnd), from a client at `address`. */
  tenant(held: Buffer, headEnd: number, address: string): string {
    const tenant = fieldValue(held, headEnd, TENANT) ?? fieldValue(held, headEnd, "authorization");
    return (tenant ?? fieldValue(held, headEnd, "x-forwarded-for") ?? address).slice(0, TENANT_CHARACTERS_MAX);
  }
}

/** One of them may be the client's, and one of who stands in front: which is whose can't be told. */
function twoTenants(): MeshError {
  return new MeshError("bad_request", `${TENANT} is there more than once; one request is one tenant's`);
}

function unknown(name: string, found: string, expected: string): MeshError {
  const shown = found.slice(0, 40);
  return new MeshError("bad_request", `x-infermesh-${name} is "${shown}"; it must be ${expected}`);
}
