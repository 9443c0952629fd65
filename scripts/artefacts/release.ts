/**
 * Makes a release of a checkout: the executables for each processor with what comes beside them, what is made of deploy/,
 * completions, man pages, what is new, and of all that sizes and hashes (release.json, SHA256SUMS). The same commit gives
 * the same bytes on every machine; nothing is written where something is in the way.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type ArchiveEntry, tarball } from "./archive.ts";
import { type Checkout, filesOfCommit, readCheckout } from "./checkout.ts";

export const PROCESSORS = ["x64", "arm64"] as const;
export type Processor = (typeof PROCESSORS)[number];
const SHELLS = ["bash", "zsh", "fish"] as const;
/** What a build leaves beside an executable; "" is itself. */
const SUFFIXES = ["", ".xz", ".cdx.json", ".notices.txt", ".sha256"] as const;
const PAGE = /^infermesh[a-z-]*$/;

export interface Builder {
  /** Why nothing can be built for it here; "" for nothing. */
  fault(processor: Processor): string;
  /** Leaves dist/infermesh-linux-PROCESSOR and what belongs to it; throws what went wrong. */
  build(processor: Processor, timeSeconds: number): Promise<void>;
  /** What `infermesh ARGS` prints. */
  said(...args: string[]): Promise<string>;
}

export interface Order {
  readonly root: string;
  readonly out: string;
  /** What is in it makes way, once nothing forbids the release. */
  readonly replaces: boolean;
  readonly processors: readonly Processor[];
  readonly builder: Builder;
  readonly say: (text: string) => void;
}

