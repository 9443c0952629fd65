/** Where an agent has its GPUs' figures from, how often each group is read, and when a probe counts as hung. */
import { custom, duration, flag, type Infer, section, text } from "../base/settings.ts";

/** A word, or where dcgm-exporter serves its metrics. */
const WORDS = ["auto", "nvml", "rocm", "sysfs", "mock", "none"] as const;
const DCGM = "dcgm=";

export type GpuChoice = { readonly kind: (typeof WORDS)[number] } | { readonly kind: "dcgm"; readonly url: string };

/** What `--gpu` says; undefined for what it may not say. */
export function gpuChoice(written: string): GpuChoice | undefined {
  if (written.startsWith(DCGM)) {
    const url = written.slice(DCGM.length);
    const isUrl = url.length <= 500 && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
    return isUrl ? { kind: "dcgm", url } : undefined;
  }
  const kind = WORDS.find((word) => word === written);
  return kind === undefined ? undefined : { kind };
}

export const libraryPath = (what: string) =>
  text({
    default: "",
    placeholder: "PATH",
    pattern: /^\/\S{0,500}$/,
    expected: "an absolute path without spaces",
    emptyMeans: "where distributions put it",
    doc: `The absolute path of ${what}, where it is none of the usual ones.`,
  });

export const gpuSettings = section(
  {
    source: custom<string>({
      default: "",
      flag: "gpu",
      kind: "gpu source",
      placeholder: "SOURCE",
      expected: `one of ${WORDS.join(", ")}, or ${DCGM}URL with the URL of dcgm-exporter's metrics`,
      emptyMeans: "mock with --mock, else auto",
      parse: (raw) => (typeof raw === "string" && (raw === "" || gpuChoice(raw) !== undefined) ? raw : undefined),
      write: (value) => value,
      doc: "What reads the GPUs. auto takes what the machine has: nvml for NVIDIA's driver, rocm for AMD's (sysfs where its library is missing), sysfs for Intel's. mock shows simulated ones, none shows none, dcgm=URL reads a dcgm-exporter.",
    }),
    dcgmCompat: flag({
      default: false,
      flag: "dcgm-compat",
      doc: "Also serve NVIDIA GPUs' metrics by dcgm-exporter's names, units and labels, for dashboards that were made for it.",
    }),
    loadIntervalMs: duration({
      default: "1s",
      min: "100ms",
      max: "1m",
      doc: "Time between two readings of what changes from moment to moment: utilisation, memory, power, clocks, temperature.",
    }),
    trafficIntervalMs: duration({
      default: "5s",
      min: "100ms",
      max: "10m",
      doc: "The same for the counters of PCIe and NVLink, and for which processes use a GPU.",
    }),
    wearIntervalMs: duration({
      default: "30s",
      min: "100ms",
      max: "1h",
      doc: "The same for ECC errors, retired pages and remapped rows.",
    }),
    identityIntervalMs: duration({
      default: "1m",
      min: "100ms",
      max: "1h",
      doc: "The same for which GPUs there are and what they are. One that is put in or taken out is noticed by this.",
    }),
    faultIntervalMs: duration({
      default: "250ms",
      min: "10ms",
      max: "10s",
      doc: "Time between two looks for errors that the driver reported (XIDs). A GPU that fails is out of routing that much later at most.",
    }),
    silentMaxMs: duration({
      default: "10s",
      min: "1s",
      max: "10m",
      doc: "A probe process that tells nothing for this long hangs in its driver: the GPUs count as unresponsive, and the process is ended.",
    }),
    restartPauseMinMs: duration({
      default: "1s",
      min: "10ms",
      max: "1m",
      doc: "Pause before another probe process is started in place of one that ended by itself. It doubles each time.",
    }),
    restartPauseMaxMs: duration({
      default: "1m",
      min: "100ms",
      max: "1h",
      doc: "The longest of these pauses.",
    }),
    nvmlLibrary: libraryPath("libnvidia-ml.so.1"),
    rocmLibrary: libraryPath("librocm_smi64.so"),
    root: text({
      default: "/",
      placeholder: "PATH",
      pattern: /^\/\S{0,500}$/,
      expected: "an absolute path without spaces",
      doc: "The folder in which proc and sys are looked for. Other than / for a container that has the host's elsewhere, and for tests.",
    }),
  },
  {
    doc: "Where the GPUs' figures come from and how often they are read.",
    check: ({ restartPauseMinMs, restartPauseMaxMs }) =>
      restartPauseMaxMs >= restartPauseMinMs
        ? []
        : [{ path: "restartPauseMax", found: `${restartPauseMaxMs}ms`, expected: "at least restartPauseMin" }],
  },
);

export type GpuConfig = Infer<typeof gpuSettings>;
