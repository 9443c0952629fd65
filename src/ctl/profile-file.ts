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
import { type Fault, isRecord } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { parseSection } from "../base/settings-reading.ts";
import { shown } from "../base/shown.ts";
import type { Profile } from "./load-config.ts";
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
const NONE: ProfileFile = { current: "", profiles: {} };

/** Where the profiles are. */
export function profilePath(env: Environment): string {
  const named = env["INFERMESH_CTL_CONFIG"] ?? "";
  if (named !== "") return named;
  const base = env["XDG_CONFIG_HOME"] ?? "";
  return join(base === "" ? join(env["HOME"] ?? homedir(), ".config") : base, "infermesh", "config.yaml");
}

/** What the file holds; without a file there are no profiles. Throws `config_invalid`, which tells what is wrong where. */
export function readProfiles(path: string): ProfileFile {
  const fail = (why: string): never => {
    throw new MeshError("config_invalid", `${path}: ${why}`);
  };
  let text = "";
  try {
    if (statSync(path).size > FILE_BYTES_MAX) fail(`it is larger than ${FILE_BYTES_MAX / 2 ** 20} MiB`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof MeshError) throw error;
    const { code, message } = error as { code?: unknown; message: string };
    return code === "ENOENT" || code === "ENOTDIR" ? NONE : fail(`it can't be read: ${message}`);
  }
  let tree: unknown;
  try {
    tree = Bun.YAML.parse(text);
  } catch (error) {
    return fail(`it is not YAML: ${(error as Error).message}`);
  }
  if (tree === null || tree === undefined) return NONE;
  if (!isRecord(tree)) return fail("expected the keys current and profiles");
  const { current = "", profiles = {}, ...rest } = tree;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, ["current", "profiles"]);
    fail(`no such key ${shown(unknown)}; expected current and profiles${hint === "" ? "" : `; ${hint}`}`);
  }
  if (typeof current !== "string") return fail(`current is ${shown(current)}; expected the name of a profile`);
  const entries = isRecord(profiles) ? Object.entries(profiles) : fail("profiles: expected profiles by name");
  if (entries.length > PROFILES_MAX) fail(`there are more than ${PROFILES_MAX} profiles`);
  for (const [name, profile] of entries) {
    if (!PROFILE_NAME.test(name))
      fail(`${shown(name)} is no name for a profile: letters, digits, ., _ and -, at most 64`);
    const { faults } = parseSection(profileSettings, profile ?? {});
    const [fault] = faults ?? [];
    if (fault === undefined) continue;
    const { path: key, found, expected, hint } = fault;
    const wanted = expected.startsWith("no such") ? expected : `expected ${expected}`;
    fail(`profiles.${name}.${key}: found ${found}; ${wanted}${hint === "" ? "" : `; ${hint}`}`);
  }
  return {
    current,
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
    throw new MeshError("config_invalid", `can't write ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** What the profile says that is named, by the flag before the variable, or that is current; a fault where it can't be had. */
export function profileTree(env: Environment, flag: string | undefined): Profile | Fault | undefined {
  const path = profilePath(env);
  const wanted = flag ?? env["INFERMESH_PROFILE"] ?? "";
  try {
    const { current, profiles } = readProfiles(path);
    const name = wanted === "" ? current : wanted;
    if (name === "") return undefined;
    const tree = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
    if (tree !== undefined) return { source: `profile ${name} of ${path}`, tree };
    const source = flag !== undefined ? "flag --profile" : wanted === "" ? path : "environment INFERMESH_PROFILE";
    const hint = didYouMean(name, Object.keys(profiles));
    return { path: "profile", source, found: shown(name), expected: `a profile of ${path}`, hint };
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return { path: "profile", source: "", found: "a broken file", expected: `none; ${error.message}`, hint: "" };
  }
}
