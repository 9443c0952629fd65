/** Calls of a libnvidia-ml that a test writes in TypeScript: they get the buffers as the library would. */
import { NvmlDevice, NvmlSession } from "../../src/gpu/nvml-device.ts";

export type Call = (...args: never[]) => number;

export function sessionOf(calls: Readonly<Record<string, Call>>): NvmlSession {
  return new NvmlSession("/lib/libnvidia-ml.so.1", calls);
}

export function deviceOf(calls: Readonly<Record<string, Call>>): NvmlDevice {
  return new NvmlDevice(sessionOf(calls), 0x1000, 0);
}

/** The bytes of a buffer, whatever kind of array it came as. */
export function bytesOf(buffer: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

export function viewOf(buffer: ArrayBufferView): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
