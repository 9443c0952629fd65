/**
 * A worker's door to native/: prompts of token ids as chains of the prefix index, read and hashed in C where the library
 * opens and does on a few prompts as its TypeScript twin; else by the twin, which is handed in, since it stands with what
 * is known of engines' blocks (proxy/token-chain.ts).
 */
import { ptr } from "bun:ffi";
import libraryPath from "../dist/native/libscorer.so" with { type: "file" };
import { type Opened, openSymbols } from "./native-library.ts";
import { PREFIX_BLOCKS_MAX } from "./score/prefix-layout.ts";

const SYMBOLS = {
  infermesh_chain_ids: { args: ["ptr", "i32", "i32", "u32", "u32", "ptr", "i32"], returns: "i32" },
} as const;

/**
 * Fills the chain, whose seed is there, with the blocks of the ids in bytes [from, to), of engines' blocks of so many
 * tokens, the first of which hangs on `root`; answers how many ids there are, -1: it is no prompt of ids, and the chain
 * holds anything behind its seed.
 */
export type ChainIds = (
  bytes: Uint8Array,
  from: number,
  to: number,
  blockTokens: number,
  root: number,
  chain: Int32Array,
) => number;

export interface TokenChainer {
  readonly kind: "c" | "typescript";
  readonly chain: ChainIds;
}

/** Of this thread. */
let opened: TokenChainer | undefined;

export function openTokenChains(twin: ChainIds, path: string = libraryPath): TokenChainer {
  if (path !== libraryPath) return chainerAt(path, twin);
  return (opened ??= chainerAt(path, twin));
}

function chainerAt(path: string, twin: ChainIds): TokenChainer {
  try {
    const chain = chainOf(openSymbols(path, SYMBOLS).symbols);
    if (isTwin(chain, twin)) return { kind: "c", chain };
  } catch {
    // Whatever it is, it costs time and nothing else.
  }
  return { kind: "typescript", chain: twin };
}

function chainOf({ infermesh_chain_ids: call }: Opened<typeof SYMBOLS>["symbols"]): ChainIds {
  return (bytes, from, to, blockTokens, root, chain) => {
    // Nothing has no address.
    if (to <= from) return -1;
    const room = Math.min(PREFIX_BLOCKS_MAX, (chain.length >> 1) - 1);
    const high = Math.floor(root / 2 ** 32);
    return call(ptr(bytes, from), to - from, blockTokens, root % 2 ** 32, high, ptr(chain), room);
  };
}

/** Whether both read the same ids of prompts that are written in each way, and chain them alike. */
function isTwin(chain: ChainIds, twin: ChainIds): boolean {
  const encoder = new TextEncoder();
  const ids = Array.from({ length: 600 }, (_, at) => ((at * 2_654_435_761) % 10 ** (1 + (at % 10))) >>> 0);
  const texts = [",", ", ", ",\n  "].map((gap) => `[[${ids.join(gap)}]]`);
  return [...texts, `[${ids.join()}`, `[${ids.join()},4294967296,1]`].every((text) => {
    const bytes = encoder.encode(` ${text}`);
    const [ours, theirs] = [chain, twin].map((way) => {
      const words = new Int32Array(8).fill(0x1234567, 0, 2);
      const count = way(bytes, 1, bytes.length, 48, 2 ** 52 + 99, words);
      return count < 0 ? count : `${count} ${words.join()}`;
    });
    return ours === theirs;
  });
}
