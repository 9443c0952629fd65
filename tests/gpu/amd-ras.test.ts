/** What is told of an AMD card's errors while its files answer now and then. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AmdRas } from "../../src/gpu/amd-ras.ts";
import { KernelFolder } from "../../src/gpu/sysfs-folder.ts";
import { memoryRules } from "../../src/health/memory-rules.ts";
import { healthSettings } from "../../src/health/settings.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { GpuWear } from "../../src/health/reading.ts";
import { fakeGpu } from "./fake-gpu.ts";
import { KernelTree } from "./kernel-tree.ts";

const BLOCKS = ["umc", "gfx", "sdma"] as const;
/** As the kernel writes while the card is reset. */
const BUSY = "Query currently inaccessible\n";

let tree: KernelTree;
let ras: AmdRas;
beforeEach(() => {
  tree = new KernelTree();
  ras = new AmdRas(new KernelFolder(tree.root));
});
afterEach(() => tree.remove());

/** Corrected and uncorrected errors of a block; undefined for one that does not answer. */
type Counts = readonly [corrected: number, uncorrected: number] | undefined;

function write(blocks: Readonly<Record<string, Counts>>): void {
  for (const [name, counts] of Object.entries(blocks)) {
    const text = counts === undefined ? BUSY : `ue: ${counts[1]}\nce: ${counts[0]}\n`;
    tree.write({ [`ras/${name}_err_count`]: text });
  }
}

function look(blocks: Readonly<Record<string, Counts>>): readonly [number | undefined, number | undefined] {
  write(blocks);
  const { eccCorrected, eccUncorrected } = ras.read();
  return [eccCorrected, eccUncorrected];
}

const UNKNOWN = [undefined, undefined] as const;

describe("errors of an AMD card's blocks", () => {
  test("are of all blocks, of which one that does not answer now counts as it did", () => {
    expect(look({ umc: [30_000, 1], gfx: [2, 0] })).toEqual([30_002, 1]);
    expect(look({ umc: undefined, gfx: [3, 0] })).toEqual([30_003, 1]);
    expect(look({ umc: [30_001, 1], gfx: [3, 0] })).toEqual([30_004, 1]);
  });

  test("are not known where no block answers, or there is none", () => {
    expect(look({})).toEqual(UNKNOWN);
    look({ umc: [5, 0], gfx: [2, 0] });
    expect(look({ umc: undefined, gfx: undefined })).toEqual(UNKNOWN);
    expect(look({ umc: [5, 0], gfx: undefined })).toEqual([7, 0]);
  });

  test("are not known until each block has answered once", () => {
    expect(look({ umc: undefined, gfx: [2, 0] })).toEqual(UNKNOWN);
    expect(look({ umc: [30_000, 0], gfx: [2, 0] })).toEqual([30_002, 0]);
  });

  test("go without a block that never answers, and what it had corrected by then is not new when it does", () => {
    const looks = [1, 2, 3, 4].map(() => look({ umc: undefined, gfx: [2, 0] }));
    expect(looks).toEqual([UNKNOWN, UNKNOWN, [2, 0], [2, 0]]);
    expect(look({ umc: [30_000, 4], gfx: [2, 0] })).toEqual([2, 4]);
    expect(look({ umc: [30_007, 4], gfx: [2, 0] })).toEqual([9, 4]);
    // Loaded anew, it counts from nothing.
    expect(look({ umc: [1, 0], gfx: [0, 0] })).toEqual([1, 0]);
  });

  test("never grow by more than was counted, whichever reads fail", () => {
    const counts = fc.record(
      Object.fromEntries(BLOCKS.map((name) => [name, fc.tuple(fc.nat(3), fc.boolean())])) as Record<
        (typeof BLOCKS)[number],
        fc.Arbitrary<[number, boolean]>
      >,
    );
    fc.assert(
      fc.property(fc.array(counts, { minLength: 2, maxLength: 20 }), (looks) => {
        ras = new AmdRas(new KernelFolder(tree.root));
        const stands: Record<string, number> = { umc: 1_000_000, gfx: 50_000, sdma: 7_000 };
        let grown = 0;
        let first: number | undefined;
        for (const step of looks) {
          const told: Record<string, Counts> = {};
          for (const name of BLOCKS) {
            const [more, answers] = step[name];
            stands[name] = (stands[name] ?? 0) + more;
            grown += more;
            told[name] = answers ? [stands[name], 0] : undefined;
          }
          const [corrected] = look(told);
          first ??= corrected;
          if (corrected !== undefined) expect(corrected - first!).toBeLessThanOrEqual(grown);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("are no rule's trouble for a read that failed", () => {
    const rules = memoryRules(defaultsOf(healthSettings));
    const rule = rules.find(({ name }) => name === "ecc_corrected")!;
    const found = (wear: GpuWear, atMs: number): string => rule.look(fakeGpu(0, { wear }), atMs).is;
    const steps: Counts[] = [[30_000, 0], undefined, [30_000, 0]];
    const verdicts = steps.map((umc, at) => {
      write({ umc, gfx: [2, 0] });
      return found(ras.read(), at * 30_000);
    });
    expect(verdicts).not.toContain("bad");
  });
});

describe("pages that were taken out of use", () => {
  const pages = (): readonly unknown[] => {
    const { retiredPagesUncorrected, retiredPagesPending } = ras.read();
    return [retiredPagesUncorrected, retiredPagesPending];
  };

  test("are counted by the list, and none by an empty one", () => {
    tree.write({ "ras/gpu_vram_bad_pages": "0x0abc : 0x1000 : R\n0x0abd : 0x1000 : P\n" });
    expect(pages()).toEqual([1, true]);
    tree.write({ "ras/gpu_vram_bad_pages": "" });
    expect(pages()).toEqual([0, false]);
  });

  test("are not known without a list, nor of one that can't be read", () => {
    expect(pages()).toEqual([undefined, undefined]);
    tree.fail("", "ras/gpu_vram_bad_pages");
    expect(pages()).toEqual([undefined, undefined]);
  });
});
