/**
 * Is a history of concurrent operations linearizable? The search of Wing and Gong (1993) with the cache of Lowe (2017):
 * calls and returns lie in one doubly linked list in the order of time. From its front, a call whose step the model allows
 * is lifted out with its return, and the search starts at the front again; at a return whose call could not be lifted, the
 * last lifted call goes back and the next is tried. What was reached once, the same calls lifted and the same state, is
 * not looked at again. The history is linearizable once no return is left.
 *
 * An operation whose outcome nobody knows never returns (`return: Infinity`): it may take effect at any time after its
 * call, or never. Histories of several keys are checked key by key where the model says how to part them (Herlihy, Wing:
 * a history is linearizable if and only if it is so for each object).
 *
 * The problem is NP-complete, so the search is bounded: `undecided` is no verdict. Operations that never return are what
 * costs most.
 */

/** Call and return on one clock, in any unit. Operations that touch in time count as concurrent. */
export interface Operation<Op, Result> {
  readonly client: string | number;
  readonly call: number;
  /** Infinity where the outcome is unknown. */
  readonly return: number;
  readonly op: Op;
  /** Left out where the outcome is unknown. */
  readonly result?: Result | undefined;
}

export interface Model<State, Op, Result> {
  readonly initial: State;
  /**
   * The states that the operation may leave; none where it can't have had that result on that state. Without a result
   * its outcome is unknown, and all that it may have done is possible.
   */
  step(state: State, op: Op, result: Result | undefined): readonly State[];
  /** Equal for equal states. */
  keyOf(state: State): string;
  /** What the operation is about, where objects are independent. */
  partition?(op: Op): string;
}

export type Verdict<Op, Result> =
  | { readonly verdict: "linearizable"; readonly steps: number }
  | { readonly verdict: "undecided"; readonly steps: number; readonly partition: string }
  | {
      readonly verdict: "violation";
      readonly steps: number;
      readonly partition: string;
      /** The longest order that was found, */
      readonly order: readonly Operation<Op, Result>[];
      /** and those that were to come next, of which none could. */
      readonly stuck: readonly Operation<Op, Result>[];
    };

const STEPS_MAX = 5_000_000;

export function checkHistory<State, Op, Result>(
  model: Model<State, Op, Result>,
  history: readonly Operation<Op, Result>[],
  stepsMax: number = STEPS_MAX,
): Verdict<Op, Result> {
  const parts = new Map<string, Operation<Op, Result>[]>();
  for (const operation of history) {
    const partition = model.partition?.(operation.op) ?? "";
    const same = parts.get(partition);
    if (same === undefined) parts.set(partition, [operation]);
    else same.push(operation);
  }
  let steps = 0;
  for (const [partition, operations] of parts) {
    const search = new Search(model, operations, stepsMax - steps);
    const outcome = search.run();
    steps += search.steps;
    if (outcome === "undecided") return { verdict: "undecided", steps, partition };
    if (outcome === "violation") return { verdict: "violation", steps, partition, ...search.evidence() };
  }
  return { verdict: "linearizable", steps };
}

/** A call or a return in the list. */
interface Entry {
  readonly index: number;
  readonly time: number;
  /** Of a call: its return, null for one that never comes. Undefined of a return. */
  readonly end: Entry | null | undefined;
  next: Entry | null;
  previous: Entry | null;
}

/** A call that was lifted, and what the search does next if it must go back. */
interface Lifted<State> {
  readonly entry: Entry;
  /** Before it. */
  readonly state: State;
  /** The states that it may leave, and which of them is being tried. */
  readonly nexts: readonly State[];
  at: number;
}

class Search<State, Op, Result> {
  readonly #model: Model<State, Op, Result>;
  readonly #operations: readonly Operation<Op, Result>[];
  readonly #stepsMax: number;
  readonly #head: Entry = { index: -1, time: -Infinity, end: undefined, next: null, previous: null };
  readonly #seen = new Set<string>();
  readonly #done: Bits;
  readonly #stack: Lifted<State>[] = [];
  #returnsLeft = 0;
  #longest: readonly number[] = [];
  #stuck: readonly number[] = [];
  steps = 0;

  constructor(model: Model<State, Op, Result>, operations: readonly Operation<Op, Result>[], stepsMax: number) {
    this.#model = model;
    this.#operations = operations;
    this.#stepsMax = stepsMax;
    this.#done = new Bits(operations.length);
    this.#link();
  }

