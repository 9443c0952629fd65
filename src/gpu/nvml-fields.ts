/**
 * Many field values of a device in one call. The call succeeds when any of them does, so each one's code is looked at;
 * one that there is not is left out of the call for a minute.
 */
import { RC, meaningOf } from "./nvml-codes.ts";
import { FIELD_WORDS, fieldOf } from "./nvml-decode.ts";
import { type NvmlDevice, QUIET_MS } from "./nvml-device.ts";

const CALL = "nvmlDeviceGetFieldValues";

/** Ids of NVML_FI_DEV_. */
export const FIELD = {
  eccCorrected: 3,
  eccUncorrected: 4,
  eccCorrectedLifetime: 5,
  eccUncorrectedLifetime: 6,
  retiredCorrected: 29,
  retiredUncorrected: 30,
  retiredPending: 31,
  memoryTemperature: 82,
  energy: 83,
  linkCount: 91,
  pcieReplays: 94,
  linkTxKib: 138,
  linkRxKib: 139,
  remappedCorrected: 142,
  remappedUncorrected: 143,
  remapPending: 144,
  remapFailed: 145,
  linkReplays: 161,
  linkRecoveries: 162,
  linkCrcErrors: 163,
  linkState: 165,
  powerAverage: 185,
  powerInstant: 186,
  shutdownMargin: 193,
  slowdownMargin: 194,
  memoryMargin: 195,
  pcieTxBytes: 197,
  pcieRxBytes: 198,
  linkTxBytes: 202,
  linkRxBytes: 204,
  linkRecoveryEvents: 215,
  recoveryAction: 230,
} as const;

/** The scope of a link's counters that stands for all links. */
export const ALL_LINKS = 0xffff_ffff;

interface Wanted {
  readonly id: number;
  readonly scope: number;
}

export class NvmlFields {
  readonly #device: NvmlDevice;
  readonly #wanted: readonly Wanted[];
  /** Until when each is not asked for. */
  readonly #quietUntilMs: Float64Array;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #doubles: Float64Array;
  /** Where each wanted one stands in the buffer; -1: it was not asked for. */
  readonly #places: Int32Array;
  readonly #values: (number | undefined)[];

  constructor(device: NvmlDevice, wanted: readonly Wanted[]) {
    this.#device = device;
    this.#wanted = wanted;
    this.#quietUntilMs = new Float64Array(wanted.length).fill(-Infinity);
    const buffer = new ArrayBuffer(Math.max(1, wanted.length) * FIELD_WORDS * 4);
    this.#words = new Uint32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#places = new Int32Array(wanted.length);
    this.#values = Array.from({ length: wanted.length });
  }

  /** Of the fields in the order of their making; valid until the next look. */
  look(): readonly (number | undefined)[] {
    const device = this.#device;
    const call = device.session.calls[CALL];
    this.#values.fill(undefined);
    const count = call === undefined ? 0 : this.#write();
    if (call === undefined || count === 0) return this.#values;
    // A call that is refused is so for each of these fields, not for those of another call.
    const refused = call(device.handle, count, this.#words);
    let isOdd = false;
    for (let index = 0; index < this.#wanted.length; index += 1) {
      const place = this.#places[index] as number;
      if (place < 0) continue;
      const rc = refused === RC.ok ? (this.#words[place + 7] as number) : refused;
      if (rc === RC.ok) this.#values[index] = fieldOf(this.#words, this.#doubles, place);
      else if (rc === RC.unknown) isOdd = true;
      else if (meaningOf(rc) === "none") this.#quietUntilMs[index] = device.nowMs + QUIET_MS;
      else device.heard(CALL, rc);
    }
    // However many fields there are, it is one call of those by which a driver counts as stuck.
    device.heard(CALL, isOdd ? RC.unknown : RC.ok);
    return this.#values;
  }

  /** Whether the last look found the value in 64 bits: a counter of 32 wraps within a second of a fast link. */
  isLong(index: number): boolean {
    const place = this.#places[index] as number;
    return place >= 0 && this.#words[place + 6] !== 1;
  }

  #write(): number {
    let count = 0;
    for (let index = 0; index < this.#wanted.length; index += 1) {
      const isAsked = this.#device.nowMs >= (this.#quietUntilMs[index] as number);
      const place = isAsked ? count * FIELD_WORDS : -1;
      this.#places[index] = place;
      if (!isAsked) continue;
      const { id, scope } = this.#wanted[index] as Wanted;
      this.#words[place] = id;
      this.#words[place + 1] = scope;
      // A library that leaves one out says nothing of it.
      this.#words[place + 7] = RC.noData;
      count += 1;
    }
    return count;
  }
}

/** Fields of the whole GPU. */
export function ofDevice(...ids: readonly number[]): Wanted[] {
  return ids.map((id) => ({ id, scope: 0 }));
}
