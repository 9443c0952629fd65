/** How a runtime is watched: how often, how patiently, and when it counts as hung. */
import { bytes, duration, type Infer, section } from "../base/settings.ts";

export const watchSettings = section(
  {
    intervalMs: duration({
      default: "1150ms",
      min: "1100ms",
      max: "1m",
      doc: "Time between two looks at a runtime's metrics; more where it answers slowly. All that it is asked together is at most one request a second.",
    }),
    timeoutMs: duration({
      default: "1s",
      min: "50ms",
      max: "30s",
      doc: "For an answer as a whole. Metrics that take longer are late: the runtime goes on serving, its figures age.",
    }),
    unresponsiveMs: duration({
      default: "3s",
      min: "200ms",
      max: "10m",
      doc: "A runtime that answers nothing at all for so long hangs: nothing is sent to it until it answers again.",
    }),
    modelsIntervalMs: duration({
      default: "10s",
      min: "1s",
      max: "1h",
      doc: "Time between two looks at its list of models, where its metrics do not count who changes them (three times as long where they do); more where metrics leave less than that of a request a second.",
    }),
    answerBytesMax: bytes({
      default: "8MiB",
      min: "64KiB",
      max: "8MiB",
      doc: "Of one answer; a larger one is not read to its end.",
    }),
  },
  { doc: "How the agent watches its runtimes." },
);

export type WatchConfig = Infer<typeof watchSettings>;
