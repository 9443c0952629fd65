/**
 * What a static executable is made of that is not in this checkout, by its hash: Bun's build for musl, from npm, pinned
 * by package-lock.json; musl's libc.so, from Debian's package. Each is fetched once into a cache and checked at every
 * build; a file that someone puts there by hand does as well.
 *
 * Debian removes a version from its mirrors when a newer one takes its place. Then MUSL is to be changed here: it is
 * frozen inside of the executable, so that a security fix of musl needs a new build anyway.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { ElfFile } from "../elf/file.ts";
import { type Part, digestOf } from "./bill.ts";
import { bunParts } from "./bun-parts.ts";
import type { Machine } from "./machine.ts";

const ROOT = resolve(import.meta.dir, "..", "..");
const CACHE_HOME = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
const CACHE = process.env["INFERMESH_BUILD_CACHE"] ?? join(CACHE_HOME, "infermesh-build");

/** 1.2.4 was the first to ask name servers by TCP for answers that are cut short, as those for large meshes are. */
export const MUSL = {
  version: "1.2.5-3.1~deb13u1",
  packages: {
    x64: {
      architecture: "amd64",
      sha256: "fd4231e1c189c0ebe01182747f83817593fefa7f6b690c484410646288b60058",
      library: "./usr/lib/x86_64-linux-musl/libc.so",
    },
    arm64: {
      architecture: "arm64",
      sha256: "46cf1fcaa2d49d1573ef0ceabdb36e04a359a9a37d8e4304024f9018682e3f35",
      library: "./usr/lib/aarch64-linux-musl/libc.so",
    },
  },
} as const;

const APT_HELPER = "/usr/lib/apt/apt-helper";
const AR_MAGIC = "!<arch>\n";
const AR_HEADER = 60;

/** A machine on which it cannot be built, as opposed to something that is wrong with what is built. */
export class NotHere extends Error {
  override readonly name = "NotHere";
}

/** Runs a command and answers what it printed; `undefined` where it fails or isn't there. */
function outputOf(command: readonly string[], input?: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  try {
    const done = Bun.spawnSync([...command], { stdin: input ?? "ignore", stdout: "pipe", stderr: "ignore" });
    return done.exitCode === 0 ? new Uint8Array(done.stdout) : undefined;
  } catch {
    return undefined;
  }
}

const digest = (algorithm: "sha256" | "sha512", bytes: Uint8Array, encoding: "hex" | "base64"): string =>
  new Bun.CryptoHasher(algorithm).update(bytes).digest(encoding);

/**
 * The file of the cache by this name, fetched where it isn't there. `check` answers what is wrong with its bytes, "" for
 * nothing; `fetch` puts it into a folder.
 */
function cached(name: string, check: (bytes: Uint8Array) => string, fetch: (into: string) => string): Uint8Array {
  const path = join(CACHE, name);
  if (!existsSync(path)) {
    const scratch = join(CACHE, `.fetch-${process.pid}`);
    mkdirSync(scratch, { recursive: true });
    try {
      const fetched = fetch(scratch);
      const fault = check(readFileSync(fetched));
      if (fault !== "") throw new Error(`${name}, as it was fetched, is not the file that is pinned: ${fault}`);
      renameSync(fetched, path);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  const bytes = readFileSync(path);
  const fault = check(bytes);
  if (fault !== "") throw new Error(`${path} is not the file that is pinned: ${fault}. Remove it, and build again.`);
  return bytes;
}

/** `undefined` if no file of that name is in the tar archive. */
function fromTar(archive: Uint8Array, flag: "-z" | "-J", name: string): Uint8Array<ArrayBuffer> | undefined {
  return outputOf(["tar", "-x", flag, "-O", "-f", "-", name], archive);
}

/** Bun's runtime for musl, of the version that builds the rest. */
export function bunForMusl(machine: Machine): { runtime: ElfFile; parts: Part[] } {
  const name = `@oven/bun-linux-${machine.name === "arm64" ? "aarch64" : machine.name}-musl`;
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity?: string } | undefined>;
  };
  const entry = lock.packages[`node_modules/${name}`];
  if (entry?.integrity === undefined) throw new Error(`package-lock.json has no hash for ${name}`);
  const { version, integrity } = entry;
  if (version !== Bun.version) throw new Error(`${name} is pinned at ${version}, and Bun is ${Bun.version} here`);
  const check = (bytes: Uint8Array): string => {
    const actual = `sha512-${digest("sha512", bytes, "base64")}`;
    return actual === integrity ? "" : `its hash is ${actual}, not ${integrity}`;
  };
  const archive = cached(`${name.replace("@oven/", "")}-${version}.tgz`, check, (into) => {
    const npm = process.env["npm_execpath"]?.endsWith(".js") ? ["node", process.env["npm_execpath"]] : ["npm"];
    const packed = outputOf([...npm, "pack", `${name}@${version}`, "--silent", "--pack-destination", into]);
    const file = packed === undefined ? "" : new TextDecoder().decode(packed).trim();
    if (file === "") throw new NotHere(`npm can't fetch ${name}@${version}`);
    return join(into, file);
  });
  const runtime = fromTar(archive, "-z", "package/bin/bun");
  if (runtime === undefined) throw new NotHere(`tar can't take package/bin/bun out of ${name}`);
  const url = `pkg:npm/${name.replace("@", "%40")}`;
  const parts = bunParts({ name, version, url, hash: digestOf(integrity) }, process.versions);
  return { runtime: new ElfFile(name, runtime), parts };
}

