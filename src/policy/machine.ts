/**
 * The replicated state machine: policies, who the control members are, and the shares of quotas. Every member applies the
 * same commands in the same order and has the same state, to the byte of its snapshots; nothing else goes in, no clock
 * but the one that commands carry.
 *
 * What is applied never throws: a command that can't be read has the outcome `invalid` everywhere. A command with a key
 * that is known has the outcome of the first time, whether it was done or refused, and changes nothing; keys are
 * remembered for `KEY_MS_MAX` of the commands' clock, at most `KEYS_MAX` of them (memories.ts). Limits of items are in write.ts.
 */
import { assert } from "../base/assert.ts";
import { CLOCK_START, type Clock, advance } from "./clock.ts";
import { type LeaseCommand, type SeatCommand, type WriteCommand, readCommand } from "./command.ts";
import { type Change, type Item, type ItemOf, compareItems, keyOf, replay } from "./item.ts";
import { HOLDERS_MAX, type Ledger, grant, remaining, rescaled } from "./ledger.ts";
import { Memories } from "./memories.ts";
import type { Outcome } from "./outcome.ts";
import { measuresOf } from "./quota.ts";
import { type Memory, type Seat, decodeState, encodeState } from "./snapshot.ts";
import type { Kind } from "./spec.ts";
import type { Grant, Want } from "./want.ts";
import { type View, checkWrites, refusal, specBytes, targetOf } from "./write.ts";

export const SEATS_MAX = 64;
/** Leases of all quotas together; beyond it who holds none yet gets none. */
export const LEASES_MAX = 50_000;

/** How often ledgers that nobody asks about any more are looked through. */
const SWEEP_MS = 60_000;

export interface Applied {
  readonly outcome: Outcome;
  /** Of items; empty unless a write changed something. */
  readonly changes: readonly Change[];
  /** Of a `lease`, one for each of its wants whose quota is there, in their order. */
  readonly grants: readonly Grant[];
}

export class PolicyMachine implements View {
  readonly #items = new Map<string, Item>();
  readonly #seats = new Map<number, Omit<Seat, "member">>();
  readonly #memories = new Memories();
  readonly #ledgers = new Map<string, Ledger>();
  #revision = 0;
  #appliedIndex = 0;
  #clock: Clock = CLOCK_START;
  #specsBytes = 0;
  #leases = 0;
  /** In order; null after a change. */
  #sorted: readonly Item[] | null = null;

  get revision(): number {
    return this.#revision;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get size(): number {
    return this.#items.size;
  }

  get specsBytes(): number {
    return this.#specsBytes;
  }

  /** Who the members are, by number. */
  get seats(): ReadonlyMap<number, Omit<Seat, "member">> {
    return this.#seats;
  }

  get<K extends Kind>(kind: K, name: string): ItemOf<K> | undefined {
    return this.#items.get(keyOf({ kind, name })) as ItemOf<K> | undefined;
  }

  /** By kind, then by name. */
  list(kind?: Kind): readonly Item[] {
    this.#sorted ??= [...this.#items.values()].toSorted(compareItems);
    return kind === undefined ? this.#sorted : this.#sorted.filter((item) => item.kind === kind);
  }

