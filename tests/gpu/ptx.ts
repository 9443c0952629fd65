/**
 * Reads PTX as far as our kernels use it, and holds it to the rules of the PTX ISA: every register is declared, with a
 * type that the instruction takes; every label, parameter and buffer exists; nothing is there that this does not know.
 * ptx-machine.ts runs what comes out.
 */

export type PtxType = "b32" | "u32" | "f32" | "b64" | "u64" | "pred";

export interface PtxOperand {
  readonly kind: "register" | "immediate" | "special" | "address" | "list" | "name";
  readonly text: string;
  /** Of an address: its register, or the name of a parameter. */
  readonly base: string;
  readonly offset: number;
  /** Of a list: its registers. */
  readonly items: readonly string[];
}

export interface PtxInstruction {
  readonly op: string;
  readonly operands: readonly PtxOperand[];
  /** The predicate that it depends on; "" for none. */
  readonly guard: string;
  readonly line: string;
}

export interface PtxKernel {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly type: PtxType }[];
  readonly threads: number;
  readonly sharedBytes: number;
  readonly registers: ReadonlyMap<string, PtxType>;
  readonly labels: ReadonlyMap<string, number>;
  readonly code: readonly PtxInstruction[];
}

export interface PtxModule {
  readonly version: string;
  readonly target: string;
  readonly kernels: readonly PtxKernel[];
}

const SPECIALS = ["%tid.x", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x"];

/**
 * What each instruction takes: types of registers; `#` also a number, `%` also a special register, `@` also the name of a
 * buffer; `[T]` an address in a register of that type, `[param]` a parameter's; `TxN` a list of N registers.
 */
const INSTRUCTIONS: Readonly<Record<string, readonly string[]>> = {
  "mov.u32": ["u32", "u32#%@"],
  "mov.f32": ["f32", "f32#"],
  "add.u32": ["u32", "u32", "u32#"],
  "sub.u32": ["u32", "u32", "u32#"],
  "add.u64": ["u64", "u64", "u64#"],
  "mul.lo.u32": ["u32", "u32", "u32#"],
  "mad.lo.u32": ["u32", "u32", "u32#", "u32"],
  "mul.wide.u32": ["u64", "u32", "u32#"],
  "mad.wide.u32": ["u64", "u32", "u32#", "u64"],
  "shl.b32": ["b32", "b32", "u32#"],
  "shl.b64": ["b64", "b64", "u32#"],
  "shr.u32": ["u32", "u32", "u32#"],
  "and.b32": ["b32", "b32", "b32#"],
  "or.b32": ["b32", "b32", "b32#"],
  "xor.b32": ["b32", "b32", "b32#"],
  "setp.eq.u32": ["pred", "u32", "u32#"],
  "setp.ne.u32": ["pred", "u32", "u32#"],
  "selp.u32": ["u32", "u32#", "u32", "pred"],
  bra: ["label"],
  ret: [],
  "ld.param.u32": ["u32", "[param]"],
  "ld.param.u64": ["u64", "[param]"],
  "cvta.to.global.u64": ["u64", "u64"],
  "cvt.rn.f32.u32": ["f32", "u32"],
  "add.rn.f32": ["f32", "f32", "f32#"],
  "mul.rn.f32": ["f32", "f32", "f32#"],
  "fma.rn.f32": ["f32", "f32", "f32#", "f32"],
  "ld.global.v4.b32": ["b32x4", "[u64]"],
  "ld.global.v4.f32": ["f32x4", "[u64]"],
  "st.global.v4.b32": ["[u64]", "b32x4"],
  "st.global.v4.f32": ["[u64]", "f32x4"],
  "st.global.v2.f32": ["[u64]", "f32x2"],
  "st.global.f32": ["[u64]", "f32"],
  "cp.async.cg.shared.global": ["[u32]", "[u64]", "#"],
  "cp.async.commit_group": [],
  "cp.async.wait_group": ["#"],
  "bar.sync": ["#"],
  "ldmatrix.sync.aligned.m8n8.x4.shared.b16": ["b32x4", "[u32]"],
  "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32": ["f32x4", "b32x4", "b32x2", "f32x4"],
};
/** The PTX ISA's versions by which an instruction came, as major * 10 + minor, and the least card. */
const NEEDS: readonly (readonly [RegExp, number, number])[] = [
  [/^cp\.async/, 70, 80],
  [/^ldmatrix/, 65, 75],
  [/^mma\..*m16n8k16.*f16/, 70, 80],
];

/** Throws an error that names the line for whatever is not right. */
export function readPtx(source: string): PtxModule {
  const text = source.replaceAll(/\/\/[^\n]*/g, "");
  const version = /^\s*\.version (\d+\.\d+)$/m.exec(text)?.[1];
  const target = /^\s*\.target (sm_\d+)$/m.exec(text)?.[1];
  if (version === undefined || target === undefined) throw new Error("no .version, or no .target");
  if (!/^\s*\.address_size 64$/m.test(text)) throw new Error("no .address_size 64");
  const kernels = text
    .split(".visible .entry ")
    .slice(1)
    .map((part) => readKernel(part));
  if (kernels.length === 0) throw new Error("no kernel");
  for (const { code } of kernels) {
    for (const { op, line } of code) {
      const need = NEEDS.find(([pattern]) => pattern.test(op));
      if (need === undefined) continue;
      const isNew = Number(version.replace(".", "")) >= need[1] && Number(target.slice(3)) >= need[2];
      if (!isNew) throw new Error(`${line}: not in PTX ${version} for ${target}`);
    }
  }
  return { version, target, kernels };
}

function readKernel(text: string): PtxKernel {
  const head = /^(\w+)\(([^)]*)\)((?: \.\w+ [\d, ]+)*)\n\{\n([^}]*(?:\{[^}]*\}[^}]*)*)\n\}\s*$/.exec(text);
  if (head === null) throw new Error(`no kernel: ${text.slice(0, 60)}`);
  const [, name = "", declared = "", directives = "", body = ""] = head;
  const parameters = declared.split(",").map((parameter) => {
    const found = /^\s*\.param \.(u32|u64) (\w+)\s*$/.exec(parameter);
    if (found === null) throw new Error(`${name}: no parameter: ${parameter}`);
    return { name: found[2]!, type: found[1] as PtxType };
  });
  const threads = /\.maxntid (\d+), 1, 1/.exec(directives)?.[1];
  const kernel = new KernelReader(name, parameters);
  for (const statement of statements(body)) kernel.read(statement);
  return kernel.end(Number(threads ?? Number.NaN));
}

