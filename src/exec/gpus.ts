/**
 * Which GPUs a supervised runtime sees. Vendors' libraries read that from variables: CUDA_VISIBLE_DEVICES for NVIDIA's,
 * ROCR_VISIBLE_DEVICES for AMD's. Only the machine's own vendor's is set: HIP reads CUDA_VISIBLE_DEVICES too, and counts
 * within what ROCR lets through, so that the same indices in both would name no GPU.
 */

export type GpuAssignment = "all" | "none" | readonly string[];
export type GpuVendor = "nvidia" | "amd";

const GPUS_MAX = 64;
const INDEX = /^\d{1,3}$/;
/** NVIDIA's of GPUs and of MIG slices; AMD's are 16 hexadecimal digits behind the same prefix. */
const UUID = /^(?:GPU-[0-9a-fA-F-]{4,36}|MIG-[0-9A-Za-z/-]{4,80})$/;

/** What `--exec-gpus` says; undefined for what it may not say. */
export function gpuAssignment(written: string): GpuAssignment | undefined {
  const text = written.trim();
  if (text === "all" || text === "none") return text;
  const named = text.split(",").map((part) => (INDEX.test(part.trim()) ? String(Number(part)) : part.trim()));
  const isOneKind = named.every((gpu) => INDEX.test(gpu)) || named.every((gpu) => UUID.test(gpu));
  return isOneKind && named.length <= GPUS_MAX && new Set(named).size === named.length ? named : undefined;
}

/** The variables that say so, undefined for those that must not be inherited; none for all of the agent's own GPUs. */
export function gpuEnvironment(assigned: GpuAssignment, vendor: GpuVendor): Record<string, string | undefined> {
  if (assigned === "all") return {};
  // An index that no GPU has ends the list of those that may be seen, and so leaves none; "" counts as unset in places.
  const list = assigned === "none" ? "-1" : assigned.join(",");
  const none = { CUDA_VISIBLE_DEVICES: undefined, HIP_VISIBLE_DEVICES: undefined, ROCR_VISIBLE_DEVICES: undefined };
  // Else CUDA counts the fastest first, and nvidia-smi and the agent by bus.
  if (vendor === "nvidia") return { ...none, CUDA_VISIBLE_DEVICES: list, CUDA_DEVICE_ORDER: "PCI_BUS_ID" };
  return { ...none, ROCR_VISIBLE_DEVICES: list };
}
