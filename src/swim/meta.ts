/**
 * What a node tells of itself in the membership's 512 bytes of metadata: enough to route to it at once. The core moves
 * these bytes without looking at them.
 *
 *     version 1, role (1), flags (1), zone, api address, serving address, models, labels, software version,
 *     control address, endpoints (meta-endpoints.ts)
 *
 * Texts are a length (1 byte) and UTF-8; lists are a count (1 byte) and their items. Readers skip what follows, so that
 * fields can be added at the end; of nodes from before a field was added it is empty. What does not fit is left out from
 * the end of the labels, then of the models, and a flag says so; room for what stands behind the labels is kept.
 *
 * Readers from before endpoints send everything to the serving address. So that, and the models before the labels, are
 * those of the first endpoint that speaks plain HTTP and is ready, or of the first in plain HTTP where none is ready, and
 * nowhere where none speaks it.
 */
import { type MetaEndpoint, readEndpoints, writeEndpoints } from "./meta-endpoints.ts";

export const NODE_ROLES = ["agent", "router", "client"] as const;
export type NodeRole = (typeof NODE_ROLES)[number];

export interface NodeMeta {
  readonly role: NodeRole;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where its API answers, "host:port"; "" for nowhere. */
  readonly apiAddress: string;
  /** Where it serves inference, "host:port"; "" for nowhere. */
  readonly servingAddress: string;
  /** Of all endpoints. */
  readonly models: readonly string[];
  /** None: it serves all of its models at its serving address, in plain HTTP. */
  readonly endpoints: readonly MetaEndpoint[];
  /** Of the software that the node runs; "" where it does not say. */
  readonly version: string;
  /** Where other nodes reach its part of the control plane, "host:port"; "" for nowhere. */
  readonly controlAddress: string;
  /** It is a control node, and no other that stands by. */
  readonly isControlNode: boolean;
  readonly healthy: boolean;
  readonly draining: boolean;
  /** Some labels or models did not fit: ask the node itself. */
  readonly cut: boolean;
}

/** Of a node that serves nothing: its role, and that it is well. */
export function bareMeta(role: NodeRole): Omit<NodeMeta, "cut" | "version" | "controlAddress" | "isControlNode"> {
  return {
    role,
    zone: "",
    labels: {},
    apiAddress: "",
    servingAddress: "",
    models: [],
    endpoints: [],
    healthy: true,
    draining: false,
  };
}

const VERSION = 1;
const FLAG = { healthy: 1, draining: 2, cut: 4, isControlNode: 8 } as const;
const TEXT_BYTES_MAX = 255;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

function hasRoom(text: string): boolean {
  return encoder.encode(text).length <= TEXT_BYTES_MAX;
}

function textBytes(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return bytes.length <= TEXT_BYTES_MAX ? bytes : new Uint8Array(0);
}

export function encodeMeta(meta: Omit<NodeMeta, "cut">, bytesMax: number): Uint8Array {
  const out = new Uint8Array(bytesMax);
  const plain = meta.endpoints.filter(({ protocol, tls }) => protocol === "http" && !tls);
  const first = plain.find(({ ready }) => ready) ?? plain[0];
  const served = meta.endpoints.length === 0 ? meta.models : (first?.models ?? []);
  const endpoints = writeEndpoints(meta.endpoints, served);
  const keptBytes = textBytes(meta.version).length + textBytes(meta.controlAddress).length + endpoints.bytes.length;
  const restBytesMax = bytesMax - 2 - keptBytes;
  let at = 3;
  const put = (text: string): void => {
    const bytes = textBytes(text);
    out[at] = bytes.length;
    out.set(bytes, at + 1);
    at += 1 + bytes.length;
  };
  const fits = (...texts: string[]): boolean =>
    at + texts.reduce((sum, text) => sum + 1 + textBytes(text).length, 0) <= restBytesMax;
  let isCut = endpoints.isCut;
  for (const text of [meta.zone, meta.apiAddress, meta.servingAddress]) {
    if (fits(text, "", "")) put(text);
    else {
      isCut = true;
      put("");
    }
  }
  const list = (items: readonly (readonly string[])[]): void => {
    const countAt = at;
    let count = 0;
    at += 1;
    for (const item of items.slice(0, 255)) {
      // Nothing in its place would be read as something without a name.
      if (!item.every(hasRoom)) continue;
      // One byte is kept for the count of the list that may follow.
      if (!fits(...item, "")) break;
      for (const text of item) put(text);
      count += 1;
    }
    out[countAt] = count;
    isCut ||= count < items.length;
  };
  list(served.map((model) => [model]));
  list(Object.entries(meta.labels));
  put(meta.version);
  put(meta.controlAddress);
  out.set(endpoints.bytes, at);
  at += endpoints.bytes.length;
  out[0] = VERSION;
  out[1] = NODE_ROLES.indexOf(meta.role);
  out[2] =
    (meta.healthy ? FLAG.healthy : 0) |
    (meta.draining ? FLAG.draining : 0) |
    (meta.isControlNode ? FLAG.isControlNode : 0) |
    (isCut ? FLAG.cut : 0);
  return out.slice(0, at);
}

/** The role alone, which costs nothing to read; undefined for bytes that are not metadata of ours. */
export function roleIn(bytes: Uint8Array): NodeRole | undefined {
  return bytes[0] === VERSION ? NODE_ROLES[bytes[1] ?? -1] : undefined;
}

/** What was read of bytes that nobody changes: those of a member are looked at again and again, for each link and list. */
const known = new WeakMap<Uint8Array, NodeMeta>();

/** Undefined for bytes that are not metadata of ours. The bytes must stay as they are. */
export function decodeMeta(bytes: Uint8Array): NodeMeta | undefined {
  const read = known.get(bytes) ?? readMeta(bytes);
  if (read !== undefined) known.set(bytes, read);
  return read;
}

function readMeta(bytes: Uint8Array): NodeMeta | undefined {
  const role = roleIn(bytes);
  if (role === undefined) return undefined;
  const flags = bytes[2] ?? 0;
  let at = 3;
  let isBad = false;
  const text = (): string => {
    const length = bytes[at] ?? -1;
    const end = at + 1 + length;
    if (length < 0 || end > bytes.length || isBad) {
      isBad = true;
      return "";
    }
    const part = bytes.subarray(at + 1, end);
    at = end;
    try {
      return decoder.decode(part);
    } catch {
      isBad = true;
      return "";
    }
  };
  const count = (): number => {
    if (at >= bytes.length) isBad = true;
    return isBad ? 0 : bytes[at++]!;
  };
  const zone = text();
  const apiAddress = text();
  const servingAddress = text();
  const models: string[] = [];
  for (let left = count(); left > 0 && !isBad; left -= 1) models.push(text());
  const labels: [string, string][] = [];
  for (let left = count(); left > 0 && !isBad; left -= 1) labels.push([text(), text()]);
  const version = text();
  const controlAddress = !isBad && at < bytes.length ? text() : "";
  if (isBad) return undefined;
  const endpoints = readEndpoints(bytes.subarray(at), models);
  if (endpoints === undefined) return undefined;
  return {
    role,
    zone,
    labels: Object.fromEntries(labels),
    apiAddress,
    servingAddress,
    models: [...new Set([...models, ...endpoints.flatMap((endpoint) => endpoint.models)])],
    endpoints,
    version,
    controlAddress,
    healthy: (flags & FLAG.healthy) !== 0,
    draining: (flags & FLAG.draining) !== 0,
    cut: (flags & FLAG.cut) !== 0,
    isControlNode: (flags & FLAG.isControlNode) !== 0,
  };
}
