/**
 * Runs a static executable in a root of its own that has nothing but what a container's would: the executable, and
 * where asked /proc, /dev, /tmp and the files in /etc that a container engine mounts. By Linux's user namespaces, which
 * need no privileges, but are switched off on some machines.
 */

import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const UID = 65532;
const DEVICES = ["null", "zero", "random", "urandom"];

/**
 * Mounts, then becomes another user without privileges in a second namespace, whose root is the folder. Each step
 * replaces the process, so that signals reach the executable. Nothing but /tmp can be written, and not that where there
 * are no options for it.
 */
const AS_CONTAINER = `set -e
root=$1; parts=$2; tmp=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
if [ "$parts" = all ]; then mount --rbind /proc "$root/proc"; fi
for device in ${DEVICES.join(" ")}; do mount --bind "/dev/$device" "$root/dev/$device"; done
if [ "$tmp" != none ]; then mount -t tmpfs -o "$tmp" tmpfs "$root/tmp"; fi
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs unshare --user --map-user=${UID} --map-group=${UID} --root="$root" --wd=/ /infermesh "$@"`;

const IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"] as const;

/** Why there can be no such root here; "" where there can. */
export function rootFault(): string {
  if (process.platform !== "linux") return "namespaces are Linux's";
  for (const tool of ["unshare", "setpriv", "mount"]) {
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  }
  const script = `mount --make-rprivate / && exec setpriv --no-new-privs unshare --user --map-user=${UID} true`;
  const tried = Bun.spawnSync([...IN_NAMESPACE, "sh", "-c", script], { stdout: "ignore", stderr: "pipe" });
  return tried.exitCode === 0 ? "" : `user namespaces are not allowed (${tried.stderr.toString().trim()})`;
}

/** A folder with nothing but the executable, as an image FROM scratch has. */
export function emptyRoot(folder: string, executable: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(executable, join(folder, "infermesh"));
  chmodSync(join(folder, "infermesh"), 0o755);
}

/** Adds the places where an engine mounts. */
export function addMountPoints(folder: string): void {
  for (const name of ["proc", "dev", "tmp", "etc"]) mkdirSync(join(folder, name), { recursive: true });
  for (const device of DEVICES) writeFileSync(join(folder, "dev", device), "");
  writeFileSync(join(folder, "etc", "hosts"), "127.0.0.1 localhost\n");
  writeFileSync(join(folder, "etc", "resolv.conf"), "");
}

/** The command that runs the executable there, with nothing mounted, not even /proc. */
export const inEmptyRoot = (folder: string, ...args: string[]): string[] => [
  ...IN_NAMESPACE,
  `--root=${folder}`,
  "--wd=/",
  "/infermesh",
  ...args,
];

/** What a container's root may lack. */
export interface RootLacks {
  /** /proc is not mounted. */
  readonly proc?: boolean;
  /** /tmp is read-only, or nothing may be run from there. */
  readonly tmp?: "read-only" | "noexec";
}

/** The command that runs it as a container would: read-only, as an unprivileged user, no new privileges. */
export const inContainerRoot = (folder: string, ...args: string[]): string[] => inPoorRoot(folder, {}, ...args);

/** The same in a root that lacks something. */
export const inPoorRoot = (folder: string, { proc = false, tmp }: RootLacks, ...args: string[]): string[] => [
  ...IN_NAMESPACE,
  "sh",
  "-c",
  AS_CONTAINER,
  "sh",
  folder,
  proc ? "without-proc" : "all",
  tmp === "read-only" ? "none" : `mode=1777${tmp === "noexec" ? ",noexec" : ""}`,
  ...args,
];
