/**
 * What a gRPC call has received of its client: held so that it can be sent again, and read for the model that its
 * first message names. What is held counts against the worker's budget and has the limit of `replayBytes`; the first
 * message is read to its end, however long it is (proto-name.ts). With policies in force so are all that follow, since a
 * target goes by the name in each.
 */
import { areWhole, GrpcFraming, MESSAGE_HEAD_BYTES, messageLength } from "../wire/grpc-framing.ts";
import type { ModelNames } from "./model-names.ts";
import { copyBytes } from "../wire/octets.ts";
import { ProtoName } from "../wire/proto-name.ts";
import type { WorkerContext } from "./context.ts";

/** What `findModel` answers where it is no model's number. */
export const MODEL = { more: -1, unknown: -2, absent: -3 } as const;

const NOTHING = Buffer.alloc(0);
const NONE: readonly string[] = [];
/** What most calls are held in; such buffers are used again. */
const HELD_BYTES = 4096;
const FREE_BUFFERS_MAX = 256;
const free: Buffer[] = [];

export class GrpcRequest {
  /** Everything has come. */
  isComplete = false;
  /** Trailers, which no client of gRPC sends, as they go on. */
  trailers: Uint8Array | null = null;
  /** Bytes received. */
  received = 0;
  /** Held bytes [0, end). */
  held: Buffer = NOTHING;
  end = 0;
  /** What was received is not all held. */
  isCut = false;
  readonly #context: WorkerContext;
  /** Null while all that came was whole messages. */
  #framing: GrpcFraming | null = null;
  #messageBytes = -1;
  /** The number of the field that names the model; 0: none does, or it is no more to be looked for. */
  #modelField: number;
  readonly #readsAll: boolean;
  /** Bytes received of the head of the message that is read, and the length that they tell. */
  #headBytes = 0;
  #length = 0;
  /** Of the first message, and of the one that is read now. */
  #first: ProtoName | null = null;
  #name: ProtoName | null = null;
  #fault = "";
  #isCompressed = false;
  #isFirstRead = false;
  /** The name in the message before, of those that follow the first. */
  #last = "";
  #others: string[] | null = null;

  /**
   * `modelField`: the number of the string field that names the model in a message; 0: nobody needs it. `readsAll`: not
   * only in the first one.
   */
  constructor(context: WorkerContext, modelField: number, readsAll: boolean) {
    this.#context = context;
    this.#modelField = modelField;
    this.#readsAll = readsAll;
  }

  /** What is wrong with the messages, as far as they were read; "": nothing. */
  get fault(): string {
    return this.#fault;
  }

  /** Names that messages have which the first one does not, since this was last asked. */
  takeOthers(): readonly string[] {
    const others = this.#others ?? NONE;
    this.#others = null;
    return others;
  }

  /** The length of the first message, or -1 before it is known. */
  get messageBytes(): number {
    return this.#messageBytes;
  }

  /** Where what is held of the first message ends; 0: nothing of it is, or it is compressed. */
  get firstEnd(): number {
    if (this.end <= MESSAGE_HEAD_BYTES || this.held[0] !== 0) return 0;
    return Math.min(this.end, MESSAGE_HEAD_BYTES + Math.max(0, this.#messageBytes));
  }

  /** Follows the messages in bytes [start, end); false when one is larger than allowed. */
  follow(bytes: Uint8Array, start: number, end: number): boolean {
    const { grpcMessageBytesMax } = this.#context.config;
    this.received += end - start;
    for (let at = start; at < end && this.#modelField > 0;) at = this.#readName(bytes, at, end);
    if (this.#framing === null) {
      if (areWhole(bytes, start, end, grpcMessageBytesMax)) {
        if (this.#messageBytes < 0 && end > start) this.#messageBytes = messageLength(bytes, start, end);
        return true;
      }
      this.#framing = new GrpcFraming(grpcMessageBytesMax);
    }
    const isFine = this.#framing.push(bytes, start, end);
    if (this.#messageBytes < 0 && this.#framing.messages > 0) this.#messageBytes = this.#framing.length;
    return isFine;
  }

  /** Holds bytes [start, end); false when there is no room, and then nothing is held any more. */
  hold(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isCut) return false;
    const context = this.#context;
    const need = this.end + end - start;
    if (need > this.held.length) {
      const size = Math.max(need, this.held.length * 2, HELD_BYTES);
      const more = size - this.held.length;
      if (need > context.config.replayBytes || context.heldBytes + more > context.config.bufferBytesMax) {
        this.release();
        this.isCut = true;
        return false;
      }
      context.heldBytes += more;
      const held = (size === HELD_BYTES ? free.pop() : undefined) ?? Buffer.allocUnsafeSlow(size);
      this.held.copy(held, 0, 0, this.end);
      this.held = held;
    }
    copyBytes(bytes, start, end, this.held, this.end);
    this.end = need;
    return true;
  }

  /** Holds nothing any more. */
  release(): void {
    const { length } = this.held;
    if (length === 0) return;
    this.#context.heldBytes -= length;
    if (length === HELD_BYTES && free.length < FREE_BUFFERS_MAX) free.push(this.held);
    this.held = NOTHING;
    this.end = 0;
  }

  /** Reads on in the message that is being read; answers where it stopped. */
  #readName(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && this.#headBytes < MESSAGE_HEAD_BYTES) {
      const byte = bytes[at++]!;
      // A compressed message is nobody's to read but its target's.
      if (this.#headBytes === 0 && byte !== 0) {
        this.#isCompressed = true;
        this.#modelField = 0;
        return end;
      }
      this.#length = this.#length * 256 + byte;
      if (++this.#headBytes === MESSAGE_HEAD_BYTES) this.#name = new ProtoName(this.#modelField, this.#length);
    }
    const name = this.#name;
    if (name === null) return end;
    this.#first ??= name;
    const taken = Math.min(end, at + name.rest);
    if (!name.push(bytes, at, taken)) {
      this.#fault = name.fault;
      this.#modelField = 0;
    } else if (name.rest === 0) {
      this.#endMessage(name);
    }
    return taken;
  }

  #endMessage(name: ProtoName): void {
    this.#isFirstRead = true;
    this.#headBytes = 0;
    this.#length = 0;
    this.#name = null;
    if (!this.#readsAll) this.#modelField = 0;
    if (name === this.#first || !name.isFound) return;
    const text = Buffer.from(name.bytes).toString();
    // Most are like the one before.
    if (text === this.#last) return;
    this.#last = text;
    if (text !== this.modelName) (this.#others ??= []).push(text);
  }

  /** The number of the model that the first message names; or a MODEL. */
  findModel(models: ModelNames): number {
    const name = this.#first;
    if (name?.isFound === true) {
      const model = models.findBytes(name.bytes, 0, name.bytes.length);
      return model >= 0 ? model : MODEL.unknown;
    }
    return this.isComplete || this.#isFirstRead || this.#modelField === 0 ? MODEL.absent : MODEL.more;
  }

  /** A message can't be read here. */
  get isCompressed(): boolean {
    return this.#isCompressed;
  }

  /** The name that the first message has; "" where it has none, or it is not here yet. */
  get modelName(): string {
    return this.#first?.isFound === true ? Buffer.from(this.#first.bytes).toString() : "";
  }
}
