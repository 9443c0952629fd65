/** What is said of one member, by gossip or in a state, as it lies in the bytes that came. */
export class Announcement {
  buffer: Uint8Array = new Uint8Array(0);
  /** Handle of the id; -1: not known. */
  id = -1;
  idStart = 0;
  idEnd = 0;
  incarnation = 0;
  /** The incarnation at which the rest was announced. */
  profile = 0;
  identity = 0;
  /** Oldest version << 8 | newest. */
  versions = 0;
  addressStart = 0;
  addressEnd = 0;
  metaStart = 0;
  metaEnd = 0;
}

export function addressIn({ buffer, addressStart, addressEnd }: Announcement): string {
  return new TextDecoder().decode(buffer.subarray(addressStart, addressEnd));
}
