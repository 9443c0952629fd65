/**
 * What is in AMD's gpu_metrics, by name: pure functions over bytes. Whatever they hold, nothing here throws, and what says
 * nothing is not there. All ones, in whatever width, are a driver's "not available".
 */
import { ATTRIBUTES, LAYOUTS, type Layout } from "./amd-layouts.ts";

/** Each figure's values, in the order in which they stand; NaN for one that is not available. */
export type RawMetrics = ReadonlyMap<string, readonly number[]>;

const HEADER_BYTES = 4;
const ATTRIBUTE_BYTES = 8;
const ATTRIBUTES_MAX = 1024;

/** Undefined where the version is not known, or the bytes are fewer than it has. */
export function readMetrics(bytes: Uint8Array): RawMetrics | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const size = view.getUint16(0, true);
  const version = `${bytes[2]}.${bytes[3]}`;
  if (version === "1.9") return readAttributes(bytes);
  const layout = LAYOUTS.get(version)?.find((one) => one.bytes === size);
  return layout === undefined || bytes.length < layout.bytes ? undefined : readLayout(layout, bytes);
}

/** A chip with processor cores, whatever else of its version is known: formats 2 and 3. Undefined for no metrics. */
export function isIntegrated(bytes: Uint8Array | undefined): boolean | undefined {
  const format = bytes === undefined || bytes.length < HEADER_BYTES ? undefined : bytes[2];
  return format === 1 ? false : format === 2 || format === 3 ? true : undefined;
}

/** What the bytes are too few for is not available. */
export function readLayout({ places }: Layout, bytes: Uint8Array): RawMetrics {
  const view = viewOf(bytes);
  const metrics = new Map<string, number[]>();
  for (const { name, offset, bytes: width, count } of places) {
    const values = metrics.get(name) ?? [];
    for (let index = 0; index < count; index += 1) values.push(unsigned(view, offset + index * width, width));
    metrics.set(name, values);
  }
  return metrics;
}

/** A count, and for each figure a word that tells its type, its name and how many values follow, without gaps. */
function readAttributes(bytes: Uint8Array): RawMetrics | undefined {
  const view = viewOf(bytes);
  let at = HEADER_BYTES + 4;
  if (bytes.length < at) return undefined;
  const metrics = new Map<string, number[]>();
  const count = Math.min(view.getUint32(HEADER_BYTES, true), ATTRIBUTES_MAX);
  for (let index = 0; index < count && at + ATTRIBUTE_BYTES <= bytes.length; index += 1) {
    const word = view.getUint32(at, true);
    const type = (word >>> 20) & 0xf;
    const values = word & 0x3ff;
    const name = ATTRIBUTES[(word >>> 10) & 0x3ff];
    at += ATTRIBUTE_BYTES;
    // Two types for each width, unsigned and signed. Behind one that is not known nothing is in a known place.
    if (type > 7) break;
    const width = (1 << (type >> 1)) as 1 | 2 | 4 | 8;
    if (at + width * values > bytes.length) break;
    if (name !== undefined && type % 2 === 0) {
      const all = metrics.get(name) ?? [];
      for (let value = 0; value < values; value += 1) all.push(unsigned(view, at + value * width, width));
      metrics.set(name, all);
    }
    at += width * values;
  }
  return metrics.size === 0 ? undefined : metrics;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** NaN for all ones, for what is above 2^53, and beyond the end. */
function unsigned(view: DataView, at: number, width: 1 | 2 | 4 | 8): number {
  if (at + width > view.byteLength) return Number.NaN;
  if (width === 1) return known(view.getUint8(at), 0xff);
  if (width === 2) return known(view.getUint16(at, true), 0xffff);
  if (width === 4) return known(view.getUint32(at, true), 0xffff_ffff);
  const high = view.getUint32(at + 4, true);
  return high >= 0x20_0000 ? Number.NaN : high * 0x1_0000_0000 + view.getUint32(at, true);
}

function known(value: number, none: number): number {
  return value === none ? Number.NaN : value;
}
