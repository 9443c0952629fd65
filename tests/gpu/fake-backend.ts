/** A backend whose answers a test writes. */
import type { GpuBackend } from "../../src/gpu/backend.ts";
import type { GpuFault, GpuGroup, GpuUpdate } from "../../src/health/reading.ts";

export class FakeBackend implements GpuBackend {
  readonly stack = { backend: "fake", source: "a test" };
  gpus: readonly Required<GpuUpdate>[] = [];
  /** Thrown at the next look. */
  failure: Error | null = null;
  isClosed = false;
  note = "";
  #faults: GpuFault[] = [];

  read(groups: ReadonlySet<GpuGroup>): GpuUpdate[] {
    if (this.failure !== null) throw this.failure;
    return this.gpus.map(({ uuid, ...all }) => {
      const of = [...groups].map((group) => [group, all[group]] as const);
      return { uuid, ...Object.fromEntries(of) };
    });
  }

  fail(fault: GpuFault): void {
    this.#faults.push(fault);
  }

  faults(): GpuFault[] {
    return this.#faults.splice(0);
  }

  close(): void {
    this.isClosed = true;
  }
}
