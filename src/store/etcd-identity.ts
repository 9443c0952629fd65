/**
 * Which mesh's policies lie under a prefix: a number drawn when the prefix is first used, and the version of the layout,
 * so that a later program's data, or something that is not the mesh's, is refused rather than misread.
 */
import { randomBytes } from "node:crypto";
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { Compare } from "../gen/etcd.js";
import type { EtcdClient } from "./etcd-client.ts";
import { EtcdFailure, must } from "./etcd-failure.ts";
import { endOf } from "./etcd-feed.ts";
import { type EtcdKeys, ROOT } from "./etcd-keys.ts";

const LAYOUT = 1;
const OTHERS_SHOWN_MAX = 10;

export interface EtcdIdentity {
  /** Hexadecimal. */
  readonly clusterId: string;
  readonly isNew: boolean;
}

/** `where`: the address, for messages. Throws a MeshError. */
export async function identify(
  client: EtcdClient,
  { identity }: EtcdKeys,
  where: string,
  timeoutMs: number,
): Promise<EtcdIdentity> {
  const value = Buffer.from(JSON.stringify({ layout: LAYOUT, cluster: randomBytes(16).toString("hex") }));
  const request = {
    compare: [{ target: Compare.CompareTarget.CREATE, key: identity, createRevision: 0 }],
    success: [{ requestPut: { key: identity, value } }],
    failure: [{ requestRange: { key: identity } }],
  };
  // Twice is as good as once: the first one stays.
  const reply = must(await client.txn(request, timeoutMs, true));
  const held = reply.succeeded ? value : reply.responses[0]?.responseRange?.kvs?.[0]?.value;
  const raw = jsonOf(held);
  const what = `${where}: ${identity.toString()}`;
  if (!isRecord(raw) || typeof raw["cluster"] !== "string") {
    throw new MeshError(
      "config_invalid",
      `${what} is no identity of a mesh: name another cluster in the store's address`,
    );
  }
  if (raw["layout"] !== LAYOUT) {
    const message = `${what} says layout ${String(raw["layout"])}, and this version knows ${LAYOUT}: run the version of infermesh that wrote it`;
    throw new MeshError("config_invalid", message);
  }
  return { clusterId: raw["cluster"], isNew: reply.succeeded };
}

/** Other clusters in the same etcd, as far as this user may see them: a new one may be a name that was mistyped. */
export async function othersBeside(client: EtcdClient, { prefix }: EtcdKeys, timeoutMs: number): Promise<string[]> {
  const others: string[] = [];
  let key: Uint8Array = Buffer.from(ROOT);
  const rangeEnd = endOf(key);
  while (others.length < OTHERS_SHOWN_MAX) {
    const page = await client.range({ key, rangeEnd, limit: 1, keysOnly: true }, timeoutMs);
    const first = page instanceof EtcdFailure ? undefined : page.kvs[0]?.key;
    if (!first) break;
    const name = Buffer.from(first).toString().slice(ROOT.length).split("/")[0] ?? "";
    if (`${ROOT}${name}/` !== prefix) others.push(name);
    key = endOf(Buffer.from(`${ROOT}${name}/`));
  }
  return others;
}

function jsonOf(value: Uint8Array | null | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? []).toString());
  } catch {
    return undefined;
  }
}
