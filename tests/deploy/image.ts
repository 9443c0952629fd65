/**
 * What an engine makes of a Dockerfile, without an engine: the folder that is the image's root, with the owners that it
 * says, and processes in it as a container has them: a root of its own that can't be written, its user, no capabilities,
 * first process of its process namespace, with what engines mount. Needs root, for the owners to be real.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Subprocess } from "bun";
import { run } from "./checkers.ts";
import { configOf, type ImageConfig, type Instruction, parseDockerfile, type Stage } from "./dockerfile.ts";

export const CHECKOUT = resolve(import.meta.dir, "../..");
/** Docker's names of the processors that have an executable. */
export const PROCESSORS: Readonly<Record<string, string>> = { amd64: "x64", arm64: "arm64" };
const DEVICES = ["null", "zero", "random", "urandom"];

/** Why there can be no containers here; "" where there can. */
export function containerFault(): string {
  if (process.platform !== "linux") return "namespaces are Linux's";
  if (process.getuid?.() !== 0) return "containers need root, for owners to be real";
  const missing = ["unshare", "nsenter", "setpriv", "chroot", "mount", "ip"].find(
    (tool) => Bun.which(tool, { PATH: TOOLS }) === null,
  );
  if (missing !== undefined) return `${missing} is not installed`;
  const { code, err } = run(["unshare", "--mount", "--net", "--pid", "--fork", "true"]);
  return code === 0 ? "" : `namespaces are not allowed (${err.trim()})`;
}

export const TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Image {
  readonly root: string;
  readonly config: ImageConfig;
}

export interface Build {
  readonly dockerfile: string;
  readonly folder: string;
  readonly args?: Readonly<Record<string, string>>;
  /** Makes what an image that is not ours has; where it is given none, only scratch is known. */
  readonly base?: (image: string, root: string) => void;
}

/** Builds the last stage. Files of the context are those that .dockerignore lets through. */
export function buildImage({ dockerfile, folder, args = {}, base }: Build): Image {
  const processor = Object.entries(PROCESSORS).find(([, ours]) => ours === process.arch)?.[0] ?? "";
  const stages = parseDockerfile(dockerfile, { TARGETARCH: processor, ...args });
  const made = new Map<string, string>();
  const make = (stage: Stage): string => {
    const known = made.get(stage.name);
    if (known !== undefined) return known;
    const named = (name: string): Stage | undefined => stages.find((one) => one.name === name && one !== stage);
    const parent = named(stage.base);
    const root = parent === undefined ? join(folder, stage.name === "" ? "root" : stage.name) : make(parent);
    mkdirSync(root, { recursive: true });
    if (parent === undefined && stage.base !== "scratch") {
      if (base === undefined) throw new Error(`${stage.base} is not known`);
      base(stage.base, root);
    }
    for (const one of stage.instructions) {
      if (one.name === "COPY") copyInto(root, one, (name) => make(stageOf(named(name), name)));
      if (one.name === "RUN") runIn(root, one.text);
    }
    made.set(stage.name, root);
    return root;
  };
  const last = stageOf(stages.at(-1), "the last");
  return { root: make(last), config: configOf(last) };
}

function stageOf(stage: Stage | undefined, name: string): Stage {
  if (stage === undefined) throw new Error(`there is no stage ${name}`);
  return stage;
}

function copyInto(root: string, { flags, words }: Instruction, stage: (name: string) => string): void {
  const [source = "", target = ""] = words;
  const from = flags["from"] === undefined ? join(CHECKOUT, source) : join(stage(flags["from"]), source);
  if (flags["from"] === undefined && !isInContext(source)) throw new Error(`.dockerignore leaves ${source} out`);
  if (!existsSync(from)) throw new Error(`${from} is missing`);
  const at =
    target.endsWith("/") && !source.endsWith("/")
      ? join(root, target, source.split("/").at(-1) ?? "")
      : join(root, target);
  mkdirSync(dirname(at), { recursive: true });
  cpSync(from, at, { recursive: true });
  if (flags["chmod"] !== undefined) chmodSync(at, Number.parseInt(flags["chmod"], 8));
  if (flags["chown"] === undefined) return;
  // What the copy brought into a folder, not the folder.
  const brought = target.endsWith("/") && source.endsWith("/") ? readdirSync(from).map((name) => join(at, name)) : [at];
  expectWell(["chown", "-R", flags["chown"], ...brought]);
}

function runIn(root: string, command: string): void {
  expectWell(["chroot", root, "/bin/sh", "-c", command], { PATH: TOOLS });
}

function expectWell(command: readonly string[], env?: Record<string, string>): void {
  const { code, err } = run(command, env === undefined ? {} : { env });
  if (code !== 0) throw new Error(`${command.join(" ")}: ${err}`);
}

/** Whether .dockerignore lets a path of the context through: of its lines that fit, the last counts. */
export function isInContext(path: string, lines = ignoreLines()): boolean {
  const clean = path.replace(/\/$/, "");
  let ignored = false;
  for (const line of lines) {
    const pattern = line.replace(/^!/, "");
    if (pattern === "*" || clean === pattern || clean.startsWith(`${pattern}/`)) ignored = !line.startsWith("!");
  }
  return !ignored;
}

function ignoreLines(): string[] {
  const text = readFileSync(join(CHECKOUT, ".dockerignore"), "utf8");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** Makes a named volume: the folder of the image that it is mounted over, with its owner. */
export function makeVolume(image: Image, path: string, at: string): string {
  mkdirSync(dirname(at), { recursive: true });
  expectWell(["cp", "-a", join(image.root, path), at]);
  return at;
}

/** The places where engines mount. */
export function addMountPoints({ root }: Image, hosts: string): void {
  for (const name of ["proc", "dev", "tmp", "etc"]) mkdirSync(join(root, name), { recursive: true });
  for (const device of DEVICES) writeFileSync(join(root, "dev", device), "");
  writeFileSync(join(root, "etc", "hosts"), hosts);
  writeFileSync(join(root, "etc", "resolv.conf"), "");
}

const AS_CONTAINER = `set -e
root=$1; user=$2; volume=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
for device in ${DEVICES.join(" ")}; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$volume" "$root/data"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec="$user" --groups= "$root" "$@"`;

/** The command that runs one in the image, first process of its own; `volume` is the folder that is its /data. */
export function inContainer({ root, config }: Image, volume: string, command: readonly string[]): string[] {
  const script = ["sh", "-c", AS_CONTAINER, "sh", root, config.user, volume, ...command];
  return ["unshare", "--mount", "--pid", "--fork", "--", ...script];
}

/** Of a process's children in namespaces of their own, the one that is the container's first. */
export function firstProcess(of: number): number | undefined {
  try {
    const [child = ""] = readFileSync(`/proc/${of}/task/${of}/children`, "utf8").trim().split(" ");
    return child === "" ? undefined : Number(child);
  } catch {
    return undefined;
  }
}

/** Ends one that `inContainer` started, with all that is in it: what waits for its first process would not end that. */
export async function endContainer(child: Subprocess): Promise<void> {
  const first = firstProcess(child.pid);
  if (first !== undefined) process.kill(first, "SIGKILL");
  child.kill("SIGKILL");
  await child.exited;
}

/** What a container's processes have for an environment. */
export function containerEnv({ config }: Image, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: TOOLS, ...config.env, ...more };
}
