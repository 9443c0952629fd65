/**
 * The waiting requests of one priority, in fair order: among tenants by start-time fair queueing (Goyal, Vin, Cheng
 * 1996), weighted by tokens; within a tenant by deadline.
 *
 * Virtual time is tokens for each unit of weight. A tenant that begins to wait starts at the present virtual time, or
 * where its last requests ended if that is later, so that one who comes back at once gains nothing by having left. The
 * tenant that starts first is next; what is taken moves its start on by tokens / weight, and the virtual time to where it
 * started. So two tenants that both wait all the time get tokens in the ratio of their weights, to within one request of
 * each, and one with little to send is served at once, however much others have waiting.
 *
 * When nobody waits any more the virtual time begins anew. Tenants that are ahead of it but do not wait are remembered
 * until it has reached them, and at most `AHEAD_MAX` of them: names that are used once can't fill the memory.
 *
 * Each operation costs O(log n) and allocates only for a tenant that was not known.
 */
import { assert } from "../base/assert.ts";
import { Heap, type HeapItem } from "../base/heap.ts";

const AHEAD_MAX = 1024;

/** The beginning of a prompt, by hashes of its blocks. */
export interface PromptPrefix {
  readonly chain: Int32Array;
  readonly blocks: number;
  readonly tokensPerBlock: number;
  /** By which they are short of whole blocks. */
  readonly tokensLess: number;
}

/** Where the other requests of a request's session are, and by how much that may be behind others for it to go there. */
export interface SessionHome {
  readonly row: number;
  readonly slackMs: number;
}

/**
 * A request as the queue sees it: one object for each request in progress, made once and used again for the next.
 * Its owner fills it in before it is offered, and does not change it while it waits.
 */
export class Waiter<T> implements HeapItem {
  readonly owner: T;
  /** Among tenants of one priority, service is fair. */
  tenant = "";
  /** The tenant's part in it, 1 is usual; as of when the tenant began to wait. */
  weight = 1;
  /** 0 is served first, 3 last. */
  priority = 1;
  /** What the request costs: tokens of its prompt, at least 1. */
  tokens = 1;
  /** Memory that it holds while it waits. */
  bytes = 0;
  /** Until when it must have been taken; Infinity leaves that to the queue. */
  deadlineMs = Infinity;
  /** When the request came, and until when its first token is wanted. */
  cameMs = 0;
  wantedMs = Infinity;
  /** Its answer comes whole. */
  isSilent = false;
  /** The blocks of its prompt, by which it is looked up who has them cached; null: it has none. */
  prefix: PromptPrefix | null = null;
  /** null: it is of none. */
  session: SessionHome | null = null;
  /** Tokens a second that its targets take at least, as far as is known; 0: nothing is. */
  perSecondMin = 0;
  /** Its number at the desk that binds it; 0: it is not there. */
  lateId = 0;

  // ---- the queue's own
  heapIndex = -1;
  /** When its wait is over. */
  heapKey = 0;
  flow: Flow<T> | null = null;
  older: Waiter<T> | null = null;
  younger: Waiter<T> | null = null;

  constructor(owner: T) {
    this.owner = owner;
  }

  get waiting(): boolean {
    return this.flow !== null;
  }
}

/** A tenant's place in one of the heaps that it is in. */
export class Seat<T> implements HeapItem {
  readonly flow: Flow<T>;
  heapIndex = -1;
  heapKey = 0;

  constructor(flow: Flow<T>) {
    this.flow = flow;
  }
}

/** What one tenant has waiting at one priority. */
export class Flow<T> {
  readonly order: FairOrder<T>;
  readonly tenant: string;
  weight = 1;
  /** By deadline. */
  readonly waiters = new Heap<Waiter<T>>();
  youngest: Waiter<T> | null = null;
  tokens = 0;
  /** By the virtual time at which it starts: among those that wait, or those that are ahead. */
  readonly turn = new Seat(this);
  /** By the earliest end of a wait. */
  readonly expiry = new Seat(this);
  /** By the tokens that wait, most first. */
  readonly hoard = new Seat(this);

  constructor(order: FairOrder<T>, tenant: string) {
    this.order = order;
    this.tenant = tenant;
  }
}

export class FairOrder<T> {
  readonly #flows = new Map<string, Flow<T>>();
  readonly #turns = new Heap<Seat<T>>();
  readonly #hoards = new Heap<Seat<T>>();
  /** Shared by all priorities. */
  readonly #expiries: Heap<Seat<T>>;
  #ahead = new Heap<Seat<T>>();
  #virtual = 0;
  /** Of the tenants that wait. */
  #weights = 0;
  requests = 0;
  tokens = 0;
  bytes = 0;

  constructor(expiries: Heap<Seat<T>>) {
    this.#expiries = expiries;
  }

  /** The request whose turn it is. */
  get first(): Waiter<T> | null {
    return this.#turns.peek()?.flow.waiters.peek() ?? null;
  }

  /** The youngest request of the tenant that has the most tokens waiting. */
  get mostExpendable(): Waiter<T> | null {
    return this.#hoards.peek()?.flow.youngest ?? null;
  }

