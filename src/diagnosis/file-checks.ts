/** Files and folders: the data directory, keys, certificates. */
import { type Finding, fail, ok, sizeOf, warn } from "./finding.ts";
import type { Role } from "./process-checks.ts";

const MEBI = 1024 ** 2;
const FREE_BYTES_MIN = 64 * MEBI;
const FSYNC_MS_MAX = 100;
const DAY_MS = 86_400_000;
const EXPIRY_DAYS = 14;

export interface FolderFacts {
  readonly path: string;
  /** Why it can't be written; "" where it can. */
  readonly fault: string;
  /** How long a small file took to be on disk. */
  readonly fsyncMs: number;
  readonly freeBytes: number;
}

export function judgeDataFolder({ path, fault, fsyncMs, freeBytes }: FolderFacts, role: Role | undefined): Finding {
  const check = "data-dir";
  if (fault !== "") {
    const found = `${path} can't be written: ${fault}`;
    const advice = "name another one by --data-dir, or mount a volume there";
    if (role === "router")
      return warn(check, found, "policies are not known after a restart until others tell them", advice);
    return fail(check, found, "the agent keeps its state there, and does not start without", advice);
  }
  const found = `${path}: ${sizeOf(freeBytes)} free, a write is on disk after ${fsyncMs.toFixed(1)} ms`;
  if (freeBytes < FREE_BYTES_MIN) {
    return warn(check, found, "a control node that can't write leads no more", "free some space");
  }
  if (fsyncMs > FSYNC_MS_MAX) {
    return warn(check, found, "a control node's writes wait for that", "put the directory on a faster disk");
  }
  return ok(check, found);
}

export interface KeyFacts {
  /** As the configuration calls it. */
  readonly name: string;
  /** What is right about it, in short. */
  readonly found: string;
  /** Why it can't be used, and what to do; "" where it can. */
  readonly fault: string;
}

export function judgeKey({ name, found, fault }: KeyFacts): Finding {
  if (fault === "") return ok("key", `${name}: ${found}`);
  return fail(
    "key",
    `${name}: ${fault}`,
    "the start ends with that, or requests are refused",
    "correct the file or its setting",
  );
}

export function judgeNoKey(isReachable: boolean): Finding {
  if (!isReachable) return ok("key", "gossip is not encrypted, and listens on this machine alone");
  const why = "whoever reaches the gossip port can join the mesh";
  return warn(
    "key",
    "gossip is not encrypted",
    why,
    "make a key by `openssl rand -base64 32`, and set --gossip-key-file at every member",
  );
}

export interface CertificateFacts {
  readonly name: string;
  readonly file: string;
  /** Why it can't be used; "" where it can. */
  readonly fault: string;
  readonly subject: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The same as days. */
  readonly notBefore: string;
  readonly notAfter: string;
}

export function judgeCertificate(facts: CertificateFacts, nowMs: number): Finding {
  const { name, file, fault, subject, notBeforeMs, notAfterMs, notBefore, notAfter } = facts;
  const check = "certificate";
  if (fault !== "") {
    return fail(check, fault, "the start ends with that", "correct the file or its setting");
  }
  const what = `${name}, ${file} (${subject})`;
  const why = "whoever checks it refuses the connection";
  if (nowMs < notBeforeMs) {
    return fail(check, `${what} is not valid before ${notBefore}`, why, "look at the clock, or at the certificate");
  }
  if (nowMs >= notAfterMs) return fail(check, `${what} expired on ${notAfter}`, why, "renew it");
  const found = `${what} is valid until ${notAfter}`;
  if (notAfterMs - nowMs < EXPIRY_DAYS * DAY_MS) return warn(check, found, "soon nobody will accept it", "renew it");
  return ok(check, found);
}