/** The first Debian mirror that this machine's apt uses; any has all of Debian's versions. */
function debianMirror(): string {
  const format = ["--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"];
  const listed = outputOf(["apt-get", "indextargets", ...format, "Created-By: Packages"]);
  const lines = listed === undefined ? [] : new TextDecoder().decode(listed).split("\n");
  const found = lines.find((line) => line.endsWith(" Debian Debian"));
  return found?.split(" ", 1)[0]?.replace(/\/$/, "") ?? "";
}

function muslPackage(machine: Machine): Uint8Array {
  const { architecture, sha256 } = MUSL.packages[machine.name];
  const file = `musl_${MUSL.version}_${architecture}.deb`;
  const check = (bytes: Uint8Array): string => {
    const actual = digest("sha256", bytes, "hex");
    return actual === sha256 ? "" : `its SHA-256 is ${actual}, not ${sha256}`;
  };
  return cached(file, check, (into) => {
    const path = join(into, file);
    const mirror = debianMirror();
    const url = `${mirror}/pool/main/m/musl/${file}`;
    const isThere =
      mirror !== "" && outputOf([APT_HELPER, "download-file", url, path, `SHA256:${sha256}`]) !== undefined;
    if (isThere) return path;
    throw new NotHere(
      `Debian's package musl ${MUSL.version} can't be fetched (${mirror === "" ? "no Debian mirror in apt's lists" : url}). ` +
        `Put ${file} with the SHA-256 ${sha256} into ${CACHE}, or pin another version in scripts/static/pins.ts.`,
    );
  });
}

/** A member of an ar archive, such as Debian's packages are. */
export function arMember(archive: Uint8Array, name: string): Uint8Array | undefined {
  const latin1 = (from: number, to: number): string => Buffer.from(archive.subarray(from, to)).toString("latin1");
  if (latin1(0, AR_MAGIC.length) !== AR_MAGIC) return undefined;
  for (let at = AR_MAGIC.length; at + AR_HEADER <= archive.length;) {
    const size = Number(latin1(at + 48, at + 58));
    const start = at + AR_HEADER;
    if (!Number.isInteger(size) || start + size > archive.length) return undefined;
    if (
      latin1(at, at + 16)
        .trimEnd()
        .replace(/\/$/, "") === name
    )
      return archive.subarray(start, start + size);
    at = start + size + (size % 2);
  }
  return undefined;
}

/** Musl's libc.so, with its licences. */
export function musl(machine: Machine): { library: ElfFile; part: Part } {
  const { library, sha256 } = MUSL.packages[machine.name];
  const archive = arMember(muslPackage(machine), "data.tar.xz");
  if (archive === undefined) throw new Error("Debian's package musl has no data.tar.xz: how is it packed now?");
  const [file, licence] = [library, "./usr/share/doc/musl/copyright"].map((name) => fromTar(archive, "-J", name));
  if (file === undefined || licence === undefined)
    throw new NotHere(`tar and xz can't take ${library} out of musl's package`);
  const part: Part = {
    name: "musl",
    version: MUSL.version,
    licence: "MIT",
    url: "pkg:deb/debian/musl",
    text: new TextDecoder().decode(licence).trim(),
    copyright: [],
    hash: sha256,
  };
  return { library: new ElfFile("libc.so", file), part };
}
