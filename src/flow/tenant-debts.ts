/**
 * How far tenants are ahead of one another in what they got, for an order that weighs fairness against other things:
 * start-time fair queueing's tags (Goyal, Vin, Cheng 1996; `fair-order.ts` goes by nothing else). A tenant's start moves
 * on by tokens / weight with each of its requests that is bound; its debt is the distance to the least start of those
 * that wait. Who comes begins at that least start, so nobody gains by having been away, and none that waits alone owes
 * anything.
 *
 * When nobody waits all is forgotten; tenants that are ahead but don't wait are remembered, `AHEAD_MAX` of them at most.
 */
import { assert } from "../base/assert.ts";

const AHEAD_MAX = 1024;

interface Tenant {
  start: number;
  waiting: number;
}

export class TenantDebts {
  readonly #tenants = new Map<string, Tenant>();
  #waiting = 0;
  #least = 0;
  #isStale = false;

  /** One of its requests waits from now on. */
  came(name: string): void {
    const tenant = this.#tenants.get(name);
    this.#waiting += 1;
    if (tenant === undefined) this.#tenants.set(name, { start: this.#leastNow(), waiting: 1 });
    else {
      if (tenant.waiting === 0) tenant.start = Math.max(tenant.start, this.#leastNow());
      tenant.waiting += 1;
    }
    this.#isStale = true;
  }

  /** One of them waits no more; `tokens`: what it is charged, for each unit of its weight. */
  left(name: string, tokens: number): void {
    const tenant = this.#tenants.get(name);
    assert(tenant !== undefined && tenant.waiting > 0, "the tenant has nothing that waits");
    // What all have got counts before this one goes: who comes next is to begin there.
    this.#leastNow();
    tenant.waiting -= 1;
    tenant.start += tokens;
    this.#waiting -= 1;
    this.#isStale = true;
    if (this.#waiting === 0) this.#tenants.clear();
    else if (this.#tenants.size > AHEAD_MAX) this.#forgetIdle();
    if (this.#waiting === 0) this.#least = 0;
  }

  /** It did not get what it was charged for, nor did the others meanwhile: who waits again must have come before. */
  returned(name: string, tokens: number): void {
    const tenant = this.#tenants.get(name);
    if (tenant === undefined) return;
    tenant.start -= tokens;
    if (tenant.waiting > 0) this.#least = Math.min(this.#least, tenant.start);
    this.#isStale = true;
  }

  /** Tokens that the tenant is ahead of the one that is furthest behind, of those that wait. */
  tokens(name: string): number {
    return Math.max(0, (this.#tenants.get(name)?.start ?? 0) - this.#leastNow());
  }

  /** Does not go back by itself: who was behind and left takes nothing along. */
  #leastNow(): number {
    if (!this.#isStale) return this.#least;
    this.#isStale = false;
    let least = Infinity;
    for (const { start, waiting } of this.#tenants.values()) if (waiting > 0 && start < least) least = start;
    if (least < Infinity) this.#least = Math.max(this.#least, least);
    return this.#least;
  }

  #forgetIdle(): void {
    const least = this.#leastNow();
    for (const [name, { start, waiting }] of this.#tenants) {
      if (waiting > 0) continue;
      if (start <= least || this.#tenants.size > AHEAD_MAX) this.#tenants.delete(name);
    }
  }
}
