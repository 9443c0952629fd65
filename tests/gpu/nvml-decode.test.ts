import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  FIELD_WORDS,
  PROCESS_FILL,
  addressOf,
  architectureOf,
  clusterOf,
  cudaVersionOf,
  fieldOf,
  longOf,
  pciAddressOf,
  processStride,
  profileOf,
  shareOf,
  textOf,
  throttleReasonsOf,
  versionWord,
  wordOf,
} from "../../src/gpu/nvml-decode.ts";
import { THROTTLE_REASONS } from "../../src/health/reading.ts";

const ones = 0xffff_ffff;
const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("words", () => {
  test("all ones are no figure", () => {
    expect(wordOf(new Uint32Array([7, ones]), 0)).toBe(7);
    expect(wordOf(new Uint32Array([7, ones]), 1)).toBeUndefined();
    expect(longOf(new Uint32Array([ones, ones]), 0)).toBeUndefined();
  });

  test("64 bits are exact up to 2^53, and nothing beyond", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const words = new Uint32Array(new BigUint64Array([value]).buffer);
        expect(longOf(words, 0)).toBe(value < 2n ** 53n ? Number(value) : undefined);
      }),
    );
    expect(longOf(new Uint32Array([1]), 0)).toBeUndefined();
  });

  test("no address is none", () => {
    expect(addressOf(new Uint32Array([0, 0]), 0)).toBeUndefined();
    expect(addressOf(new Uint32Array([0x1000, 0x7fff]), 0)).toBe(0x7fff_0000_1000);
  });

  test("a version word is what the header's macro makes", () => {
    expect(versionWord(40, 2)).toBe(0x0200_0028);
    expect(versionWord(152, 2)).toBe(0x0200_0098);
    expect(versionWord(12, 1)).toBe(0x0100_000c);
    expect(versionWord(8, 255)).toBe(0xff00_0008);
  });
});

describe("texts", () => {
  test("end at their NUL, or with their room", () => {
    expect(textOf(bytesOf("GPU-1\0rest"))).toBe("GPU-1");
    expect(textOf(bytesOf("no end at all"))).toBe("no end at all");
    expect(textOf(bytesOf("xxGPU-1yy"), 2, 5)).toBe("GPU-1");
    expect(textOf(bytesOf("\0garbage"))).toBeUndefined();
    expect(textOf(bytesOf("   \0"))).toBeUndefined();
    expect(textOf(new Uint8Array(0))).toBeUndefined();
  });

  test("whatever they hold, there is a text or none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 96 }), fc.nat(100), fc.nat(100), (bytes, start, lengthMax) => {
        const text = textOf(bytes, start, lengthMax);
        expect(text === undefined || (text.length > 0 && !text.includes("\0"))).toBe(true);
      }),
    );
    expect(textOf(new Uint8Array([0x47, 0xff, 0xfe, 0x50, 0]))).toBe("G\uFFFD\uFFFDP");
  });
});

function field(type: number, write: (view: DataView) => void): number | undefined {
  const buffer = new ArrayBuffer(FIELD_WORDS * 4);
  const view = new DataView(buffer);
  view.setUint32(24, type, true);
  write(view);
  return fieldOf(new Uint32Array(buffer), new Float64Array(buffer), 0);
}

describe("field values", () => {
  test("by each type", () => {
    expect(field(0, (view) => view.setFloat64(32, 1.5, true))).toBe(1.5);
    expect(field(1, (view) => view.setUint32(32, 4_000_000_000, true))).toBe(4_000_000_000);
    expect(field(2, (view) => view.setBigUint64(32, 5_000_000_000n, true))).toBe(5_000_000_000);
    expect(field(3, (view) => view.setBigUint64(32, 2n ** 52n, true))).toBe(2 ** 52);
    expect(field(4, (view) => view.setBigInt64(32, -3n, true))).toBe(-3);
    expect(field(4, (view) => view.setBigInt64(32, -(2n ** 40n), true))).toBe(-(2 ** 40));
    expect(field(5, (view) => view.setInt32(32, -2, true))).toBe(-2);
    expect(field(6, (view) => view.setUint32(32, 0xabcd_0007, true))).toBe(7);
  });

  test("what is not available, not a number or of no type is none", () => {
    expect(field(0, (view) => view.setFloat64(32, Number.NaN, true))).toBeUndefined();
    expect(field(0, (view) => view.setFloat64(32, Number.POSITIVE_INFINITY, true))).toBeUndefined();
    expect(field(1, (view) => view.setUint32(32, ones, true))).toBeUndefined();
    expect(field(3, (view) => view.setBigUint64(32, 2n ** 64n - 1n, true))).toBeUndefined();
    expect(field(4, (view) => view.setBigInt64(32, -(2n ** 63n), true))).toBeUndefined();
    expect(field(7, () => undefined)).toBeUndefined();
    expect(field(0xaaaa_aaaa, () => undefined)).toBeUndefined();
  });

  test("whatever the bytes, a finite number or none", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), fc.nat(9), (bytes, type) => {
        const value = field(type, (view) => {
          for (const [at, byte] of bytes.entries()) if (at >= 32) view.setUint8(at, byte);
        });
        expect(value === undefined || Number.isFinite(value)).toBe(true);
      }),
    );
  });
});

