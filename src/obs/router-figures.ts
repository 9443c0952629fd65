/** A router in figures, for its `GET /stats`. */
import type { DiscoveryFigures } from "./discovery-metrics.ts";

/** What `GET /stats` answers. */
export interface RouterFigures {
  readonly uptimeSeconds: number;
  readonly version: string;
  readonly workers: number;
  readonly workerRestarts: number;
  readonly requestsTotal: number;
  readonly requestsByCode: Readonly<Record<string, number>>;
  readonly retriesTotal: number;
  readonly inFlight: number;
  readonly inFlightTokens: number;
  readonly connectionsOpen: number;
  readonly connectionsTotal: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly decision: { readonly p50us: number | null; readonly p99us: number | null };
  readonly scorer: string;
  /** What is found in Kubernetes, by source. */
  readonly discovery: readonly DiscoveryFigures[];
}
