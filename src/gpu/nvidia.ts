/** Where NVIDIA's driver puts its libraries, and by what it is known to be there. */
import { existsSync } from "node:fs";

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

/** `root` stands before /proc, /sys and /dev. */
export function hasNvidiaDriver(root: string): boolean {
  return DRIVER_SIGNS.some((path) => existsSync(root + path));
}
