/**
 * The manifests of deploy/kubernetes, run: their pods as processes with the command lines, environments and files that a
 * kubelet would give them, in a network namespace with a name server of its own (kube-mesh-inside.ts).
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownEnvironment } from "../process/harness.ts";

const MINUTES_MAX = 4;
const NAMESPACE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
/** Its own /proc, since processes look themselves up there; its own names. */
const INSIDE = 'mount -t proc proc /proc && ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"';

const folder = mkdtempSync(join(tmpdir(), "infermesh-kube-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const resolvConf = join(folder, "resolv.conf");
writeFileSync(
  resolvConf,
  "nameserver 127.0.0.1\nsearch infermesh.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
);
const inside = (...command: string[]): string[] => [...NAMESPACE, "sh", "-c", INSIDE, resolvConf, ...command];

/** Why there can be no such namespace here; "" where there can. */
function fault(): string {
  for (const tool of ["unshare", "ip", "mount"]) if (Bun.which(tool) === null) return `${tool} is not installed`;
  const { exitCode, stderr } = Bun.spawnSync(inside("true"), { stdout: "ignore", stderr: "pipe" });
  return exitCode === 0 ? "" : `namespaces are not allowed (${stderr.toString().trim()})`;
}

const why = fault();
if (why !== "") console.log(`left out: ${why}`);

test.skipIf(why !== "")(
  "the plain manifests make meshes that serve, and lose no request when their pods are replaced",
  async () => {
    const script = `./${join("tests", "deploy", "kube-mesh-inside.ts")}`;
    const child = Bun.spawn(inside(process.execPath, "test", "--timeout", "90000", script), {
      cwd: join(import.meta.dir, "..", ".."),
      env: ownEnvironment(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const late = setTimeout(() => child.kill("SIGKILL"), MINUTES_MAX * 60_000);
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const code = await child.exited;
    clearTimeout(late);
    // What went wrong is told inside.
    if (code !== 0) console.log(`${out}\n${err}`);
    expect(err).toMatch(/\b5 pass\b[^]*\b0 fail\b/);
    expect(code).toBe(0);
  },
  (MINUTES_MAX + 1) * 60_000,
);
