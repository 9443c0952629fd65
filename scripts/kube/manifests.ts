/**
 * The plain manifests of deploy/kubernetes, made of the chart for those who don't use Helm: each NAME.yaml from
 * NAME.values.yaml, in a namespace of its own.
 */
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { MeshError } from "../../src/base/errors.ts";

const ROOT = resolve(import.meta.dir, "..", "..");
export const CHART = join(ROOT, "deploy", "helm", "infermesh");
export const MANIFESTS = join(ROOT, "deploy", "kubernetes");
const NAMESPACE = "infermesh";
const VALUES = ".values.yaml";
/** What only Helm goes by. */
const OF_HELM = /^ *(?:helm\.sh\/chart|app\.kubernetes\.io\/managed-by): .*\n|^# Source: .*\n/gm;

/** Where install-kube-checkers.sh puts what checks all this. */
export const checkers = (): string =>
  process.env["INFERMESH_CHECKERS"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(process.env["HOME"] ?? "", ".cache"), "infermesh-checkers");

/** What Helm makes of the chart with these files of values and settings. Throws a MeshError with Helm's words. */
export function rendered(values: readonly string[], settings: readonly string[] = []): string {
  const files = values.flatMap((file) => ["--values", file]);
  const set = settings.flatMap((setting) => ["--set", setting]);
  const command = ["template", "infermesh", CHART, "--namespace", NAMESPACE, ...files, ...set];
  const { stdout, stderr, exitCode } = Bun.spawnSync([join(checkers(), "bin", "helm"), ...command]);
  if (exitCode !== 0) throw new MeshError("config_invalid", `helm template: ${stderr.toString().trim()}`);
  return stdout.toString();
}

/** The names of the manifests that there are. */
export function manifestNames(): string[] {
  return readdirSync(MANIFESTS)
    .filter((file) => file.endsWith(VALUES))
    .map((file) => file.slice(0, -VALUES.length))
    .toSorted();
}

export function manifest(name: string): string {
  const head = `# Made of deploy/helm/infermesh with ${name}${VALUES} by scripts/kube-manifests.mjs.\n`;
  const namespace = `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${NAMESPACE}\n`;
  const made = rendered([join(MANIFESTS, `${name}${VALUES}`)]).replace(OF_HELM, "");
  return `${head}${namespace}${made.startsWith("---") ? "" : "---\n"}${made}`;
}
