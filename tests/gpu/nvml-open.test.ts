import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendError, type BackendTrouble } from "../../src/gpu/backend.ts";
import { answered, meaningOf, troubleOf } from "../../src/gpu/nvml-codes.ts";
import { openNvml } from "../../src/gpu/nvml.ts";

const LIBC =
  /\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl\S*)$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[0] ?? "";

let folder = "";
let withDriver = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "infermesh-nvml-"));
  withDriver = join(folder, "with");
  mkdirSync(join(withDriver, "sys/module/nvidia"), { recursive: true });
  writeFileSync(join(folder, "garbage.so"), "this is no library");
});
afterAll(() => rmSync(folder, { recursive: true }));

function refusal(where: Parameters<typeof openNvml>[0]): BackendError {
  try {
    openNvml(where);
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("it opened");
}

describe("opening libnvidia-ml", () => {
  test("without a driver nothing is opened, whatever library there is", () => {
    const { trouble, message } = refusal({ root: folder, libraryPath: join(folder, "garbage.so") });
    expect(trouble).toBe("absent");
    expect(message).toContain("no NVIDIA driver is loaded");
    expect(message).toContain("--gpu none");
  });

  test("a driver without its library is told with the paths that were looked at", () => {
    const { trouble, message } = refusal({ root: withDriver, libraryPath: join(folder, "none.so") });
    expect(trouble).toBe("absent");
    expect(message).toContain(join(folder, "none.so"));
  });

  test("a garbled or foreign library is broken", () => {
    for (const libraryPath of [join(folder, "garbage.so"), LIBC, "libnvidia-ml.so.1"]) {
      const { trouble, message } = refusal({ root: withDriver, libraryPath });
      expect(trouble).toBe("broken");
      expect(message).toContain(libraryPath);
      expect(message).not.toContain("\n");
    }
  });
});

describe("codes", () => {
  const troubles: readonly (readonly [number, BackendTrouble])[] = [
    [4, "denied"],
    [17, "denied"],
    [9, "absent"],
    [28, "absent"],
    [15, "lost"],
    [16, "lost"],
    [18, "broken"],
    [999, "broken"],
    [12, "broken"],
    [12_345, "broken"],
  ];
  for (const [rc, trouble] of troubles) {
    test(`${rc} ends a backend as ${trouble}, with the call, the code, and what to do`, () => {
      const error = troubleOf("/lib/libnvidia-ml.so.1", "nvmlInit_v2", rc);
      expect(error.trouble).toBe(trouble);
      expect(error.isStale).toBe(rc === 18);
      expect(error.message).toMatch(new RegExp(`^/lib/libnvidia-ml.so.1: nvmlInit_v2 answered ${rc}, .+; .+`));
    });
  }

  test("of a figure: there is none, not now, the GPU is gone, or all is over", () => {
    expect([2, 3, 4, 13, 17, 22, 25, 26].map(meaningOf)).toEqual(Array.from({ length: 8 }, () => "none"));
    expect([6, 7, 10, 19, 21, 27, -1, 5000].map(meaningOf)).toEqual(Array.from({ length: 8 }, () => "later"));
    expect([0, 15, 16, 999].map(meaningOf)).toEqual(["ok", "gone", "gone", "odd"]);
    expect([1, 9, 18].map(meaningOf)).toEqual(["over", "over", "over"]);
    expect(answered("nvmlX", 77)).toBe("nvmlX answered 77, a code that is not known");
  });
});
