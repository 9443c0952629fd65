/** Scenarios to begin with, as files with comments: what `infermesh sim generate` prints. */

export const SIZE_NAMES = ["small", "medium", "large"] as const;
export type SizeName = (typeof SIZE_NAMES)[number];

interface Size {
  readonly nodes: number;
  readonly cells: number;
  readonly seconds: number;
}

const SIZES: Readonly<Record<SizeName, Size>> = {
  small: { nodes: 512, cells: 1, seconds: 300 },
  medium: { nodes: 8_192, cells: 8, seconds: 60 },
  large: { nodes: 131_072, cells: 128, seconds: 60 },
};
/** Requests a second for each node: 800 for the small one's 512. */
const RATE_A_NODE = 800 / 512;

/**
 * A fleet of four kinds of nodes, as many of each: whole H100s, A100s and L40Ss, and halves of A100s, at the order of
 * what clouds ask for them by the hour. Prompts are as long as it takes for round robin on the small one to give the p95
 * (384 ms) and p99 (639 ms) of the time to first token that are published for 512 nodes and 800 requests a second.
 */
export function sizedScenario(name: SizeName): string {
  const { nodes, cells, seconds } = SIZES[name];
  const quarter = nodes / 4;
  const celled = cells === 1 ? "" : `, in ${cells} cells of ${nodes / cells}`;
  return `# A scenario for infermesh sim: ${name}, ${nodes} nodes${celled}.
# Check it with: infermesh sim validate FILE
# Play it with:  infermesh sim run FILE; all strategies: infermesh sim compare FILE --out DIR
seed: 1
duration: ${seconds}s
cells: ${cells}
strategy: late

# Prices are by the hour, for one node.
nodes:
  - name: h100
    profile: h100-8b
    count: ${quarter}
    pricePerHour: 3
  - name: a100
    profile: a100-8b
    count: ${quarter}
    pricePerHour: 1.8
  - name: l40s
    profile: l40s-8b
    count: ${quarter}
    pricePerHour: 0.9
  # Half of an A100, by MIG: 3/7 of its multiprocessors, half of its memory.
  - name: a100-half
    profile: a100-8b
    slice: 3g
    count: ${quarter}
    pricePerHour: 0.9

# In each cell.
routers:
  count: 1

network:
  within: 0.5ms

samples:
  every: 100ms
  delay: 5ms

# Lengths are lognormal: a median, and the deviation of the logarithm.
workload:
  - name: chat
    kind: llm
    arrivals: poisson
    rate: ${RATE_A_NODE * nodes}
    promptTokens: 910
    promptSigma: 0.56
    outputTokens: 180
    outputSigma: 0.7

slo:
  ttft: 2s
  itl: 50ms
`;
}
