/** The state machine of the simulated members: a few registers, and a digest of all that was ever applied. */
import type { Entry } from "../../src/raft/entry.ts";

export const REGISTERS = 4;
const COMMAND_BYTES = 5;
const STATE_BYTES = 4 * (REGISTERS + 1);

/** Sets a register; the padding makes commands differ in length. */
export function commandOf(register: number, value: number, padding: number): Uint8Array {
  const data = new Uint8Array(COMMAND_BYTES + padding);
  data[0] = register;
  new DataView(data.buffer).setUint32(1, value, true);
  return data;
}

export class Machine {
  readonly values = new Int32Array(REGISTERS);
  digest = 0;

  apply({ index, term, kind, data }: Entry): void {
    let value = term;
    if (kind === "command") {
      value = (data[1]! | (data[2]! << 8) | (data[3]! << 16) | (data[4]! << 24)) >>> 0;
      this.values[data[0]!] = value;
    }
    this.digest = (Math.imul(this.digest ^ index, 0x01000193) + Math.imul(value, 0x9e3779b1)) | 0;
  }

  snapshot(): Uint8Array {
    // Several pieces' worth of bytes.
    const data = new Uint8Array(STATE_BYTES * 8);
    const view = new DataView(data.buffer);
    for (let copy = 0; copy < 8; copy += 1) {
      const at = copy * STATE_BYTES;
      for (let register = 0; register < REGISTERS; register += 1) {
        view.setInt32(at + 4 * register, this.values[register]!, true);
      }
      view.setInt32(at + 4 * REGISTERS, this.digest, true);
    }
    return data;
  }

  restore(data: Uint8Array): void {
    const view = new DataView(data.buffer, data.byteOffset);
    for (let register = 0; register < REGISTERS; register += 1)
      this.values[register] = view.getInt32(4 * register, true);
    // The last copy: what was put together wrongly, or cut short, does not go unnoticed.
    this.digest = view.getInt32(data.length - 4, true);
  }
}
