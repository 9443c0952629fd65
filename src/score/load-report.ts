/**
 * A load report: what a target said of itself in the head of an answer, some milliseconds ago. It is a fresh sample of
 * the few figures that it tells, and is laid over the last whole sample of the target, which it is newer than.
 *
 * Offsets are a sample's load less the routers' own at the same moment (cost.ts), so a report comes with that of its own
 * moment. What it does not tell stays as it was in the sample, with the load of that moment.
 */
import { type ModelSample, PLAIN_MODEL } from "./sample.ts";

/** Undefined: not told. */
export interface ReportedFigures {
  readonly runningRequests: number | undefined;
  readonly waitingRequests: number | undefined;
  readonly queuedPrefillTokens: number | undefined;
  readonly kvUsage: number | undefined;
  readonly kvCapacityTokens: number | undefined;
  /** Of what the target can do at once; beyond 1 requests wait. */
  readonly utilization: number | undefined;
}

/** What all routers had in flight at a target at some moment. */
export interface Baseline {
  readonly requests: number;
  readonly tokens: number;
}

export interface LoadReport {
  readonly figures: ReportedFigures;
  readonly baseline: Baseline;
  /** By the clock of whoever lays it over samples. */
  readonly atMs: number;
}

export interface Overlaid {
  readonly sample: ModelSample;
  readonly baseline: Baseline;
}

/** Whether it says how many requests there are: without that it is no news of the load. */
export function tellsLoad({ figures }: LoadReport): boolean {
  return (
    figures.runningRequests !== undefined || figures.waitingRequests !== undefined || figures.utilization !== undefined
  );
}

/** The sample of `model` (null: there is none) with a report that is newer; `slotsOtherwise` where it tells no slots. */
export function withReport(
  model: string,
  sample: ModelSample | null,
  baseline: Baseline,
  report: LoadReport,
  slotsOtherwise: number,
): Overlaid {
  const { figures } = report;
  const before = sample ?? { ...PLAIN_MODEL, model, runningRequests: 0, waitingRequests: 0 };
  const isNews = tellsLoad(report);
  const requests = isNews ? requestsOf(before, baseline, report, slotsOtherwise) : before;
  const { runningRequests, waitingRequests } = requests;
  // A queue of another length is another queue: what was told of its tokens is no use any more.
  const isSameQueue = figures.queuedPrefillTokens === undefined && waitingRequests === before.waitingRequests;
  return {
    sample: {
      ...before,
      runningRequests,
      waitingRequests,
      queuedPrefillTokens: isSameQueue ? before.queuedPrefillTokens : figures.queuedPrefillTokens,
      kvUsage: figures.kvUsage ?? before.kvUsage,
      kvCapacityTokens: figures.kvCapacityTokens ?? before.kvCapacityTokens,
    },
    baseline: {
      requests: isNews ? report.baseline.requests : baseline.requests,
      tokens: isSameQueue ? baseline.tokens : report.baseline.tokens,
    },
  };
}

type Requests = Pick<ModelSample, "runningRequests" | "waitingRequests">;

/** What runs and waits there at the report. Few servers tell both; the other one is what goes best with what is known. */
function requestsOf(before: ModelSample, baseline: Baseline, report: LoadReport, slotsOtherwise: number): Requests {
  const { runningRequests: running, waitingRequests: waiting, utilization } = report.figures;
  const slots = Math.max(1, before.slots ?? slotsOtherwise);
  if (running !== undefined) {
    // What of ours does not run waits.
    return { runningRequests: running, waitingRequests: waiting ?? Math.max(0, report.baseline.requests - running) };
  }
  if (waiting === undefined) {
    const all = (utilization ?? 0) * slots;
    return { runningRequests: Math.min(all, slots), waitingRequests: Math.max(0, all - slots) };
  }
  // Had nothing changed but the routers' own: others' of the sample, and ours of the report.
  const others = Math.max(0, before.runningRequests + before.waitingRequests - baseline.requests);
  const expected = others + report.baseline.requests;
  // A batch for which some waited was full: no more run now. Of others it is known only that they were as many.
  const wasFull = before.waitingRequests > 0;
  const most = wasFull ? before.runningRequests : slots;
  if (waiting === 0) return { runningRequests: Math.min(expected, most), waitingRequests: 0 };
  const rest = wasFull ? most : Math.max(before.runningRequests, expected - waiting);
  return { runningRequests: Math.min(rest, slots), waitingRequests: waiting };
}
