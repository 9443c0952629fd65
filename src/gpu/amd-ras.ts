/**
 * What an AMD card's error counters say, of the kernel's files: errors of all its blocks, and memory taken out of use.
 *
 * A sum is over the same blocks at each look, or errors that were there long ago would look like new ones. A block that
 * does not answer now (the card is being reset, or busy) counts as it did last; where none answers, nothing is known. As
 * long as there is one that has never answered there is no sum, but for those that never do: what is left out for three
 * looks is left out, and when it answers later its corrected errors of before are not counted.
 */
import type { GpuWear } from "../health/reading.ts";
import { type ErrorCounts, badPagesOf, errorCountsOf } from "./kernel-text.ts";
import type { KernelFolder } from "./sysfs-folder.ts";

const BLOCK = /^[a-z0-9_]{1,32}_err_count$/;
const MISSES_MAX = 3;
/** In the mask of features: that errors of the memory are corrected. */
const MEMORY_BIT = 1;

const utf8 = new TextDecoder("utf-8");

interface Block {
  counts: ErrorCounts | undefined;
  /** Looks before it answered first. */
  misses: number;
  /** Corrected errors that are not counted. */
  offset: number;
}

export class AmdRas {
  readonly #folder: KernelFolder;
  readonly #blocks = new Map<string, Block>();

  constructor(device: KernelFolder) {
    this.#folder = device.in("ras");
  }

  /** Undefined figures where the card counts none. Needs no right, but for the pages. */
  read(): GpuWear {
    const pages = this.#pages();
    return {
      ...this.#errors(),
      // Only what could not be corrected costs a page.
      retiredPagesUncorrected: pages?.retired,
      retiredPagesPending: pages === undefined ? undefined : pages.waiting > 0,
    };
  }

  #errors(): GpuWear {
    const blocks = this.#folder.names(BLOCK).map((name) => this.#look(name));
    const isAnswered = blocks.some(({ isNew }) => isNew);
    const isWhole = blocks.every(({ counts, misses }) => counts !== undefined || misses >= MISSES_MAX);
    if (!isAnswered || !isWhole) return {};
    const corrected = blocks.flatMap(({ counts, offset }) =>
      counts?.corrected === undefined ? [] : Math.max(0, counts.corrected - offset),
    );
    return {
      eccCorrected: sum(corrected),
      eccUncorrected: sum(blocks.flatMap(({ counts }) => counts?.uncorrected ?? [])),
    };
  }

  #look(name: string): Block & { readonly isNew: boolean } {
    const block = this.#blocks.get(name) ?? { counts: undefined, misses: 0, offset: 0 };
    this.#blocks.set(name, block);
    const now = errorCountsOf(this.#folder.text(name));
    const isNew = now.corrected !== undefined && now.uncorrected !== undefined;
    if (!isNew) {
      if (block.counts === undefined) block.misses += 1;
      return { ...block, isNew };
    }
    if (block.counts === undefined && block.misses >= MISSES_MAX) block.offset = now.corrected;
    // They begin anew with the driver.
    if (now.corrected < block.offset) block.offset = 0;
    block.counts = now;
    return { ...block, isNew };
  }

  /** Of a list that can't be read, undefined; an empty one is a file without text. */
  #pages(): ReturnType<typeof badPagesOf> {
    const bytes = this.#folder.bytes("gpu_vram_bad_pages");
    return bytes === undefined ? undefined : badPagesOf(utf8.decode(bytes));
  }
}

/** Whether errors of the memory are corrected: "feature mask: 0x7fff". */
export function readEccMode(device: KernelFolder): boolean | undefined {
  const mask = /^\s*feature mask:\s*0x([0-9a-f]{1,8})\b/im.exec(device.in("ras").text("features") ?? "")?.[1];
  return mask === undefined ? undefined : (Number.parseInt(mask, 16) & MEMORY_BIT) === MEMORY_BIT;
}

function sum(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((all, value) => all + value, 0);
}
