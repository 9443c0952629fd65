/** What this executable is when it starts itself for GPUs: a probe, or a measurement. Each has little else in memory. */

export const GPU_CHILDREN = ["gpu-probe", "gpu-bench"] as const;

export async function gpuChild(which: (typeof GPU_CHILDREN)[number], args: readonly string[]): Promise<never> {
  if (which === "gpu-bench") return (await import("./bench-process.ts")).benchProcess(args);
  const [{ probeProcess }, { OPENERS }] = await Promise.all([import("./probe-process.ts"), import("./openers.ts")]);
  return probeProcess(args, OPENERS);
}
