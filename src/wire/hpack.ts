/**
 * HPACK (RFC 7541): header blocks to fields. The other way needs no encoder with a state: fields are sent as static
 * indexes and literals without indexing (header-field.ts), after one size update to zero that `BLOCK_START` holds.
 *
 * One decoder per connection and direction, with its own dynamic table. Blocks that change nothing in the table are
 * remembered, a few at a time: a client that sends the same head with every call is decoded once, by comparing bytes.
 * The memory is forgotten with every change of the table, since the same bytes may mean something else then.
 *
 * Limits: the table's bytes as announced; `listBytesMax` for a decoded list, counted as RFC 9113 section 6.5.2 counts.
 * A longer list is decoded to its end, for the table's sake, but kept only up to the limit, and says so (`tooLarge`).
 * What can't be decoded (an index beyond the tables, an integer or a code that runs out or over, a size update too late
 * or too large) is null: the connection must end, since the tables of both sides differ from then on.
 */
import { FieldName, type HeaderField, literalField, STATIC_FIELDS } from "./header-field.ts";
import { HeaderBlock } from "./header-block.ts";
import { decodeHuffman } from "./hpack-huffman.ts";
import { copyOf } from "./octets.ts";

/** What SETTINGS_HEADER_TABLE_SIZE is unless it is announced otherwise; this project never does. */
export const TABLE_BYTES = 4096;
/**
 * Begins the first header block of a connection: a size update to zero. Whatever the peer's limit was or becomes, it
 * never needs another (RFC 7541 section 4.2 asks for one when a limit sinks below the size in use).
 */
export const BLOCK_START = 0x20;

const STATIC_COUNT = STATIC_FIELDS.length;
const ENTRY_BYTES_MIN = 32;
/** An integer beyond this, or written in more bytes than it may need, is a fault. */
const INTEGER_MAX = 2 ** 28;
const MEMO_SLOTS = 8;
const MEMO_BYTES_MAX = 512;
/** Few bytes may stand for many, by indexes: a list beyond this is decoded each time rather than kept. */
const MEMO_LIST_BYTES_MAX = 8192;

/** The room for one Huffman-coded string; grows with the longest block seen, which the connection limits. */
let huffmanText = new Uint8Array(16_384);

interface Memo {
  length: number;
  readonly bytes: Uint8Array;
  block: HeaderBlock;
}

export class HpackDecoder {
  readonly #listBytesMax: number;
  readonly #limit: number;
  /** A ring of entries, the newest at `#newest`; made when the first entry comes. */
  #ring: (HeaderField | undefined)[] = [];
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;
  #memos: (Memo | undefined)[] = [];
  #changed = false;

  // ---- the block that is being decoded
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #bad = false;

  constructor(listBytesMax: number, tableBytesMax = TABLE_BYTES) {
    this.#listBytesMax = listBytesMax;
    this.#limit = tableBytesMax;
    this.#bytesMax = tableBytesMax;
  }

  /** Bytes of the dynamic table, as RFC 7541 counts them. */
  get tableBytes(): number {
    return this.#bytes;
  }

  /** Decodes the whole block at [start, end); null: the connection can't go on. */
  decode(input: Uint8Array, start: number, end: number): HeaderBlock | null {
    const length = end - start;
    const slot = length > 0 ? (length ^ (input[end - 1]! << 1)) & (MEMO_SLOTS - 1) : 0;
    const memo = this.#memos[slot];
    if (memo !== undefined && memo.length === length && isSame(memo.bytes, input, start, length)) return memo.block;
    this.#input = input;
    this.#at = start;
    this.#end = end;
    this.#bad = false;
    this.#changed = false;
    const block = this.#block();
    if (block === null) return null;
    if (this.#changed) this.#memos = [];
    else if (length <= MEMO_BYTES_MAX && length > 0 && block.size <= MEMO_LIST_BYTES_MAX)
      this.#remember(slot, input, start, length, block);
    return block;
  }

  #remember(slot: number, input: Uint8Array, start: number, length: number, block: HeaderBlock): void {
    let memo = this.#memos[slot];
    if (memo === undefined || memo.bytes.length < length) {
      memo = { length, bytes: new Uint8Array(Math.max(64, 2 ** Math.ceil(Math.log2(length)))), block };
      this.#memos[slot] = memo;
    }
    for (let i = 0; i < length; i++) memo.bytes[i] = input[start + i]!;
    memo.length = length;
    memo.block = block;
  }

