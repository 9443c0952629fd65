/**
 * `infermesh ctl snapshot save`, `restore` and `status`: all policies as one file.
 *
 * A file is the store's own bytes, as SaveSnapshot gives them, which tell by themselves whether they are whole.
 */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { printable } from "../base/printable.ts";
import { duration, flag, type Infer, section } from "../base/settings.ts";
import { formatBytes } from "../base/units.ts";
import { EXIT, notOurs } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call, change, waiting, wholeOf } from "./control-plane.ts";
import { whyNoFile } from "./parsed-text.ts";
import { asking, part, type Part } from "./part.ts";
import { renderFigures, isWhole } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const timeoutMs = duration({ default: "60s", min: "10ms", max: "1h", doc: "How long to wait for an answer." });
const saveSettings = section({ ...ctlSettings.fields, timeoutMs });
const restoreSettings = section({
  ...ctlSettings.fields,
  timeoutMs,
  yes: flag({ default: false, doc: "Replace all policies without asking first." }),
});

const statusSettings = section({ output: ctlSettings.fields.output });

/** Reads a file as the store wrote it; throws a MeshError that says what is wrong with it. */
export type SnapshotReader = (bytes: Uint8Array) => {
  readonly revision: number;
  readonly savedAtMs: number;
  readonly items: readonly { readonly kind: string }[];
};

const FILE: Operand = { name: "FILE", expected: "a snapshot's file", completes: "file" };
const FILE_BYTES_MAX = 48 * 2 ** 20;

async function save(config: Infer<typeof saveSettings>, terminal: Terminal, path: string): Promise<number> {
  const body = bodyOf(await waiting(terminal, "snapshot", call(config, "SaveSnapshot")), terminal);
  if (typeof body === "number") return body;
  const bytes = Buffer.from(typeof body["snapshot"] === "string" ? body["snapshot"] : "", "base64");
  if (bytes.length === 0) return notOurs("snapshot", terminal);
  const fresh = `${path}.${process.pid}`;
  try {
    // Whole or not at all, and never half over an older one.
    writeFileSync(fresh, bytes, { mode: 0o600, flush: true });
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    terminal.err(`infermesh ctl snapshot save: can't write ${printable(path)}: ${whyNoFile(error)}\n`);
    return EXIT.failed;
  }
  const revision = wholeOf(body["revision"]) ?? 0;
  const figures = { file: path, bytes: bytes.length, revision, sha256: sha256Of(bytes) };
  if (isWhole(config.output) || config.output === "text") terminal.out(renderFigures(config.output, figures));
  else
    terminal.out(`saved revision ${revision} to ${printable(path)}, ${bytes.length.toLocaleString("en-US")} bytes\n`);
  return EXIT.ok;
}

async function restore(config: Infer<typeof restoreSettings>, terminal: Terminal, path: string): Promise<number> {
  const bytes = readSnapshot(path, terminal);
  if (typeof bytes === "number") return bytes;
  if (!config.yes && !(await confirmed(terminal))) return EXIT.usage;
  const snapshot = bytes.toString("base64");
  const body = bodyOf(await change(config, "RestoreSnapshot", { snapshot }, terminal, false), terminal);
  if (typeof body === "number") return body;
  const revision = wholeOf(body["revision"]) ?? 0;
  if (isWhole(config.output) || config.output === "text")
    terminal.out(renderFigures(config.output, { file: path, revision }));
  else terminal.out(`restored ${printable(path)}; the store is at revision ${revision}\n`);
  return EXIT.ok;
}

/** What the file is, without asking anybody. */
function status(
  { output }: Infer<typeof statusSettings>,
  terminal: Terminal,
  path: string,
  decode: SnapshotReader,
): number {
  const bytes = readSnapshot(path, terminal);
  if (typeof bytes === "number") return bytes;
  let saved: ReturnType<SnapshotReader>;
  try {
    saved = decode(bytes);
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    throw new MeshError("config_invalid", `${printable(path)}: ${error.message}`, { cause: error });
  }
  const { revision, savedAtMs, items } = saved;
  const kinds = Object.entries(Object.groupBy(items, ({ kind }) => kind));
  const figures = {
    file: path,
    bytes: bytes.length,
    sha256: sha256Of(bytes),
    revision,
    savedAt: new Date(savedAtMs).toISOString(),
    policies: { total: items.length, ...Object.fromEntries(kinds.map(([kind, of = []]) => [kind, of.length])) },
  };
  terminal.out(renderFigures(output, figures));
  return EXIT.ok;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function readSnapshot(path: string, terminal: Terminal): Buffer | number {
  const fail = (why: string): number => {
    terminal.err(`infermesh ctl snapshot: ${printable(path)} ${why}\n`);
    return EXIT.usage;
  };
  try {
    if (statSync(path).size > FILE_BYTES_MAX)
      return fail(`is larger than ${formatBytes(FILE_BYTES_MAX)}; is it a snapshot?`);
    const bytes = readFileSync(path);
    return bytes.length === 0 ? fail("is empty") : bytes;
  } catch (error) {
    return fail(`can't be read: ${whyNoFile(error)}`);
  }
}

async function confirmed(terminal: Terminal): Promise<boolean> {
  if (!process.stdin.isTTY) {
    terminal.err("infermesh ctl snapshot restore: this replaces all policies; say --yes\n");
    return false;
  }
  terminal.err("this replaces all policies; go on? [y/N] ");
  for await (const line of console) return /^y(es)?$/i.test(line.trim());
  return false;
}

/** The commands, without their help. */
export const SNAPSHOTS = {
  save: asking({
    settings: saveSettings,
    operands: [FILE],
    run: (config, terminal, [path = ""]) => save(config, terminal, path),
  }),
  restore: asking({
    settings: restoreSettings,
    operands: [FILE],
    run: (config, terminal, [path = ""]) => restore(config, terminal, path),
  }),
};

export function snapshotStatus(decode: SnapshotReader): Part {
  return part({
    settings: statusSettings,
    operands: [FILE],
    run: (config, terminal, [path = ""]) => status(config, terminal, path, decode),
  });
}