/** Each ends by its semicolon; a label by its colon. */
function statements(body: string): string[] {
  const found = body.split(/(?<=[;:])\s/).map((one) => one.trim());
  return found.filter((one) => one !== "");
}

class KernelReader {
  readonly #name: string;
  readonly #parameters: PtxKernel["parameters"];
  readonly #registers = new Map<string, PtxType>();
  readonly #labels = new Map<string, number>();
  readonly #buffers = new Map<string, number>();
  readonly #code: PtxInstruction[] = [];

  constructor(name: string, parameters: PtxKernel["parameters"]) {
    this.#name = name;
    this.#parameters = parameters;
  }

  read(statement: string): void {
    const label = /^(\w+):$/.exec(statement)?.[1];
    if (label !== undefined) {
      if (this.#labels.has(label)) throw this.#wrong(statement, "the label is there twice");
      this.#labels.set(label, this.#code.length);
      return;
    }
    if (!statement.endsWith(";") || statement.includes("\n")) throw this.#wrong(statement, "no semicolon");
    const line = statement.slice(0, -1);
    if (line.startsWith(".reg ")) this.#declare(line);
    else if (line.startsWith(".shared ")) this.#reserve(line);
    else this.#code.push(this.#instruction(line));
  }

  end(threads: number): PtxKernel {
    for (const { op, operands, line } of this.#code) {
      if (op === "bra" && !this.#labels.has(operands[0]!.text)) throw this.#wrong(line, "no such label");
    }
    if (this.#code.at(-1)?.op !== "ret") throw new Error(`${this.#name}: it does not end by ret`);
    if (!Number.isInteger(threads)) throw new Error(`${this.#name}: no .maxntid`);
    const sharedBytes = [...this.#buffers.values()].reduce((sum, bytes) => sum + bytes, 0);
    return {
      name: this.#name,
      parameters: this.#parameters,
      threads,
      sharedBytes,
      registers: this.#registers,
      labels: this.#labels,
      code: this.#code,
    };
  }

  #declare(line: string): void {
    const [, type = "", names = ""] = /^\.reg \.(b32|u32|f32|u64|b64|pred) (.+)$/s.exec(line) ?? [];
    if (type === "") throw this.#wrong(line, "no declaration");
    for (const declared of names.split(/,\s*/)) {
      const [, name = "", count] = /^([A-Za-z]\w*)(?:<(\d+)>)?$/.exec(declared) ?? [];
      if (name === "") throw this.#wrong(line, `no name: ${declared}`);
      const all = count === undefined ? [name] : Array.from({ length: Number(count) }, (_, at) => `${name}${at}`);
      for (const one of all) {
        if (this.#registers.has(one)) throw this.#wrong(line, `${one} is declared twice`);
        this.#registers.set(one, type as PtxType);
      }
    }
  }

  #reserve(line: string): void {
    const [, name = "", bytes = ""] = /^\.shared \.align 128 \.b8 (\w+)\[(\d+)\]$/.exec(line) ?? [];
    if (name === "" || Number(bytes) > 49_152) throw this.#wrong(line, "no buffer, or one of more than 48 KiB");
    this.#buffers.set(name, Number(bytes));
  }

  #instruction(line: string): PtxInstruction {
    const [, guard = "", op = "", rest = ""] = /^(?:@(\w+) )?([\w.]+)(?: (.+))?$/.exec(line) ?? [];
    const signature = INSTRUCTIONS[op];
    if (signature === undefined) throw this.#wrong(line, "no such instruction is known here");
    if (guard !== "" && this.#registers.get(guard) !== "pred") throw this.#wrong(line, "its guard is no predicate");
    const written = rest === "" ? [] : rest.split(/,\s*(?![^{]*\})/);
    if (written.length !== signature.length) throw this.#wrong(line, `it takes ${signature.length} operands`);
    return { op, guard, line, operands: written.map((text, at) => this.#operand(line, text, signature[at]!)) };
  }

  #operand(line: string, text: string, takes: string): PtxOperand {
    const operand: PtxOperand = { kind: "name", text, base: "", offset: 0, items: [] };
    if (takes === "label") return operand;
    const address = /^\[(\w+)(?:\+(\d+))?\]$/.exec(text);
    if (takes === "[param]") {
      const type = /\.(u32|u64) /.exec(line)?.[1];
      const isIt = this.#parameters.some((one) => one.name === address?.[1] && one.type === type);
      if (!isIt) throw this.#wrong(line, "no such parameter of that type");
      return { ...operand, kind: "address", base: address![1]! };
    }
    if (takes.startsWith("[")) {
      this.#registerOf(line, address?.[1] ?? text, takes.slice(1, -1));
      return { ...operand, kind: "address", base: address![1]!, offset: Number(address![2] ?? 0) };
    }
    const list = /^(\w+)x(\d)$/.exec(takes);
    if (list !== null) {
      const items = /^\{(.*)\}$/.exec(text)?.[1]?.split(", ") ?? [];
      if (items.length !== Number(list[2])) throw this.#wrong(line, `it takes ${list[2]} registers together`);
      for (const item of items) this.#registerOf(line, item, list[1]!);
      return { ...operand, kind: "list", items };
    }
    const [type = "", extras = ""] = /^(\w*)(\W*)$/.exec(takes)?.slice(1) ?? [];
    if (extras.includes("%") && SPECIALS.includes(text)) return { ...operand, kind: "special" };
    if (extras.includes("@") && this.#buffers.has(text)) return { ...operand, kind: "immediate", text: "0" };
    const number = type === "f32" ? /^0f[0-9A-F]{8}$/ : /^(?:\d+|0x[0-9A-F]{1,8})$/;
    if (extras.includes("#") && number.test(text)) return { ...operand, kind: "immediate" };
    this.#registerOf(line, text, type);
    return { ...operand, kind: "register" };
  }

  /** Bits fit whatever is as wide; else it has to be the type. */
  #registerOf(line: string, name: string, wanted: string): void {
    const type = this.#registers.get(name);
    if (type === undefined) throw this.#wrong(line, `${name} is not declared`);
    const isAsWide = type.slice(1) === wanted.slice(1) && (type.startsWith("b") || wanted.startsWith("b"));
    if (type !== wanted && !isAsWide) throw this.#wrong(line, `${name} is ${type}, not ${wanted}`);
  }

  #wrong(line: string, why: string): Error {
    return new Error(`${this.#name}: ${line}: ${why}`);
  }
}
