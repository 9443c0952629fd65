/**
 * `infermesh agent inspect-store`: what a log's files hold, and whether all of it is right. It changes nothing, and
 * takes no lock; a log that is written meanwhile is read again until it is seen at one moment.
 */
import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import type { Entry } from "../raft/entry.ts";
import { type Archive, examine, readLogFiles } from "./log-archive.ts";
import { holderOf, MARK_SUFFIX } from "./log-mark.ts";
import { checksumText } from "./log-record.ts";

export interface Inspection {
  /** In the order in which people read it. */
  readonly summary: { readonly [name: string]: unknown };
  readonly entries: readonly Entry[];
  /** What is wrong; null: nothing. */
  readonly fault: MeshError | null;
}

const ATTEMPTS = 20;
const PAUSE_MS = 25;

/** Throws a MeshError `not_found` where there is no log. */
export async function inspectLog(path: string): Promise<Inspection> {
  const holder = holderOf(path + MARK_SUFFIX);
  const isHeld = holder !== undefined && holds(holder, path + MARK_SUFFIX);
  for (let attempt = 1; ; attempt += 1) {
    const inspection = look(path, isHeld ? holder : undefined);
    if (inspection.fault === null || !isHeld) return inspection;
    if (attempt === ATTEMPTS) {
      const message = `${inspection.fault.message}; process ${holder} writes to it meanwhile: if it is busy, try again`;
      return { ...inspection, fault: new MeshError(inspection.fault.code, message) };
    }
    await Bun.sleep(PAUSE_MS);
  }
}

function look(path: string, holder: number | undefined): Inspection {
  const files = readLogFiles(path);
  const state = holder === undefined ? "closed" : `in use by process ${holder}`;
  try {
    const archive = examine(path, files);
    if (archive === null) {
      if (files.database !== undefined || files.mark !== undefined) {
        throw new MeshError("not_found", `${path} is a log that was not completed when it was made: nothing is in it`);
      }
      throw new MeshError("not_found", `there is no log ${path}`);
    }
    return { summary: summaryOf(path, state, archive, files.database?.length ?? 0), ...archive };
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== "store_damaged") throw error;
    return { summary: { path, state, health: "damaged" }, entries: [], fault: error };
  }
}

function summaryOf(path: string, state: string, archive: Archive, databaseBytes: number): Inspection["summary"] {
  const { identity, format, hardState, snapshot, entries, base, end, mark, repaired, fault } = archive;
  const first = entries[0]?.index;
  return {
    path,
    state,
    health: fault === null ? "ok" : "damaged",
    format,
    clusterId: identity.clusterId,
    member: identity.member,
    hardState,
    snapshot: snapshot && {
      index: snapshot.index,
      term: snapshot.term,
      bytes: snapshot.data.length,
      configuration: snapshot.configuration,
    },
    entries: {
      first: first ?? null,
      last: entries.at(-1)?.index ?? null,
      lastTerm: entries.at(-1)?.term ?? null,
      count: entries.length,
      bytes: entries.reduce((sum, { data }) => sum + data.length, 0),
    },
    records: { first: base.sequence + 1, last: end.sequence, checksum: checksumText(end.checksum) },
    acknowledged: mark && { upTo: mark.sequence, checksum: checksumText(mark.checksum) },
    unfinished: repaired,
    databaseBytes,
  };
}

/** An entry as one line of JSON has it: its data as text where that is what they are. */
export function entryLine({ index, term, kind, data }: Entry): object {
  const head = { index, term, kind, bytes: data.length };
  try {
    return { ...head, text: new TextDecoder("utf-8", { fatal: true }).decode(data) };
  } catch {
    return { ...head, base64: Buffer.from(data).toString("base64") };
  }
}

/** A holder that was killed leaves its name, and somebody else may have its number by now. */
function holds(pid: number, mark: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another user's.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  try {
    const real = realpathSync(mark);
    const descriptors = `/proc/${pid}/fd`;
    return readdirSync(descriptors).some((fd) => linkOf(`${descriptors}/${fd}`) === real);
  } catch {
    // Not for us to see.
    return true;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
