/**
 * Huffman-coded strings of HPACK (RFC 7541 section 5.2), decoded half a byte at a time by a table of states.
 *
 * A state is an inner node of the code's tree. No code is shorter than five bits, so four bits never complete two
 * symbols. The end must be padding: less than a byte of ones, which is how the code of the end of string begins; that
 * symbol itself is refused.
 */
import { END_OF_STRING, HUFFMAN_CODES } from "./hpack-tables.ts";

interface Node {
  readonly state: number;
  readonly next: (Node | number | undefined)[];
}

const DEAD = -1;
const NO_SYMBOL = -1;
/** The code's padding has at most seven bits. */
const PADDING_BITS_MAX = 7;

const nodes: Node[] = [];
const root = newNode();
HUFFMAN_CODES.forEach(({ code, bits }, symbol) => {
  let node = root;
  for (let bit = bits - 1; bit > 0; bit--) {
    const way = (code >>> bit) & 1;
    const next = node.next[way];
    if (typeof next === "object") {
      node = next;
    } else {
      const made = newNode();
      node.next[way] = made;
      node = made;
    }
  }
  node.next[code & 1] = symbol;
});

/** By state times 16 plus four bits: the state that follows, and the symbol that they complete. */
const NEXT = new Int16Array(nodes.length * 16).fill(DEAD);
const SYMBOL = new Int16Array(nodes.length * 16).fill(NO_SYMBOL);
/** 1: a string may end in this state. */
const MAY_END = new Uint8Array(nodes.length);

for (const { state } of nodes) {
  for (let four = 0; four < 16; four++) {
    let node: Node | undefined = nodes[state];
    for (let bit = 3; bit >= 0 && node !== undefined; bit--) {
      const next: Node | number | undefined = node.next[(four >> bit) & 1];
      if (typeof next === "number") {
        SYMBOL[state * 16 + four] = next;
        node = next === END_OF_STRING ? undefined : root;
      } else {
        node = next;
      }
    }
    if (node !== undefined) NEXT[state * 16 + four] = node.state;
  }
}
let padding: Node | number | undefined = root;
for (let bits = 0; bits <= PADDING_BITS_MAX && typeof padding === "object"; bits++) {
  MAY_END[padding.state] = 1;
  padding = padding.next[1];
}

function newNode(): Node {
  const node = { state: nodes.length, next: [] };
  nodes.push(node);
  return node;
}

/**
 * Decodes bytes [start, end) into `target` from `at` on; answers where the text ends there, or -1 when it is no such
 * code. The target has room for eight symbols in every five bytes.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let state = 0;
  let to = at;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    let step = state * 16 + (byte >> 4);
    let symbol = SYMBOL[step]!;
    if (symbol >= 0) target[to++] = symbol;
    state = NEXT[step]!;
    if (state < 0) return -1;
    step = state * 16 + (byte & 15);
    symbol = SYMBOL[step]!;
    if (symbol >= 0) target[to++] = symbol;
    state = NEXT[step]!;
    if (state < 0) return -1;
  }
  return MAY_END[state] === 1 ? to : -1;
}
