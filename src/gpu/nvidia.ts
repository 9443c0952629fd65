/** Where NVIDIA's driver puts its libraries, and by what it is known to be there. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { isStatic } from "./glibc.ts";

const FOLDERS = [
  `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`,
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/nvidia/lib64",
  "/usr/local/nvidia/lib",
  "/home/kubernetes/bin/nvidia/lib64",
  "/run/nvidia/driver/usr/lib64",
  "/run/opengl-driver/lib",
  "/usr/lib/wsl/lib",
];
/** Any of these tells that the driver is there; the last one is that of WSL. */
const DRIVER_SIGNS = ["/proc/driver/nvidia/version", "/sys/module/nvidia", "/dev/dxg"];

/** All places of a library of the driver's. */
export function nvidiaPaths(soname: string): readonly string[] {
  return FOLDERS.map((folder) => `${folder}/${soname}`);
}

/**
 * What a process that opens them needs in its environment: they open one another by bare names (libcuda.so.1 its compiler
 * of PTX), and the static executable's loader knows of no list of folders such as glibc's /etc/ld.so.cache.
 */
export function nvidiaEnvironment(...libraries: readonly string[]): Readonly<Record<string, string>> {
  if (!isStatic()) return {};
  const { LD_LIBRARY_PATH: given } = process.env;
  const beside = libraries.filter((path) => path !== "").map((path) => dirname(path));
  return { LD_LIBRARY_PATH: [...(given ? [given] : []), ...beside, ...FOLDERS].join(":") };
}

/** `root` stands before /proc, /sys and /dev. */
export function hasNvidiaDriver(root: string): boolean {
  return DRIVER_SIGNS.some((path) => existsSync(root + path));
}
