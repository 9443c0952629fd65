/**
 * A real systemd, as the first process of namespaces of its own, with units of ours and nothing else to do. Its root is
 * made anew in memory, and has of the machine only /usr, which can't be written: systemd sets a machine up as it starts,
 * which must not be this one. Nobody brings a network up there, so that nothing may wait for it. Needs root.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { run, type Said } from "./checkers.ts";
import { firstProcess, TOOLS } from "./image.ts";

const SYSTEMD = "/usr/lib/systemd/systemd";

/** $1: a folder that both sides see, with units/ and the executable. $2: a control group for all of it. */
const BOOT = `set -e
shared=$1
mount --make-rprivate /
root=$shared/root
mkdir -p "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir usr etc proc sys dev run tmp var root old
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs -o mode=755 tmpfs usr/local/bin
cp "$shared/infermesh" usr/local/bin/infermesh
cp -a /etc/passwd /etc/group /etc/ld.so.cache etc
printf '127.0.0.1 localhost\\n' > etc/hosts
number=980
for group in video render; do grep -q "^$group:" etc/group || echo "$group:x:$((number += 1)):" >> etc/group; done
mkdir -p etc/systemd/system etc/infermesh var/lib var/tmp
ln -s /run var/run
cp -r "$shared/units/." etc/systemd/system
ln -s /dev/null etc/systemd/system/network-online.target
printf '[Unit]\\nDefaultDependencies=no\\n' > etc/systemd/system/quiet.target
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/shm
ln -s pts/ptmx dev/ptmx
touch dev/console
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir run/shared
mount --bind "$shared" run/shared
ip link set lo up
pivot_root . old
cd /
umount -l /old
exec env -i container=infermesh PATH=${TOOLS} ${SYSTEMD} --system --unit=quiet.target --log-target=console --show-status=no`;

const SPACES = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"];

/** Where version 2 of control groups is mounted; "" where it isn't. */
function controlGroups(): string {
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  return mounts.find((line) => line.split(" ")[2] === "cgroup2")?.split(" ")[1] ?? "";
}

/** Why there can be no systemd here; "" where there can. */
export function systemdFault(): string {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "systemd in namespaces needs root";
  if (!existsSync(SYSTEMD)) return "systemd is not installed";
  if (controlGroups() === "") return "control groups of version 2 are not mounted";
  const { code, err } = run(["unshare", ...SPACES, "pivot_root", "--version"], { env: { PATH: TOOLS } });
  return code === 0 ? "" : `namespaces are not allowed (${err.trim()})`;
}

export class SystemdBox {
  readonly #shared: string;
  readonly #group: string;
  readonly #outer: Subprocess;

  private constructor(shared: string, group: string, outer: Subprocess) {
    this.#shared = shared;
    this.#group = group;
    this.#outer = outer;
  }

  /** `shared` holds units/ and the executable. */
  static async boot(shared: string): Promise<SystemdBox> {
    const group = join(controlGroups(), `infermesh-test-${process.pid}`);
    mkdirSync(group);
    // Into the group first, so that it is the root of what the new namespace sees.
    const enter = `echo $$ > "${group}/cgroup.procs" && exec unshare ${SPACES.join(" ")} sh -c "$0" sh "$1"`;
    const outer = Bun.spawn(["sh", "-c", enter, BOOT, shared], {
      env: { PATH: TOOLS },
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(shared, "boot.err")),
    });
    const box = new SystemdBox(shared, group, outer);
    for (let tries = 0; tries < 200 && outer.exitCode === null; tries++) {
      await Bun.sleep(50);
      if (box.run("systemctl", "is-active", "quiet.target").out === "active\n") return box;
    }
    await box.end();
    throw new Error(`systemd did not start: ${readFileSync(join(shared, "boot.err"), "utf8")}`);
  }

  /** Runs a command beside it. */
  run(...command: readonly string[]): Said {
    const first = firstProcess(this.#outer.pid);
    if (first === undefined) return { code: null, out: "", err: "systemd is not there" };
    const enter = [
      "nsenter",
      "--mount",
      "--root",
      "--wd",
      "--pid",
      "--net",
      "--ipc",
      "--cgroup",
      "-t",
      String(first),
      "--",
    ];
    return run([...enter, ...command], { env: { PATH: TOOLS, HOME: "/root" } });
  }

  /** What a unit is, by the names of its properties. */
  show(unit: string, ...names: readonly string[]): Record<string, string> {
    const { out } = this.run("systemctl", "show", unit, `--property=${names.join(",")}`);
    const lines = out.trim().split("\n");
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  }

  /** A drop-in: the unit's log goes to the shared folder, and nothing of a machine's usual start is wanted. */
  static dropIn(shared: string, unit: string, env: Readonly<Record<string, string>>, more = ""): void {
    const folder = join(shared, "units", `${unit}.d`);
    mkdirSync(folder, { recursive: true });
    const variables = Object.entries(env).map(([name, value]) => `Environment=${name}=${value}\n`);
    const output = `StandardOutput=append:/run/shared/${unit}.log\nStandardError=inherit\n`;
    writeFileSync(
      join(folder, "test.conf"),
      `[Unit]\nDefaultDependencies=no\n[Service]\n${output}${variables.join("")}${more}`,
    );
  }

  log(unit: string): string {
    const path = join(this.#shared, `${unit}.log`);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  async end(): Promise<void> {
    const first = firstProcess(this.#outer.pid);
    // All that is in its process namespace ends with it.
    if (first !== undefined) process.kill(first, "SIGKILL");
    this.#outer.kill("SIGKILL");
    await this.#outer.exited;
    for (let tries = 0; tries < 100 && existsSync(this.#group); tries++) {
      try {
        removeGroup(this.#group);
      } catch {
        // Its processes are on their way out.
        await Bun.sleep(20);
      }
    }
  }
}

function removeGroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(path, entry.name));
  rmdirSync(path);
}
