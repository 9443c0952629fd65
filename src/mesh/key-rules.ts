/** What members' keys say together: which keys there are, which one a beginning means, and what hinders a change. */
import { MeshError } from "../base/errors.ts";
import type { KeyChoice } from "./key-change.ts";
import type { ListedKey } from "./keyring.ts";

const NAMED_MAX = 8;

/** A member and its keys, or why they are not known. */
export interface MemberKeys {
  readonly id: string;
  readonly address: string;
  readonly outcome: "ok" | "error" | "unreachable";
  /** What went wrong, or for `ok` why its last change failed; "" for nothing. */
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

/** The one key that some member has and whose fingerprint begins so. */
export function meant(beginning: string, members: readonly MemberKeys[]): string {
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

/** Why a change must not be carried out; none at all for one that may. `absent` are the ids of those that failed. */
export function objectionsTo(
  { op, force }: KeyChoice,
  fingerprint: string,
  members: readonly MemberKeys[],
  absent: readonly string[],
): string[] {
  const objections = op === "use" ? objectionsToUse(fingerprint, members) : objectionsToRemove(fingerprint, members);
  if (force) return objections;
  for (const { id, outcome, error } of members) if (outcome === "error") objections.push(`${id}: ${error}`);
  const away = members.filter(({ outcome }) => outcome === "unreachable").map(({ id }) => id);
  if (away.length > 0) {
    objections.push(`can't reach ${named(away)}; wait until they are back or have left, or force it`);
  }
  if (absent.length > 0) {
    objections.push(
      `${named(absent)} failed and may come back; wait until they are back, or forgotten (--swim-forget-after), or force it`,
    );
  }
  return objections;
}

function objectionsToUse(wanted: string, members: readonly MemberKeys[]): string[] {
  const lacking = members.filter(
    ({ outcome, keys }) => outcome === "ok" && !keys.some(({ fingerprint }) => fingerprint === wanted),
  );
  return objection(lacking, (ids) => `${ids} without the key ${wanted}: add it first`);
}

function objectionsToRemove(unwanted: string, members: readonly MemberKeys[]): string[] {
  const sealing = members.filter(({ keys }) => keys[0]?.fingerprint === unwanted);
  return objection(sealing, (ids) => `${unwanted} is the primary at ${ids}: use another key first`);
}

/** Names those that hinder, and why each of them did not do what would have helped. */
function objection(members: readonly MemberKeys[], words: (ids: string) => string): string[] {
  if (members.length === 0) return [];
  const tried = members.filter(({ error }) => error !== "").slice(0, NAMED_MAX);
  return [
    words(named(members.map(({ id }) => id))),
    ...tried.map(({ id, error }) => `repair what the last change failed of at ${id}: ${error}`),
  ];
}

function named(ids: readonly string[]): string {
  const more = ids.length > NAMED_MAX ? ` and ${ids.length - NAMED_MAX} more` : "";
  return `${ids.slice(0, NAMED_MAX).join(", ")}${more}`;
}

/** The most used key first. */
export function keysOf(members: readonly MemberKeys[]): MeshKey[] {
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
