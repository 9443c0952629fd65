/**
 * A root as stock Alpine has it: musl's loader, busybox with its applets, the usual files of /etc, and nothing else; no
 * libstdc++ and no libgcc above all. The loader is that of the package that the executable's own musl is of.
 */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SEGMENT } from "../elf/constants.ts";
import { ElfFile } from "../elf/file.ts";
import { type Machine, MACHINES } from "./machine.ts";
import { musl } from "./pins.ts";
import { addMountPoints } from "./root.ts";

const FOLDERS = [
  "home",
  "lib",
  "media",
  "mnt",
  "opt",
  "root",
  "run",
  "srv",
  "sys",
  "usr/lib",
  "usr/local/bin",
  "var/tmp",
];
const FILES: Readonly<Record<string, string>> = {
  "etc/alpine-release": "3.22.1\n",
  "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n',
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
  "etc/group": "root:x:0:root\nnobody:x:65534:\n",
  "etc/shells": "/bin/sh\n/bin/ash\n",
  "etc/nsswitch.conf": "hosts: files dns\nservices: files\n",
  "etc/profile": "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
};
const LOADER_NAMES = { x64: "x86_64", arm64: "aarch64" } as const;

/** Why there can be no such root here, where there can be roots at all; "" where there can. */
export function alpineFault(): string {
  const busybox = Bun.which("busybox");
  if (busybox === null) return "busybox is not installed (Debian: busybox-static; scripts/install-peers.sh)";
  const file = new ElfFile(busybox, new Uint8Array(readFileSync(busybox)));
  if (!file.segments().some(({ type }) => type === SEGMENT.interpreter)) return "";
  return `${busybox} needs libraries of this machine: Debian's busybox-static does not`;
}

/** Throws `NotHere` where musl can't be had. */
export function alpineRoot(folder: string, executable: string): void {
  const machine = MACHINES[process.arch as keyof typeof MACHINES];
  addMountPoints(folder);
  for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true });
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
  addLoader(folder, machine);
  addBusybox(folder);
  const own = join(folder, "usr/local/bin/infermesh");
  copyFileSync(executable, own);
  chmodSync(own, 0o755);
}

function addLoader(folder: string, machine: Machine): void {
  const { library } = musl(machine);
  const name = `ld-musl-${LOADER_NAMES[machine.name]}.so.1`;
  writeFileSync(join(folder, "lib", name), library.bytes, { mode: 0o755 });
  symlinkSync(name, join(folder, "lib", machine.muslLibrary));
}

function addBusybox(folder: string): void {
  const busybox = Bun.which("busybox");
  if (busybox === null) throw new Error(alpineFault());
  mkdirSync(join(folder, "bin"), { recursive: true });
  copyFileSync(busybox, join(folder, "bin/busybox"));
  chmodSync(join(folder, "bin/busybox"), 0o755);
  const listed = Bun.spawnSync([busybox, "--list-full"], { stdout: "pipe" }).stdout.toString().trim();
  for (const applet of listed.split("\n")) {
    const path = join(folder, applet);
    if (existsSync(path)) continue;
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync("/bin/busybox", path);
  }
}
