/**
 * Runs kernels that ptx.ts has read, as a card would, block by block. The warps of a block run one after the other up to the
 * next barrier, and what cp.async fetches is there only once it was waited for: a kernel that lacks either computes
 * something else here. Slow, and for small sizes.
 */
import type { PtxKernel, PtxOperand } from "./ptx.ts";

export interface Launch {
  readonly grid: readonly [number, number, number];
  readonly parameters: Readonly<Record<string, number>>;
}

const LANES = 32;
type Warp = { pc: number; isOver: boolean; readonly registers: Map<string, Float64Array>; readonly fetches: Fetch[][] };
type Fetch = readonly [to: number, from: number];

export class PtxMachine {
  /** The card's memory; address 0 is its beginning. */
  readonly memory: DataView;
  /** Rows that one ldmatrix reads of one bank, beyond the first. */
  conflicts = 0;
  #shared = new DataView(new ArrayBuffer(0));
  #kernel!: PtxKernel;
  #launch!: Launch;
  #block: readonly number[] = [0, 0, 0];

  constructor(bytes: number) {
    this.memory = new DataView(new ArrayBuffer(bytes));
  }

  /** `isBackwards`: warps take their turns from the last to the first. */
  run(kernel: PtxKernel, launch: Launch, isBackwards = false): void {
    this.#kernel = kernel;
    this.#launch = launch;
    const [width, height, depth] = launch.grid;
    for (let z = 0; z < depth; z += 1) {
      for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) this.#runBlock([x, y, z], isBackwards);
    }
  }

  #runBlock(block: readonly number[], isBackwards: boolean): void {
    this.#block = block;
    this.#shared = new DataView(new ArrayBuffer(this.#kernel.sharedBytes));
    const warps = Array.from({ length: this.#kernel.threads / LANES }, (): Warp => {
      const registers = [...this.#kernel.registers.keys()].map((name) => [name, new Float64Array(LANES)] as const);
      // What a lane fetches is waited for by it alone; lanes of a warp go together.
      return { pc: 0, isOver: false, registers: new Map(registers), fetches: [[]] };
    });
    const order = [...warps.entries()];
    if (isBackwards) order.reverse();
    while (warps.some(({ isOver }) => !isOver)) {
      for (const [number, warp] of order) this.#runToBarrier(warp, number);
      if (warps.some(({ isOver }) => isOver !== warps[0]!.isOver))
        throw new Error("some warps wait at a barrier for ever");
    }
  }

  #runToBarrier(warp: Warp, number: number): void {
    for (let count = 0; !warp.isOver; count += 1) {
      if (count > 1e6) throw new Error("it runs for ever");
      const { op, operands, guard } = this.#kernel.code[warp.pc]!;
      warp.pc += 1;
      if (op === "ret") {
        warp.isOver = true;
      } else if (op === "bra") {
        const taken = guard === "" ? 1 : uniform(warp.registers.get(guard)!);
        if (taken !== 0) warp.pc = this.#kernel.labels.get(operands[0]!.text)!;
      } else if (op === "bar.sync") {
        return;
      } else {
        if (guard !== "") throw new Error("only branches are guarded");
        this.#execute(op, operands, warp, number);
      }
    }
  }

  #execute(op: string, operands: readonly PtxOperand[], warp: Warp, number: number): void {
    if (op === "cp.async.commit_group") warp.fetches.push([]);
    else if (op === "cp.async.wait_group") this.#wait(warp, Number(operands[0]!.text));
    else if (op.startsWith("ldmatrix")) this.#loadMatrices(warp, operands);
    else if (op.startsWith("mma")) multiply(warp, operands);
    else for (let lane = 0; lane < LANES; lane += 1) this.#lane(op, operands, warp, number * LANES + lane, lane);
  }

  #lane(op: string, operands: readonly PtxOperand[], warp: Warp, thread: number, lane: number): void {
    const [first, ...others] = operands;
    const addressOf = (operand: PtxOperand): number => warp.registers.get(operand.base)![lane]! + operand.offset;
    if (op.startsWith("cp.async")) {
      const [to, from] = [addressOf(first!), addressOf(others[0]!)];
      if (to % 16 !== 0 || from % 16 !== 0) throw new Error("cp.async of an odd address");
      warp.fetches.at(-1)!.push([to, from]);
    } else if (op.startsWith("ld.param")) {
      warp.registers.get(first!.text)![lane] = this.#launch.parameters[others[0]!.base] ?? Number.NaN;
    } else if (op.startsWith("ld.global")) {
      this.#move(op, first!.items, addressOf(others[0]!), warp, lane, true);
    } else if (op.startsWith("st.global")) {
      const items = others[0]!.kind === "list" ? others[0]!.items : [others[0]!.text];
      this.#move(op, items, addressOf(first!), warp, lane, false);
    } else {
      const values = others.map((operand) => this.#value(operand, warp, thread, lane));
      warp.registers.get(first!.text)![lane] = calculate(op, values);
    }
  }

  #value(operand: PtxOperand, warp: Warp, thread: number, lane: number): number {
    const { kind, text } = operand;
    if (kind === "register") return warp.registers.get(text)![lane]!;
    if (kind === "immediate") return text.startsWith("0f") ? floatOf(Number.parseInt(text.slice(2), 16)) : Number(text);
    if (text === "%tid.x") return thread;
    if (text === "%nctaid.x") return this.#launch.grid[0];
    return this.#block["xyz".indexOf(text.at(-1)!)]!;
  }

  #move(op: string, items: readonly string[], address: number, warp: Warp, lane: number, isLoad: boolean): void {
    if (address % (4 * items.length) !== 0) throw new Error(`${op} of an odd address`);
    const isFloat = op.endsWith("f32");
    for (const [at, item] of items.entries()) {
      const register = warp.registers.get(item)!;
      const place = address + at * 4;
      if (isLoad) register[lane] = isFloat ? this.memory.getFloat32(place, true) : this.memory.getUint32(place, true);
      else if (isFloat) this.memory.setFloat32(place, register[lane]!, true);
      else this.memory.setUint32(place, register[lane]!, true);
    }
  }

  /** All but the newest groups are fetched now. The last one is open still. */
  #wait(warp: Warp, pending: number): void {
    while (warp.fetches.length - 1 > pending) {
      for (const [to, from] of warp.fetches.shift()!) {
        for (let at = 0; at < 16; at += 4)
          this.#shared.setUint32(to + at, this.memory.getUint32(from + at, true), true);
      }
    }
  }

  /** Four matrices of 8 x 8 of 16 bits: the rows of each are where eight of the lanes say. */
  #loadMatrices(warp: Warp, [into, from]: readonly PtxOperand[]): void {
    const addresses = [...warp.registers.get(from!.base)!].map((address) => address + from!.offset);
    if (addresses.some((address) => address % 16 !== 0)) throw new Error("ldmatrix of an odd address");
    for (const [matrix, item] of into!.items.entries()) {
      const rows = addresses.slice(matrix * 8, matrix * 8 + 8);
      this.conflicts += 8 - new Set(rows.map((row) => (row / 16) % 8)).size;
      const register = warp.registers.get(item)!;
      for (let lane = 0; lane < LANES; lane += 1) {
        register[lane] = this.#shared.getUint32(rows[lane >> 2]! + (lane & 3) * 4, true);
      }
    }
  }
}

