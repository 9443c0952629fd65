/**
 * XIDs by an event set. A set keeps what happens between two looks, so none is lost while it lives; one that answers that
 * a GPU is lost would answer so for ever, and hide what the others report, so it is made anew without that GPU.
 */
import type { Pointer } from "bun:ffi";
import type { GpuFault } from "../health/reading.ts";
import { RC, meaningOf } from "./nvml-codes.ts";
import { addressOf, wordOf } from "./nvml-decode.ts";
import type { NvmlSession } from "./nvml-device.ts";

const XID = 0x8;
const EVENT_WORDS = 8;
/** More than a storm brings between two looks; the rest is for the next one. */
const FAULTS_MAX = 256;

interface Watched {
  readonly uuid: string;
  readonly handle: Pointer;
}

export class NvmlEvents {
  readonly #session: NvmlSession;
  #set: number | undefined;
  readonly #uuids = new Map<number, string>();
  /** Every GPU that has such events is watched, as far as the library told; else it is worth another try. */
  isWhole = true;

  constructor(session: NvmlSession) {
    this.#session = session;
  }

  /** Watches these GPUs and no others; what was reported and not taken of the set before is answered. */
  watch(gpus: readonly Watched[]): GpuFault[] {
    const left = this.take().faults;
    this.free();
    const { nvmlEventSetCreate: create, nvmlDeviceRegisterEvents: register } = this.#session.calls;
    this.isWhole = true;
    if (create === undefined || register === undefined) return left;
    const words = this.#session.blank();
    const made = create(words);
    const set = made === RC.ok ? addressOf(words, 0) : undefined;
    if (set === undefined) {
      this.isWhole = meaningOf(made) === "none";
      return left;
    }
    this.#set = set;
    // A GPU that has no such events says so, and is as well watched as it can be.
    for (const { uuid, handle } of gpus) {
      const rc = register(handle, XID, set as Pointer);
      if (rc === RC.ok) this.#uuids.set(handle, uuid);
      else this.isWhole &&= meaningOf(rc) === "none";
    }
    return left;
  }

  /** Whether what is reported of it would be told. */
  sees(handle: Pointer): boolean {
    return this.#uuids.has(handle);
  }

  /** What was reported since the last look; `isBroken`: the set answers to nothing any more. */
  take(): { readonly faults: GpuFault[]; readonly isBroken: boolean } {
    const faults: GpuFault[] = [];
    const { nvmlEventSetWait_v2: newer, nvmlEventSetWait: older } = this.#session.calls;
    const wait = newer ?? older;
    if (this.#set === undefined || wait === undefined) return { faults, isBroken: false };
    const words = this.#session.words;
    for (let count = 0; count < FAULTS_MAX; count += 1) {
      // The older call says nothing of instances, so they stay "not known".
      words.fill(0xffff_ffff, 0, EVENT_WORDS);
      const rc = wait(this.#set as Pointer, words, 0);
      if (rc !== RC.ok) return { faults, isBroken: rc !== RC.timeout };
      const uuid = this.#uuids.get(addressOf(words, 0) ?? 0);
      const isXid = ((words[2] as number) & XID) !== 0;
      if (uuid === undefined || !isXid) continue;
      faults.push({
        uuid,
        xid: words[4] as number,
        gpuInstance: wordOf(words, 6),
        computeInstance: wordOf(words, 7),
      });
    }
    return { faults, isBroken: false };
  }

  /** Not after the library was shut down. */
  free(): void {
    if (this.#set !== undefined) this.#session.calls.nvmlEventSetFree?.(this.#set as Pointer);
    this.#set = undefined;
    this.#uuids.clear();
  }
}
