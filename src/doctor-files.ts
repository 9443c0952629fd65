/** The files that a node's configuration names, and its folders: whether they can be read, written, used. */
import { X509Certificate } from "node:crypto";
import { mkdir, open, readFile, rm, rmdir, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { toMeshError } from "./base/errors.ts";
import {
  type CertificateFacts,
  judgeCertificate,
  judgeDataFolder,
  judgeKey,
  judgeNoKey,
} from "./diagnosis/file-checks.ts";
import type { Finding } from "./diagnosis/finding.ts";
import type { Subject } from "./doctor-subject.ts";
import { openKeyring } from "./mesh/key-file.ts";
import { isLoopback } from "./net/ip.ts";
import { clientOptions, serverIdentities } from "./net/tls-settings.ts";
import { upstreamKeys } from "./net/upstream-secrets.ts";
import { parseEtcdAddress } from "./store/etcd-address.ts";
import { EMBEDDED } from "./store/settings.ts";
import { RuntimeCredentials } from "./telemetry/runtime-credentials.ts";
import { keyRule } from "./wire/upstream-keys.ts";

export async function folderFindings({ role, dataDir, control }: Subject): Promise<Finding[]> {
  const folders = new Set([dataDir, ...(control === undefined || control.dir === "" ? [] : [control.dir])]);
  return Promise.all([...folders].map(async (path) => judgeDataFolder(await tryFolder(path), role)));
}

/** Writes a small file and waits for it to be on disk, as a store does. */
async function tryFolder(path: string) {
  const probe = join(path, `.doctor-${process.pid}`);
  let made: string | undefined;
  try {
    made = await mkdir(path, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(path);
    const startedMs = performance.now();
    const file = await open(probe, "w", 0o600);
    try {
      await file.writeFile("infermesh doctor\n");
      await file.sync();
    } finally {
      await file.close();
      await rm(probe, { force: true });
    }
    return { path, fault: "", fsyncMs: performance.now() - startedMs, freeBytes: bavail * bsize };
  } catch (error) {
    return { path, fault: wordsOf(error), fsyncMs: 0, freeBytes: 0 };
  } finally {
    if (made !== undefined) await removeFolders(path, made);
  }
}

/** From the last to the first that was made: one that is left could be root's, and its node another user. */
async function removeFolders(path: string, first: string): Promise<void> {
  const end = resolve(first).length;
  for (let at = resolve(path); at.length >= end; at = dirname(at)) await rmdir(at).catch(() => {});
}

let reached = Promise.resolve();

/**
 * A file that can't be reached in time (of a server that is gone, or a pipe) holds up the checks that come by here; what
 * reads it afterwards would hold up the process. One file after the other, as each takes one of the few threads that all
 * other checks need.
 */
export function reach(files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (file !== "")
      reached = reached
        .then(() => readFile(file))
        .then(
          () => {},
          () => {},
        );
  }
  return reached;
}

/** Keys of the mesh, of targets and of runtimes. Nothing of them is shown. */
export async function keyFindings({ mesh, gossip, upstreamAuth, runtimes }: Subject): Promise<Finding[]> {
  const rules = (upstreamAuth?.rules ?? []).map(keyRule);
  await reach([mesh.keyFile, ...rules.filter(({ from }) => from === "file").map(({ where }) => where)]);
  const findings: Finding[] = [];
  if (mesh.key === "" && mesh.keyFile === "") findings.push(judgeNoKey(!isLoopback(gossip.host)));
  else {
    const name = mesh.keyFile === "" ? "the gossip key" : `gossip keys of ${mesh.keyFile}`;
    findings.push(
      judgeUse(name, () => {
        const { keys, primary } = openKeyring(mesh);
        return `${keys.length} ${keys.length === 1 ? "key" : "keys"}, ${primary?.fingerprint ?? "none"} seals`;
      }),
    );
  }
  if (upstreamAuth !== undefined && upstreamAuth.rules.length > 0) {
    findings.push(judgeUse("keys of targets", () => `${upstreamKeys(upstreamAuth).length} can be read`));
  }
  for (const spec of runtimes) {
    const credentials = new RuntimeCredentials(spec);
    if (credentials.areNone) continue;
    const headers = await credentials.headers();
    const name = `credentials of runtime ${spec.name || spec.kind}`;
    findings.push(judgeKey({ name, found: "they can be read", fault: "fault" in headers ? headers.fault : "" }));
  }
  return findings;
}

function judgeUse(name: string, use: () => string): Finding {
  try {
    return judgeKey({ name, found: use(), fault: "" });
  } catch (error) {
    return judgeKey({ name, found: "", fault: toMeshError(error).message });
  }
}

/** One after the other as the node would use them; then each certificate for itself. */
export async function certificateFindings(subject: Subject): Promise<Finding[]> {
  const findings = await Promise.all(certificateSets(subject).map((set) => judgeSet(set)));
  return findings.flat();
}

interface CertificateSet {
  /** Throws a MeshError that names the file at fault. */
  readonly use: () => void;
  readonly files: readonly (readonly [name: string, file: string])[];
  /** "" for one that is not named. */
  readonly keys: readonly string[];
}

function certificateSets({ tls, upstreamTls, control, runtimes }: Subject): CertificateSet[] {
  const sets: CertificateSet[] = [];
  const client = (
    name: string,
    files: { ca: string; cert: string; key: string },
    names?: Parameters<typeof clientOptions>[1],
  ): void => {
    const used = [
      ["ca", files.ca],
      ["cert", files.cert],
    ] as const;
    if (files.ca === "" && files.cert === "" && files.key === "") return;
    sets.push({
      use: () => clientOptions({ ...files, verify: true }, names),
      files: used.filter(([, file]) => file !== "").map(([what, file]) => [`${name}.${what}`, file] as const),
      keys: [files.key],
    });
  };
  if (tls !== undefined) {
    const further = tls.sni.map(
      (entry) => [`tls.sni ${entry.split("=")[0]}`, entry.slice(entry.indexOf("=") + 1).split(":")[0] ?? ""] as const,
    );
    const own = tls.cert === "" ? [] : [["tls.cert", tls.cert] as const];
    const keys = [tls.key, ...tls.sni.map((entry) => entry.split(":")[1] ?? "")];
    if (own.length + further.length > 0 || tls.key !== "")
      sets.push({ use: () => serverIdentities(tls), files: [...own, ...further], keys });
  }
  if (upstreamTls !== undefined) client("upstreamTls", upstreamTls);
  if (control !== undefined && control.store !== EMBEDDED && typeof parseEtcdAddress(control.store) !== "string") {
    const names = { ca: "control.storeCa", cert: "control.storeCert", key: "control.storeKey" };
    client("control.store", { ca: control.storeCa, cert: control.storeCert, key: control.storeKey }, names);
  }
  for (const { name, kind, ca, cert, key } of runtimes) {
    const of = name || kind;
    client(`runtime ${of}`, { ca, cert, key }, { ca: `ca of ${of}`, cert: `cert of ${of}`, key: `key of ${of}` });
  }
  return sets;
}

async function judgeSet({ use, files, keys }: CertificateSet): Promise<Finding[]> {
  const nowMs = Date.now();
  await reach([...files.map(([, file]) => file), ...keys]);
  const texts = await Promise.all(files.map(([, file]) => readFile(file, "utf8").catch(() => "")));
  try {
    use();
  } catch (error) {
    const broken = {
      name: "",
      file: "",
      subject: "",
      notBeforeMs: 0,
      notAfterMs: 0,
      notBefore: "",
      notAfter: "",
      fault: toMeshError(error).message,
    };
    return [judgeCertificate(broken, nowMs)];
  }
  return files.flatMap(([name, file], at) =>
    certificatesIn(name, file, texts[at] ?? "").map((facts) => judgeCertificate(facts, nowMs)),
  );
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** A system's bundle of authorities has 150: only those are told that need a look. */
const SHOWN_MAX = 4;

/** All of a chain; of a long bundle the one that ends first. */
function certificatesIn(name: string, file: string, pem: string): CertificateFacts[] {
  const found = (pem.match(PEM) ?? []).flatMap((text): CertificateFacts[] => {
    try {
      const { subject, validFrom, validTo } = new X509Certificate(text);
      const named = subject?.replaceAll("\n", ", ") ?? "no subject";
      const [notBeforeMs, notAfterMs] = [Date.parse(validFrom), Date.parse(validTo)];
      const days = { notBefore: dayOf(notBeforeMs), notAfter: dayOf(notAfterMs) };
      return [{ name, file, fault: "", subject: named, notBeforeMs, notAfterMs, ...days }];
    } catch {
      return [];
    }
  });
  return found.toSorted((a, b) => a.notAfterMs - b.notAfterMs).slice(0, found.length > SHOWN_MAX ? 1 : SHOWN_MAX);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Readonly<Record<string, string>> = {
    EACCES: "not allowed to this user",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
    ENOTDIR: "a part of it is no directory",
  };
  return words[code ?? ""] ?? message;
}
