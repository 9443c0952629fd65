/** The orders for streams, until they end, and the frames that go over them; exchange.ts tells the format. */
import type { StreamOrder } from "./event.ts";
import { STREAM, writeRecord } from "./exchange.ts";
import type { Members } from "./members.ts";
import { type ClusterMark, FRAME } from "./wire.ts";
import { Writer } from "./writer.ts";

/** A stream under way. */
interface Order {
  readonly kind: "ping" | "digest" | "state";
  readonly to: string;
  /** Of a ping: its probe. */
  readonly seq: number;
}

/** Frames are written one at a time, all by this. */
const writer = new Writer(65_536, true);

export class Streams {
  readonly #members: Members;
  readonly #self: number;
  readonly #mark: ClusterMark;
  readonly #timeoutMs: number;
  readonly #orders = new Map<number, Order>();
  #taken: StreamOrder[] = [];
  #seq = 0;

  constructor(members: Members, self: number, mark: ClusterMark, timeoutMs: number) {
    this.#members = members;
    this.#self = self;
    this.#mark = mark;
    this.#timeoutMs = timeoutMs;
  }

  /** The orders since the last take. */
  take(): readonly StreamOrder[] {
    const taken = this.#taken;
    if (taken.length > 0) this.#taken = [];
    return taken;
  }

  /** What the order was, the first time that its end is told. */
  end(id: number): Order | undefined {
    const order = this.#orders.get(id);
    this.#orders.delete(id);
    return order;
  }

  orderPing(target: number, seq: number, timeoutMs: number): void {
    this.#begin(STREAM.ping);
    writer.fixed32(this.#members.names.ids.hash(target));
    this.#order("ping", this.#addressOf(target), seq, Math.min(timeoutMs, this.#timeoutMs));
  }

  orderDigest(target: number): void {
    this.#begin(STREAM.digest);
    writer.fixed32(this.#members.digest);
    this.#order("digest", this.#addressOf(target), 0, this.#timeoutMs);
  }

  orderState(to: string, purpose: number): void {
    this.#writeState(purpose);
    this.#order("state", to, 0, this.#timeoutMs);
  }

  short(kind: number): Uint8Array {
    this.#begin(kind);
    return writer.finish(this.#mark);
  }

  refuse(code: number, words: string): Uint8Array {
    this.#begin(STREAM.refused);
    writer.byte(code);
    writer.blob(new TextEncoder().encode(words));
    return writer.finish(this.#mark);
  }

  /** Everybody we know, this node first. */
  state(purpose: number): Uint8Array {
    this.#writeState(purpose);
    return writer.finish(this.#mark);
  }

  #writeState(purpose: number): void {
    const members = this.#members;
    this.#begin(STREAM.state);
    writer.byte(purpose);
    writer.fixed32(members.digest);
    writer.varint(members.count + 1);
    writeRecord(writer, members, this.#self);
    for (let index = 0; index < members.presentCount; index += 1) {
      writeRecord(writer, members, members.presentAt(index));
    }
    for (const id of members.lost) writeRecord(writer, members, id);
  }

  #begin(kind: number): void {
    writer.begin(FRAME.stream, this.#mark);
    writer.byte(kind);
  }

  #order(kind: Order["kind"], to: string, seq: number, timeoutMs: number): void {
    this.#seq += 1;
    this.#orders.set(this.#seq, { kind, to, seq });
    this.#taken.push({ id: this.#seq, to, frame: writer.finish(this.#mark), timeoutMs });
  }

  #addressOf(id: number): string {
    return this.#members.names.addresses.text(this.#members.address[id]!);
  }
}
