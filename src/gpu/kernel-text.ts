/**
 * What the kernel writes in its files of GPUs: pure functions over their texts. Whatever a text holds, nothing here throws,
 * and what is not as it should be is undefined.
 */
import { generationOf } from "./amd-figures.ts";

/** A whole number, decimal, up to 2^53. */
export function wholeOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\s*-?\d{1,16}\s*$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The hexadecimal digits of "0x74a1" or "74a1", in lower case; undefined for none, and for nothing but zeros. */
export function hexOf(text: string | undefined): string | undefined {
  const digits = /^\s*(?:0x)?([0-9a-f]{1,32})\s*$/i.exec(text ?? "")?.[1]?.toLowerCase();
  return digits === undefined || /^0+$/.test(digits) ? undefined : digits;
}

/** "16.0 GT/s PCIe": the generation of PCIe. */
export function linkGenerationOf(text: string | undefined): number | undefined {
  const speed = /^\s*(\d{1,3}(?:\.\d{1,2})?)\s*GT\/s/i.exec(text ?? "")?.[1];
  return speed === undefined ? undefined : generationOf(Number(speed));
}

export interface ClockLevels {
  /** The one with the asterisk. */
  readonly currentMhz: number | undefined;
  readonly maxMhz: number | undefined;
}

/** pp_dpm_sclk and its like: "1: 2100Mhz *" a line; "S:" is deep sleep. */
export function clockLevelsOf(text: string | undefined): ClockLevels {
  let currentMhz: number | undefined;
  let maxMhz: number | undefined;
  for (const line of (text ?? "").split("\n")) {
    const [, speed, mark] = /^\s*(?:\d{1,3}|S):\s*(\d{1,5}(?:\.\d{1,3})?)\s*mhz\s*(\*?)\s*$/i.exec(line) ?? [];
    if (speed === undefined) continue;
    const mhz = Number(speed);
    if (mark === "*") currentMhz = mhz;
    maxMhz = Math.max(mhz, maxMhz ?? 0);
  }
  return { currentMhz, maxMhz };
}

export interface ErrorCounts {
  readonly corrected: number | undefined;
  readonly uncorrected: number | undefined;
}

/** ras/umc_err_count and its like: "ue: 0", "ce: 3", and later "de: 0" for deferred ones, which are none yet. */
export function errorCountsOf(text: string | undefined): ErrorCounts {
  const count = (key: string): number | undefined =>
    wholeOf(new RegExp(`^\\s*${key}:\\s*(\\d{1,16})\\s*$`, "im").exec(text ?? "")?.[1]);
  return { corrected: count("ce"), uncorrected: count("ue") };
}

/** Counts of ras/gpu_vram_bad_pages by the letter at a line's end: R is taken out, P waits to be, F could not be. */
export function badPagesOf(
  text: string | undefined,
): { readonly retired: number; readonly waiting: number } | undefined {
  if (text === undefined) return undefined;
  const letters = text
    .split("\n")
    .flatMap((line) => /^0x[0-9a-f]+\s*:\s*0x[0-9a-f]+\s*:\s*([RPF])\s*$/i.exec(line)?.[1] ?? []);
  const waiting = letters.filter((letter) => letter.toUpperCase() !== "R").length;
  return { retired: letters.length - waiting, waiting };
}

/** "name value" a line, as KFD writes a node's properties. Numbers above 2^53 are texts too. */
export function propertiesOf(text: string | undefined): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const line of (text ?? "").split("\n")) {
    const [, name, value] = /^([a-z0-9_]{1,64}) (\d{1,20})\s*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) properties.set(name, value);
  }
  return properties;
}

/** gfx_target_version 90402: "gfx942". The last of its three parts is written in hexadecimal. */
export function gfxNameOf(version: number | undefined): string | undefined {
  if (version === undefined || version < 10_000 || version >= 1_000_000) return undefined;
  const [major, minor, step] = [Math.floor(version / 10_000), Math.floor(version / 100) % 100, version % 100];
  return `gfx${major}${minor.toString(16)}${step.toString(16)}`;
}

/** A place on the bus as the kernel writes it, in parts: domain, bus, and device with function. */
export function addressOf(domain: number, location: number): string | undefined {
  if (!(domain >= 0 && domain <= 0xffff_ffff && location >= 0)) return undefined;
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  return `${hex(domain, 4)}:${hex((location >> 8) & 0xff, 2)}:${hex((location >> 3) & 0x1f, 2)}.${location & 7}`;
}

export const PCI_ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
