/** The datagram's encoder: one packet at a time, filled message by message up to its limit, and the packets to send. */
import type { Send } from "./event.ts";
import type { Members } from "./members.ts";
import type { Rumour } from "./rumours.ts";
import type { ClusterMark } from "./wire.ts";
import { COORDINATE_FLOATS, FRAME, MESSAGE, MESSAGES_MAX } from "./wire.ts";
import { Writer } from "./writer.ts";

/** No single message is longer. */
const MESSAGE_BYTES_MAX = 2048;

export class Outbox {
  readonly #members: Members;
  readonly #mark: ClusterMark;
  readonly #writer: Writer;
  readonly #limit: number;
  #messages = 0;
  sends: Send[] = [];

  constructor(members: Members, mark: ClusterMark, packetBytesMax: number) {
    this.#members = members;
    this.#mark = mark;
    this.#writer = new Writer(packetBytesMax + MESSAGE_BYTES_MAX);
    this.#limit = packetBytesMax;
  }

  begin(): void {
    this.#writer.begin(FRAME.datagram, this.#mark);
    this.#messages = 0;
  }

  /** Sends what was written since `begin`. */
  send(to: string): void {
    this.sends.push({ to, packet: this.#writer.finish(this.#mark) });
  }

  ping(seq: number, target: number): void {
    this.#writer.byte(MESSAGE.ping);
    this.#writer.varint(seq);
    this.#writer.fixed32(this.#members.names.ids.hash(target));
    this.#messages += 1;
  }

  /** With where we are and whom we hold for present, or bare: coordinate undefined. */
  ack(seq: number, coordinate: Float64Array | undefined): void {
    const writer = this.#writer;
    writer.byte(MESSAGE.ack);
    writer.varint(seq);
    writer.byte(coordinate === undefined ? 0 : 1);
    this.#messages += 1;
    if (coordinate === undefined) return;
    for (let index = 0; index < COORDINATE_FLOATS; index += 1) writer.float(coordinate[index]!);
    writer.fixed32(this.#members.digest);
  }

  nack(seq: number): void {
    this.#writer.byte(MESSAGE.nack);
    this.#writer.varint(seq);
    this.#messages += 1;
  }

  askPing(seq: number, target: number): void {
    this.#writer.byte(MESSAGE.askPing);
    this.#writer.varint(seq);
    this.#name(target);
    this.#messages += 1;
  }

  witness(target: number): void {
    this.#writer.byte(MESSAGE.witness);
    this.#name(target);
    this.#writer.varint(this.#members.incarnation[target]!);
    this.#messages += 1;
  }

  again(member: number): void {
    this.#writer.byte(MESSAGE.again);
    this.#name(member);
    this.#writer.varint(this.#members.incarnation[member]!);
    this.#writer.varint(this.#members.profile[member]!);
    this.#messages += 1;
  }

  /** A suspect or dead message. */
  claim(kind: number, member: number, incarnation: number, accusers: readonly number[]): void {
    const writer = this.#writer;
    writer.byte(kind);
    this.#name(member);
    writer.varint(incarnation);
    writer.byte(accusers.length);
    for (const accuser of accusers) this.#name(accuser);
    this.#messages += 1;
  }

  /** False when it does not fit; then nothing is written. */
  readonly rumour = (rumour: Rumour): boolean => {
    const writer = this.#writer;
    if (this.#messages >= MESSAGES_MAX) return false;
    const { at, nameCount } = writer;
    const { member, kind, incarnation } = rumour;
    if (kind === MESSAGE.suspect || kind === MESSAGE.dead) {
      this.claim(kind, member, incarnation, rumour.accusers);
      this.#messages -= 1;
    } else {
      const members = this.#members;
      writer.byte(kind);
      this.#name(member);
      writer.varint(incarnation);
      if (kind === MESSAGE.again) writer.varint(rumour.profile);
      else if (kind === MESSAGE.alive) {
        const versions = members.versions[member]!;
        writer.fixed32(members.identity[member]!);
        writer.byte(versions >>> 8);
        writer.byte(versions & 255);
        writer.blob(members.names.addresses.bytes(members.address[member]!));
        writer.blob(members.names.metas.bytes(members.meta[member]!));
      }
    }
    if (writer.at > this.#limit) {
      writer.undo(at, nameCount);
      return false;
    }
    this.#messages += 1;
    return true;
  };

  #name(id: number): void {
    this.#writer.name(id, this.#members.names.ids.bytes(id));
  }
}
