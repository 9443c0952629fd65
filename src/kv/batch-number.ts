/** How batches of events are numbered, and how the topic of SGLang's names the engine's life. */

/** Behind it a topic names the engine's life, up to the next zero byte. */
const EPOCH_MARKER = "\0sgl-kv-epoch=";
const decoder = new TextDecoder("latin1");

/** 8 bytes, big-endian; -1 is the end of a replay. undefined: no number, or one that no engine reaches. */
export function numberOf(bytes: Uint8Array): number | undefined {
  if (bytes.length !== 8) return undefined;
  if (bytes.every((byte) => byte === 0xff)) return -1;
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** As a replay is asked for. */
export function numberBytes(number: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}

/** undefined where the topic names none. */
export function epochOf(topic: Uint8Array): string | undefined {
  if (topic.length < EPOCH_MARKER.length) return undefined;
  const text = decoder.decode(topic);
  const at = text.indexOf(EPOCH_MARKER);
  return at < 0 ? undefined : text.slice(at + EPOCH_MARKER.length).split("\0", 1)[0];
}

/** Byte for byte. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