  /** Applies the entry at `index` of the log; entries without a command (of other kinds) are left out. */
  apply(index: number, bytes: Uint8Array): Applied {
    assert(index > this.#appliedIndex, `entry ${index} is applied after ${this.#appliedIndex}`);
    this.#appliedIndex = index;
    const command = readCommand(bytes);
    if ("bad" in command) return only(refusal("invalid", command.bad, -1));
    if (command.op === "write") return this.#write(command);
    if (command.op === "lease") return this.#lease(command);
    if (command.op === "seat") return only(this.#seat(command));
    return only(this.#done(this.#seats.delete(command.member)));
  }

  /** An entry of the log that holds no command for this machine. */
  skip(index: number): void {
    assert(index > this.#appliedIndex, `entry ${index} is skipped after ${this.#appliedIndex}`);
    this.#appliedIndex = index;
  }

  /** All of it, as bytes: equal states are equal bytes. */
  snapshot(): Uint8Array {
    return encodeState({
      appliedIndex: this.#appliedIndex,
      revision: this.#revision,
      clock: this.#clock,
      seats: [...this.#seats].map(([member, seat]) => ({ member, ...seat })).toSorted((a, b) => a.member - b.member),
      items: this.list(),
      memories: this.#memories.all(),
      ledgers: [...this.#ledgers]
        .map(([quota, leases]) => ({ quota, leases }))
        .toSorted((a, b) => (a.quota < b.quota ? -1 : 1)),
    });
  }

  /** The state of a snapshot in place of this one. Throws a MeshError on bytes that are none, and changes nothing then. */
  restore(bytes: Uint8Array): void {
    const state = decodeState(bytes);
    for (const map of [this.#items, this.#seats, this.#ledgers]) map.clear();
    this.#appliedIndex = state.appliedIndex;
    this.#revision = state.revision;
    this.#clock = state.clock;
    for (const item of state.items) this.#items.set(keyOf(item), item);
    for (const { member, node, address } of state.seats) this.#seats.set(member, { node, address });
    this.#memories.replace(state.memories);
    for (const { quota, leases } of state.ledgers) this.#ledgers.set(quota, leases);
    this.#specsBytes = state.items.reduce((sum, { spec }) => sum + specBytes(spec), 0);
    this.#leases = state.ledgers.reduce((sum, { leases }) => sum + leases.length, 0);
    this.#sorted = null;
  }

  // ---- writes -------------------------------------------------------------------------------------------------------

  #write({ key, atMs, writes }: WriteCommand): Applied {
    this.#advance(atMs);
    const fingerprint = fingerprintOf(JSON.stringify(writes));
    const known = this.#memories.get(key);
    if (known !== undefined) return only(this.#repeated(known, fingerprint, writes));
    const { outcome, changes } = checkWrites(this, writes, atMs);
    this.#remember(key, fingerprint, outcome);
    for (const change of changes) this.#change(change);
    if (outcome.ok) this.#revision = outcome.revision;
    return { outcome, changes, grants: [] };
  }

  #change(change: Change): void {
    const key = "item" in change ? change.item : change.deleted;
    const before = this.#items.get(keyOf(key));
    this.#specsBytes -= before === undefined ? 0 : specBytes(before.spec);
    this.#specsBytes += "item" in change ? specBytes(change.item.spec) : 0;
    replay(this.#items, change);
    this.#sorted = null;
    const ledger = this.#ledgers.get(key.name);
    if (key.kind !== "quota" || before?.kind !== "quota" || ledger === undefined) return;
    const after = this.get("quota", key.name);
    const kept = after === undefined ? [] : rescaled(ledger, measuresOf(before.spec), measuresOf(after.spec));
    this.#keepLedger(key.name, kept);
  }

  #repeated({ outcome, fingerprint, key }: Memory, now: number, writes: WriteCommand["writes"]): Outcome {
    if (fingerprint !== now) {
      const message = `the idempotency key ${key} was used for another write: use a new key for each write`;
      return refusal("invalid", message, -1);
    }
    const items = writes.map((write) => {
      const { kind, name } = targetOf(write);
      return this.get(kind, name) ?? null;
    });
    if (outcome.ok) return { ok: true, revision: outcome.revision, items, changed: outcome.changed, repeated: true };
    const { code, message, at } = outcome;
    return refusal(code, message, at, code === "conflict" ? (items[at] ?? null) : undefined);
  }

  #remember(key: string, fingerprint: number, outcome: Outcome): void {
    const kept: Memory["outcome"] = outcome.ok
      ? { ok: true, revision: outcome.revision, changed: outcome.changed }
      : { ok: false, code: outcome.code, message: outcome.message, at: outcome.at };
    this.#memories.add({ key, atMs: this.#clock.nowMs, fingerprint, outcome: kept });
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  /** To the time of a command; what is over by then goes. */
  #advance(atMs: number): void {
    const before = this.#clock.nowMs;
    this.#clock = advance(this.#clock, atMs);
    const { nowMs } = this.#clock;
    this.#memories.forget(nowMs);
    if (Math.floor(nowMs / SWEEP_MS) === Math.floor(before / SWEEP_MS)) return;
    for (const [quota, ledger] of this.#ledgers) {
      const item = this.get("quota", quota);
      this.#keepLedger(quota, item === undefined ? [] : remaining(ledger, measuresOf(item.spec), nowMs));
    }
  }

  // ---- leases, seats ------------------------------------------------------------------------------------------------

  #lease({ atMs, wants }: LeaseCommand): Applied {
    this.#advance(atMs);
    const byQuota = new Map<string, Want[]>();
    for (const want of wants) {
      const same = byQuota.get(want.quota);
      if (same === undefined) byQuota.set(want.quota, [want]);
      else same.push(want);
    }
    const grants = new Map<string, Grant>();
    for (const [quota, own] of byQuota) {
      const item = this.get("quota", quota);
      if (item === undefined) continue;
      const before = this.#ledgers.get(quota) ?? [];
      const room = Math.min(HOLDERS_MAX, LEASES_MAX - this.#leases);
      const { ledger, grants: given } = grant(before, measuresOf(item.spec), own, this.#clock.nowMs, room);
      this.#keepLedger(quota, ledger);
      for (const each of given) grants.set(`${each.holder} ${quota}`, each);
    }
    const inOrder = wants.flatMap(({ holder, quota }) => grants.get(`${holder} ${quota}`) ?? []);
    return { outcome: this.#done(false), changes: [], grants: inOrder };
  }

  #keepLedger(quota: string, ledger: Ledger): void {
    this.#leases += ledger.length - (this.#ledgers.get(quota)?.length ?? 0);
    if (ledger.length === 0) this.#ledgers.delete(quota);
    else this.#ledgers.set(quota, ledger);
  }

  #seat({ member, node, address }: SeatCommand): Outcome {
    const before = this.#seats.get(member);
    if (before?.node === node && before.address === address) return this.#done(false);
    if (before === undefined && this.#seats.size >= SEATS_MAX) {
      return refusal("limit", `there are ${SEATS_MAX} control members, the most there can be: remove one first`, -1);
    }
    this.#seats.set(member, { node, address });
    return this.#done(true);
  }

  #done(changed: boolean): Outcome {
    return { ok: true, revision: this.#revision, items: [], changed, repeated: false };
  }
}

function only(outcome: Outcome): Applied {
  return { outcome, changes: [], grants: [] };
}

/** FNV-1a over the text's code units: tells apart what nobody means to confuse. */
function fingerprintOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
