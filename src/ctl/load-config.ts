/**
 * Loading a configuration: the file that --config names, the environment, the flags, the later winning. What is wrong
 * in any of them comes out in one report, even where a later source would have hidden it: a broken line is a broken
 * line.
 */
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { type Fault, formatFault } from "../base/field.ts";
import { nearest } from "../base/nearest.ts";
import { duplicateKeys, lineOfPath } from "../base/settings-file.ts";
import {
  type Draft,
  type Parsed,
  type TextValue,
  finishDraft,
  newDraft,
  readText,
  readTree,
  settingsOf,
} from "../base/settings-reading.ts";
import type { Infer, Section } from "../base/settings.ts";
import { shown } from "../base/shown.ts";
import { HANDOVER_VARIABLE } from "../net/handover.ts";
import { parsedText } from "./parsed-text.ts";

export interface ConfigFile {
  /** As it was given, for reports. */
  readonly name: string;
  readonly text: string;
}

export interface Sources {
  readonly file?: ConfigFile;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: readonly TextValue[];
  /** Faults found on the command line already. */
  readonly faults?: readonly Fault[];
  /** Every variable that some command knows: others that begin alike are refused. */
  readonly variables: ReadonlySet<string>;
  /** Of a command that asks a running process: what it is to do comes from flags only. */
  readonly client?: boolean;
  readonly profile?: Profile;
}

/** What a profile says for commands that ask a running process. */
export interface Profile {
  /** For reports: `profile prod of config.yaml`. */
  readonly source: string;
  readonly tree: Readonly<Record<string, unknown>>;
}

/** Where a config came from, for a role that reads it again while it runs. */
export interface ConfigSource<C> {
  /** The file as it was named; "" for none. */
  readonly path: string;
  /** Reads file, environment and flags anew. */
  load(): Parsed<C>;
}

const FILE_BYTES_MAX = 4 * 2 ** 20;

const PREFIX = "INFERMESH_";

/** Variables that are ours and no setting. */
const OTHER_VARIABLES = [
  "INFERMESH_CONFIG",
  "INFERMESH_CTL_CONFIG",
  "INFERMESH_PROFILE",
  "INFERMESH_SUPERVISED",
  HANDOVER_VARIABLE,
];

/**
 * What the environment may say to all commands that ask a running process. An INFERMESH_MODEL that some role is told by
 * must not be what a command pins.
 */
const CLIENT_SETTINGS: readonly string[] = ["endpoint", "output", "timeout"];

/** Kubernetes sets these for a service that is called infermesh or infermesh-something. */
const SERVICE_VARIABLE =
  /^INFERMESH(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$/;

/** The config of a role, or all that is wrong. */
export function loadConfig<S extends Section>(settings: S, sources: Sources): Parsed<Infer<S>> {
  const draft = newDraft();
  draft.faults.push(...(sources.faults ?? []));
  if (sources.file !== undefined) readFile(settings, sources.file, draft);
  const { profile } = sources;
  if (profile !== undefined) {
    // One profile serves commands that know more and less.
    const known = settingsOf(settings).map(({ path }) => path);
    const tree = Object.fromEntries(Object.entries(profile.tree).filter(([key]) => known.includes(key)));
    readTree(settings, tree, draft, () => profile.source);
  }
  readEnvironment(settings, sources, draft);
  for (const value of sources.flags) readText(value, draft);
  return finishDraft(settings, draft);
}

/** Reads the file that --config or INFERMESH_CONFIG names; a fault where it can't be. */
export function openConfig(path: string): ConfigFile | Fault {
  const fault = (expected: string): Fault => ({ path: "--config", source: "", found: shown(path), expected, hint: "" });
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) return fault(`a file of at most ${FILE_BYTES_MAX / 2 ** 20} MiB`);
    return { name: basename(path), text: readFileSync(path, "utf8") };
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === "ENOENT") return fault("a file that exists");
    if (code === "EISDIR") return fault("a file, not a directory");
    return fault(`a file that can be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** The report of all faults. */
export function faultReport(command: string, faults: readonly Fault[]): string {
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  return `${command}: ${count}\n${faults.map((fault) => `  ${formatFault(fault)}\n`).join("")}`;
}

function readFile(settings: Section, { name, text }: ConfigFile, draft: Draft): void {
  const isJson = name.endsWith(".json") || (!/\.ya?ml$/.test(name) && text.trimStart().startsWith("{"));
  const at = (line: number | undefined) => (line === undefined ? name : `${name}, line ${line}`);
  const parsed = parsedText(text, isJson, at);
  if ("fault" in parsed) {
    draft.faults.push(parsed.fault);
    return;
  }
  for (const { key, line } of duplicateKeys(text)) {
    draft.faults.push({ path: key, source: at(line), found: "the key a second time", expected: "it once", hint: "" });
  }
  readTree(settings, parsed.tree, draft, (path) => at(lineOfPath(text, path)));
}

/** The variables that a command knows, if the environment holds no others that are like ours. */
export function sufficientVariables(
  settings: Section,
  env: Sources["env"],
  client: boolean,
): ReadonlySet<string> | undefined {
  const own = settingsOf(settings).filter(({ path }) => !client || CLIENT_SETTINGS.includes(path));
  const known = new Set(own.map(({ variable }) => variable));
  const suffice = Object.keys(env).every((name) => {
    return !name.startsWith(PREFIX) || known.has(name) || OTHER_VARIABLES.includes(name);
  });
  return suffice ? known : undefined;
}

function readEnvironment(settings: Section, { env, variables, client = false }: Sources, draft: Draft): void {
  for (const setting of settingsOf(settings)) {
    if (client && !CLIENT_SETTINGS.includes(setting.path)) continue;
    const raw = env[setting.variable];
    // Compose files and unit files pass variables on that are set to nothing.
    if (raw !== undefined && raw !== "") readText({ setting, raw, source: `environment ${setting.variable}` }, draft);
  }
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || variables.has(name) || OTHER_VARIABLES.includes(name)) continue;
    if (value === undefined || SERVICE_VARIABLE.test(name)) continue;
    // Its value is not shown: it may be a secret under a name with a slip in it.
    // What all of them begin with says nothing about which one is meant.
    const near = nearest(
      name.slice(PREFIX.length),
      [...variables, "INFERMESH_CONFIG"].map((known) => known.slice(PREFIX.length)),
    );
    const hint = near === undefined ? "" : `did you mean ${PREFIX}${near}?`;
    draft.faults.push({ path: name, source: "environment", found: "(hidden)", expected: "no such variable", hint });
  }
}
