import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CHAIN_CHECK,
  MEMORY_CHECK_BYTES,
  chainSums,
  differenceOf,
  memoryTask,
  productTask,
} from "../../src/gpu/bench-check.ts";
import { BLOCK_BYTES, BLOCK_THREADS, PLAIN_PTX } from "../../src/gpu/bench-kernels.ts";
import { PRODUCT_PTX, TILE } from "../../src/gpu/bench-product.ts";
import { type PtxKernel, readPtx } from "./ptx.ts";
import { PtxMachine } from "./ptx-machine.ts";

function kernel(name: string, text = name === "product" ? PRODUCT_PTX : PLAIN_PTX): PtxKernel {
  const found = readPtx(text).kernels.find((one) => one.name === `infermesh_${name}`);
  if (found === undefined) throw new Error(`no kernel ${name}`);
  return found;
}

function put(machine: PtxMachine, at: number, from: Uint16Array | Float32Array): void {
  new Uint8Array(machine.memory.buffer).set(new Uint8Array(from.buffer), at);
}

function floats(machine: PtxMachine, at: number, count: number): Float32Array {
  return new Float32Array(machine.memory.buffer.slice(at, at + count * 4));
}

/** What the product computes, beside what it should. */
function product(of: PtxKernel, { m = TILE, n = TILE, k = 64, isBackwards = false, groups = 1 } = {}) {
  const task = productTask({ m, n, k });
  const [atB, atC] = [m * k * 2, (m + n) * k * 2];
  const machine = new PtxMachine(atC + m * n * 4);
  put(machine, 0, task.a);
  put(machine, atB, task.b);
  const grid = [m / TILE / groups, n / TILE, groups] as const;
  machine.run(of, { grid, parameters: { p_a: 0, p_b: atB, p_c: atC, p_n: n, p_k: k } }, isBackwards);
  return { difference: differenceOf(floats(machine, atC, m * n), task.expected), conflicts: machine.conflicts };
}

describe("the kernels of the benchmark, run on a machine made after the PTX ISA", () => {
  test("multiply, for each number of steps, wherever the tile lies, whichever warp comes first", () => {
    const right = { difference: undefined, conflicts: 0 };
    expect(product(kernel("product"), { k: 64 })).toEqual(right);
    expect(product(kernel("product"), { k: 96, isBackwards: true })).toEqual(right);
    expect(product(kernel("product"), { k: 160 })).toEqual(right);
    expect(product(kernel("product"), { m: 2 * TILE, n: 2 * TILE, isBackwards: true })).toEqual(right);
    expect(product(kernel("product"), { m: 4 * TILE, groups: 2 })).toEqual(right);
  }, 60_000);

  test("are noticed by their result when they are wrong: a barrier, a wait, a chunk, a row that is not right", () => {
    const broken = (from: string, to: string): PtxKernel => {
      const text = PRODUCT_PTX.replace(from, to);
      expect(text).not.toBe(PRODUCT_PTX);
      return kernel("product", text);
    };
    const cases = [
      broken("bar.sync 0;", "mov.u32 t, 0;"),
      broken("cp.async.wait_group 1;", "cp.async.wait_group 2;"),
      broken("xor.b32 placeB, placeB, 32;", "xor.b32 placeB, placeB, 16;"),
      broken("[placeA+1024]", "[placeA+2048]"),
      broken("mul.wide.u32 skip, n, 32;", "mul.wide.u32 skip, n, 64;"),
      broken("{a0, a1, a2, a3}, {b2, b3}", "{a0, a2, a1, a3}, {b2, b3}"),
    ];
    for (const wrong of cases) {
      let found: string | undefined;
      try {
        found = product(wrong, { k: 128 }).difference;
      } catch (error) {
        // It reads or writes where nothing is.
        expect(error).toBeInstanceOf(RangeError);
        found = "out of bounds";
      }
      expect(found).toBeDefined();
    }
  }, 60_000);

  test("copy and triad, to the bit", () => {
    const { b, c, triad } = memoryTask();
    const bytes = MEMORY_CHECK_BYTES;
    const machine = new PtxMachine(4 * bytes);
    put(machine, 0, b);
    put(machine, bytes, c);
    const grid = [bytes / BLOCK_BYTES, 1, 1] as const;
    machine.run(kernel("copy"), { grid, parameters: { p_to: 2 * bytes, p_from: 0 } });
    machine.run(kernel("triad"), { grid, parameters: { p_to: 3 * bytes, p_b: 0, p_c: bytes } });
    expect(differenceOf(floats(machine, 2 * bytes, b.length), b)).toBeUndefined();
    expect(differenceOf(floats(machine, 3 * bytes, b.length), triad)).toBeUndefined();
  });

  test("chain, as far as float32 goes; a turn too many is noticed", () => {
    const machine = new PtxMachine(CHAIN_CHECK.blocks * BLOCK_THREADS * 4);
    const grid = [CHAIN_CHECK.blocks, 1, 1] as const;
    const found = (loops: number): Float32Array => {
      machine.run(kernel("chain"), { grid, parameters: { p_to: 0, p_loops: loops } });
      return floats(machine, 0, CHAIN_CHECK.blocks * BLOCK_THREADS);
    };
    expect(differenceOf(found(CHAIN_CHECK.loops), chainSums(CHAIN_CHECK), "chain")).toBeUndefined();
    expect(differenceOf(found(CHAIN_CHECK.loops + 1), chainSums(CHAIN_CHECK), "chain")).toMatch(/numbers are wrong/);
  });

  test("fill all of the memory with float16 of a half to one, which differ", () => {
    const machine = new PtxMachine(2 * BLOCK_BYTES);
    machine.run(kernel("fill"), { grid: [2, 1, 1], parameters: { p_to: 0, p_seed: 7 } });
    const halves = Array.from({ length: BLOCK_BYTES }, (_, at) => machine.memory.getFloat16(at * 2, true));
    expect(halves.every((half) => Math.abs(half) >= 0.5 && Math.abs(half) < 1)).toBeTrue();
    expect(new Set(halves).size).toBeGreaterThan(1500);
    const words = new Set(Array.from({ length: BLOCK_BYTES / 2 }, (_, at) => machine.memory.getUint32(at * 4, true)));
    expect(words.size).toBeGreaterThan(8000);
  });
});

