/**
 * Asking librocm_smi64 about one GPU.
 *
 * Its structs changed with ROCm 6.0, without another name for its functions: which ones are meant is told by the presence
 * of `rsmi_dev_power_get`, which came then. Buffers are larger than any of them and filled with ones before each call,
 * which is "not available": a library that answers well and writes nothing, or less than was thought, gives no figure.
 *
 * What a GPU does not have is not asked for again for a minute.
 */
import { ROCM5_LAYOUT, ROCM6_LAYOUT } from "./amd-layouts.ts";
import { type RawMetrics, readLayout } from "./amd-metrics.ts";
import { longOf, textOf } from "./nvml-decode.ts";
import { RSMI_OK, rsmiMeaningOf } from "./rocm-codes.ts";
import type { CHOICE_CALLS, LONG_CALLS, RocmCalls, WORD_CALLS } from "./rocm-symbols.ts";
import type { LookCount } from "./sysfs-folder.ts";

const QUIET_MS = 60_000;
/** The library writes the whole of its newest struct, whatever the card: 4,544 bytes of metrics by ROCm 7, and more to come. */
const SCRATCH_BYTES = 32_768;
const TEXT_BYTES = 256;
const ALL_ONES = 0xffff_ffff;
const LEVELS_MAX = 33;

/** Where rsmi_frequencies_t has what: the count, the number of the one in force, the list. In words of 32 bits. */
const LEVELS = { old: { count: 0, current: 1, list: 2 }, new: { count: 1, current: 2, list: 4 } } as const;

const TEMPERATURE = { now: 0, critical: 5, emergency: 7 } as const;
export const SENSOR = { edge: 0, junction: 1, memory: 2, hbm: [3, 4, 5, 6] } as const;
const POWER_KINDS = ["mean", "now"] as const;

export interface RocmLevels {
  readonly currentMhz: number | undefined;
  readonly maxMhz: number | undefined;
}

/** An initialised library, and the buffers that every call of this thread may use. */
export class RocmSession {
  readonly path: string;
  readonly calls: RocmCalls;
  /** Structs as they are before ROCm 6.0. */
  readonly isOld: boolean;
  readonly bytes = new Uint8Array(new ArrayBuffer(SCRATCH_BYTES));
  readonly words = new Uint32Array(this.bytes.buffer);
  /** For calls with more places to write to. */
  readonly second = new Uint32Array(new ArrayBuffer(16));
  readonly third = new Uint32Array(new ArrayBuffer(16));
  readonly step = new Float32Array(new ArrayBuffer(16));

  constructor(path: string, calls: RocmCalls) {
    this.path = path;
    this.calls = calls;
    this.isOld = calls.rsmi_dev_power_get === undefined;
  }

  blank(): Uint32Array<ArrayBuffer> {
    this.second.fill(ALL_ONES);
    this.third.fill(ALL_ONES);
    return this.words.fill(ALL_ONES);
  }

  text(call: (bytes: Uint8Array<ArrayBuffer>) => number): string | undefined {
    this.bytes.fill(0);
    return call(this.bytes) === RSMI_OK ? textOf(this.bytes, 0, TEXT_BYTES) : undefined;
  }

  /** "5.0.0" */
  version(): string | undefined {
    const words = this.blank();
    if (this.calls.rsmi_version_get?.(words) !== RSMI_OK) return undefined;
    const parts = [...words.subarray(0, 3)];
    return parts.includes(ALL_ONES) ? undefined : parts.join(".");
  }

  driverVersion(): string | undefined {
    return this.text((bytes) => this.calls.rsmi_version_str_get?.(0, bytes, TEXT_BYTES) ?? -1);
  }

  /** How many GPUs there are; the code where that is not answered. */
  count(): { readonly count: number } | { readonly rc: number } {
    const words = this.blank();
    const rc = this.calls.rsmi_num_monitor_devices?.(words) ?? -1;
    const [count = ALL_ONES] = words;
    return rc !== RSMI_OK ? { rc } : { count: count === ALL_ONES ? 0 : count };
  }
}

export class RocmDevice {
  readonly session: RocmSession;
  /** Among the library's, which it numbers anew when it is initialised. */
  index: number;
  nowMs = 0;
  readonly #count: LookCount;
  readonly #quietUntilMs = new Map<string, number>();

  /** `index` must be below the count that the library told. */
  constructor(session: RocmSession, index: number, count: LookCount) {
    this.session = session;
    this.index = index;
    this.#count = count;
  }

  /** What it refused while it slept, or under another initialisation, says nothing of now. */
  forget(): void {
    this.#quietUntilMs.clear();
  }

