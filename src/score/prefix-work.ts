/** What is done with prompts and the prefix index, by C or by TypeScript: native.ts says which. */
import { hashBlocks } from "./prefix-hash.ts";
import type { PrefixLookup } from "./prefix-lookup.ts";

export interface PrefixWork {
  readonly kind: "c" | "typescript";
  readonly lookup: PrefixLookup;
  /** Appends hashes of bytes [start, end) to a chain, as `hashBlocks` does. */
  readonly hash: typeof hashBlocks;
  /** As the index's. */
  note(worker: number, row: number, chain: Int32Array, blocks: number): number;
  /** Answers the lookup's question without a pick: its getters tell. */
  match(): void;
}

export class TypeScriptPrefixWork implements PrefixWork {
  readonly kind = "typescript";
  readonly lookup: PrefixLookup;
  readonly hash = hashBlocks;

  constructor(lookup: PrefixLookup) {
    this.lookup = lookup;
  }

  note(worker: number, row: number, chain: Int32Array, blocks: number): number {
    return this.lookup.index.note(worker, row, chain, blocks);
  }

  match(): void {
    this.lookup.match();
    this.lookup.clear();
  }
}
