/** What an AMD card's error counters say, of the kernel's files: errors of all its blocks, and memory taken out of use. */
import type { GpuWear } from "../health/reading.ts";
import { badPagesOf, errorCountsOf } from "./kernel-text.ts";
import type { KernelFolder } from "./sysfs-folder.ts";

const BLOCK = /^[a-z0-9_]{1,32}_err_count$/;
/** In the mask of features: that errors of the memory are corrected. */
const MEMORY_BIT = 1;

/** Undefined figures where the card counts none. Needs no right, but for the pages. */
export function readRas(device: KernelFolder): GpuWear {
  const ras = device.in("ras");
  let corrected: number | undefined;
  let uncorrected: number | undefined;
  for (const name of ras.names(BLOCK)) {
    const counts = errorCountsOf(ras.text(name));
    if (counts.corrected !== undefined) corrected = (corrected ?? 0) + counts.corrected;
    if (counts.uncorrected !== undefined) uncorrected = (uncorrected ?? 0) + counts.uncorrected;
  }
  // An empty list is a file without text.
  const pages = badPagesOf(ras.has("gpu_vram_bad_pages") ? (ras.text("gpu_vram_bad_pages") ?? "") : undefined);
  return {
    eccCorrected: corrected,
    eccUncorrected: uncorrected,
    // Only what could not be corrected costs a page.
    retiredPagesUncorrected: pages?.retired,
    retiredPagesPending: pages === undefined ? undefined : pages.waiting > 0,
  };
}

/** Whether errors of the memory are corrected: "feature mask: 0x7fff". */
export function readEccMode(device: KernelFolder): boolean | undefined {
  const mask = /^\s*feature mask:\s*0x([0-9a-f]{1,8})\b/im.exec(device.in("ras").text("features") ?? "")?.[1];
  return mask === undefined ? undefined : (Number.parseInt(mask, 16) & MEMORY_BIT) === MEMORY_BIT;
}
