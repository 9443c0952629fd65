/**
 * npm run lock: adds to package-lock.json the platform packages that `npm install` left out.
 *
 * npm drops an optional package from the lock file when the registry at hand does not offer it, and then refuses the
 * lock file in `npm ci`, on every platform. The entries made here hold what npm needs to pass such a package by where
 * it does not fit: version, system, processor, C library. They carry no integrity hash, since nobody here has seen the
 * package; on a platform that needs one, npm takes it from the registry.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, ScriptError, runAsScript, say } from "./toolchain.mjs";

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const PROCESSORS = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"];

/** Where Node would find `name` from the package at `path`, if the lock file has it. */
function find(packages, path, name) {
  for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf("node_modules/") - 1))) {
    const candidate = `${base === "" ? "" : `${base}/`}node_modules/${name}`;
    if (candidate in packages) return candidate;
    if (base === "") return undefined;
  }
}

/** The optional dependencies that the lock file names but does not hold: [path of the parent, name, version]. */
export function missingOptionals(lock) {
  return Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => find(lock.packages, path, name) === undefined)
      .map(([name, version]) => [path, name, version]),
  );
}

function platformEntry(parent, name, version) {
  const words = name.split("/").at(-1).split("-");
  const os = words.filter((word) => SYSTEMS.includes(word));
  const cpu = words.filter((word) => PROCESSORS.includes(word));
  if (!/^\d+\.\d+\.\d+/.test(version) || cpu.length !== 1) {
    throw new ScriptError(`${name}@${version} does not look like a package for one platform`);
  }
  const libc = words.some((word) => word.startsWith("musl")) ? ["musl"] : ["glibc"];
  return {
    version,
    cpu,
    ...(parent.dev === true ? { dev: true } : {}),
    ...(os.includes("linux") && words.some((word) => /^(?:musl|gnu)/.test(word)) ? { libc } : {}),
    optional: true,
    ...(os.length > 0 ? { os } : {}),
    ...(parent.engines === undefined ? {} : { engines: parent.engines }),
  };
}

await runAsScript(import.meta.url, () => {
  const path = join(ROOT, "package-lock.json");
  const lock = JSON.parse(readFileSync(path, "utf8"));
  const missing = missingOptionals(lock);
  for (const [parent, name, version] of missing) {
    lock.packages[`node_modules/${name}`] = platformEntry(lock.packages[parent], name, version);
  }
  for (const entry of Object.values(lock.packages)) delete entry.resolved;
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(path, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
  say(`package-lock.json: ${missing.length} platform packages added`);
});