function uniform(predicate: Float64Array): number {
  if (predicate.some((value) => value !== predicate[0])) throw new Error("lanes of a warp part");
  return predicate[0]!;
}

function calculate(op: string, [a = 0, b = 0, c = 0]: readonly number[]): number {
  switch (op) {
    case "mov.u32":
    case "mov.f32":
    case "cvta.to.global.u64":
      return a;
    case "add.u32":
      return (a + b) >>> 0;
    case "sub.u32":
      return (a - b) >>> 0;
    case "add.u64":
      return a + b;
    case "mul.lo.u32":
      return Math.imul(a, b) >>> 0;
    case "mad.lo.u32":
      return (Math.imul(a, b) + c) >>> 0;
    case "mul.wide.u32":
      return a * b;
    case "mad.wide.u32":
      return a * b + c;
    case "shl.b32":
      return (a << b) >>> 0;
    case "shl.b64":
      return a * 2 ** b;
    case "shr.u32":
      return a >>> b;
    case "and.b32":
      return (a & b) >>> 0;
    case "or.b32":
      return (a | b) >>> 0;
    case "xor.b32":
      return (a ^ b) >>> 0;
    case "setp.eq.u32":
      return Number(a === b);
    case "setp.ne.u32":
      return Number(a !== b);
    case "selp.u32":
      return c === 0 ? b : a;
    case "cvt.rn.f32.u32":
      return Math.fround(a);
    case "add.rn.f32":
      return Math.fround(a + b);
    case "mul.rn.f32":
      return Math.fround(a * b);
    case "fma.rn.f32":
      // The product is exact in 53 bits; the sum is rounded twice, which hardly ever shows.
      return Math.fround(a * b + c);
    default:
      throw new Error(`the machine does not know ${op}`);
  }
}

/** D = A x B + C of 16 x 8 x 16, its parts in the lanes as the ISA's figures show for m16n8k16. */
function multiply(warp: Warp, operands: readonly PtxOperand[]): void {
  const [d, a, b, c] = operands.map(({ items }) => items.map((item) => warp.registers.get(item)!));
  const half = (register: Float64Array, lane: number, side: number): number =>
    halfOf((register[lane]! / 2 ** (16 * side)) & 0xffff);
  const elementA = (row: number, k: number): number =>
    half(a![(row >> 3) + 2 * (k >> 3)]!, (row & 7) * 4 + ((k & 7) >> 1), k & 1);
  const elementB = (k: number, column: number): number => half(b![k >> 3]!, column * 4 + ((k & 7) >> 1), k & 1);
  const rows = Array.from({ length: 16 }, (_, row) => Array.from({ length: 16 }, (__, k) => elementA(row, k)));
  const columns = Array.from({ length: 8 }, (_, n) => Array.from({ length: 16 }, (__, k) => elementB(k, n)));
  for (let row = 0; row < 16; row += 1) {
    for (let column = 0; column < 8; column += 1) {
      const [item, lane] = [2 * (row >> 3) + (column & 1), (row & 7) * 4 + (column >> 1)];
      let sum = c![item]![lane]!;
      for (let k = 0; k < 16; k += 1) sum += rows[row]![k]! * columns[column]![k]!;
      d![item]![lane] = Math.fround(sum);
    }
  }
}

const bits = new DataView(new ArrayBuffer(4));

function floatOf(word: number): number {
  bits.setUint32(0, word);
  return bits.getFloat32(0);
}

function halfOf(word: number): number {
  bits.setUint16(0, word);
  return bits.getFloat16(0);
}
