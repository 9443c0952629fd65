/**
 * What every npm script starts with, on plain Node: the packages are installed, Bun is found, steps print what they
 * do and how long they took. Nothing here may import a package: there may be none yet.
 */

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = join(ROOT, "node_modules");
const LOCK = join(ROOT, "package-lock.json");
const STAMP = join(MODULES, ".infermesh-lock");

/** Ends the script with a message for a person, not a stack. */
export class ScriptError extends Error {}

export const say = (text) => console.log(`> ${text}`);

/** Runs `action`, prints its name before and its time after; its value is passed on. */
export async function step(name, action) {
  const started = performance.now();
  say(`${name} ...`);
  const value = await action();
  say(`${name}: done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return value;
}

/** Runs a command with our own terminal and resolves to its exit code (128 + n when signal n ended it). */
export function exec(command, args, { env = {}, onOutput } = {}) {
  return new Promise((done, fail) => {
    const stdio = onOutput === undefined ? "inherit" : ["inherit", "pipe", "pipe"];
    const child = spawn(command, args, { cwd: ROOT, stdio, env: { ...process.env, ...env } });
    // On a terminal Ctrl-C reaches the child by itself; a signal sent to us alone has to be passed on. Either way it is
    // the child's end that decides ours.
    const onTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
    const interrupt = () => onTerminal || child.kill("SIGINT");
    const terminate = () => child.kill("SIGTERM");
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", terminate);
    if (onOutput !== undefined) {
      child.stdout.on("data", (bytes) => (process.stdout.write(bytes), onOutput(bytes)));
      child.stderr.on("data", (bytes) => (process.stderr.write(bytes), onOutput(bytes)));
    }
    child.on("error", (error) => fail(new ScriptError(`cannot run ${command}: ${error.message}`)));
    child.on("close", (code, signal) => {
      process.off("SIGINT", interrupt);
      process.off("SIGTERM", terminate);
      done(code ?? 128 + (signal === "SIGINT" ? 2 : signal === "SIGKILL" ? 9 : 15));
    });
  });
}

/** Like exec, but anything other than success ends the script. */
export async function must(command, args, options) {
  const code = await exec(command, args, options);
  if (code !== 0)
    throw new ScriptError(`${[command, ...args].join(" ").replaceAll(`${ROOT}/`, "")} ended with ${code}`);
}

export const hashOf = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex");
};

/** Every file at or below the given paths of the checkout, sorted; what does not exist is left out. */
export function filesUnder(...paths) {
  const found = [];
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (!statSync(path).isDirectory()) found.push(path);
    else for (const name of readdirSync(path)) visit(join(path, name));
  };
  for (const path of paths) visit(join(ROOT, path));
  return found.sort((a, b) => (a < b ? -1 : 1));
}

/** One hash over names and contents of everything at or below the paths. */
export const hashFiles = (...paths) =>
  hashOf(...filesUnder(...paths).flatMap((path) => [relative(ROOT, path), readFileSync(path)]));

/** True if what npm says it installed is what the lock file asks for (packages of other platforms aside). */
function installMatchesLock() {
  const installedPath = join(MODULES, ".package-lock.json");
  if (!existsSync(installedPath)) return false;
  const wanted = JSON.parse(readFileSync(LOCK, "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedPath, "utf8")).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "" || entry.optional === true || entry.peer === true) return true;
    return installed[path]?.version === entry.version && existsSync(join(ROOT, path));
  });
}

/** Installs what package-lock.json asks for, unless it is there; then no network is needed. */
async function install() {
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new ScriptError(`Node 20 or newer is needed, this is ${process.versions.node}`);
  }
  const wanted = hashOf(readFileSync(LOCK), process.platform, process.arch);
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted && findBun() !== undefined) return;
  if (!installMatchesLock() || findBun() === undefined) {
    await step("install packages (npm ci)", async () => {
      // Under `npm start` this is the npm that runs us, which may not be the one on the PATH.
      const cli = process.env["npm_execpath"];
      const command = cli?.endsWith(".js") ? [process.execPath, cli] : ["npm"];
      const code = await exec(command[0], [...command.slice(1), "ci", "--no-audit", "--no-fund"]);
      if (code !== 0) throw new ScriptError(`npm ci ended with ${code}. The first installation needs a network.`);
    });
  }
  writeFileSync(STAMP, wanted);
}

/** Which of @oven's packages can run here, best first. */
function bunCandidates() {
  const { platform, arch } = process;
  const cpu = arch === "arm64" ? "aarch64" : arch;
  // The report's network section may wait for a name server.
  process.report.excludeNetwork = true;
  const glibc = platform !== "linux" || Boolean(process.report.getReport().header.glibcVersionRuntime);
  const stem = `bun-${platform === "win32" ? "windows" : platform}-${cpu}${glibc ? "" : "-musl"}`;
  if (cpu !== "x64") return [stem];
  // Where there is a baseline build, it is the one for machines without AVX2.
  let avx2 = true;
  if (platform === "linux") avx2 = / avx2 /.test(readFileSync("/proc/cpuinfo", "utf8"));
  return avx2 ? [stem, `${stem}-baseline`] : [`${stem}-baseline`, stem];
}

/** The path of the Bun that npm installed, undefined if it did not. Its post-install step never has to run. */
function findBun() {
  const file = process.platform === "win32" ? "bun.exe" : "bun";
  return bunCandidates()
    .map((name) => join(MODULES, "@oven", name, "bin", file))
    .find((path) => existsSync(path));
}

/** Packages installed and Bun found and seen to run: its path. */
export async function prepare() {
  await install();
  const bun = findBun();
  if (bun === undefined) {
    throw new ScriptError(
      `npm installed no Bun for this machine (looked for ${bunCandidates().join(", ")} in node_modules/@oven): is npm ` +
        "told to omit optional packages?",
    );
  }
  const probe = spawnSync(bun, ["--version"], { encoding: "utf8" });
  if (probe.status !== 0) throw new ScriptError(`${bun} does not run here: ${probe.error?.message ?? probe.stderr}`);
  return bun;
}

/** Runs `main` if this module is the one that Node was started with; its number is the exit code. */
export async function runAsScript(url, main) {
  if (pathToFileURL(process.argv[1] ?? "").href !== url) return;
  try {
    process.exitCode = (await main(process.argv.slice(2))) ?? 0;
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
