/**
 * The keys of the whole mesh. Whoever is asked (any router or agent) carries a change out at every present member,
 * itself included, and tells how it went at each.
 *
 * A key is changed in three steps, and each is looked at before anything is done, so that no member is ever sent what
 * it can't open: `use` is refused unless every member has the key, `remove` unless every member seals with another.
 * Members that can't be reached, and those that have failed and may come back, are named, and refuse it too unless the
 * change is forced; it then passes them over.
 *
 * An order names its receiver and when it was given. One for somebody else, one that is older than this process, and
 * one whose time is beyond the replay window are refused, so that a recorded `add` brings no removed key back.
 *
 * Limits: one change at a time here; two operators who change keys at two members at once are not kept apart. A member
 * is missed that the membership has forgotten, or that starts later: it needs the key in its key file, or by `add` and
 * `use` at itself. Those that have both keys work whatever their primary is.
 */
import { MeshError, toMeshError } from "../base/errors.ts";
import type { Member } from "../swim/event.ts";
import type { AnnouncerLog } from "./announcer.ts";
import { type KeyChange, parseKeyChange } from "./key-change.ts";
import { decodeAnswer, decodeOrder, encodeAnswer, encodeOrder } from "./key-order.ts";
import type { KeyAnswer, KeyOrder, SentOrder } from "./key-order.ts";
import { keysOf, meant, type MemberKeys, type MeshKey, objectionsTo } from "./key-rules.ts";
import { type Keyring, makeKey, notEncrypted } from "./keyring.ts";

export interface MeshKeysOptions {
  /** This member's. */
  readonly id: string;
  readonly address: string;
  readonly keyring: Keyring;
  /** All that are known, this one included or not. */
  readonly members: () => readonly Pick<Member, "id" | "address" | "status">[];
  /** Asks a member; rejects when there is no answer in time. */
  readonly request: (to: string, bytes: Uint8Array, timeoutMs: number) => Promise<Uint8Array>;
  readonly log: AnnouncerLog;
  /** How far an order's time may be from ours. */
  readonly windowSeconds: number;
  /** Replaces the wall clock in tests: seconds since 1970. */
  readonly nowSeconds?: () => number;
  /** For each member; 2 s. */
  readonly timeoutMs?: number;
  /** Between the last look and the removal of a key; 1 s. */
  readonly settleMs?: number;
}

export interface KeyringView {
  readonly keys: readonly MeshKey[];
  readonly members: readonly MemberKeys[];
  /** The ids of those that have failed and may come back; they were not asked. */
  readonly absent: readonly string[];
}

export interface KeyringChanged extends KeyringView {
  readonly op: KeyChange["op"];
  readonly fingerprint: string;
}

const TIMEOUT_MS = 2000;
/** Packets that were sealed with a key right before another came into use are still on their way. */
const SETTLE_MS = 1000;
const REQUESTS_MAX = 32;
/** Before a member is tried again while too many requests are under way here. */
const CROWDED_MS = 50;

export class MeshKeys {
  readonly #options: MeshKeysOptions;
  readonly #nowSeconds: () => number;
  readonly #startedSeconds: number;
  #changing = false;
  #listing: Promise<KeyringView> | undefined;
  /** Why the last change failed here; "" if it did not. */
  #fault = "";

  constructor(options: MeshKeysOptions) {
    this.#options = options;
    this.#nowSeconds = options.nowSeconds ?? (() => Math.floor(Date.now() / 1000));
    this.#startedSeconds = this.#nowSeconds();
  }

  /** Answers another member; undefined for what is no order. */
  answer(bytes: Uint8Array): Uint8Array | undefined {
    const sent = decodeOrder(bytes);
    return sent === undefined ? undefined : encodeAnswer(this.#obey(sent));
  }

  /** Every member's keys; who asks while they are being listed gets the same list. Throws `conflict` in a mesh without. */
  list(): Promise<KeyringView> {
    const listing = (this.#listing ??= this.#list().finally(() => {
      if (this.#listing === listing) this.#listing = undefined;
    }));
    return listing;
  }

