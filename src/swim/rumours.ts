/**
 * News on its way: one rumour a member at most, the newer in place of the older, each sent a limited number of times,
 * those sent least often first. Rumours stand in one list for each number of times, so that filling a packet costs
 * what goes into the packet, however long the queue is.
 *
 * Limit: `max` rumours; beyond it, one of those sent most often goes.
 */

/** A rumour about one member; its message's kind, and what the message says. */
export class Rumour {
  readonly member: number;
  kind: number;
  incarnation: number;
  /** Of a suspect or dead message. */
  accusers: readonly number[];
  /** Of an again message: the incarnation whose profile it vouches for, passed on as it came. */
  profile = 0;
  sent = 0;
  before: Rumour | undefined;
  after: Rumour | undefined;

  constructor(member: number, kind: number, incarnation: number, accusers: readonly number[]) {
    this.member = member;
    this.kind = kind;
    this.incarnation = incarnation;
    this.accusers = accusers;
  }
}

/** Tries this many more rumours once one did not fit. */
const MISFITS_MAX = 4;
export const NOBODY: readonly number[] = [];

export class Rumours {
  readonly #byMember = new Map<number, Rumour>();
  readonly #first: (Rumour | undefined)[] = [];
  readonly #last: (Rumour | undefined)[] = [];
  readonly #max: number;
  readonly #picked: Rumour[] = [];

  readonly #mult: number;
  #limitFor = -1;
  #limit = 0;

  constructor(max: number, mult: number) {
    this.#max = max;
    this.#mult = mult;
  }

  /** How often each rumour is sent in a mesh of that size: `mult` times the digits of its number. */
  limit(size: number): number {
    if (size !== this.#limitFor) {
      this.#limitFor = size;
      this.#limit = Math.ceil(this.#mult * Math.ceil(Math.log10(size + 1)));
    }
    return this.#limit;
  }

  get size(): number {
    return this.#byMember.size;
  }

  get(member: number): Rumour | undefined {
    return this.#byMember.get(member);
  }

  /** News about a member; what was on its way about it is dropped. `sent` may begin above 0 for news of less weight. */
  put(member: number, kind: number, incarnation: number, accusers: readonly number[], sent = 0): Rumour {
    this.drop(member);
    if (this.#byMember.size >= this.#max) this.#dropMostSent();
    const rumour = new Rumour(member, kind, incarnation, accusers);
    rumour.sent = sent;
    this.#byMember.set(member, rumour);
    this.#link(rumour);
    return rumour;
  }

  drop(member: number): void {
    const rumour = this.#byMember.get(member);
    if (rumour === undefined) return;
    this.#byMember.delete(member);
    this.#unlink(rumour);
  }

  /** Counts one more time of sending; at `limit` the rumour has done its work. */
  count(rumour: Rumour, limit: number): void {
    this.#unlink(rumour);
    rumour.sent += 1;
    if (rumour.sent >= limit) this.#byMember.delete(rumour.member);
    else this.#link(rumour);
  }

  /** Offers rumours, least sent first, until `write` has refused several; counts those that it took. */
  fill(write: (rumour: Rumour) => boolean, limit: number): number {
    const picked = this.#picked;
    let misfits = 0;
    for (let sent = 0; sent < this.#first.length && misfits < MISFITS_MAX; sent += 1) {
      for (let rumour = this.#first[sent]; rumour !== undefined; rumour = rumour.after) {
        if (write(rumour)) picked.push(rumour);
        else if ((misfits += 1) >= MISFITS_MAX) break;
      }
    }
    const taken = picked.length;
    for (let index = 0; index < taken; index += 1) this.count(picked[index]!, limit);
    picked.length = 0;
    return taken;
  }

  #link(rumour: Rumour): void {
    const { sent } = rumour;
    while (this.#first.length <= sent) {
      this.#first.push(undefined);
      this.#last.push(undefined);
    }
    const last = this.#last[sent];
    rumour.before = last;
    rumour.after = undefined;
    if (last === undefined) this.#first[sent] = rumour;
    else last.after = rumour;
    this.#last[sent] = rumour;
  }

  #unlink(rumour: Rumour): void {
    const { before, after, sent } = rumour;
    if (before === undefined) this.#first[sent] = after;
    else before.after = after;
    if (after === undefined) this.#last[sent] = before;
    else after.before = before;
    rumour.before = undefined;
    rumour.after = undefined;
  }

  #dropMostSent(): void {
    for (let sent = this.#last.length - 1; sent >= 0; sent -= 1) {
      const rumour = this.#first[sent];
      if (rumour === undefined) continue;
      this.drop(rumour.member);
      return;
    }
  }
}
