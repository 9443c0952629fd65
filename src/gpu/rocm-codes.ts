/** What librocm_smi64 answers, and what follows from it. */

export const RSMI_OK = 0;

const WORDS: Readonly<Record<number, string>> = {
  1: "invalid arguments",
  2: "not supported",
  3: "a file can't be read",
  4: "no permission",
  5: "out of resources",
  6: "an error within the library",
  7: "out of bounds",
  8: "it can't be initialised: no AMD GPU, or the compute driver (/sys/class/kfd) is missing",
  9: "not implemented yet",
  10: "not found",
  11: "too little room",
  12: "interrupted",
  13: "an unexpected amount of data",
  14: "no data",
  15: "unexpected data",
  16: "busy",
  17: "opened too often",
  18: "not available now",
  19: "the driver can't be restarted",
};

/** "rsmi_init answered 8, ..." */
export function rsmiAnswered(call: string, rc: number): string {
  return `${call} answered ${rc >>> 0}, ${WORDS[rc] ?? "an unknown error"}`;
}

/**
 * What a code says of a figure:
 *   none     there is no such figure, or not for us: not asked again for a while
 *   failed   the card did not answer; of one figure that is nothing, of most it is a card that is lost
 *   later    not now
 */
export type RsmiMeaning = "ok" | "none" | "failed" | "later";

export function rsmiMeaningOf(rc: number): RsmiMeaning {
  switch (rc) {
    case RSMI_OK:
      return "ok";
    case 1:
    case 2:
    case 3:
    case 4:
    case 7:
    case 9:
    case 10:
      return "none";
    // Errors of input and output (EIO, ENXIO), and those that it has no code for (ENODEV).
    case 13:
    case 15:
    case -1:
      return "failed";
    default:
      return "later";
  }
}
