/** What is to be released: a commit, whole and unchanged, with a version that is told in the changelog and not taken. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ChangelogEntry, entryOf } from "./changelog.ts";

export interface Checkout {
  readonly version: string;
  readonly commit: string;
  /** Of the commit, in seconds since 1970: the time of everything that is made of it. */
  readonly timeSeconds: number;
  /** v and the version, where the commit has it. */
  readonly tag: string | null;
  readonly entry: ChangelogEntry;
}

/** What git, package.json and the changelog say. */
export interface CheckoutFacts {
  readonly version: unknown;
  readonly changelog: string;
  /** As `git status --porcelain` tells. */
  readonly changes: readonly string[];
  readonly tagsHere: readonly string[];
  /** The commit that has the version's tag already; "" for none. */
  readonly taggedCommit: string;
  readonly commit: string;
}

const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;
const CHANGES_SHOWN = 5;

/** All that forbids a release, each with what to do. */
export function releaseFaults(facts: CheckoutFacts): string[] {
  const { version, changelog, changes, tagsHere, taggedCommit, commit } = facts;
  const faults: string[] = [];
  if (changes.length > 0) {
    const more = changes.length > CHANGES_SHOWN ? `, and ${changes.length - CHANGES_SHOWN} more` : "";
    faults.push(
      `there are changes that are in no commit (${changes.slice(0, CHANGES_SHOWN).join(", ")}${more}): commit or remove them`,
    );
  }
  if (typeof version !== "string" || !VERSION.test(version)) {
    faults.push(`package.json's version is ${JSON.stringify(version)}; expected one like 1.2.3 or 1.2.3-rc.1`);
    return faults;
  }
  const wanted = `v${version}`;
  const others = tagsHere.filter((tag) => /^v\d/.test(tag) && tag !== wanted);
  if (others.length > 0) {
    faults.push(
      `the commit has the tag ${others.join(", ")}, and package.json says ${version}: make one of them the other`,
    );
  }
  if (taggedCommit !== "" && taggedCommit !== commit) {
    faults.push(
      `${version} is another commit already (the tag ${wanted} is at ${taggedCommit.slice(0, 12)}): raise the version`,
    );
  }
  if (entryOf(changelog, version) === undefined) {
    faults.push(
      `CHANGELOG.md has no entry for ${version}: it wants "## [${version}] - YYYY-MM-DD" with what is new below`,
    );
  }
  return faults;
}

function git(root: string, ...args: string[]): string | undefined {
  const done = Bun.spawnSync(["git", ...args], { cwd: root, stdout: "pipe", stderr: "ignore" });
  return done.exitCode === 0 ? done.stdout.toString().trim() : undefined;
}

const linesOf = (text: string | undefined): string[] => (text ?? "").split("\n").filter((line) => line !== "");

/** The checkout at `root`; throws with everything that forbids its release. */
export function readCheckout(root: string): Checkout {
  const commit = git(root, "rev-parse", "HEAD");
  if (commit === undefined) throw new Error(`${root} is no git checkout: a release is made of a commit`);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: unknown };
  const path = join(root, "CHANGELOG.md");
  const changelog = existsSync(path) ? readFileSync(path, "utf8") : "";
  const tagsHere = linesOf(git(root, "tag", "--points-at", "HEAD"));
  const faults = releaseFaults({
    version,
    changelog,
    changes: linesOf(git(root, "status", "--porcelain")).map((line) => line.replace(/^.. ?/, "")),
    tagsHere,
    taggedCommit: git(root, "rev-parse", "-q", "--verify", `refs/tags/v${String(version)}^{commit}`) ?? "",
    commit,
  });
  const entry = entryOf(changelog, String(version));
  if (faults.length > 0 || entry === undefined) throw new Error(`no release of this: ${faults.join("; ")}`);
  const wanted = `v${String(version)}`;
  return {
    version: String(version),
    commit,
    timeSeconds: Number(git(root, "log", "-1", "--format=%ct")),
    tag: tagsHere.includes(wanted) ? wanted : null,
    entry,
  };
}

/** Files of the commit below a folder, by their paths in it; none where there is no such folder. */
export function filesOfCommit(
  root: string,
  folder: string,
): { readonly path: string; readonly isExecutable: boolean }[] {
  return linesOf(git(root, "-c", "core.quotePath=false", "ls-files", "--stage", "--", folder)).map((line) => {
    const [stage = "", path = ""] = line.split("\t");
    return { path, isExecutable: stage.startsWith("100755") };
  });
}
