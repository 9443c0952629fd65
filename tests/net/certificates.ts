/** Self-signed certificates for tests, made by openssl, which every system with curl has. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate for a DNS name, and what else it is for (`IP:127.0.0.1`). */
export function selfSigned(name: string, ...more: string[]): { readonly cert: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), "infermesh-tls-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const names = [`DNS:${name}`, ...more].join(",");
    const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    const what = ["-subj", "/CN=test", "-addext", `subjectAltName=${names}`];
    const made = Bun.spawnSync(["openssl", "req", ...kind, ...what, "-keyout", key, "-out", cert], { stderr: "pipe" });
    if (made.exitCode !== 0) throw new Error(`openssl made no certificate: ${made.stderr.toString()}`);
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
