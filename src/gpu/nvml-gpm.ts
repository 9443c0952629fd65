/**
 * GPM: how busy the parts of a chip were between two samples, on Hopper and later, of a GPU or of one MIG instance.
 *
 * The driver renews its counters every 100 ms, so samples lie further apart than that. The struct for the results has
 * grown three times (98, 210, 333 metrics) under one version number: it is as large as the largest, since a library may
 * clear all of what it thinks is there.
 */
import type { Pointer } from "bun:ffi";
import type { GpuActivity } from "../health/reading.ts";
import { RC } from "./nvml-codes.ts";
import { addressOf, shareOf } from "./nvml-decode.ts";
import type { NvmlDevice, NvmlSession } from "./nvml-device.ts";

const METRICS_MAX = 333;
const METRIC_WORDS = 10;
const HEAD_WORDS = 6;
const SPACING_MS = 110;
const SUPPORT = "nvmlGpmQueryDeviceSupport";
const METRICS_GET = "nvmlGpmMetricsGet";

/** Ids of NVML_GPM_METRIC_: shares in per cent, then MiB a second. */
const ASKED = [1, 2, 3, 5, 10, 11, 12, 13, 20, 21, 60, 61] as const;
const MIB = 2 ** 20;

export interface GpmFigures {
  readonly activity: GpuActivity;
  readonly pcieTxBytesPerSecond: number | undefined;
  readonly pcieRxBytesPerSecond: number | undefined;
  readonly linkTxBytesPerSecond: number | undefined;
  readonly linkRxBytesPerSecond: number | undefined;
}

/** The buffer for results, one for all. */
export class GpmBuffer {
  readonly words = new Uint32Array(new ArrayBuffer((HEAD_WORDS + METRICS_MAX * METRIC_WORDS) * 4));
  readonly #doubles = new Float64Array(this.words.buffer);

  prepare(older: number, newer: number): Uint32Array<ArrayBuffer> {
    const { words } = this;
    words[0] = 1;
    words[1] = ASKED.length;
    putAddress(words, 2, older);
    putAddress(words, 4, newer);
    for (let index = 0; index < ASKED.length; index += 1) {
      const at = HEAD_WORDS + index * METRIC_WORDS;
      words.fill(0, at, at + METRIC_WORDS);
      words[at] = ASKED[index] as number;
      words[at + 1] = RC.noData;
    }
    return words;
  }

  figure(index: number): number | undefined {
    const at = HEAD_WORDS + index * METRIC_WORDS;
    const value = this.#doubles[at / 2 + 1] as number;
    return this.words[at + 1] === RC.ok && Number.isFinite(value) ? value : undefined;
  }

  figures(): GpmFigures {
    const share = (index: number): number | undefined => shareOf(this.figure(index));
    const bytes = (index: number): number | undefined => {
      const mib = this.figure(index);
      return mib === undefined ? undefined : mib * MIB;
    };
    return {
      activity: {
        graphics: share(0),
        sm: share(1),
        smOccupancy: share(2),
        tensor: share(3),
        dram: share(4),
        fp64: share(5),
        fp32: share(6),
        fp16: share(7),
      },
      pcieTxBytesPerSecond: bytes(8),
      pcieRxBytesPerSecond: bytes(9),
      linkRxBytesPerSecond: bytes(10),
      linkTxBytesPerSecond: bytes(11),
    };
  }
}

/** One GPU, or one GPU instance of it. */
export class NvmlGpm {
  readonly #device: NvmlDevice;
  readonly #instance: number | undefined;
  readonly #buffer: GpmBuffer;
  #isSupported = false;
  /** Two samples of the library's: the older one, and the newer one, taken at `#takenMs`. */
  #older = 0;
  #newer = 0;
  #takenMs = Number.NaN;
  #last: GpmFigures | undefined;

  constructor(device: NvmlDevice, instance: number | undefined, buffer: GpmBuffer) {
    this.#device = device;
    this.#instance = instance;
    this.#buffer = buffer;
  }

  /** Undefined where there is no GPM, and at the first look, which has nothing to compare with. */
  read(nowMs: number): GpmFigures | undefined {
    if (!this.#isReady()) return undefined;
    if (nowMs - this.#takenMs < SPACING_MS) return this.#last;
    this.#last = undefined;
    if (!this.#sample(this.#older)) {
      this.#takenMs = Number.NaN;
      return undefined;
    }
    const isFirst = Number.isNaN(this.#takenMs);
    [this.#older, this.#newer] = [this.#newer, this.#older];
    this.#takenMs = nowMs;
    const call = this.#device.session.calls.nvmlGpmMetricsGet;
    if (isFirst || call === undefined || this.#device.isQuiet(METRICS_GET)) return undefined;
    const rc = call(this.#buffer.prepare(this.#older, this.#newer));
    if (this.#device.heard(METRICS_GET, rc)) this.#last = this.#buffer.figures();
    return this.#last;
  }

  /** What the last `read` said. */
  get last(): GpmFigures | undefined {
    return this.#last;
  }

  /** Gives the samples back; not after the library was shut down. */
  free(): void {
    const call = this.#device.session.calls.nvmlGpmSampleFree;
    if (this.#older !== 0) call?.(this.#older as Pointer);
    if (this.#newer !== 0) call?.(this.#newer as Pointer);
    this.#older = 0;
    this.#newer = 0;
    this.#takenMs = Number.NaN;
  }

  #isReady(): boolean {
    const device = this.#device;
    const { calls } = device.session;
    if (calls.nvmlGpmSampleFree === undefined || calls.nvmlGpmMetricsGet === undefined) return false;
    if (!this.#isSupported && !this.#asksSupport()) return false;
    this.#older ||= allocated(device.session);
    this.#newer ||= allocated(device.session);
    return this.#older !== 0 && this.#newer !== 0;
  }

  #asksSupport(): boolean {
    const device = this.#device;
    const call = device.session.calls[SUPPORT];
    if (call === undefined || device.isQuiet(SUPPORT)) return false;
    const words = device.session.blank();
    words[0] = 1;
    const rc = call(device.handle, words);
    this.#isSupported = device.heard(SUPPORT, rc) && words[1] === 1;
    if (rc === RC.ok && !this.#isSupported) device.heard(SUPPORT, RC.notSupported);
    return this.#isSupported;
  }

  #sample(into: number): boolean {
    const device = this.#device;
    const name = this.#instance === undefined ? "nvmlGpmSampleGet" : "nvmlGpmMigSampleGet";
    const key = `${name} ${this.#instance}`;
    if (device.isQuiet(key)) return false;
    const { nvmlGpmSampleGet: whole, nvmlGpmMigSampleGet: part } = device.session.calls;
    const rc =
      this.#instance === undefined
        ? whole?.(device.handle, into as Pointer)
        : part?.(device.handle, this.#instance, into as Pointer);
    return rc !== undefined && device.heard(name, rc, key);
  }
}

/** Zero where there is no room for one. */
function allocated(session: NvmlSession): number {
  const words = session.blank();
  return session.calls.nvmlGpmSampleAlloc?.(words) === RC.ok ? (addressOf(words, 0) ?? 0) : 0;
}

function putAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address % 0x1_0000_0000;
  words[at + 1] = Math.floor(address / 0x1_0000_0000);
}