  run(): "linearizable" | "violation" | "undecided" {
    let state = this.#model.initial;
    let entry = this.#head.next;
    while (this.#returnsLeft > 0) {
      if (++this.steps > this.#stepsMax) return "undecided";
      if (entry?.end !== undefined) {
        const { op, result } = this.#operations[entry.index]!;
        const nexts = this.#model.step(state, op, result);
        const lifted = { entry, state, nexts, at: -1 };
        this.#done.set(entry.index);
        if (this.#next(lifted)) {
          this.#lift(entry);
          this.#stack.push(lifted);
          state = nexts[lifted.at]!;
          entry = this.#head.next;
        } else {
          this.#done.clear(entry.index);
          entry = entry.next;
        }
        continue;
      }
      // A return whose call is still to come: this way leads nowhere.
      this.#note();
      const back = this.#stack.pop();
      if (back === undefined) return "violation";
      if (this.#next(back)) {
        this.#stack.push(back);
        state = back.nexts[back.at]!;
        entry = this.#head.next;
        continue;
      }
      this.#done.clear(back.entry.index);
      this.#unlift(back.entry);
      state = back.state;
      entry = back.entry.next;
    }
    return "linearizable";
  }

  evidence(): { order: readonly Operation<Op, Result>[]; stuck: readonly Operation<Op, Result>[] } {
    const of = (indexes: readonly number[]): Operation<Op, Result>[] =>
      indexes.map((index) => this.#operations[index]!);
    return { order: of(this.#longest), stuck: of(this.#stuck) };
  }

  /** Goes on to the next state that was not reached yet with these calls lifted. */
  #next(lifted: Lifted<State>): boolean {
    while (++lifted.at < lifted.nexts.length) {
      const key = `${this.#done.key()} ${this.#model.keyOf(lifted.nexts[lifted.at]!)}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      return true;
    }
    return false;
  }

  #link(): void {
    const entries: Entry[] = [];
    for (const [index, { call, return: end }] of this.#operations.entries()) {
      const back = end === Infinity ? null : { index, time: end, end: undefined, next: null, previous: null };
      entries.push({ index, time: call, end: back, next: null, previous: null });
      if (back === null) continue;
      entries.push(back);
      this.#returnsLeft += 1;
    }
    const isReturn = (entry: Entry): number => (entry.end === undefined ? 1 : 0);
    entries.sort((a, b) => a.time - b.time || isReturn(a) - isReturn(b) || a.index - b.index);
    let last = this.#head;
    for (const entry of entries) {
      last.next = entry;
      entry.previous = last;
      last = entry;
    }
  }

  #lift(entry: Entry): void {
    unlink(entry);
    if (!entry.end) return;
    unlink(entry.end);
    this.#returnsLeft -= 1;
  }

  #unlift(entry: Entry): void {
    if (entry.end) {
      relink(entry.end);
      this.#returnsLeft += 1;
    }
    relink(entry);
  }

  #note(): void {
    if (this.#stack.length <= this.#longest.length && this.#stuck.length > 0) return;
    this.#longest = this.#stack.map(({ entry }) => entry.index);
    const stuck: number[] = [];
    for (let entry = this.#head.next; entry?.end !== undefined; entry = entry.next) stuck.push(entry.index);
    this.#stuck = stuck;
  }
}

function unlink({ previous, next }: Entry): void {
  if (previous !== null) previous.next = next;
  if (next !== null) next.previous = previous;
}

function relink(entry: Entry): void {
  if (entry.previous !== null) entry.previous.next = entry;
  if (entry.next !== null) entry.next.previous = entry;
}

/** Which operations were lifted. Mostly all up to one and few after it: the key is as long as what lies between. */
class Bits {
  readonly #words: Uint32Array;

  constructor(length: number) {
    this.#words = new Uint32Array(Math.ceil(length / 32));
  }

  set(index: number): void {
    this.#words[index >>> 5]! |= 1 << (index & 31);
  }

  clear(index: number): void {
    this.#words[index >>> 5]! &= ~(1 << (index & 31));
  }

  key(): string {
    const words = this.#words;
    let from = 0;
    while (from < words.length && words[from] === 0xffffffff) from += 1;
    let to = words.length;
    while (to > from && words[to - 1] === 0) to -= 1;
    return `${from}:${words.subarray(from, to).join(",")}`;
  }
}
