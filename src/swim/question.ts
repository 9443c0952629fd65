/**
 * What somebody may ask a member without becoming one: whom it knows, over a stream, and whether it hears datagrams. Both
 * are questions of the protocol (exchange.ts, wire.ts), which any member answers to anybody whose frames it can read.
 */
import { Records, STREAM } from "./exchange.ts";
import { hashBytes } from "./lexicon.ts";
import { STATUS } from "./members.ts";
import { Reader } from "./reader.ts";
import { type ClusterMark, FRAME, MESSAGE, COORDINATE_FLOATS } from "./wire.ts";
import { Writer } from "./writer.ts";

const BYTES_MAX = 64;

/** A digest that is its own only by chance of 2^-32: it answers with all that it knows. */
export function question(mark: ClusterMark, digest: number): Uint8Array {
  const writer = new Writer(BYTES_MAX);
  writer.begin(FRAME.stream, mark);
  writer.byte(STREAM.digest);
  writer.fixed32(digest);
  return writer.finish(mark);
}

export interface Answered {
  /** Of the member that answers. */
  readonly id: string;
  /** Living members that it knows, itself included. */
  readonly members: number;
}

/** What it answered; undefined for what is no such answer. */
export function answered(mark: ClusterMark, frame: Uint8Array): Answered | undefined {
  const reader = new Reader();
  if (reader.open(frame, FRAME.stream, mark) !== undefined || reader.byte() !== STREAM.state) return undefined;
  reader.byte();
  reader.fixed32();
  const records = new Records(reader);
  if (!records.check()) return undefined;
  let id = "";
  let members = 0;
  for (let index = 0; index < records.count && records.next(); index += 1) {
    // Its own comes first.
    if (index === 0) id = new TextDecoder().decode(frame.subarray(records.idStart, records.idEnd));
    if (records.status <= STATUS.suspect) members += 1;
  }
  return { id, members };
}

/** A datagram that the member of that id, and nobody else, acknowledges. */
export function ping(mark: ClusterMark, id: string, seq: number): Uint8Array {
  const bytes = new TextEncoder().encode(id);
  const writer = new Writer(BYTES_MAX);
  writer.begin(FRAME.datagram, mark);
  writer.byte(MESSAGE.ping);
  writer.varint(seq);
  writer.fixed32(hashBytes(bytes, 0, bytes.length));
  return writer.finish(mark);
}

/** Whether a datagram begins with the acknowledgement of that ping. */
export function acknowledges(mark: ClusterMark, packet: Uint8Array, seq: number): boolean {
  const reader = new Reader();
  if (reader.open(packet, FRAME.datagram, mark) !== undefined) return false;
  const isIt = reader.byte() === MESSAGE.ack && reader.varint() === seq;
  const flags = reader.byte();
  if (flags === 1) for (let index = 0; index <= COORDINATE_FLOATS; index += 1) reader.fixed32();
  return isIt && flags <= 1 && !reader.bad;
}
