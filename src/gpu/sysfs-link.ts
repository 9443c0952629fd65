/** A card's way to the machine: what its PCIe link can, and what it does. */
import type { GpuIdentity, GpuTraffic } from "../health/reading.ts";
import { linkGenerationOf } from "./kernel-text.ts";
import { linkFolderOf } from "./sysfs-cards.ts";
import { KernelFolder } from "./sysfs-folder.ts";

export class PcieLink {
  readonly #folder: KernelFolder;

  constructor(device: string) {
    // Ports answer whatever the card does: they are not counted with it.
    this.#folder = new KernelFolder(linkFolderOf(device));
  }

  max(): Pick<GpuIdentity, "pcieGenerationMax" | "pcieWidthMax"> {
    return {
      pcieGenerationMax: linkGenerationOf(this.#folder.text("max_link_speed")),
      pcieWidthMax: this.#width("max_link_width"),
    };
  }

  now(): Pick<GpuTraffic, "pcieGeneration" | "pcieWidth"> {
    return {
      pcieGeneration: linkGenerationOf(this.#folder.text("current_link_speed")),
      pcieWidth: this.#width("current_link_width"),
    };
  }

  /** 0 and 255 are a link that is none: a chip within the processor's. */
  #width(name: string): number | undefined {
    const width = this.#folder.amount(name);
    return width === undefined || width === 0 || width > 64 ? undefined : width;
  }
}