  #block(): HeaderBlock | null {
    const block = new HeaderBlock();
    let size = 0;
    let begun = false;
    while (this.#at < this.#end) {
      const first = this.#input[this.#at]!;
      let field: HeaderField | undefined;
      if (first >= 0x80) {
        field = this.#field(this.#integer(7));
      } else if (first >= 0x40) {
        field = this.#literal(6, false);
        if (field !== undefined) this.#insert(field);
      } else if (first >= 0x20) {
        // Only in front of a block (RFC 7541 section 4.2).
        if (begun || !this.#resize(this.#integer(5))) return null;
        continue;
      } else {
        field = this.#literal(4, first >= 0x10);
      }
      if (field === undefined || this.#bad) return null;
      begun = true;
      size += field.size;
      if (size <= this.#listBytesMax) block.fields.push(field);
      else block.tooLarge = true;
    }
    block.size = size;
    return block;
  }

  /** The entry at an index, counted through both tables. */
  #field(index: number): HeaderField | undefined {
    if (index <= STATIC_COUNT) return STATIC_FIELDS[index - 1];
    const at = index - STATIC_COUNT - 1;
    return at < this.#count ? this.#ring[(this.#newest + at) & (this.#ring.length - 1)] : undefined;
  }

  #literal(prefixBits: number, neverIndexed: boolean): HeaderField | undefined {
    const index = this.#integer(prefixBits);
    let name = index > 0 ? this.#field(index)?.name : undefined;
    if (index === 0) {
      if (!this.#string()) return undefined;
      name = new FieldName(copyOf(this.#text, this.#textStart, this.#textEnd));
    }
    if (name === undefined || !this.#string()) return undefined;
    return literalField(name, this.#text, this.#textStart, this.#textEnd, neverIndexed);
  }

  // ---- the string that was read last lies at [textStart, textEnd) of text
  #text: Uint8Array = huffmanText;
  #textStart = 0;
  #textEnd = 0;

  #string(): boolean {
    if (this.#bad || this.#at >= this.#end) return false;
    const coded = this.#input[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const start = this.#at;
    if (this.#bad || length > this.#end - start) return false;
    this.#at = start + length;
    if (!coded) {
      this.#text = this.#input;
      this.#textStart = start;
      this.#textEnd = this.#at;
      return true;
    }
    if (huffmanText.length < length * 2) huffmanText = new Uint8Array(length * 2);
    this.#text = huffmanText;
    this.#textStart = 0;
    this.#textEnd = decodeHuffman(this.#input, start, this.#at, huffmanText, 0);
    return this.#textEnd >= 0;
  }

  /** An integer with an n-bit prefix (RFC 7541 section 5.1). */
  #integer(prefixBits: number): number {
    const max = (1 << prefixBits) - 1;
    let value = this.#input[this.#at++]! & max;
    if (value < max) return value;
    for (let factor = 1; this.#at < this.#end; factor *= 128) {
      const byte = this.#input[this.#at++]!;
      value += (byte & 127) * factor;
      if (value > INTEGER_MAX || factor > INTEGER_MAX) break;
      if (byte < 128) return value;
    }
    this.#bad = true;
    return 0;
  }

  #resize(bytesMax: number): boolean {
    if (this.#bad || bytesMax > this.#limit) return false;
    this.#changed = true;
    this.#bytesMax = bytesMax;
    this.#evict(0);
    return true;
  }

  #insert(field: HeaderField): void {
    this.#changed = true;
    const { size } = field;
    this.#evict(size);
    // One that is larger than the whole table empties it, and is no error (RFC 7541 section 4.4).
    if (size > this.#bytesMax) return;
    if (this.#ring.length === 0) {
      this.#ring = Array.from({ length: 2 ** Math.ceil(Math.log2(this.#limit / ENTRY_BYTES_MIN)) }, () => undefined);
    }
    this.#newest = (this.#newest - 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#bytes += size;
  }

  /** Makes room for `more` bytes. */
  #evict(more: number): void {
    while (this.#count > 0 && this.#bytes + more > this.#bytesMax) {
      this.#count--;
      const oldest = (this.#newest + this.#count) & (this.#ring.length - 1);
      this.#bytes -= this.#ring[oldest]?.size ?? 0;
      this.#ring[oldest] = undefined;
    }
  }
}

function isSame(memo: Uint8Array, input: Uint8Array, start: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (memo[i] !== input[start + i]) return false;
  return true;
}
