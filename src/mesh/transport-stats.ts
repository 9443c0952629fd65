/** What a transport counts. */
import { DROP_REASONS, type DropReason } from "./envelope.ts";
import type { CutReason } from "./tcp-server.ts";

/** What has happened since the start; `waiting`, `senders` and `connections` are of now. */
export class TransportStats {
  packetsIn = 0;
  bytesIn = 0;
  packetsOut = 0;
  bytesOut = 0;
  /** Received packets and frames that did not open, by reason. */
  readonly dropped = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
  /** Datagrams that were not sent: too long, no room in the queue, nowhere to send them, the kernel's refusal. */
  readonly unsent = { oversized: 0, queueFull: 0, noAddress: 0, failed: 0 };
  /** Reports that some destination can't be reached. */
  unreachable = 0;
  requests = 0;
  requestsFailed = 0;
  requestsServed = 0;
  /** Connections of others that were cut. */
  readonly cut: Record<CutReason, number> = { malformed: 0, slow: 0, crowded: 0, gone: 0 };
  waiting = 0;
  senders = 0;
  connections = 0;
}