describe("the stride of a list of processes", () => {
  function list(count: number, stride: number, room: number): Uint8Array {
    const bytes = new Uint8Array(room * 32).fill(PROCESS_FILL);
    for (let index = 0; index < count; index += 1) {
      const entry = bytes.subarray(index * stride, (index + 1) * stride);
      const view = new DataView(entry.buffer, entry.byteOffset);
      view.setUint32(0, 1000 + index, true);
      view.setBigUint64(8, 2n ** 30n, true);
      view.setBigUint64(16, 2n ** 64n - 1n, true);
      if (stride === 32) view.setBigUint64(24, 0n, true);
    }
    return bytes;
  }

  test("is told by what was written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.constantFrom(24, 32), fc.nat(8), (count, stride, more) => {
        expect(processStride(list(count, stride, count + more), count)).toBe(stride);
      }),
    );
  });

  test("holds for no processes, and for more than there is room for", () => {
    expect(processStride(list(0, 24, 8), 0)).toBe(24);
    expect([24, 32]).toContain(processStride(list(4, 32, 4), 4_000_000_000));
  });
});

describe("names and words", () => {
  test("shares", () => {
    expect([0, 42, 100, 100.4].map(shareOf)).toEqual([0, 0.42, 1, 1]);
    expect([-1, 102, 4e9, Number.NaN, undefined].map(shareOf)).toEqual(Array.from({ length: 5 }));
  });

  test("versions and architectures", () => {
    expect(cudaVersionOf(12_080)).toBe("12.8");
    expect(cudaVersionOf(13_000)).toBe("13.0");
    expect(architectureOf(9)).toBe("hopper");
    expect(architectureOf(99)).toBeUndefined();
    expect(architectureOf(undefined)).toBeUndefined();
  });

  test("each reason has its bit, and unknown bits have none", () => {
    expect(throttleReasonsOf(0)).toEqual([]);
    expect(throttleReasonsOf(0x1ff)).toEqual([...THROTTLE_REASONS]);
    expect(throttleReasonsOf(0x68)).toEqual(["hw_slowdown", "sw_thermal", "hw_thermal"]);
    expect(throttleReasonsOf(2 ** 40 + 4)).toEqual(["sw_power_cap"]);
  });

  test("addresses as sysfs writes them", () => {
    expect(pciAddressOf("00000000:3B:00.0")).toBe("0000:3b:00.0");
    expect(pciAddressOf("0000:AF:1F.3")).toBe("0000:af:1f.3");
    expect(pciAddressOf("00010002:01:00.0")).toBe("10002:01:00.0");
    expect(["", "3B:00.0", "0000:3B:00.9", "0000:3B:00.0 ", undefined].map(pciAddressOf)).toEqual(
      Array.from({ length: 5 }),
    );
  });

  test("profiles of names", () => {
    expect(profileOf("NVIDIA A100-SXM4-40GB MIG 1g.5gb")).toBe("1g.5gb");
    expect(profileOf("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb")).toBe("1c.3g.40gb");
    expect(profileOf("MIG 1g.10gb+me")).toBe("1g.10gb+me");
    expect(profileOf("NVIDIA H200 MIG 1g.18gb-me")).toBe("1g.18gb-me");
    expect(["NVIDIA A100-SXM4-40GB", "", "g.gb", undefined].map(profileOf)).toEqual(Array.from({ length: 4 }));
  });

  test("what is no name gives none, or a short one", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200, unit: fc.constantFrom(..."1gb.c +-MIG\0\u00e9".split("")) }), (name) => {
        expect((profileOf(name) ?? "").length).toBeLessThan(40);
      }),
    );
  });

  test("clusters", () => {
    expect(clusterOf(new Uint8Array(16))).toBeUndefined();
    expect(clusterOf(new Uint8Array(16).fill(0xab))).toBe("abababab-abab-abab-abab-abababababab");
  });
});
