/** How worn a GPU is: read every thirty seconds, in one call; by the older calls where fields are missing. */
import { type GpuWear, RECOVERY_ACTIONS } from "../health/reading.ts";
import { RC } from "./nvml-codes.ts";
import { longOf, wordOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import { FIELD, NvmlFields, ofDevice } from "./nvml-fields.ts";
import { flagOf } from "./nvml-identity.ts";

const ERRORS = { corrected: 0, uncorrected: 1 } as const;
const COUNTER = { volatile: 0, aggregate: 1 } as const;
const CAUSE = { corrected: 0, uncorrected: 1 } as const;

type Remapped = Pick<GpuWear, "remappedRowsCorrected" | "remappedRowsUncorrected" | "remapPending" | "remapFailed">;

export class NvmlWear {
  readonly #device: NvmlDevice;
  readonly #fields: NvmlFields;
  /** A count of nothing: the pages' addresses are not asked for. */
  readonly #count = new Uint32Array(new ArrayBuffer(8));

  constructor(device: NvmlDevice) {
    this.#device = device;
    this.#fields = new NvmlFields(
      device,
      ofDevice(
        FIELD.eccCorrected,
        FIELD.eccUncorrected,
        FIELD.eccCorrectedLifetime,
        FIELD.eccUncorrectedLifetime,
        FIELD.retiredCorrected,
        FIELD.retiredUncorrected,
        FIELD.retiredPending,
        FIELD.remappedCorrected,
        FIELD.remappedUncorrected,
        FIELD.remapPending,
        FIELD.remapFailed,
        FIELD.recoveryAction,
      ),
    );
  }

  read(): GpuWear {
    const device = this.#device;
    const [corrected, uncorrected, correctedLife, uncorrectedLife, retiredC, retiredU, retiredPending, ...rest] =
      this.#fields.look();
    const [rowsC, rowsU, pending, failed, action] = rest;
    const remapped =
      rowsC === undefined && rowsU === undefined && pending === undefined && failed === undefined
        ? this.#remappedRows()
        : {
            remappedRowsCorrected: rowsC,
            remappedRowsUncorrected: rowsU,
            remapPending: flagOf(pending),
            remapFailed: flagOf(failed),
          };
    return {
      eccCorrected: corrected ?? this.#ecc(ERRORS.corrected, COUNTER.volatile),
      eccUncorrected: uncorrected ?? this.#ecc(ERRORS.uncorrected, COUNTER.volatile),
      eccCorrectedLifetime: correctedLife ?? this.#ecc(ERRORS.corrected, COUNTER.aggregate),
      eccUncorrectedLifetime: uncorrectedLife ?? this.#ecc(ERRORS.uncorrected, COUNTER.aggregate),
      retiredPagesCorrected: retiredC ?? this.#retiredPages(CAUSE.corrected),
      retiredPagesUncorrected: retiredU ?? this.#retiredPages(CAUSE.uncorrected),
      retiredPagesPending: flagOf(retiredPending ?? device.word("nvmlDeviceGetRetiredPagesPendingStatus")),
      ...remapped,
      // Of 5 there are two meanings, by the header's age.
      recoveryAction: action === undefined ? undefined : (RECOVERY_ACTIONS[action] ?? "other"),
    };
  }

  #ecc(errors: number, counter: number): number | undefined {
    const device = this.#device;
    const call = device.session.calls.nvmlDeviceGetTotalEccErrors;
    const key = `nvmlDeviceGetTotalEccErrors ${errors} ${counter}`;
    if (call === undefined || device.isQuiet(key)) return undefined;
    const words = device.session.blank();
    const rc = call(device.handle, errors, counter, words);
    return device.heard("nvmlDeviceGetTotalEccErrors", rc, key) ? longOf(words, 0) : undefined;
  }

  /** How many there are is told where there is no room for them, by the code that says so. */
  #retiredPages(cause: number): number | undefined {
    const device = this.#device;
    const call = device.session.calls.nvmlDeviceGetRetiredPages_v2;
    const key = `nvmlDeviceGetRetiredPages_v2 ${cause}`;
    if (call === undefined || device.isQuiet(key)) return undefined;
    const { words, moreWords } = device.session;
    this.#count[0] = 0;
    const rc = call(device.handle, cause, this.#count, words, moreWords);
    const isTold = device.heard("nvmlDeviceGetRetiredPages_v2", rc, key) || rc === RC.smallBuffer;
    return isTold ? wordOf(this.#count, 0) : undefined;
  }

  #remappedRows(): Remapped {
    const device = this.#device;
    const name = "nvmlDeviceGetRemappedRows";
    const call = device.session.calls[name];
    if (call === undefined || device.isQuiet(name)) return {};
    device.session.blank();
    const { words, moreWords } = device.session;
    const [corrected, uncorrected] = [words, words.subarray(16)];
    const [pending, failed] = [moreWords, moreWords.subarray(16)];
    if (!device.heard(name, call(device.handle, corrected, uncorrected, pending, failed))) return {};
    return {
      remappedRowsCorrected: wordOf(corrected, 0),
      remappedRowsUncorrected: wordOf(uncorrected, 0),
      remapPending: flagOf(pending[0]),
      remapFailed: flagOf(failed[0]),
    };
  }
}