  async #list(): Promise<KeyringView> {
    return this.#view(await this.#everywhere({ op: "list" }));
  }

  /** Carries out what KeyChange describes. Throws a MeshError when it is refused: nothing is changed then. */
  async change(json: unknown): Promise<KeyringChanged> {
    const change = parseKeyChange(json);
    if (this.#changing) {
      throw new MeshError("conflict", "another change of the keys is under way here; try again when it is done");
    }
    this.#changing = true;
    try {
      return await this.#change(change);
    } finally {
      this.#changing = false;
      // One that was begun before shows what was before.
      this.#listing = undefined;
    }
  }

  async #change(change: KeyChange): Promise<KeyringChanged> {
    const { op } = change;
    if (op === "add") {
      const members = await this.#everywhere({ op, key: change.key });
      return { op, fingerprint: makeKey(change.key).fingerprint, ...this.#view(members) };
    }
    const seen = await this.#everywhere({ op: "list" });
    const fingerprint = meant(change.fingerprint, seen);
    const objections = objectionsTo(change, fingerprint, seen, this.#absent(seen));
    if (objections.length > 0) {
      throw new MeshError("conflict", `refused, and nothing was changed: ${objections.join("; ")}`);
    }
    if (op === "remove") await Bun.sleep(this.#options.settleMs ?? SETTLE_MS);
    const members = await this.#at(seen, async (member) =>
      member.outcome === "ok" ? this.#ask(member, { op, fingerprint }) : member,
    );
    return { op, fingerprint, ...this.#view(members) };
  }

  #view(members: readonly MemberKeys[]): KeyringView {
    return { keys: keysOf(members), members, absent: this.#absent(members) };
  }

  /** The ids of those that have failed and were not asked. */
  #absent(asked: readonly MemberKeys[]): string[] {
    const known = new Set(asked.map(({ id }) => id));
    const failed = this.#options.members().filter(({ id, status }) => status === "failed" && !known.has(id));
    return failed.map(({ id }) => id);
  }

  #everywhere(order: KeyOrder): Promise<MemberKeys[]> {
    const { id, address, keyring, members } = this.#options;
    if (keyring.primary === undefined) throw notEncrypted();
    const others = members().filter(
      (member) => member.id !== id && (member.status === "alive" || member.status === "suspect"),
    );
    return this.#at([{ id, address }, ...others], (member) => this.#ask(member, order));
  }

  async #at<T>(members: readonly T[], run: (member: T) => Promise<MemberKeys>): Promise<MemberKeys[]> {
    const results: MemberKeys[] = [];
    const waiting = members.entries();
    const work = async (): Promise<void> => {
      for (const [index, member] of waiting) results[index] = await run(member);
    };
    await Promise.all(Array.from({ length: REQUESTS_MAX }, work));
    return results;
  }

  async #ask({ id, address }: Pick<Member, "id" | "address">, order: KeyOrder): Promise<MemberKeys> {
    const failed = { id, address, kept: null, keys: [] };
    let answer: KeyAnswer | undefined;
    try {
      const own = id === this.#options.id;
      answer = own ? this.#carryOut(order, id) : decodeAnswer(await this.#send(id, address, order));
    } catch (thrown) {
      const { code, message } = toMeshError(thrown);
      // That is this node's fault, and says nothing about that one.
      if (code === "over_capacity") return { ...failed, outcome: "error", error: `not asked, try again: ${message}` };
      return { ...failed, outcome: "unreachable", error: message };
    }
    if (answer === undefined) return { ...failed, outcome: "error", error: "its answer is not understood" };
    if ("error" in answer) return { ...failed, outcome: "error", error: answer.error };
    const { fingerprints, kept, fault } = answer;
    const keys = fingerprints.map((fingerprint, index) => ({ fingerprint, primary: index === 0 }));
    return { id, address, outcome: "ok", error: fault, kept, keys };
  }

  /** The answer's bytes. Waits while too many requests are under way here, as long as for an answer. */
  async #send(to: string, address: string, order: KeyOrder): Promise<Uint8Array> {
    const { id: from, request, timeoutMs = TIMEOUT_MS } = this.#options;
    const endsAtMs = performance.now() + timeoutMs;
    for (;;) {
      try {
        const bytes = encodeOrder({ order, to, from, seconds: this.#nowSeconds() });
        return await request(address, bytes, timeoutMs);
      } catch (error) {
        if (toMeshError(error).code !== "over_capacity" || performance.now() >= endsAtMs) throw error;
        await Bun.sleep(CROWDED_MS);
      }
    }
  }

  #obey({ order, to, from, seconds }: SentOrder): KeyAnswer {
    const { id, log, windowSeconds } = this.#options;
    const [nowSeconds, startedSeconds] = [this.#nowSeconds(), this.#startedSeconds];
    let error = "";
    if (to !== id) error = `the order is for ${to}, and this is ${id}`;
    else if (seconds < startedSeconds) {
      error = `the order was given ${startedSeconds - seconds} s before this process started, or a clock is wrong; try again`;
    } else if (Math.abs(nowSeconds - seconds) > windowSeconds) {
      error = `the clock of ${from} differs by ${Math.abs(nowSeconds - seconds)} s; set both by NTP`;
    }
    if (error === "") return this.#carryOut(order, from);
    log.warn("order to the gossip keys refused", { op: order.op, from, error });
    return { error };
  }

  #carryOut(order: KeyOrder, from: string): KeyAnswer {
    const { keyring, log } = this.#options;
    const { op } = order;
    if (keyring.primary === undefined) return { error: notEncrypted().message };
    try {
      if (op !== "list") {
        const fingerprint = op === "add" ? makeKey(order.key).fingerprint : order.fingerprint;
        if (op === "add") keyring.add(Buffer.from(order.key).toString("base64"));
        else keyring[op](fingerprint);
        this.#fault = "";
        log.info("gossip keys changed", { op, fingerprint, from, kept: keyring.kept });
      }
      const fingerprints = keyring.list().map(({ fingerprint }) => fingerprint);
      return { fingerprints, kept: keyring.kept, fault: this.#fault };
    } catch (thrown) {
      const error = toMeshError(thrown).message;
      this.#fault = error;
      log.warn("gossip keys not changed", { op, from, error });
      return { error };
    }
  }
}