  word(name: keyof typeof WORD_CALLS): number | undefined {
    const call = this.session.calls[name];
    const [word] = call === undefined ? [] : (this.#ask(name, (words) => call(this.index, words)) ?? []);
    return word === ALL_ONES ? undefined : word;
  }

  long(name: keyof typeof LONG_CALLS): number | undefined {
    const halves = this.halves(name);
    return halves === undefined ? undefined : longOf(Uint32Array.of(...halves), 0);
  }

  /** The same of what is a name rather than a number: all its bits, the low ones first. */
  halves(name: keyof typeof LONG_CALLS): readonly [low: number, high: number] | undefined {
    const call = this.session.calls[name];
    const words = call === undefined ? undefined : this.#ask(name, (out) => call(this.index, out));
    if (words === undefined) return undefined;
    const [low = 0, high = 0] = words;
    return low === ALL_ONES && high === ALL_ONES ? undefined : [low, high];
  }

  choice(name: keyof typeof CHOICE_CALLS, which: number): number | undefined {
    const call = this.session.calls[name];
    const words = call === undefined ? undefined : this.#ask(`${name} ${which}`, (out) => call(this.index, which, out));
    return words === undefined ? undefined : longOf(words, 0);
  }

  text(name: "rsmi_dev_name_get" | "rsmi_dev_serial_number_get"): string | undefined {
    const call = this.session.calls[name];
    return call === undefined ? undefined : this.session.text((bytes) => call(this.index, bytes, TEXT_BYTES));
  }

  /** A sensor that is broken or missing tells of exactly 0. */
  celsius(sensor: number, what: keyof typeof TEMPERATURE = "now"): number | undefined {
    const call = this.session.calls.rsmi_dev_temp_metric_get;
    const key = `rsmi_dev_temp_metric_get ${sensor} ${what}`;
    const words =
      call === undefined ? undefined : this.#ask(key, (out) => call(this.index, sensor, TEMPERATURE[what], out));
    const value = words === undefined ? undefined : signedOf(words);
    return value === undefined || value === 0 ? undefined : value / 1000;
  }

  /** Watts, and whether they are those of now or a mean. */
  power(): { readonly mean?: number; readonly now?: number } {
    const call = this.session.calls.rsmi_dev_power_get;
    const words =
      call === undefined
        ? undefined
        : this.#ask("rsmi_dev_power_get", (out) => call(this.index, out, this.session.second));
    const kind = words === undefined ? undefined : POWER_KINDS[this.session.second[0] as number];
    const microwatts = words === undefined ? undefined : longOf(words, 0);
    if (kind !== undefined && microwatts !== undefined) return { [kind]: microwatts / 1e6 };
    const mean = this.choice("rsmi_dev_power_ave_get", 0);
    return mean === undefined ? {} : { mean: mean / 1e6 };
  }

  powerRange(): { readonly max: number | undefined; readonly min: number | undefined } | undefined {
    const call = this.session.calls.rsmi_dev_power_cap_range_get;
    const { second } = this.session;
    const words =
      call === undefined
        ? undefined
        : this.#ask("rsmi_dev_power_cap_range_get", (out) => call(this.index, 0, out, second));
    return words === undefined ? undefined : { max: longOf(words, 0), min: longOf(second, 0) };
  }

  /** In joules; the library tells what a step is, in microjoules. */
  energy(): number | undefined {
    const { calls, step, second } = this.session;
    const call = calls.rsmi_dev_energy_count_get;
    step[0] = Number.NaN;
    const words =
      call === undefined
        ? undefined
        : this.#ask("rsmi_dev_energy_count_get", (out) => call(this.index, out, step, second));
    const steps = words === undefined ? undefined : longOf(words, 0);
    const joules = (steps ?? Number.NaN) * (step[0] / 1e6);
    return joules > 0 ? joules : undefined;
  }

  /** `clock` is 0 for graphics, 4 for memory. */
  levels(clock: number): RocmLevels {
    const call = this.session.calls.rsmi_dev_gpu_clk_freq_get;
    const key = `rsmi_dev_gpu_clk_freq_get ${clock}`;
    const words = call === undefined ? undefined : this.#ask(key, (out) => call(this.index, clock, out));
    const at = this.session.isOld ? LEVELS.old : LEVELS.new;
    const count = words?.[at.count] ?? 0;
    if (words === undefined || count > LEVELS_MAX) return { currentMhz: undefined, maxMhz: undefined };
    const hertz = Array.from({ length: count }, (_, index) => longOf(words, at.list + 2 * index));
    const known = hertz.filter((value) => value !== undefined);
    const current = hertz[words[at.current] as number];
    return {
      currentMhz: current === undefined ? undefined : current / 1e6,
      maxMhz: known.length === 0 ? undefined : Math.max(...known) / 1e6,
    };
  }

  metrics(): RawMetrics | undefined {
    const name = "rsmi_dev_gpu_metrics_info_get";
    const call = this.session.calls[name];
    if (call === undefined || this.#ask(name, (out) => call(this.index, out)) === undefined) return undefined;
    const { bytes, isOld } = this.session;
    if (!isOld) return readLayout(ROCM6_LAYOUT, bytes);
    // Of other versions it answers well, and writes zeros.
    const isKnown = bytes[2] === 1 && bytes[3] !== 0 && (bytes[3] as number) <= 3;
    return isKnown ? readLayout(ROCM5_LAYOUT, bytes) : undefined;
  }

  /** The shared words after a call that went well. */
  #ask(key: string, call: (out: Uint32Array<ArrayBuffer>) => number): Uint32Array<ArrayBuffer> | undefined {
    const quietUntilMs = this.#quietUntilMs.get(key);
    if (quietUntilMs !== undefined && this.nowMs < quietUntilMs) return undefined;
    const words = this.session.blank();
    switch (rsmiMeaningOf(call(words))) {
      case "ok":
        this.#count.answers += 1;
        return words;
      case "none":
        this.#quietUntilMs.set(key, this.nowMs + QUIET_MS);
        return undefined;
      case "failed":
        this.#count.failures += 1;
        return undefined;
      default:
        return undefined;
    }
  }
}

/** An i64; undefined for all ones, which is also what nobody wrote. */
function signedOf(words: Uint32Array): number | undefined {
  const [low = ALL_ONES, high = ALL_ONES] = words;
  if (low === ALL_ONES && high === ALL_ONES) return undefined;
  const value = (high | 0) * 0x1_0000_0000 + low;
  return Number.isSafeInteger(value) ? value : undefined;
}
