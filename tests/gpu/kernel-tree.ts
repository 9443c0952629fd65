/**
 * A tree of the kernel's files, as /sys and /proc show them: cards on PCI behind ports, with the links by which they are
 * found, and processes that have them open. Links are relative, so that the tree may stand at any place.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { LAYOUTS, type Layout } from "../../src/gpu/amd-layouts.ts";

export type Files = Readonly<Record<string, string | Uint8Array>>;

export interface CardFiles {
  readonly driver: string;
  readonly address: string;
  /** Ports between the host's bridge and the card, the root port first: address and vendor. */
  readonly ports?: readonly (readonly [address: string, vendor: string, files?: Files])[];
  /** In the device's folder. */
  readonly files: Files;
  readonly hwmon?: Files;
  /** In the card's folder of /sys/class/drm. */
  readonly nodeFiles?: Files;
  /** Without a card: a render node alone. */
  readonly isRenderOnly?: boolean;
  /** No PCI device. */
  readonly isPlatform?: boolean;
}

const LONG_AGO_S = 1000;

/** What amdgpu, i915 and xe answer of their own memory, whatever the card does. */
export const ANSWERED_ASLEEP =
  /^(?:device|vendor|unique_id|product_name|serial_number|mem_info_vram_total|power\/runtime_status|ras\/features|xgmi_hive_info\/xgmi_hive_id|tile\d\/physical_vram_size_bytes|drm\/card\d\/lmem_total_bytes|hwmon\/hwmon\d\/(?:name|[a-z]+\d_label))$/;

export class KernelTree {
  readonly root = mkdtempSync(join(tmpdir(), "infermesh-kernel-"));
  #cards = 0;

  get sys(): string {
    return join(this.root, "sys");
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  write(files: Files, folder = ""): void {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.root, folder, name);
      mkdirSync(dirname(path), { recursive: true });
      // Whole at once: what reads it meanwhile sees one text or the other.
      writeFileSync(`${path}.fresh`, content);
      renameSync(`${path}.fresh`, path);
    }
  }

  link(target: string, at: string): void {
    const path = join(this.root, at);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true, recursive: true });
    symlinkSync(relative(dirname(path), join(this.root, target)), path);
  }

  /** Answers the device's folder, from the root. */
  card(card: CardFiles): string {
    const number = (this.#cards += 1) - 1;
    const bridge = card.isPlatform === true ? "sys/devices/platform" : `sys/devices/pci${card.address.slice(0, 7)}`;
    let folder = bridge;
    for (const [address, vendor, files] of card.ports ?? []) {
      folder = `${folder}/${address}`;
      this.write({ vendor: `${vendor}\n`, ...files }, folder);
    }
    const device = `${folder}/${card.address}`;
    this.write(card.files, device);
    const driver = `sys/bus/pci/drivers/${card.driver}`;
    mkdirSync(join(this.root, driver), { recursive: true });
    this.write({ version: "6.12.12\n" }, `sys/module/${card.driver}`);
    this.link(driver, `${device}/driver`);
    this.link(device, `sys/bus/pci/devices/${card.address}`);
    if (card.hwmon !== undefined) this.write(card.hwmon, `${device}/hwmon/hwmon${number + 3}`);
    const names = [`renderD${number + 128}`, ...(card.isRenderOnly === true ? [] : [`card${number}`])];
    for (const name of names) {
      const node = `${device}/drm/${name}`;
      mkdirSync(join(this.root, node), { recursive: true });
      if (name.startsWith("card")) this.write(card.nodeFiles ?? {}, node);
      this.link(device, `${node}/device`);
      this.link(node, `sys/class/drm/${name}`);
    }
    return device;
  }

  /** As a card that is pulled out: its files and all links to them. */
  unplug(device: string): void {
    for (const folder of ["sys/class/drm", "sys/bus/pci/devices"]) {
      const path = join(this.root, folder);
      rmSync(join(this.root, device), { recursive: true, force: true });
      for (const name of readdirSync(path))
        if (!existsSync(join(path, name))) rmSync(join(path, name), { force: true });
    }
  }

  /** The driver's answer to any read of a file is an error of input and output. */
  fail(device: string, ...names: readonly string[]): void {
    for (const name of names) {
      const path = join(this.root, device, name);
      rmSync(path, { force: true });
      mkdirSync(dirname(path), { recursive: true });
      symlinkSync("/proc/self/mem", path);
    }
  }

  /** Looks at the times of reading: from now on no file of the folder was read. */
  forgetReads(folder: string): void {
    for (const path of this.#filesIn(folder)) utimesSync(path, LONG_AGO_S, statSync(path).mtimeMs / 1000);
  }

  /** Which of them were read since, from the folder. */
  readsIn(folder: string): string[] {
    const read = this.#filesIn(folder).filter((path) => statSync(path).atimeMs / 1000 > LONG_AGO_S);
    return read.map((path) => relative(join(this.root, folder), path)).sort();
  }

  #filesIn(folder: string): string[] {
    // Links lead out of it, and around.
    return readdirSync(join(this.root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return this.#filesIn(path);
      return entry.isFile() ? [join(this.root, path)] : [];
    });
  }

  /** All processes of the machine are seen, by their own numbers. */
  firstNamespace(): void {
    mkdirSync(join(this.root, "proc/self/ns"), { recursive: true });
    symlinkSync("pid:[4026531836]", join(this.root, "proc/self/ns/pid"));
    this.process(1, "init", []);
  }

  /** A process with descriptors, each of a device and with what the kernel says of it. */
  process(pid: number, command: string, descriptors: readonly (readonly [device: string, fdinfo: string])[]): void {
    const folder = `proc/${pid}`;
    this.write({ comm: `${command}\n`, cgroup: "0::/user.slice\n" }, folder);
    mkdirSync(join(this.root, folder, "fd"), { recursive: true });
    for (const [index, [device, fdinfo]] of descriptors.entries()) {
      const link = join(this.root, folder, "fd", String(index + 3));
      rmSync(link, { force: true });
      symlinkSync(device, link);
      this.write({ [String(index + 3)]: fdinfo }, `${folder}/fdinfo`);
    }
  }
}

/** The bytes of gpu_metrics of a version, all ones but for what is given. */
export function metricsBytes(
  version: string,
  values: Readonly<Record<string, number | readonly number[]>>,
): Uint8Array {
  const [layout] = LAYOUTS.get(version) ?? [];
  if (layout === undefined) throw new Error(`no such version: ${version}`);
  const bytes = layoutBytes(layout, values);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, layout.bytes, true);
  const [format, content] = version.split(".").map(Number);
  bytes[2] = format as number;
  bytes[3] = content as number;
  return bytes;
}

export function layoutBytes(layout: Layout, values: Readonly<Record<string, number | readonly number[]>>): Uint8Array {
  const bytes = new Uint8Array(layout.bytes).fill(0xff);
  const view = new DataView(bytes.buffer);
  for (const [name, value] of Object.entries(values)) {
    const places = layout.places.filter((place) => place.name === name);
    const slots = places.flatMap(({ offset, bytes: width, count }) =>
      Array.from({ length: count }, (_, index) => ({ at: offset + index * width, width })),
    );
    if (slots.length === 0) throw new Error(`no such figure: ${name}`);
    for (const [index, one] of [value].flat().entries()) {
      const { at, width } = slots[index] as { at: number; width: number };
      if (width === 1) view.setUint8(at, one);
      else if (width === 2) view.setUint16(at, one, true);
      else if (width === 4) view.setUint32(at, one, true);
      else view.setBigUint64(at, BigInt(one), true);
    }
  }
  return bytes;
}
