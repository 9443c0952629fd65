/** What is known of members that have answered us: their coordinate and their last round trips. */
import { type Coordinate, medianOfThree } from "./coordinate.ts";
import { COORDINATE_FLOATS } from "./wire.ts";

/** A coordinate and three round trips. */
const STRIDE = COORDINATE_FLOATS + 3;

export class Acquaintances {
  readonly #rows = new Map<number, number>();
  readonly #free: number[] = [];
  #floats = new Float32Array(STRIDE * 8);
  #answeredAtMs = new Float64Array(8);
  #used = 0;

  /** A round trip was measured; the median of the last three of that member. */
  observe(member: number, rttMs: number, nowMs: number): number {
    const row = this.#row(member);
    const at = row * STRIDE + COORDINATE_FLOATS;
    const floats = this.#floats;
    const isFirst = this.#answeredAtMs[row] === 0;
    this.#answeredAtMs[row] = nowMs;
    floats[at + 2] = isFirst ? rttMs : floats[at + 1]!;
    floats[at + 1] = isFirst ? rttMs : floats[at]!;
    floats[at] = rttMs;
    return medianOfThree(rttMs, floats[at + 1]!, floats[at + 2]!);
  }

  place(member: number, coordinate: Coordinate | Float32Array): void {
    // A new one may be given other arrays.
    const row = this.#row(member);
    this.#floats.set(coordinate, row * STRIDE);
  }

  forget(member: number): void {
    const row = this.#rows.get(member);
    if (row === undefined) return;
    this.#rows.delete(member);
    this.#answeredAtMs[row] = 0;
    this.#floats.fill(0, row * STRIDE, (row + 1) * STRIDE);
    this.#free.push(row);
  }

  rttMs(member: number): number | undefined {
    const row = this.#rows.get(member);
    if (row === undefined || this.#answeredAtMs[row] === 0) return undefined;
    const at = row * STRIDE + COORDINATE_FLOATS;
    return medianOfThree(this.#floats[at]!, this.#floats[at + 1]!, this.#floats[at + 2]!);
  }

  answeredAtMs(member: number): number | undefined {
    const row = this.#rows.get(member);
    return row === undefined || this.#answeredAtMs[row] === 0 ? undefined : this.#answeredAtMs[row];
  }

  coordinate(member: number): Coordinate | undefined {
    const row = this.#rows.get(member);
    if (row === undefined || !this.#isPlaced(row)) return undefined;
    return new Float64Array(this.#floats.subarray(row * STRIDE, row * STRIDE + COORDINATE_FLOATS));
  }

  /** Every coordinate has a height. */
  #isPlaced(row: number): boolean {
    return this.#floats[row * STRIDE + 8]! > 0;
  }

  #row(member: number): number {
    const known = this.#rows.get(member);
    if (known !== undefined) return known;
    const row = this.#free.pop() ?? this.#used++;
    if (row >= this.#answeredAtMs.length) {
      const floats = new Float32Array(this.#floats.length * 2);
      floats.set(this.#floats);
      this.#floats = floats;
      const answered = new Float64Array(this.#answeredAtMs.length * 2);
      answered.set(this.#answeredAtMs);
      this.#answeredAtMs = answered;
    }
    this.#rows.set(member, row);
    return row;
  }
}
