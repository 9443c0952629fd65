/** The admin ports' knobs: what one client may cost. */
import { bytes, duration, integer, section, type Infer } from "../base/settings.ts";

export const adminSettings = section({
  maxConnections: integer({
    default: 1024,
    min: 1,
    max: 1_000_000,
    doc: "Connections held at once on one admin port; one more is answered 429 and closed.",
  }),
  maxBodyBytes: bytes({
    default: "1MiB",
    min: "1KiB",
    max: "1GiB",
    doc: "Longest request body; a longer one is answered 413.",
  }),
  headTimeoutMs: duration({
    default: "10s",
    min: "10ms",
    max: "10m",
    doc: "Time from the first byte of a request's head to its last; slower clients are answered 408.",
  }),
  bodyTimeoutMs: duration({
    default: "30s",
    min: "10ms",
    max: "1h",
    doc: "Time for a request's body to arrive; slower clients are answered 408.",
  }),
  idleTimeoutMs: duration({
    default: "75s",
    min: "10ms",
    max: "1h",
    doc: "Time that a connection may stay open without a request.",
  }),
  writeTimeoutMs: duration({
    default: "30s",
    min: "10ms",
    max: "1h",
    doc: "Time without progress after which a client that does not read its answer is disconnected.",
  }),
});

export type AdminConfig = Infer<typeof adminSettings>;
