/** The fleet's knobs: how often targets are polled and when they count as lost. */
import { duration, integer, section, type Infer } from "../base/settings.ts";

export const fleetSettings = section({
  pollIntervalMs: duration({
    default: "5s",
    min: "50ms",
    max: "10m",
    doc: "Time between two polls of one target. Shorter finds trouble sooner and costs each node one small request a poll. A node whose states stream here is polled six times as seldom.",
  }),
  pollTimeoutMs: duration({
    default: "2s",
    min: "10ms",
    max: "1m",
    doc: "Time after which an unanswered poll counts as failed.",
  }),
  unhealthyAfter: integer({
    default: 3,
    min: 1,
    max: 100,
    doc: "Failed polls in a row that take a target out of rotation. The first success brings it back.",
  }),
  removeAfter: integer({
    default: 10,
    min: 1,
    max: 1000,
    doc: "Failed polls in a row after which a registered target is forgotten. Static targets are never forgotten.",
  }),
  readyWaitMs: duration({
    default: "10s",
    max: "1h",
    doc: "How long a router that has just started and knows no target that can be asked answers 503 to /readyz. After that it is ready all the same, since nobody may know one.",
  }),
  targetsMax: integer({
    default: 1024,
    min: 1,
    max: 65536,
    doc: "Targets known at once, whatever their source; registrations beyond it are refused, and members of the mesh wait for a place.",
  }),
});

export type FleetConfig = Infer<typeof fleetSettings>;
