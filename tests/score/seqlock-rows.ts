/** The figures that the seqlock's writer flips between; all exact in float32. */
import { PLAIN } from "./rows.ts";

export const SEQLOCK_PROMPT = 8;

/** 8 tokens at 1/4 s, 4 active at 1/2 s, a KV excess of 1 or 2 squared, and the rest as penalty. */
export function seqlockRow(second: boolean) {
  return second
    ? {
        ...PLAIN,
        activeOffset: 4,
        secondsPerPrefillToken: 32,
        secondsPerActive: 64,
        kvOffset: 16,
        penaltySeconds: 232,
        capacity: 1000,
        slots: 1000,
      }
    : {
        ...PLAIN,
        activeOffset: 4,
        secondsPerPrefillToken: 0.25,
        secondsPerActive: 0.5,
        kvOffset: 2,
        penaltySeconds: 2,
        capacity: 1000,
        slots: 1000,
      };
}