  /** Tenants of which something is known: those that wait, and those that are ahead. */
  get tenants(): number {
    return this.#flows.size;
  }

  tokensOf(tenant: string): number {
    return this.#flows.get(tenant)?.tokens ?? 0;
  }

  add(waiter: Waiter<T>, endsAtMs: number): void {
    assert(waiter.flow === null, "the request is waiting already");
    assert(waiter.tokens > 0 && waiter.weight > 0, "a waiting request has tokens and a weight");
    const flow = this.#flowOf(waiter.tenant);
    if (flow.waiters.size === 0) {
      this.#ahead.remove(flow.turn);
      flow.turn.heapKey = Math.max(flow.turn.heapKey, this.#virtual);
      this.#turns.push(flow.turn);
      flow.weight = waiter.weight;
      this.#weights += flow.weight;
    }
    waiter.flow = flow;
    waiter.heapKey = endsAtMs;
    flow.waiters.push(waiter);
    waiter.older = flow.youngest;
    if (flow.youngest !== null) flow.youngest.younger = waiter;
    flow.youngest = waiter;
    this.#weigh(flow, waiter, 1);
  }

  /** The request goes to a target: its tenant is charged for it. */
  take(waiter: Waiter<T>): void {
    const flow = this.#flowOrThrow(waiter);
    this.#virtual = Math.max(this.#virtual, this.#turns.peek()?.heapKey ?? 0);
    this.#turns.remove(flow.turn);
    flow.turn.heapKey += waiter.tokens / flow.weight;
    this.#turns.push(flow.turn);
    this.drop(waiter);
    for (let seat = this.#ahead.peek(); seat !== undefined; seat = this.#ahead.peek()) {
      if (seat.heapKey > this.#virtual && this.#ahead.size <= AHEAD_MAX) break;
      this.#ahead.pop();
      this.#flows.delete(seat.flow.tenant);
    }
  }

  /** The request waits no more, and was not served. */
  drop(waiter: Waiter<T>): void {
    const flow = this.#flowOrThrow(waiter);
    flow.waiters.remove(waiter);
    if (waiter.younger === null) flow.youngest = waiter.older;
    else waiter.younger.older = waiter.older;
    if (waiter.older !== null) waiter.older.younger = waiter.younger;
    waiter.older = null;
    waiter.younger = null;
    waiter.flow = null;
    this.#weigh(flow, waiter, -1);
    if (flow.waiters.size === 0) this.#rest(flow);
  }

  /** About how many tokens are served before a request that would come now, if nobody else came. */
  tokensAhead(waiter: Waiter<T>): number {
    const flow = this.#flows.get(waiter.tenant);
    const own = flow?.tokens ?? 0;
    const weight = own > 0 && flow !== undefined ? flow.weight : waiter.weight;
    const otherWeights = own > 0 ? this.#weights - weight : this.#weights;
    const lead = Math.max(0, (flow?.turn.heapKey ?? 0) - this.#virtual);
    // Until its tenant has been served that much, the others are served in proportion, or all that they have.
    const share = (lead + (own + waiter.tokens) / weight) * Math.max(0, otherWeights);
    return own + Math.min(Math.max(0, this.tokens - own), share);
  }

  #flowOf(tenant: string): Flow<T> {
    let flow = this.#flows.get(tenant);
    if (flow === undefined) {
      flow = new Flow(this, tenant);
      this.#flows.set(tenant, flow);
    }
    return flow;
  }

  #flowOrThrow(waiter: Waiter<T>): Flow<T> {
    assert(waiter.flow !== null && waiter.flow.order === this, "the request does not wait here");
    return waiter.flow;
  }

  /** Counts a request in or out, and seats its tenant anew. */
  #weigh(flow: Flow<T>, waiter: Waiter<T>, sign: 1 | -1): void {
    this.requests += sign;
    this.tokens += sign * waiter.tokens;
    this.bytes += sign * waiter.bytes;
    flow.tokens += sign * waiter.tokens;
    const first = flow.waiters.peek();
    reseat(this.#hoards, flow.hoard, first === undefined ? undefined : -flow.tokens);
    reseat(this.#expiries, flow.expiry, first?.heapKey);
  }

  /** The tenant waits no more. */
  #rest(flow: Flow<T>): void {
    flow.tokens = 0;
    this.#turns.remove(flow.turn);
    this.#weights -= flow.weight;
    if (this.requests === 0) this.#beginAnew();
    else if (flow.turn.heapKey > this.#virtual) this.#ahead.push(flow.turn);
    else this.#flows.delete(flow.tenant);
  }

  #beginAnew(): void {
    this.#flows.clear();
    if (this.#ahead.size > 0) this.#ahead = new Heap();
    this.#virtual = 0;
    this.#weights = 0;
    this.tokens = 0;
    this.bytes = 0;
  }
}

/** Moves a seat to its new key, or takes it out when it has none. */
function reseat<T>(heap: Heap<Seat<T>>, seat: Seat<T>, key: number | undefined): void {
  if (key !== undefined && seat.heapIndex !== -1 && seat.heapKey === key) return;
  heap.remove(seat);
  if (key === undefined) return;
  seat.heapKey = key;
  heap.push(seat);
}
