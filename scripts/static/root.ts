/**
 * Runs a static executable in a root of its own that has nothing but what a container's would: the executable, and
 * where asked /proc, /dev, /tmp and the files in /etc that a container engine mounts. By Linux's user namespaces, which
 * need no privileges, but are switched off on some machines.
 */

import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const UID = 65532;
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];
/** Where own terminals are; as engines link them. */
const DEVICE_LINKS = {
  ptmx: "pts/ptmx",
  fd: "/proc/self/fd",
  stdin: "/proc/self/fd/0",
  stdout: "/proc/self/fd/1",
  stderr: "/proc/self/fd/2",
};

/** How much of a machine a root has for itself. */
export interface Sharing {
  /**
   * `host`: the machine's network and processes, so that it can be reached and ended like any other program. `none`: a
   * network with nothing but loopback, and no other process: the executable is the first one, as in a container.
   */
  readonly machine: "host" | "none";
  /** `none`: another user without privileges, on a root that can't be written. `root`: the superuser of an image. */
  readonly privileges: "none" | "root";
  readonly lacks?: RootLacks;
}

/** What a container's root may lack. */
export interface RootLacks {
  /** /proc is not mounted. */
  readonly proc?: boolean;
  /** /tmp is read-only as the root is, or nothing may be run from there. */
  readonly tmp?: "read-only" | "noexec";
}

/** As engines let unprivileged processes have low ports too. Loopback is down in a new network. */
const LONELY = `mount -t proc proc "$root/proc"
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
ip link set lo up 2>/dev/null || busybox ip link set lo up`;

const MOUNTS = (machine: Sharing["machine"], { proc = false, tmp }: RootLacks): string => `set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
${machine === "none" ? LONELY : proc ? "" : 'mount --rbind /proc "$root/proc"'}
for device in ${DEVICES.join(" ")}; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
for folder in ${tmp === "read-only" ? "dev/shm" : "tmp dev/shm"}; do
  mount -t tmpfs -o mode=1777${tmp === "noexec" ? ",noexec" : ""} tmpfs "$root/$folder"
done`;

/**
 * Mounts, then becomes another user without privileges in a second namespace, whose root is the folder, where nothing
 * but /tmp can be written; or stays the first one's superuser. Each step replaces the process, so that signals reach the
 * executable.
 */
const START = {
  none: `mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs unshare --user --map-user=${UID} --map-group=${UID} --root="$root" --wd=/ "$@"`,
  root: 'exec chroot "$root" "$@"',
} as const;

const IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"] as const;
const ALONE = ["--net", "--pid", "--fork", "--kill-child"] as const;

/** Why there can be no such root here; "" where there can. */
export function rootFault(): string {
  if (process.platform !== "linux") return "namespaces are Linux's";
  for (const tool of ["unshare", "setpriv", "mount", "chroot"]) {
    if (Bun.which(tool) === null) return `${tool} is not installed`;
  }
  const script = `mount --make-rprivate / && exec setpriv --no-new-privs unshare --user --map-user=${UID} true`;
  const tried = Bun.spawnSync([...IN_NAMESPACE, "sh", "-c", script], { stdout: "ignore", stderr: "pipe" });
  return tried.exitCode === 0 ? "" : `user namespaces are not allowed (${tried.stderr.toString().trim()})`;
}

/** Why there can be no root with a network and processes of its own, where there can be one; "" where there can. */
export function lonelyRootFault(): string {
  const script = `set -e\nroot=\nmount --make-rprivate /\n${LONELY}`;
  const tried = Bun.spawnSync([...IN_NAMESPACE, ...ALONE, "sh", "-c", script], { stdout: "ignore", stderr: "pipe" });
  if (tried.exitCode === 0) return "";
  return `namespaces of network and processes are not allowed, or ip is missing (${tried.stderr.toString().trim()})`;
}

/** A folder with nothing but the executable, as an image FROM scratch has. */
export function emptyRoot(folder: string, executable: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(executable, join(folder, "infermesh"));
  chmodSync(join(folder, "infermesh"), 0o755);
}

/** Adds the places where an engine mounts, and the files of /etc that it does; the name server is the machine itself. */
export function addMountPoints(folder: string): void {
  for (const name of ["proc", "dev/pts", "dev/shm", "tmp", "etc"]) mkdirSync(join(folder, name), { recursive: true });
  for (const device of DEVICES) writeFileSync(join(folder, "dev", device), "");
  for (const [name, to] of Object.entries(DEVICE_LINKS)) symlinkSync(to, join(folder, "dev", name));
  writeFileSync(join(folder, "etc", "hosts"), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  writeFileSync(join(folder, "etc", "hostname"), "trial\n");
  writeFileSync(join(folder, "etc", "resolv.conf"), "nameserver 127.0.0.1\n");
}

/** The command that runs the executable there, with nothing mounted, not even /proc. */
export const inEmptyRoot = (folder: string, ...args: string[]): string[] => [
  ...IN_NAMESPACE,
  `--root=${folder}`,
  "--wd=/",
  "/infermesh",
  ...args,
];

/** The command that runs another one in a root with mount points. */
export const inRoot = (
  { machine, privileges, lacks = {} }: Sharing,
  folder: string,
  ...command: string[]
): string[] => [
  ...IN_NAMESPACE,
  ...(machine === "none" ? ALONE : []),
  "sh",
  "-c",
  `${MOUNTS(machine, lacks)}\n${START[privileges]}`,
  "sh",
  folder,
  ...command,
];

/** Makes a command an executable without arguments of its own, for what starts executables. */
export function writeCommand(path: string, command: readonly string[]): void {
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  writeFileSync(path, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`);
  chmodSync(path, 0o755);
}
