/**
 * Profiles: named ways to reach a mesh, in a file of the user's. Each says whom to ask and how answers are printed; one
 * of them may be the current one, which counts when none is named. Flags and variables win over a profile.
 *
 *     current: prod
 *     profiles:
 *       prod:
 *         endpoint: http://10.0.0.5:50052
 *         output: wide
 *         timeout: 10s
 *
 * The file is ~/.config/infermesh/config.yaml (XDG_CONFIG_HOME is obeyed), or what INFERMESH_CTL_CONFIG names.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { MeshError } from "../base/errors.ts";
import { type Fault, formatFault, isRecord } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { duplicateKeys, lineOfPath } from "../base/settings-file.ts";
import { newDraft, readTree } from "../base/settings-reading.ts";
import { shown } from "../base/shown.ts";
import type { Profile } from "./load-config.ts";
import { parsedText, whyNoFile } from "./parsed-text.ts";
import { profileSettings } from "./settings.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface ProfileFile {
  /** "" for none. */
  readonly current: string;
  readonly profiles: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const FILE_BYTES_MAX = 2 ** 20;
const PROFILES_MAX = 1000;
export const PROFILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const NAME_EXPECTED = "a profile's name: letters, digits, ., _ and -, at most 64, a letter or digit first";
const NONE: ProfileFile = { current: "", profiles: {} };

/** "/" for a user of whom neither $HOME nor /etc/passwd tells, as in an empty image: there are no profiles then. */
function homeOf(env: Environment): string {
  try {
    return env["HOME"] ?? homedir();
  } catch {
    return "/";
  }
}

/** Where the profiles are. */
export function profilePath(env: Environment): string {
  const named = env["INFERMESH_CTL_CONFIG"] ?? "";
  if (named !== "") return named;
  const base = env["XDG_CONFIG_HOME"] ?? "";
  return join(base === "" ? join(homeOf(env), ".config") : base, "infermesh", "config.yaml");
}

/** What the file holds; without a file there are no profiles. Throws `config_invalid`, which tells all that is wrong, and where. */
export function readProfiles(path: string): ProfileFile {
  const opened = openProfiles(path);
  if (!("faults" in opened)) return opened;
  const lines = opened.faults.map((fault) => `\n  ${formatFault(fault)}`);
  throw new MeshError("config_invalid", `the file of profiles is broken${lines.join("")}`);
}

/** The same, with the faults as they are reported. */
function openProfiles(path: string): ProfileFile | { readonly faults: readonly Fault[] } {
  const fail = (found: string, expected: string) => {
    return { faults: [{ path: "(file)", source: "", found, expected: `${expected} at ${path}`, hint: "" }] };
  };
  let text = "";
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return fail("more", `at most ${FILE_BYTES_MAX / 2 ** 20} MiB`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") return NONE;
    return fail(`none that can be read (${whyNoFile(error)})`, "a file");
  }
  const at = (line: number | undefined): string => (line === undefined ? path : `${path}, line ${line}`);
  const parsed = parsedText(text, false, at);
  if ("fault" in parsed) return { faults: [parsed.fault] };
  const faults = duplicateKeys(text).map(({ key, line }): Fault => {
    return { path: key, source: at(line), found: "the key a second time", expected: "it once", hint: "" };
  });
  const file = profilesIn(parsed.tree, (key) => at(lineOfPath(text, key)), faults);
  return faults.length === 0 ? file : { faults };
}

/** What the tree holds, and into `faults` what is wrong with it; `at` tells where a key stands. */
function profilesIn(tree: unknown, at: (key: string) => string, faults: Fault[]): ProfileFile {
  const refused = (path: string, found: unknown, expected: string, hint = ""): void => {
    faults.push({ path, source: at(path), found: shown(found), expected, hint });
  };
  if (tree === null || tree === undefined) return NONE;
  if (!isRecord(tree)) {
    refused("(file)", tree, "the keys current and profiles");
    return NONE;
  }
  const { current = "", profiles = {}, ...rest } = tree;
  for (const [key, value] of Object.entries(rest)) {
    refused(key, value, "no such key; there are current and profiles", didYouMean(key, ["current", "profiles"]));
  }
  if (typeof current !== "string") refused("current", current, "the name of a profile");
  if (!isRecord(profiles)) refused("profiles", profiles, "profiles by name");
  const entries = isRecord(profiles) ? Object.entries(profiles) : [];
  if (entries.length > PROFILES_MAX) refused("profiles", entries.length, `at most ${PROFILES_MAX} of them`);
  for (const [name, profile] of entries.slice(0, PROFILES_MAX)) {
    const path = `profiles.${name}`;
    if (!PROFILE_NAME.test(name)) refused(path, name, NAME_EXPECTED);
    const draft = newDraft();
    if (profile === null || isRecord(profile)) {
      readTree(profileSettings, profile ?? {}, draft, (key) => at(`${path}.${key}`));
      faults.push(...draft.faults.map((fault) => ({ ...fault, path: `${path}.${fault.path}` })));
    } else refused(path, profile, "the keys endpoint, output and timeout");
  }
  return {
    current: typeof current === "string" ? current : "",
    profiles: Object.fromEntries(entries.map(([name, profile]) => [name, profile ?? {}])) as ProfileFile["profiles"],
  };
}

/** Writes the file whole or not at all; for its owner only, since it may come to hold more than addresses. */
export function writeProfiles(path: string, { current, profiles }: ProfileFile): void {
  const fresh = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(fresh, Bun.YAML.stringify({ ...(current === "" ? {} : { current }), profiles }, null, 2) + "\n", {
      mode: 0o600,
    });
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw new MeshError("config_invalid", `can't write ${path}: ${whyNoFile(error)}`, { cause: error });
  }
}

/** What the profile says that is named, by the flag before the variable, or that is current; the faults where it can't be had. */
export function profileTree(
  env: Environment,
  flag: string | undefined,
): Profile | { readonly faults: readonly Fault[] } | undefined {
  const path = profilePath(env);
  const wanted = flag ?? env["INFERMESH_PROFILE"] ?? "";
  const opened = openProfiles(path);
  if ("faults" in opened) return opened;
  const { current, profiles } = opened;
  const name = wanted === "" ? current : wanted;
  if (name === "") return undefined;
  const tree = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (tree !== undefined) return { source: `profile ${name} of ${path}`, tree };
  const isCurrent = wanted === "";
  const source = flag !== undefined ? "flag --profile" : isCurrent ? path : "environment INFERMESH_PROFILE";
  const near = didYouMean(name, Object.keys(profiles));
  const hint = near === "" ? "`infermesh ctl profiles list` shows those that there are" : near;
  const expected = isCurrent ? "a profile of that file" : `a profile of ${path}`;
  return { faults: [{ path: isCurrent ? "current" : "profile", source, found: shown(name), expected, hint }] };
}
