/** What reads the GPUs, and why not. */
import { type Finding, fail, ok, warn } from "./finding.ts";

export interface GpuSourceFacts {
  /** "ok", or what is wrong, in one word. */
  readonly state: string;
  readonly message: string;
  /** What reads and where that lies; "" while that is not known. */
  readonly backend: string;
  readonly driver: string;
  readonly library: string;
  readonly gpus: number;
}

/** `isWanted`: the settings name what is to read them. */
export function judgeGpus(sources: readonly GpuSourceFacts[], isWanted: boolean): Finding[] {
  return sources.map(({ state, message, backend, driver, library, gpus }) => {
    if (state === "ok") {
      const versions = [driver === "" ? "" : `driver ${driver}`, library === "" ? "" : `library ${library}`];
      const found = `${gpus} ${gpus === 1 ? "GPU" : "GPUs"} by ${[backend, ...versions].filter((part) => part !== "").join(", ")}`;
      return message === ""
        ? ok("gpu", found)
        : warn("gpu", `${found}; ${message}`, "what can't be read is not told", "look at dmesg");
    }
    if (state === "absent" && !isWanted) return ok("gpu", message);
    const why = "routers learn nothing of the GPUs, and a sick one takes requests";
    const found = `${state}: ${message}`;
    return (isWanted ? fail : warn)("gpu", found, why, "correct that, or set --gpu none where there are none");
  });
}

/** libcuda, by which bench-gpu measures; where NVIDIA's driver is. */
export function judgeCuda(path: string | undefined): Finding {
  if (path !== undefined) return ok("libcuda", path);
  const advice = "install the driver's compute libraries, or let the container toolkit mount them (capability compute)";
  return warn("libcuda", "libcuda.so.1 is at none of the usual places", "infermesh agent bench-gpu needs it", advice);
}
