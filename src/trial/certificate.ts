/**
 * A certificate that signs itself, made here and now: for trying TLS where nothing of it is installed. X.509, version 3
 * (RFC 5280), with a P-256 key and ECDSA over SHA-256.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const TAG = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  ipAddress: 0x87,
} as const;
const ECDSA_SHA256 = Buffer.from("2a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("550403", "hex");
const ALTERNATIVE_NAMES = Buffer.from("551d11", "hex");
const VERSION_3 = 2;
const SERIAL_BYTES = 15;

export interface Identity {
  /** Both in PEM. */
  readonly cert: string;
  readonly key: string;
}

function node(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const time = (ms: number): Buffer =>
  node(TAG.time, Buffer.from(`${new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`));

/** For a DNS name or an IPv4 address, valid between two times in milliseconds since 1970. */
export function selfSigned(name: string, fromMs: number, untilMs: number): Identity {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const algorithm = node(TAG.sequence, node(TAG.objectId, ECDSA_SHA256));
  const commonName = node(TAG.sequence, node(TAG.objectId, COMMON_NAME), node(TAG.utf8, Buffer.from("self-test")));
  const issuer = node(TAG.sequence, node(TAG.set, commonName));
  const isAddress = /^\d+(?:\.\d+){3}$/.test(name);
  const alternative = isAddress
    ? node(TAG.ipAddress, Buffer.from(name.split(".").map(Number)))
    : node(TAG.dnsName, Buffer.from(name));
  const names = node(
    TAG.sequence,
    node(TAG.objectId, ALTERNATIVE_NAMES),
    node(TAG.octets, node(TAG.sequence, alternative)),
  );
  const serial = randomBytes(SERIAL_BYTES);
  // Positive, and not shorter for a first byte of zero.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = node(
    TAG.sequence,
    node(TAG.version, node(TAG.integer, Buffer.from([VERSION_3]))),
    node(TAG.integer, serial),
    algorithm,
    issuer,
    node(TAG.sequence, time(fromMs), time(untilMs)),
    issuer,
    publicKey.export({ type: "spki", format: "der" }),
    node(TAG.extensions, node(TAG.sequence, names)),
  );
  const signature = node(TAG.bits, Buffer.from([0]), sign("sha256", body, privateKey));
  const whole = node(TAG.sequence, body, algorithm, signature).toString("base64");
  const cert = `-----BEGIN CERTIFICATE-----\n${whole.replaceAll(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
  return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }) };
}
