/**
 * Reads the name of a model out of a protobuf message that comes in any pieces: the string field of one number, at the
 * message's own level, which everything else is passed over to by the wire types alone. The message is read to its end.
 *
 * Of a field that occurs twice every runtime takes the last, but a long message is on its way to its target before its
 * last field is here. So a name is good for routing as soon as it is found, and a message that names a second one, be it
 * the same, is bad: no encoder writes that, and whoever is told so with the piece in which it occurs can keep the
 * target from having the whole message. So is a message that one runtime reads otherwise than another, or not at all:
 * tags beyond 32 bits (some take their lower half), lengths beyond the message, groups that do not match.
 *
 * Limits: names of 512 bytes, varints of ten, groups in groups to a depth of 100, as in protobuf's own readers.
 */
import { MODEL_BYTES_MAX } from "./body-reader.ts";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const GROUP = 3;
const GROUP_END = 4;
const FIXED32 = 5;
const VARINT_BYTES_MAX = 10;
const DEPTH_MAX = 100;

// What is read at the moment.
const TAG = 0;
const NUMBER = 1;
const LENGTH = 2;
const SKIPPED = 3;
const NAME = 4;
const BAD = 5;

const NOTHING = new Uint8Array(0);

export class ProtoName {
  /** The name's bytes, all there once `isFound`. */
  bytes: Uint8Array = NOTHING;
  isFound = false;
  /** Why the message is bad, for its sender; "": it is not, as far as it came. */
  fault = "";
  readonly #number: number;
  #rest: number;
  #state = TAG;
  /** The varint that is being read: its value so far, what its next byte counts for, and its bytes. */
  #value = 0;
  #factor = 1;
  #varintBytes = 0;
  /** The number of the field that is being read. */
  #field = 0;
  /** Bytes of what is skipped, or of the name, that are still to come. */
  #left = 0;
  /** Numbers of the groups that are open. */
  #groups: number[] | null = null;

  /** Looks for field `number` in a message of so many bytes. */
  constructor(number: number, messageBytes: number) {
    this.#number = number;
    this.#rest = messageBytes;
  }

  /** Bytes of the message that are still to come. */
  get rest(): number {
    return this.#rest;
  }

  /** Takes bytes [start, end), which are none beyond the message; false when it is bad. */
  push(source: Uint8Array, start: number, end: number): boolean {
    let at = start;
    while (at < end && this.#state !== BAD) {
      if (this.#state < SKIPPED) {
        this.#rest--;
        this.#varint(source[at++]!);
        continue;
      }
      const take = Math.min(this.#left, end - at);
      if (this.#state === NAME) {
        const to = this.bytes.length - this.#left;
        for (let i = 0; i < take; i++) this.bytes[to + i] = source[at + i]!;
      }
      at += take;
      this.#left -= take;
      this.#rest -= take;
      if (this.#left === 0) this.#endBytes();
    }
    const isCut = this.#rest === 0 && (this.#state !== TAG || this.#varintBytes > 0 || this.#isInGroup);
    if (isCut) this.#bad("the message ends in the midst of a field");
    return this.#state !== BAD;
  }

  get #isInGroup(): boolean {
    return this.#groups !== null && this.#groups.length > 0;
  }

  #bad(fault: string): void {
    if (this.#state !== BAD) this.fault = fault;
    this.#state = BAD;
  }

  #varint(byte: number): void {
    this.#value += (byte & 127) * this.#factor;
    this.#factor *= 128;
    if (byte >= 128) {
      if (++this.#varintBytes >= VARINT_BYTES_MAX) this.#bad("a number of more than ten bytes");
      return;
    }
    const value = this.#value;
    this.#value = 0;
    this.#factor = 1;
    this.#varintBytes = 0;
    if (this.#state === TAG) this.#tag(value);
    else if (this.#state === LENGTH) this.#length(value);
    else this.#state = TAG;
  }

  #tag(tag: number): void {
    this.#field = Math.floor(tag / 8);
    if (tag > 0xffff_ffff || this.#field === 0) {
      this.#bad("a field of a number that none may have");
      return;
    }
    switch (tag % 8) {
      case VARINT:
        this.#state = NUMBER;
        break;
      case FIXED64:
        this.#skip(8);
        break;
      case FIXED32:
        this.#skip(4);
        break;
      case LENGTH_DELIMITED:
        this.#state = LENGTH;
        break;
      case GROUP:
        this.#groups ??= [];
        if (this.#groups.length === DEPTH_MAX) this.#bad(`groups nested deeper than ${DEPTH_MAX} levels`);
        this.#groups.push(this.#field);
        break;
      case GROUP_END:
        if (this.#groups?.pop() !== this.#field) this.#bad("the end of a group that was not begun");
        break;
      default:
        this.#bad("a field of no known type");
        break;
    }
  }

  #length(length: number): void {
    if (this.#field !== this.#number || this.#isInGroup) {
      this.#skip(length);
    } else if (this.isFound) {
      this.#bad("the message names its model twice");
    } else if (length > MODEL_BYTES_MAX) {
      this.#bad(`model is longer than ${MODEL_BYTES_MAX} bytes`);
    } else {
      this.bytes = new Uint8Array(length);
      this.#take(NAME, length);
    }
  }

  #skip(length: number): void {
    this.#take(SKIPPED, length);
  }

  #take(state: number, length: number): void {
    if (length > this.#rest) {
      this.#bad("a field that is longer than its message");
      return;
    }
    this.#state = state;
    this.#left = length;
    if (length === 0) this.#endBytes();
  }

  #endBytes(): void {
    if (this.#state === NAME) this.isFound = true;
    this.#state = TAG;
  }
}
