/**
 * The keys of the whole mesh. Whoever is asked (any router or agent) carries a change out at every present member,
 * itself included, and tells how it went at each.
 *
 * A key is changed in three steps, and each is looked at before anything is done, so that no member is ever sent what
 * it can't open: `use` is refused unless every member has the key, `remove` unless every member seals with another.
 * Members that can't be reached are named, and refuse it too unless the change is forced; it then passes them over.
 *
 * Limits: one change at a time here; two operators who change keys at two members at once are not kept apart. Members
 * that are not present (failed, or started later) are not asked, and the failed ones are named: they need the key in
 * their key file before they start, or by `add` and `use` at themselves. Those that have both keys work whatever their
 * primary is.
 */
import { MeshError, toMeshError } from "../base/errors.ts";
import type { Member } from "../swim/event.ts";
import type { AnnouncerLog } from "./announcer.ts";
import { type KeyChange, parseKeyChange } from "./key-change.ts";
import { decodeAnswer, decodeOrder, encodeAnswer, encodeOrder, type KeyAnswer, type KeyOrder } from "./key-order.ts";
import { type Keyring, type ListedKey, makeKey, notEncrypted } from "./keyring.ts";

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
  /** For each member; 2 s. */
  readonly timeoutMs?: number;
  /** Between the last look and the removal of a key; 1 s. */
  readonly settleMs?: number;
}

/** A member and its keys, or why they are not known. */
export interface MemberKeys {
  readonly id: string;
  readonly address: string;
  readonly outcome: "ok" | "error" | "unreachable";
  /** What went wrong; "" for nothing. */
  readonly error: string;
  /** Whether its keys outlast a restart; null while not known. */
  readonly kept: boolean | null;
  readonly keys: readonly ListedKey[];
}

/** A key, over all members that told theirs. */
export interface MeshKey {
  readonly fingerprint: string;
  readonly primaryAt: number;
  readonly presentAt: number;
  /** The ids of those that lack it. */
  readonly missingAt: readonly string[];
}

export interface KeyringView {
  readonly keys: readonly MeshKey[];
  readonly members: readonly MemberKeys[];
  /** The ids of those that have failed and may come back; they are not asked. */
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
const NAMED_MAX = 8;

export class MeshKeys {
  readonly #options: MeshKeysOptions;
  #changing = false;

  constructor(options: MeshKeysOptions) {
    this.#options = options;
  }

  /** Answers another member; undefined for what is no order. */
  answer(from: string, bytes: Uint8Array): Uint8Array | undefined {
    const order = decodeOrder(bytes);
    return order === undefined ? undefined : encodeAnswer(this.#carryOut(order, from));
  }

  /** Every member's keys. Throws `conflict` in a mesh without. */
  async list(): Promise<KeyringView> {
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
    const objections = op === "use" ? objectionsToUse(fingerprint, seen) : objectionsToRemove(fingerprint, seen);
    const away = seen.filter(({ outcome }) => outcome === "unreachable");
    if (away.length > 0 && !change.force) {
      objections.push(`can't reach ${named(away)}; wait until they are back or have left, or force it`);
    }
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
    const absent = this.#options.members().filter(({ status }) => status === "failed");
    return { keys: keysOf(members), members, absent: absent.map(({ id }) => id) };
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
    const { request, timeoutMs = TIMEOUT_MS } = this.#options;
    const failed = { id, address, kept: null, keys: [] };
    let answer: KeyAnswer | undefined;
    try {
      answer =
        id === this.#options.id
          ? this.#carryOut(order, "this node")
          : decodeAnswer(await request(address, encodeOrder(order), timeoutMs));
    } catch (error) {
      return { ...failed, outcome: "unreachable", error: toMeshError(error).message };
    }
    if (answer === undefined) return { ...failed, outcome: "error", error: "its answer is not understood" };
    if ("error" in answer) return { ...failed, outcome: "error", error: answer.error };
    const keys = answer.fingerprints.map((fingerprint, index) => ({ fingerprint, primary: index === 0 }));
    return { id, address, outcome: "ok", error: "", kept: answer.kept, keys };
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
        log.info("gossip keys changed", { op, fingerprint, from, kept: keyring.kept });
      }
      return { fingerprints: keyring.list().map(({ fingerprint }) => fingerprint), kept: keyring.kept };
    } catch (thrown) {
      const error = toMeshError(thrown).message;
      log.warn("gossip keys not changed", { op, from, error });
      return { error };
    }
  }
}

/** The one key that some member has and whose fingerprint begins so. */
function meant(beginning: string, members: readonly MemberKeys[]): string {
  const found = keysOf(members).filter(({ fingerprint }) => fingerprint.startsWith(beginning));
  const [first, second] = found;
  if (first === undefined) {
    throw new MeshError(
      "not_found",
      "no member has a key of that fingerprint; `infermesh ctl keyring list` shows them",
    );
  }
  if (second === undefined) return first.fingerprint;
  const all = found.map(({ fingerprint }) => fingerprint).join(", ");
  throw new MeshError("bad_request", `several keys begin so: ${all}; give more digits`, { param: "fingerprint" });
}

function objectionsToUse(wanted: string, members: readonly MemberKeys[]): string[] {
  const lacking = members.filter(
    ({ outcome, keys }) => outcome === "ok" && !keys.some(({ fingerprint }) => fingerprint === wanted),
  );
  const objection = `${named(lacking)} without the key ${wanted}: add it first`;
  return [...faulty(members), ...(lacking.length === 0 ? [] : [objection])];
}

function objectionsToRemove(unwanted: string, members: readonly MemberKeys[]): string[] {
  const sealing = members.filter(({ keys }) => keys[0]?.fingerprint === unwanted);
  const objection = `${unwanted} is the primary at ${named(sealing)}: use another key first`;
  return [...faulty(members), ...(sealing.length === 0 ? [] : [objection])];
}

function faulty(members: readonly MemberKeys[]): string[] {
  return members.filter(({ outcome }) => outcome === "error").map(({ id, error }) => `${id} answered: ${error}`);
}

function named(members: readonly MemberKeys[]): string {
  const ids = members.map(({ id }) => id);
  const more = ids.length > NAMED_MAX ? ` and ${ids.length - NAMED_MAX} more` : "";
  return `${ids.slice(0, NAMED_MAX).join(", ")}${more}`;
}

/** The most used key first. */
function keysOf(members: readonly MemberKeys[]): MeshKey[] {
  const told = members.filter(({ outcome }) => outcome === "ok");
  const fingerprints = new Set(told.flatMap(({ keys }) => keys.map(({ fingerprint }) => fingerprint)));
  const found = [...fingerprints].map((fingerprint): MeshKey => {
    const missing = told.filter(({ keys: all }) => !all.some((key) => key.fingerprint === fingerprint));
    return {
      fingerprint,
      primaryAt: told.filter(({ keys: all }) => all[0]?.fingerprint === fingerprint).length,
      presentAt: told.length - missing.length,
      missingAt: missing.map(({ id }) => id),
    };
  });
  return found.sort(
    (a, b) => b.primaryAt - a.primaryAt || b.presentAt - a.presentAt || (a.fingerprint < b.fingerprint ? -1 : 1),
  );
}
