/** The state machine of the simulated members: a few registers, and a digest of all that was ever applied. */
import type { Entry } from "../../src/raft/entry.ts";

export const REGISTERS = 4;
const COMMAND_BYTES = 5;
const STATE_BYTES = 4 * (2 * REGISTERS + 1);
const COPIES = 5;

/** Sets a register, or none if there is none of that number; the padding makes commands differ in length. */
export function commandOf(register: number, value: number, padding: number): Uint8Array {
  const data = new Uint8Array(COMMAND_BYTES + padding);
  data[0] = register;
  new DataView(data.buffer).setUint32(1, value, true);
  return data;
}

export class Machine {
  readonly values = new Int32Array(REGISTERS);
  /** The indexes of the entries that set them. */
  readonly places = new Int32Array(REGISTERS);
  digest = 0;

  apply({ index, term, kind, data }: Entry): void {
    let value = term;
    if (kind === "command") {
      value = (data[1]! | (data[2]! << 8) | (data[3]! << 16) | (data[4]! << 24)) >>> 0;
      this.values[data[0]!] = value;
      this.places[data[0]!] = index;
    }
    this.digest = (Math.imul(this.digest ^ index, 0x01000193) + Math.imul(value, 0x9e3779b1)) | 0;
  }

  snapshot(): Uint8Array {
    const state = Int32Array.from([...this.values, ...this.places, this.digest]);
    // Several pieces' worth of bytes.
    const data = new Uint8Array(STATE_BYTES * COPIES);
    for (let copy = 0; copy < COPIES; copy += 1) data.set(new Uint8Array(state.buffer), copy * STATE_BYTES);
    return data;
  }

  restore(data: Uint8Array): void {
    // The last copy: what was put together wrongly, or cut short, does not go unnoticed.
    const state = new Int32Array(data.slice(-STATE_BYTES).buffer);
    this.values.set(state.subarray(0, REGISTERS));
    this.places.set(state.subarray(REGISTERS, 2 * REGISTERS));
    this.digest = state[2 * REGISTERS]!;
  }
}
