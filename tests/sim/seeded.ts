/** Tests of the simulator, with the seed that SEED gives (42 without it). */
import { test } from "bun:test";

export const SEED = Number(process.env["SEED"] ?? 42);

/** Every failure names the seed that brings it back. */
export function seeded(name: string, run: (seed: number) => void): void {
  test(`${name} (SEED=${SEED})`, () => {
    try {
      run(SEED);
    } catch (error) {
      throw new Error(`SEED=${SEED}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
}
