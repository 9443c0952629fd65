/**
 * The stand-in for librocm_smi64 (native/testing/rocm-double.c). A RocmDouble is a copy of it in a folder of its own, which
 * the loader takes for another library, and what it answers lies beside it.
 */
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const SOURCE = resolve(import.meta.dir, "../../native/testing/rocm-double.c");
const NAME = "librocm_smi64.so.7";
const COMPILER = (process.env["CC"]?.trim() || "cc").split(/\s+/);
const FLAGS = "-std=c11 -O1 -Wall -Wextra -Werror -fvisibility=hidden -fPIC -shared".split(" ");

/** Without a C compiler these tests are left out. */
export const HAS_COMPILER = process.platform === "linux" && Bun.which(COMPILER[0] ?? "cc") !== null;
if (!HAS_COMPILER) console.warn("the tests against the double of librocm_smi64 are left out: there is no C compiler");

const folder = mkdtempSync(join(tmpdir(), "infermesh-rocm-double-"));
process.on("exit", removeRocmDoubles);
let count = 0;

const built = join(folder, NAME);
// Before any test begins, whose time is bounded.
if (HAS_COMPILER) {
  const done = Bun.spawnSync([...COMPILER, ...FLAGS, "-o", built, SOURCE, "-ldl"], {
    stdout: "ignore",
    stderr: "pipe",
  });
  if (done.exitCode !== 0) throw new Error(`${COMPILER.join(" ")} failed:\n${done.stderr.toString()}`);
}

/** For `afterAll` of each test file: the test runner tells nobody of its exit. */
export function removeRocmDoubles(): void {
  rmSync(folder, { recursive: true, force: true });
}

export class RocmDouble {
  readonly #folder: string;

  constructor() {
    this.#folder = join(folder, String((count += 1)));
    mkdirSync(this.#folder);
    copyFileSync(built, this.path);
  }

  get path(): string {
    return join(this.#folder, NAME);
  }

  /** Lines as rocm-double.c has them; of two with one name, GPU and kind the first counts. */
  answer(...lines: readonly string[]): void {
    this.file("answers", `${lines.join("\n")}\n`);
  }

  /** How often it was initialised. */
  get inits(): number {
    return statSync(join(this.#folder, "inits"), { throwIfNoEntry: false })?.size ?? 0;
  }

  file(name: string, content: string | Uint8Array): void {
    const path = join(this.#folder, name);
    writeFileSync(`${path}.fresh`, content);
    renameSync(`${path}.fresh`, path);
  }
}
