/**
 * Where the parts of a prompt lie in a JSON body, as its top level is read (json-field.ts): in the order in which chat
 * templates put them, whatever their order in the body. Positions count from the body's first byte.
 */

/** Tools; the system prompt; messages, prompt or input. */
export const PART_COUNT = 3;

export class PromptParts {
  /** -1: there is none. */
  readonly starts = new Int32Array(PART_COUNT).fill(-1);
  /** One past the value; -1: it has not ended yet. */
  readonly ends = new Int32Array(PART_COUNT).fill(-1);
  /** Of all that have ended. */
  bytes = 0;

  reset(): void {
    // Three of each: a call of `fill` costs more than that.
    for (let part = 0; part < PART_COUNT; part++) {
      this.starts[part] = -1;
      this.ends[part] = -1;
    }
    this.bytes = 0;
  }

  /** Of several with one name the last counts, as in JSON.parse. */
  begin(part: number, at: number): void {
    this.starts[part] = at;
    this.ends[part] = -1;
  }

  end(part: number, at: number): void {
    this.ends[part] = at;
    this.bytes += at - this.starts[part]!;
  }
}
