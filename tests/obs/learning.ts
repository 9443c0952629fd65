/** What a router may have learnt of one row's rates. */
import type { Learning } from "../../src/obs/rate-metrics.ts";

const KNOWN = {
  used: 1e-4,
  prior: 5e-5,
  learnt: 1.25e-4,
  samples: 40.5,
  confidence: 0.75,
  step: { slope: 0.0005, offset: 0.02, samples: 12 },
};

/** Of row 0 something, of row 1 nothing was learnt; there are no others. */
export const LEARNING: Learning = {
  counts: { taken: 70, lost: 3 },
  of: (row) => [KNOWN, { ...KNOWN, used: 5e-5, samples: 0, confidence: 0, step: { ...KNOWN.step, samples: 0 } }][row],
};
