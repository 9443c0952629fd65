/**
 * Why an AMD card holds its clocks down, as its gpu_metrics tell, in the words that all backends use.
 *
 * Versions 1.3 and 2.2 to 2.4 have a bit for each reason. From 1.6 on there are counters of how long each held, of which
 * those that grew since the look before are meant. Elsewhere the bits mean what the chip likes, and nothing is said.
 */
import type { RawMetrics } from "./amd-metrics.ts";

type Word = "sw_power_cap" | "sw_thermal" | "hw_thermal";

/**
 * From bit to bit, as the kernel has them (amdgpu_smu.h): limits of power; of current (TDC, EDC, APCC), which a busy card
 * meets all the time as it does those of power; of temperature; what voltage regulators and pins report (VRHOT, PROCHOT);
 * PPM and FIT, limits of power and of wear.
 */
const BITS: readonly (readonly [first: number, last: number, Word])[] = [
  [0, 7, "sw_power_cap"],
  [16, 23, "sw_power_cap"],
  [32, 43, "sw_thermal"],
  [44, 47, "hw_thermal"],
  [56, 57, "sw_power_cap"],
];

const COUNTERS: readonly (readonly [name: string, Word])[] = [
  ["ppt_residency_acc", "sw_power_cap"],
  ["socket_thm_residency_acc", "sw_thermal"],
  ["hbm_thm_residency_acc", "sw_thermal"],
  ["vr_thm_residency_acc", "hw_thermal"],
  ["prochot_residency_acc", "hw_thermal"],
];

export class AmdThrottle {
  #counted: ReadonlyMap<string, number> = new Map();
  #lookedAt = Number.NaN;
  #last: string[] | undefined;

  take(raw: RawMetrics | undefined): string[] | undefined {
    if (raw === undefined) return undefined;
    const lookedAt = raw.get("accumulation_counter")?.[0];
    return lookedAt === undefined || Number.isNaN(lookedAt) ? reasonsOfBits(raw) : this.#grown(raw, lookedAt);
  }

  #grown(raw: RawMetrics, lookedAt: number): string[] | undefined {
    // The firmware has counted nothing since: what was then is what is now.
    if (lookedAt === this.#lookedAt) return this.#last;
    const counted = new Map<string, number>();
    for (const [name] of COUNTERS) {
      const value = raw.get(name)?.[0];
      if (value !== undefined && !Number.isNaN(value)) counted.set(name, value);
    }
    // Counters that begin anew tell nothing this once; nor does the first look.
    const isOn = lookedAt > this.#lookedAt && counted.size > 0;
    const words = COUNTERS.flatMap(([name, word]) => {
      const before = this.#counted.get(name);
      return before !== undefined && (counted.get(name) ?? 0) > before ? [word] : [];
    });
    this.#last = isOn ? [...new Set(words)] : undefined;
    this.#lookedAt = lookedAt;
    this.#counted = counted;
    return this.#last;
  }
}

function reasonsOfBits(raw: RawMetrics): string[] | undefined {
  const low = raw.get("throttlers_low")?.[0];
  const high = raw.get("throttlers_high")?.[0];
  if (low === undefined || high === undefined || Number.isNaN(low) || Number.isNaN(high)) return undefined;
  const words = new Set<Word>();
  for (const [from, to, word] of BITS) {
    for (let bit = from; bit <= to; bit += 1) {
      if ((((bit < 32 ? low : high) >>> (bit % 32)) & 1) === 1) words.add(word);
    }
  }
  return [...words];
}
