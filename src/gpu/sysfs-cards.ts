/**
 * Which GPUs the kernel has, by /sys/class/drm. A card is told by the driver that its device is bound to: what belongs to
 * another one (ast, virtio, simpledrm, nvidia) is none of ours, nor is a partition or another part of a card that is no
 * PCI device, nor a virtual function, whose figures are those of its card. One that has a render node alone counts too.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { GpuVendor } from "../health/reading.ts";
import { GPUS_MAX } from "../health/shape.ts";
import { PCI_ADDRESS } from "./kernel-text.ts";

const DRIVERS = { amdgpu: "amd", i915: "intel", xe: "intel" } as const satisfies Record<string, GpuVendor>;
export type CardDriver = keyof typeof DRIVERS;

const NODE = /^(?:card|renderD)\d{1,4}$/;

export interface Card {
  readonly driver: CardDriver;
  readonly vendor: GpuVendor;
  readonly pciAddress: string;
  /** Its folder in /sys/class/drm, of the card where there is one. */
  readonly node: string;
  /** Its folder in /sys/devices. */
  readonly device: string;
}

/** In the order of their places on the bus. `sys` is where sysfs is. */
export function listCards(sys: string, vendors: readonly GpuVendor[]): Card[] {
  const cards = new Map<string, Card>();
  // "card0" comes before "renderD128", so that a card is known by it.
  for (const name of namesIn(`${sys}/class/drm`)
    .filter((one) => NODE.test(one))
    .sort()) {
    const card = cardOf(`${sys}/class/drm/${name}`);
    if (card !== undefined && vendors.includes(card.vendor) && !cards.has(card.device)) cards.set(card.device, card);
  }
  const all = [...cards.values()].sort((a, b) => (a.pciAddress < b.pciAddress ? -1 : 1));
  return all.slice(0, GPUS_MAX);
}

function cardOf(node: string): Card | undefined {
  try {
    const device = realpathSync(`${node}/device`);
    const driver = basename(readlinkSync(`${device}/driver`));
    const pciAddress = basename(device);
    if (!Object.hasOwn(DRIVERS, driver) || !PCI_ADDRESS.test(pciAddress)) return undefined;
    if (existsSync(`${device}/physfn`)) return undefined;
    return { driver: driver as CardDriver, vendor: DRIVERS[driver as CardDriver], pciAddress, node, device };
  } catch {
    // Without a device or a driver, or gone in between.
    return undefined;
  }
}

/** It is powered down, or about to be: asked for what only the card itself knows, it would be woken up. */
export function isAsleep(device: string): boolean {
  return /^suspend(?:ed|ing)$/.test(textOf(`${device}/power/runtime_status`));
}

/**
 * The folder of the PCI device whose link is the card's way to the machine. Many cards have a switch of their own, behind
 * which their link looks narrow and slow, or the contrary: the way is that of the first port of the same vendor below the
 * root port.
 */
export function linkFolderOf(device: string): string {
  const vendor = vendorOf(device);
  let link = device;
  for (let port = dirname(device); PCI_ADDRESS.test(basename(port)); port = dirname(port)) {
    const isRootPort = !PCI_ADDRESS.test(basename(dirname(port)));
    if (isRootPort || vendor === "" || vendorOf(port) !== vendor) break;
    link = port;
  }
  return link;
}

/** The port at the other end of a link: the root port's or a switch's. Undefined for what has no port above it. */
export function slotFolderOf(link: string): string | undefined {
  const port = dirname(link);
  return PCI_ADDRESS.test(basename(port)) ? port : undefined;
}

function vendorOf(device: string): string {
  return textOf(`${device}/vendor`);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