export interface Released {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** release.json. */
export interface Manifest {
  readonly version: string;
  readonly commit: string;
  readonly tag: string | null;
  readonly date: string;
  readonly files: readonly Released[];
}

export const MANIFEST = "release.json";
const SUMS = "SHA256SUMS";

const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

export async function release({ root, out, replaces, processors, builder, say }: Order): Promise<Manifest> {
  const checkout = readCheckout(root);
  const missing = processors.flatMap((processor) => builder.fault(processor));
  const faults = missing.filter((fault) => fault !== "");
  if (faults.length > 0) {
    const other = PROCESSORS.filter((processor) => builder.fault(processor) === "").join(" or ");
    throw new Error(`${faults.join("; ")}${other === "" ? "" : `; or build for one processor: --only ${other}`}`);
  }
  if (replaces) rmSync(out, { recursive: true, force: true });
  if (existsSync(out) && readdirSync(out).length > 0)
    throw new Error(`${out} is not empty: name another folder by --out`);
  mkdirSync(out, { recursive: true });

  for (const processor of processors) {
    await builder.build(processor, checkout.timeSeconds);
    for (const suffix of SUFFIXES) {
      const name = `infermesh-linux-${processor}${suffix}`;
      const path = join(root, "dist", name);
      if (!existsSync(path)) throw new Error(`the build for ${processor} left no ${name}`);
      copyFileSync(path, join(out, name));
      chmodSync(join(out, name), suffix === "" ? 0o755 : 0o644);
    }
  }
  const made = new Map([
    ...deployment(root, checkout),
    ...(await shared(checkout, builder)),
    ["RELEASE_NOTES.md", Buffer.from(`# infermesh ${checkout.version}\n\n${checkout.entry.text}\n`)],
    ["LICENSE", readFileSync(join(root, "LICENSE"))],
  ]);
  for (const [name, bytes] of made)
    writeFileSync(join(out, name), bytes, { mode: name.endsWith(".sh") ? 0o755 : 0o644 });
  // What the build changed in the checkout would not be of the commit.
  readCheckout(root);
  return told(out, checkout, say);
}

/** A file of the commit, for an archive. */
const entryAt = (
  root: string,
  name: string,
  { path, isExecutable }: ReturnType<typeof filesOfCommit>[number],
): ArchiveEntry => ({
  name,
  bytes: readFileSync(join(root, path)),
  isExecutable,
});

/** What is made of deploy/: all of it as an archive, each Helm chart as a package, and the install script by itself. */
function deployment(root: string, { version, timeSeconds }: Checkout): [string, Uint8Array][] {
  const files = filesOfCommit(root, "deploy");
  if (files.length === 0) return [];
  const base = `infermesh-${version}`;
  const all = files.map((file) => entryAt(root, `${base}/${file.path}`, file));
  const charts = files
    .filter(({ path }) => basename(path) === "Chart.yaml")
    .map(({ path }): [string, Uint8Array] => {
      const folder = path.slice(0, -"Chart.yaml".length);
      const chart = Bun.YAML.parse(readFileSync(join(root, path), "utf8")) as Record<string, unknown>;
      if (chart["version"] !== version || chart["appVersion"] !== version) {
        throw new Error(
          `${path} is of ${String(chart["version"])}, for ${String(chart["appVersion"])}; expected ${version}`,
        );
      }
      const inside = files.filter((file) => file.path.startsWith(folder));
      const name = String(chart["name"]);
      const entries = inside.map((file) => entryAt(root, `${name}/${file.path.slice(folder.length)}`, file));
      return [`${name}-chart-${version}.tgz`, tarball(entries, timeSeconds)];
    });
  const install = files.filter(({ path }) => path === "deploy/install.sh");
  return [
    [`${base}-deploy.tar.gz`, tarball(all, timeSeconds)],
    ...charts,
    ...install.map(({ path }): [string, Uint8Array] => ["install.sh", readFileSync(join(root, path))]),
  ];
}

/** What shells complete command lines by, and the manual pages, as they lie below /usr/share. */
async function shared({ version, timeSeconds }: Checkout, builder: Builder): Promise<[string, Uint8Array][]> {
  const base = `infermesh-${version}`;
  const pages = (await builder.said("man", "--list")).trim().split("\n");
  const odd = pages.find((page) => !PAGE.test(page));
  if (odd !== undefined) throw new Error(`infermesh man --list names ${JSON.stringify(odd)}, which is no page`);
  const wanted: readonly (readonly [name: string, ...args: string[]])[] = [
    ...SHELLS.map((shell) => [`completions/infermesh.${shell}`, "ctl", "completion", shell] as const),
    ...pages.map((page) => [`man/man1/${page}.1`, "man", page] as const),
  ];
  const entries: ArchiveEntry[] = [];
  for (const [name, ...args] of wanted) {
    const text = await builder.said(...args);
    if (text.trim() === "") throw new Error(`infermesh ${args.join(" ")} printed nothing`);
    if (args[0] === "man" && !text.includes(`infermesh ${version}`)) {
      throw new Error(`infermesh ${args.join(" ")} prints a page that is not of ${version}`);
    }
    entries.push({ name: `${base}/${name}`, bytes: Buffer.from(text), isExecutable: false });
  }
  return [[`${base}-share.tar.gz`, tarball(entries, timeSeconds)]];
}

/** Writes release.json and the checksums of everything, and says what there is. */
function told(out: string, { version, commit, tag, timeSeconds }: Checkout, say: (text: string) => void): Manifest {
  const of = (name: string): Released => {
    const path = join(out, name);
    return { name, bytes: statSync(path).size, sha256: sha256(readFileSync(path)) };
  };
  const files = readdirSync(out).toSorted().map(of);
  const manifest: Manifest = { version, commit, tag, date: new Date(timeSeconds * 1000).toISOString(), files };
  writeFileSync(join(out, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  const all = [...files, of(MANIFEST)];
  writeFileSync(join(out, SUMS), all.map(({ name, sha256: hash }) => `${hash}  ${name}\n`).join(""));
  for (const { name, bytes, sha256: hash } of all) say(`${hash}  ${String(bytes).padStart(11)}  ${name}`);
  return manifest;
}

/** How this release differs from another of the same commit; none where it is the same to the byte. */
export function differences(own: Manifest, other: Manifest): string[] {
  if (own.commit !== other.commit) return [`it is of commit ${other.commit}, and this one of ${own.commit}`];
  const hashes = new Map(other.files.map(({ name, sha256: hash }) => [name, hash]));
  const names = new Set(own.files.map(({ name }) => name));
  return [
    ...own.files.flatMap(({ name, sha256: hash }) => {
      const theirs = hashes.get(name);
      if (theirs === undefined) return [`${name} is not in it`];
      return theirs === hash ? [] : [`${name} is another one: ${theirs} there, ${hash} here`];
    }),
    ...other.files.filter(({ name }) => !names.has(name)).map(({ name }) => `${name} is only there`),
  ];
}
