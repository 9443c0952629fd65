/** The other side of ZMTP, written from the specification and by itself, byte by byte: what a PUB or a ROUTER sends. */

export const latin = (text: string): Uint8Array => Buffer.from(text, "latin1");

export interface GreetingOptions {
  readonly major?: number;
  readonly minor?: number;
  readonly mechanism?: string;
}

export function greetingOf({ major = 3, minor = 1, mechanism = "NULL" }: GreetingOptions = {}): Buffer {
  // libzmq writes a length into the padding; nobody may look at it.
  const signature = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
  return Buffer.concat([
    Uint8Array.from([...signature, major, minor]),
    Buffer.from(mechanism.padEnd(20, "\0")),
    new Uint8Array(32),
  ]);
}

export function frameOf(body: Uint8Array, flags = 0, isLong = body.length > 255): Buffer {
  if (!isLong) return Buffer.concat([Uint8Array.of(flags, body.length), body]);
  const head = Buffer.alloc(9);
  head[0] = flags | 2;
  head.writeBigUInt64BE(BigInt(body.length), 1);
  return Buffer.concat([head, body]);
}

export function messageOf(...frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(frames.map((body, at) => frameOf(body, at < frames.length - 1 ? 1 : 0)));
}

export function commandOf(name: string, data: Uint8Array = new Uint8Array(0)): Buffer {
  return frameOf(Buffer.concat([Uint8Array.of(name.length), latin(name), data]), 4);
}

export function readyOf(properties: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(properties).flatMap(([name, value]) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return [Uint8Array.of(name.length), latin(name), length, latin(value)];
  });
  return commandOf("READY", Buffer.concat(parts));
}

export interface PeerFrame {
  readonly flags: number;
  readonly body: Buffer;
}

/** All whole frames of `bytes`, and what is left. */
export function framesIn(bytes: Buffer): { frames: PeerFrame[]; rest: Buffer } {
  const frames: PeerFrame[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const flags = bytes[at]!;
    const isLong = (flags & 2) !== 0;
    if (isLong && at + 9 > bytes.length) break;
    const length = isLong ? Number(bytes.readBigUInt64BE(at + 1)) : bytes[at + 1]!;
    const from = at + (isLong ? 9 : 2);
    if (from + length > bytes.length) break;
    frames.push({ flags, body: bytes.subarray(from, from + length) });
    at = from + length;
  }
  return { frames, rest: bytes.subarray(at) };
}
