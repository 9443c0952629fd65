/**
 * The endpoints of a node that has several, or one that does not speak plain HTTP: the end of its metadata (meta.ts).
 *
 *     more models (a list of texts), then a count (1 byte), and for each endpoint
 *         bits (1): gRPC, TLS, ready, has a host of its own, serves the models before the labels
 *         port (2, big endian), name, host where it has one, and a bit for each of the further models it serves
 *
 * Nothing at all for a node without. What does not fit into `BYTES_MAX` is left out: further models from the end, then
 * endpoints from the end. What comes behind is skipped.
 */

export interface MetaEndpoint {
  /** Unique on the node. */
  readonly name: string;
  /** "" for the host of the serving address, or where there is none, for that by which the member is known. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "http" | "grpc";
  readonly tls: boolean;
  /** Its runtime takes requests. */
  readonly ready: boolean;
  readonly models: readonly string[];
}

const BYTES_MAX = 240;
/** What endpoints may take of it, so that models find room. */
const ENDPOINTS_BYTES_MAX = 160;
const TEXT_BYTES_MAX = 255;
const BIT = { grpc: 1, tls: 2, ready: 4, host: 8, first: 16 } as const;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** `first`: the models before the labels. */
export function writeEndpoints(
  endpoints: readonly MetaEndpoint[],
  first: readonly string[],
): { readonly bytes: Uint8Array; readonly isCut: boolean } {
  if (endpoints.length === 0) return { bytes: new Uint8Array(0), isCut: false };
  const isFirst = ({ models }: MetaEndpoint): boolean => isSameSet(models, first);
  const others = new Set(endpoints.filter((one) => !isFirst(one)).flatMap(({ models }) => models));
  const heads: Uint8Array[] = [];
  let left = ENDPOINTS_BYTES_MAX;
  for (const endpoint of endpoints.slice(0, 255)) {
    const head = headOf(endpoint, isFirst(endpoint));
    left -= head.length;
    if (left < 0) break;
    heads.push(head);
  }
  const spent = heads.reduce((sum, head) => sum + head.length, 2);
  const further: string[] = [];
  let bytes = 0;
  for (const model of others) {
    const length = 1 + encoder.encode(model).length;
    const masks = heads.length * Math.ceil((further.length + 1) / 8);
    if (length > TEXT_BYTES_MAX || spent + bytes + length + masks > BYTES_MAX) continue;
    bytes += length;
    further.push(model);
  }
  const masks = endpoints
    .slice(0, heads.length)
    .map((endpoint) => maskOf(isFirst(endpoint) ? [] : endpoint.models, further));
  const parts = [
    Uint8Array.of(further.length),
    ...further.map(textBytes),
    Uint8Array.of(heads.length),
    ...heads.flatMap((head, at) => [head, masks[at]!]),
  ];
  const isCut = heads.length < endpoints.length || further.length < others.size;
  return { bytes: concat(parts), isCut };
}

function headOf({ name, host, port, protocol, tls, ready }: MetaEndpoint, isFirst: boolean): Uint8Array {
  const bits =
    (protocol === "grpc" ? BIT.grpc : 0) |
    (tls ? BIT.tls : 0) |
    (ready ? BIT.ready : 0) |
    (host === "" ? 0 : BIT.host) |
    (isFirst ? BIT.first : 0);
  const place = Uint8Array.of(bits, port >>> 8, port & 255);
  return concat([place, textBytes(name), ...(host === "" ? [] : [textBytes(host)])]);
}

function maskOf(models: readonly string[], further: readonly string[]): Uint8Array {
  const mask = new Uint8Array(Math.ceil(further.length / 8));
  for (const [place, model] of further.entries()) {
    if (models.includes(model)) mask[place >>> 3] = mask[place >>> 3]! | (1 << (place & 7));
  }
  return mask;
}

/** Undefined for bytes that are none; no endpoints for no bytes. */
export function readEndpoints(bytes: Uint8Array, first: readonly string[]): MetaEndpoint[] | undefined {
  if (bytes.length === 0) return [];
  let at = 0;
  let isBad = false;
  const byte = (): number => {
    isBad ||= at >= bytes.length;
    return isBad ? 0 : bytes[at++]!;
  };
  const text = (): string => {
    const length = byte();
    const part = bytes.subarray(at, at + length);
    at += length;
    isBad ||= part.length < length;
    try {
      return decoder.decode(part);
    } catch {
      isBad = true;
      return "";
    }
  };
  const further: string[] = [];
  for (let left = byte(); left > 0 && !isBad; left -= 1) further.push(text());
  const endpoints: MetaEndpoint[] = [];
  for (let left = byte(); left > 0 && !isBad; left -= 1) {
    const bits = byte();
    const port = byte() * 256 + byte();
    const name = text();
    const host = (bits & BIT.host) === 0 ? "" : text();
    const mask = further.map(() => 0);
    for (let place = 0; place < further.length; place += 8) {
      const eight = byte();
      for (let bit = 0; bit < 8; bit += 1) if (place + bit < mask.length) mask[place + bit] = (eight >>> bit) & 1;
    }
    const models = further.filter((_, place) => mask[place] === 1);
    endpoints.push({
      name,
      host,
      port,
      protocol: (bits & BIT.grpc) === 0 ? "http" : "grpc",
      tls: (bits & BIT.tls) !== 0,
      ready: (bits & BIT.ready) !== 0,
      models: (bits & BIT.first) === 0 ? models : [...first, ...models],
    });
  }
  return isBad ? undefined : endpoints;
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((one) => set.has(one));
}

function textBytes(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return bytes.length <= TEXT_BYTES_MAX ? concat([Uint8Array.of(bytes.length), bytes]) : Uint8Array.of(0);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