describe("what reads PTX", () => {
  const plain = (from: string, to: string): string => {
    const text = PLAIN_PTX.replace(from, to);
    expect(text).not.toBe(PLAIN_PTX);
    return text;
  };
  const cases = [
    [
      "a register that is not declared",
      plain("add.u64 from, from, at;", "add.u64 from, form, at;"),
      /form is not declared/,
    ],
    [
      "a type that does not fit",
      plain("mul.wide.u32 at, block", "mul.wide.u32 thread, block"),
      /thread is u32, not u64/,
    ],
    ["a label that is not there", plain("@more bra again;", "@more bra agian;"), /no such label/],
    ["a parameter that is not there", plain("[p_seed]", "[p_sede]"), /no such parameter of that type/],
    ["an unknown instruction", plain("fma.rn.f32", "fma.f32"), /no such instruction/],
    ["a guard that is no predicate", plain("@more", "@loops"), /no predicate/],
    ["too few registers", plain("{x0, x1, x2, x3}", "{x0, x1, x2}"), /4 registers together/],
    ["a missing operand", plain("shr.u32 g, h, 15;", "shr.u32 g, h;"), /takes 3 operands/],
    ["a missing semicolon", plain("shr.u32 g, h, 15;", "shr.u32 g, h, 15"), /no semicolon/],
    ["a missing ret", PLAIN_PTX.replaceAll("  ret;\n", ""), /does not end by ret/],
    ["a register twice", plain(".reg .u32 block, thread;", ".reg .u32 block, block;"), /declared twice/],
    ["an instruction that the card has not", PRODUCT_PTX.replace("sm_80", "sm_75"), /not in PTX 7.0 for sm_75/],
    ["no version", PLAIN_PTX.replace(".version 5.0", ""), /no .version/],
  ] as const;
  for (const [what, text, fault] of cases) {
    test(`refuses ${what}`, () => {
      expect(() => readPtx(text)).toThrow(fault);
    });
  }
});

/** NVIDIA's assembler, where somebody has it. */
const PTXAS = Bun.which("ptxas");

describe.skipIf(PTXAS === null)("ptxas", () => {
  for (const [name, text, targets] of [
    ["plain", PLAIN_PTX, ["sm_75", "sm_80", "sm_90"]],
    ["product", PRODUCT_PTX, ["sm_80", "sm_89", "sm_90"]],
  ] as const) {
    test(`takes the ${name} kernels, for ${targets.join(", ")}`, () => {
      const folder = mkdtempSync(join(tmpdir(), "infermesh-ptxas-"));
      writeFileSync(join(folder, "a.ptx"), text);
      for (const target of targets) {
        const args = [PTXAS ?? "", `-arch=${target}`, join(folder, "a.ptx"), "-o", join(folder, "a.cubin")];
        const { exitCode, stderr } = Bun.spawnSync(args, { stderr: "pipe" });
        expect([exitCode, stderr.toString()]).toEqual([0, ""]);
      }
      rmSync(folder, { recursive: true });
    });
  }
});
