/** How often states travel, and what they may cost. */
import { bytes, duration, section, type Infer } from "../base/settings.ts";

export const signalSettings = section({
  sampleIntervalMs: duration({
    default: "100ms",
    min: "10ms",
    max: "1m",
    doc: "The least time between two looks at the node's own figures. A change of its load waits for so long at most; whether it is well is looked at at once.",
  }),
  intervalMs: duration({
    default: "1s",
    min: "50ms",
    max: "10s",
    doc: "A state goes to every router at least this often. A longer one wants a longer score.streamStaleAfter at the routers, which is three of these.",
  }),
  keyframeIntervalMs: duration({
    default: "5s",
    min: "100ms",
    max: "10m",
    doc: "Every figure is sent this often, changed or not; states between tell what differs from those.",
  }),
  bytesPerSecond: bytes({
    default: 700,
    min: 100,
    max: "1MiB",
    doc: "What the states of one node may cost each router, headers included, while its load changes all the time: changes within it are told at once, others with the next regular state. Whether the node and its GPUs are well is always told at once.",
  }),
});

export type SignalConfig = Infer<typeof signalSettings>;

export const flightSettings = section({
  flightIntervalMs: duration({
    default: "200ms",
    min: "20ms",
    max: "1s",
    doc: "Time between two messages in which a router tells the others what it has in flight at each target.",
  }),
});

export type FlightConfig = Infer<typeof flightSettings>;
