/**
 * What part of requests a target computes: all of it, or, where prefill and decode are disaggregated, the prompt alone or
 * what follows it. A label says so, which every release passes on: `infermesh.role` of the node, or
 * `infermesh.role.ENDPOINT` of one of its endpoints, which wins.
 *
 *     vllm.prefill  vllm.decode  sglang.prefill  sglang.prefill.8998  sglang.decode  both
 *
 * The first word is how the KV cache goes from one to the other (../proxy/DESIGN.md); the number is the port of SGLang's
 * bootstrap server. Blanks, slashes and colons can't be in labels of Kubernetes. A label that says something else, or of a
 * target of gRPC, counts as `both`: it is served as if nothing had been said.
 */
import type { Target } from "./target.ts";

export const ROLE_LABEL = "infermesh.role";
/** Of SGLang, unless it is told else (--disaggregation-bootstrap-port). */
export const BOOTSTRAP_PORT = 8998;

export const KV_TRANSFERS = ["vllm", "sglang"] as const;
export type KvTransfer = (typeof KV_TRANSFERS)[number];
export type RolePart = "prefill" | "decode";

export interface SplitRole {
  readonly transfer: KvTransfer;
  readonly part: RolePart;
  /** Of a prefill target of SGLang; else 0. */
  readonly bootstrapPort: number;
}

const ROLE = /^(?<transfer>vllm|sglang)\.(?<part>prefill|decode)(?:\.(?<port>\d{1,5}))?$/;

/** undefined: it is no role; null: `both`. */
export function parseRole(text: string): SplitRole | null | undefined {
  if (text === "both") return null;
  const { transfer, part, port } = ROLE.exec(text)?.groups ?? {};
  if (transfer === undefined || part === undefined) return undefined;
  const hasPort = transfer === "sglang" && part === "prefill";
  if (port !== undefined && (!hasPort || Number(port) < 1 || Number(port) > 65_535)) return undefined;
  const bootstrapPort = hasPort ? Number(port ?? BOOTSTRAP_PORT) : 0;
  return { transfer: transfer as KvTransfer, part: part as RolePart, bootstrapPort };
}

/** null: all of each request. */
export function roleOf({
  labels,
  endpoint,
  protocol,
}: Pick<Target, "labels" | "endpoint" | "protocol">): SplitRole | null {
  if (protocol !== "http") return null;
  const own = endpoint === "" ? undefined : labels[`${ROLE_LABEL}.${endpoint}`];
  return parseRole(own ?? labels[ROLE_LABEL] ?? "") ?? null;
}
