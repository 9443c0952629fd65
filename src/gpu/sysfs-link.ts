/**
 * A card's way to the machine: what its PCIe link can, and what it does. A link has two ends, and can what the lesser of
 * them can: a card in a slot of an older generation or of fewer lanes runs as it should there.
 *
 * Newer kernels wake a port up to answer, older ones answer for one that sleeps with nonsense: nothing here is for a card
 * that sleeps.
 */
import type { GpuIdentity, GpuTraffic } from "../health/reading.ts";
import { lanesOf } from "./amd-figures.ts";
import { linkGenerationOf } from "./kernel-text.ts";
import { linkFolderOf, slotFolderOf } from "./sysfs-cards.ts";
import { KernelFolder } from "./sysfs-folder.ts";

export class PcieLink {
  readonly #end: KernelFolder;
  /** Undefined for what is on the bus of the processor itself. */
  readonly #slot: KernelFolder | undefined;

  constructor(device: string) {
    // Ports answer whatever the card does: they are not counted with it.
    const end = linkFolderOf(device);
    const slot = slotFolderOf(end);
    this.#end = new KernelFolder(end);
    this.#slot = slot === undefined ? undefined : new KernelFolder(slot);
  }

  max(): Pick<GpuIdentity, "pcieGenerationMax" | "pcieWidthMax"> {
    const generations = this.#ends((end) => linkGenerationOf(end.text("max_link_speed")));
    const widths = this.#ends((end) => lanesOf(end.whole("max_link_width")));
    return { pcieGenerationMax: lesser(generations), pcieWidthMax: lesser(widths) };
  }

  now(): Pick<GpuTraffic, "pcieGeneration" | "pcieWidth"> {
    return {
      pcieGeneration: linkGenerationOf(this.#end.text("current_link_speed")),
      pcieWidth: lanesOf(this.#end.whole("current_link_width")),
    };
  }

  #ends<T>(read: (end: KernelFolder) => T): readonly [end: T, slot: T | undefined] {
    return [read(this.#end), this.#slot === undefined ? undefined : read(this.#slot)];
  }
}

/** Of a slot that does not tell, what the card tells; of a card that does not, nothing. */
function lesser([end, slot]: readonly [number | undefined, number | undefined]): number | undefined {
  return end === undefined || slot === undefined ? end : Math.min(end, slot);
}
