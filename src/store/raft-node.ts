/**
 * Drives the consensus on one node: input, step, store, send, apply, in that order.
 *
 * Commands that come within one turn of the event loop are proposed together, and the log commits them by one fsync. A
 * proposal's fate is known when its index is committed: with its own term it was applied, with another's it was lost for
 * certain. Until then it may go either way, also after this node has stopped leading; whoever waited too long is told so.
 *
 * The log's size is bounded: after so many entries or bytes (`Compaction`) the state machine's state takes their place.
 * What the consensus keeps behind a snapshot, for followers that were away for a moment, the durable log keeps too.
 */
import { MeshError } from "../base/errors.ts";
import { type Applied, type PolicyMachine } from "../policy/machine.ts";
import { decodeMessage, encodeMessage } from "../raft/codec.ts";
import type { Entry, Member, Position } from "../raft/entry.ts";
import type { MemberChange } from "../raft/membership.ts";
import type { Raft, Refusal } from "../raft/raft.ts";
import type { Ready } from "../raft/ready.ts";
import type { DurableLog } from "./log.ts";

/** When a snapshot takes the place of what was applied. */
export interface Compaction {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

const COMPACTION: Compaction = { entriesMax: 10_000, bytesMax: 16 * 2 ** 20 };
/** Until the change of members under way is looked at again. */
const BUSY_MS = 20;
/** A command's share of the log beside its bytes. */
const ENTRY_BYTES = 32;

export interface RaftNodeOptions {
  readonly raft: Raft;
  readonly log: DurableLog;
  readonly machine: PolicyMachine;
  /** Where a member is; undefined while that is not known. */
  readonly send: (to: Member, bytes: Uint8Array) => void;
  /** What entries did to the state machine, in order; or that it was restored from a snapshot. */
  readonly onApplied: (applied: readonly Applied[]) => void;
  readonly onRestored: () => void;
  /** The log can't be written; null: it can again. */
  readonly onAlarm: (error: MeshError | null) => void;
  readonly compaction?: Compaction;
}

const CHANGED = "the leader changed; the write may have been done";

interface Pending {
  readonly term: number;
  readonly resolve: (applied: Applied | null) => void;
  readonly reject: (error: MeshError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface Proposal {
  readonly command: Uint8Array;
  readonly timeoutMs: number;
  readonly resolve: (applied: Applied | null) => void;
  readonly reject: (error: MeshError) => void;
}

interface Reader {
  readonly resolve: () => void;
  readonly reject: (error: MeshError) => void;
}

/** Reads that share one confirmation. */
interface Read {
  /** Where the state machine must be; -1 until that is confirmed. */
  index: number;
  readonly readers: readonly Reader[];
}

export class RaftNode {
  readonly raft: Raft;
  readonly machine: PolicyMachine;
  readonly #options: RaftNodeOptions;
  readonly #compaction: Compaction;
  readonly #pending = new Map<number, Pending>();
  readonly #reads = new Map<number, Read>();
  #proposals: Proposal[] = [];
  #readers: Reader[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #nextRead = 1;
  #alarm: MeshError | null = null;
  #inTurn = false;
  #again = false;
  #isCalled = false;
  #stopped = false;
  #logBytes = 0;
  #compactedIndex = 0;

  constructor(options: RaftNodeOptions) {
    this.#options = options;
    this.#compaction = options.compaction ?? COMPACTION;
    this.raft = options.raft;
    this.machine = options.machine;
    const { snapshot, entries } = options.log.contents;
    this.#compactedIndex = snapshot?.index ?? 0;
    for (const entry of entries) this.#logBytes += entry.data.length + ENTRY_BYTES;
    options.log.onDurable = (number) => {
      if (this.#stopped) return;
      this.raft.persisted(number, performance.now());
      this.#turn();
    };
    options.log.onFailure = (error) => this.#setAlarm(error);
    options.log.onRecovered = () => this.#setAlarm(null);
    this.#turn();
  }

  get alarm(): MeshError | null {
    return this.#alarm;
  }

  /** Bytes of the commands since the last snapshot. */
  get logBytes(): number {
    return this.#logBytes;
  }

  /** Answers who sent it; undefined for what is no message of ours, which comes from a bug: there is nobody to tell. */
  receive(bytes: Uint8Array): Member | undefined {
    if (this.#stopped) return undefined;
    const message = decodeMessage(bytes);
    if (message === undefined) return undefined;
    this.raft.receive(message, performance.now());
    this.#atOnce();
    return message.from;
  }

  /** The link to a member broke. */
  unreachable(member: Member): void {
    if (this.#stopped) return;
    this.raft.unreachable(member, performance.now());
    this.#soon();
  }

  /** Resolves with what the command did; rejects by not_leader (it was not done), request_timeout (it may be), store_full. */
  propose(command: Uint8Array, timeoutMs: number): Promise<Applied | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Applied | null>();
    if (this.#stopped) reject(stopping());
    else if (this.#alarm !== null) reject(this.#alarm);
    else {
      this.#proposals.push({ command, timeoutMs, resolve, reject });
      this.#soon();
    }
    return promise;
  }

  /** Resolves when the state machine holds every write that was acknowledged before the call. */
  read(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#stopped) {
      reject(stopping());
      return promise;
    }
    this.#readers.push({ resolve, reject });
    const timer = setTimeout(
      () => reject(new MeshError("not_leader", `no leader confirmed the read within ${Math.round(timeoutMs)} ms`)),
      timeoutMs,
    );
    void promise.then(() => clearTimeout(timer)).catch(() => clearTimeout(timer));
    this.#soon();
    return promise;
  }

  /** Resolves when the new configuration is committed; one change at a time, so it waits for the one before. */
  async changeMembers(changes: readonly MemberChange[], timeoutMs: number): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    let position = this.raft.changeMembers(changes, performance.now());
    while ("refused" in position) {
      if (position.refused !== "busy" || performance.now() > untilMs) throw refusalOf(position);
      await Bun.sleep(BUSY_MS);
      position = this.raft.changeMembers(changes, performance.now());
    }
    const done = this.#await(position, Math.max(1, untilMs - performance.now()));
    this.#turn();
    await done;
    // Voters change by way of a joint configuration, which is committed now; what follows it can't be taken back.
    while (this.isChanging) {
      if (this.#stopped) throw stopping();
      if (performance.now() > untilMs) {
        const why = "the change of control nodes is under way and not done yet; see `infermesh ctl control status`";
        throw new MeshError("request_timeout", why, { retryable: true });
      }
      await Bun.sleep(BUSY_MS);
    }
  }

  /** Whether the newest configuration is joint, or not known to be committed. */
  get isChanging(): boolean {
    const { configuration, configurationIndex, commitIndex } = this.raft.status();
    return configuration.outgoing.length > 0 || configurationIndex > commitIndex;
  }

  transfer(to: Member): void {
    const refusal = this.raft.transfer(to, performance.now());
    if (refusal !== undefined) throw refusalOf(refusal);
    this.#turn();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const error = stopping();
    for (const index of this.#pending.keys()) {
      this.#giveUp(index, "this control node is stopping; the write may have been done");
    }
    for (const { reject } of this.#proposals) reject(error);
    for (const { readers } of this.#reads.values()) for (const { reject } of readers) reject(error);
    for (const { reject } of this.#readers) reject(error);
    this.#proposals = [];
    this.#readers = [];
    this.#reads.clear();
    await this.#options.log.close();
  }

  #setAlarm(alarm: MeshError | null): void {
    if (alarm?.message === this.#alarm?.message) return;
    this.#alarm = alarm;
    this.#options.onAlarm(alarm);
  }

  /** A turn as soon as what this event brought is read: somebody waits for the answer. */
  #atOnce(): void {
    if (this.#isCalled) return;
    this.#isCalled = true;
    queueMicrotask(() => {
      this.#isCalled = false;
      if (!this.#stopped) this.#turn();
    });
  }

  /** A turn at the end of this one: what comes meanwhile shares its fsync and its packets. */
  #soon(): void {
    if (this.#again) return;
    this.#again = true;
    setImmediate(() => {
      this.#again = false;
      if (!this.#stopped) this.#turn();
    });
  }

  #turn(): void {
    // Watchers may write from within.
    if (this.#inTurn) return this.#soon();
    this.#inTurn = true;
    const nowMs = performance.now();
    if (this.raft.wakeAtMs <= nowMs) this.raft.wake(nowMs);
    this.#ask(nowMs);
    for (let ready = this.raft.ready(); ready !== null; ready = this.raft.ready()) this.#carryOut(ready);
    this.#compact();
    this.#inTurn = false;
    this.#arm();
  }

  #ask(nowMs: number): void {
    const proposals = this.#proposals;
    if (proposals.length > 0) {
      this.#proposals = [];
      const positions = this.raft.propose(
        proposals.map(({ command }) => command),
        nowMs,
      );
      if ("refused" in positions) for (const { reject } of proposals) reject(refusalOf(positions));
      else {
        proposals.forEach(({ timeoutMs, resolve, reject }, at) => {
          const position = positions[at];
          if (position !== undefined) this.#await(position, timeoutMs).then(resolve, reject);
        });
      }
    }
    if (this.#readers.length > 0) {
      const readers = this.#readers;
      this.#readers = [];
      const id = this.#nextRead++;
      const refusal = this.raft.read(id, nowMs);
      if (refusal === undefined) this.#reads.set(id, { index: -1, readers });
      else for (const { reject } of readers) reject(refusalOf(refusal));
    }
  }

  #await({ index, term }: Position, timeoutMs: number): Promise<Applied | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Applied | null>();
    // It led before, and proposed another entry for this place.
    this.#giveUp(index, CHANGED);
    const why = `no majority of the control nodes confirmed the write within ${Math.round(timeoutMs)} ms; it may still be done`;
    const timer = setTimeout(() => this.#giveUp(index, why), timeoutMs);
    this.#pending.set(index, { term, resolve, reject, timer });
    return promise;
  }

  /** What becomes, or became, of that entry can't be waited for. */
  #giveUp(index: number, why: string): void {
    const pending = this.#pending.get(index);
    this.#pending.delete(index);
    clearTimeout(pending?.timer);
    pending?.reject(new MeshError("request_timeout", why, { retryable: true }));
  }

  #carryOut(ready: Ready): void {
    const { number, snapshot, entries, hardState, sends, committed, reads } = ready;
    // One goes first, since the way there and back is longer than that to the disk; what has to wait for the disk is not
    // among them. The rest goes after it: an answer of one member and this disk make a majority of three.
    const [first, ...rest] = sends;
    if (first !== undefined) this.#options.send(first.to, encodeMessage(first.message));
    if (snapshot !== undefined || entries.length > 0 || hardState !== undefined) {
      this.#options.log.write({
        number,
        entries,
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(hardState === undefined ? {} : { hardState }),
      });
      for (const { data } of entries) this.#logBytes += data.length + ENTRY_BYTES;
    }
    for (const { to, message } of rest) this.#options.send(to, encodeMessage(message));
    if (snapshot !== undefined) {
      this.machine.restore(snapshot.data);
      this.#compactedIndex = snapshot.index;
      this.#logBytes = 0;
      // It covers them: whether they were done can't be told any more.
      for (const index of this.#pending.keys()) if (index <= snapshot.index) this.#giveUp(index, CHANGED);
      this.#options.onRestored();
    }
    if (committed.length > 0) this.#apply(committed);
    for (const outcome of reads) {
      const read = this.#reads.get(outcome.id);
      if (read === undefined) continue;
      if ("refused" in outcome) {
        this.#reads.delete(outcome.id);
        for (const { reject } of read.readers) reject(new MeshError("not_leader", "the leader changed; try again"));
      } else read.index = outcome.index;
    }
    this.#answerReads();
  }

  #apply(committed: readonly Entry[]): void {
    const applied: Applied[] = [];
    for (const { index, term, kind, data } of committed) {
      let what: Applied | null = null;
      if (kind === "command") applied.push((what = this.machine.apply(index, data)));
      else this.machine.skip(index);
      const pending = this.#pending.get(index);
      if (pending === undefined) continue;
      this.#pending.delete(index);
      clearTimeout(pending.timer);
      if (pending.term === term) pending.resolve(what);
      else pending.reject(new MeshError("not_leader", "another leader took over before the write was done; try again"));
    }
    if (applied.length > 0) this.#options.onApplied(applied);
  }

  #answerReads(): void {
    for (const [id, { index, readers }] of this.#reads) {
      if (index < 0 || index > this.machine.appliedIndex) continue;
      this.#reads.delete(id);
      for (const { resolve } of readers) resolve();
    }
  }

  #compact(): void {
    const { appliedIndex } = this.machine;
    if (this.#alarm !== null) return;
    const { entriesMax, bytesMax } = this.#compaction;
    if (appliedIndex - this.#compactedIndex < entriesMax && this.#logBytes < bytesMax) return;
    if (appliedIndex <= this.#compactedIndex) return;
    const snapshot = this.raft.compact(appliedIndex, this.machine.snapshot());
    if (snapshot === undefined) return;
    this.#compactedIndex = snapshot.index;
    this.#logBytes = 0;
    this.#options.log.compact(snapshot, this.raft.status().firstIndex);
  }

  #arm(): void {
    const { wakeAtMs } = this.raft;
    if (wakeAtMs === this.#timerAtMs && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = wakeAtMs;
    this.#timer = undefined;
    if (!Number.isFinite(wakeAtMs)) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (!this.#stopped) this.#turn();
      },
      Math.max(0, Math.ceil(wakeAtMs - performance.now())),
    );
  }
}

export function stopping(): MeshError {
  return new MeshError("draining", "this control node is stopping");
}

function refusalOf({ refused, reason }: Refusal): MeshError {
  switch (refused) {
    case "not_leader":
    case "transferring":
      return new MeshError("not_leader", `${reason}; try again`);
    case "busy":
      return new MeshError("over_capacity", `${reason}; try again in a moment`);
    case "too_large":
      return new MeshError("payload_too_large", reason);
    case "invalid":
      return new MeshError("conflict", reason);
  }
}
