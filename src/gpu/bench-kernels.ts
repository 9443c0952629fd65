/**
 * The benchmark's plain kernels in PTX, which the driver compiles for its card: copies and triads of memory, chains of
 * FP32 multiply-adds, and a filling with noise. They run on every card from Maxwell (2014) on. A block has 256 threads.
 *
 * Memory. A block moves 16 KiB: four times 16 bytes a thread, 4 KiB apart, so that neighbours touch neighbouring bytes,
 * and four loads of each thread are on their way at once. Sizes are multiples of 16 KiB, so that nothing is checked.
 */

export const BLOCK_THREADS = 256;
/** What one block of copy, triad and fill moves of each of its arrays. */
export const BLOCK_BYTES = 16_384;
/** Chains of a thread, and multiply-adds of each chain in one turn of the loop. */
export const CHAINS = 8;
export const CHAIN_STEPS = 16;
/** x = x * FACTOR + TERM, as float32. */
export const CHAIN_FACTOR = Math.fround(0.999);
export const CHAIN_TERM = Math.fround(0.001);
/** Of a thread's first chain the start is its number times this; each further chain starts by one higher. */
export const CHAIN_STRIDE = 1 / 1024;
/** a = b + TRIAD_FACTOR * c, which float32 has exactly. */
export const TRIAD_FACTOR = 3;

/** As the kernels need them: the least that has all that they use. */
const HEAD = ".version 5.0\n.target sm_50\n.address_size 64\n";
const OFFSETS = [0, 4096, 8192, 12_288];

function lines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join("\n");
}

/** PTX writes the bits of a float32. */
function float(value: number): string {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  return `0f${bits.getUint32(0).toString(16).toUpperCase().padStart(8, "0")}`;
}

/** `at` becomes the thread's first byte of its block's 16 KiB. */
const PLACE = `
  mov.u32 block, %ctaid.x;
  mov.u32 thread, %tid.x;
  mul.wide.u32 at, block, ${BLOCK_BYTES};
  mad.wide.u32 at, thread, 16, at;`;

function globalOf(parameter: string, register: string): string {
  return `
  ld.param.u64 ${register}, [${parameter}];
  cvta.to.global.u64 ${register}, ${register};`;
}

const four = (name: string, of: number): string => `{${[0, 1, 2, 3].map((at) => `${name}${of * 4 + at}`).join(", ")}}`;

const COPY = `
.visible .entry infermesh_copy(.param .u64 p_to, .param .u64 p_from) .maxntid ${BLOCK_THREADS}, 1, 1
{
  .reg .u32 block, thread;
  .reg .u64 at, to, from;
  .reg .b32 x<16>;
${globalOf("p_to", "to")}${globalOf("p_from", "from")}${PLACE}
  add.u64 to, to, at;
  add.u64 from, from, at;
${lines(4, (j) => `  ld.global.v4.b32 ${four("x", j)}, [from+${OFFSETS[j]}];`)}
${lines(4, (j) => `  st.global.v4.b32 [to+${OFFSETS[j]}], ${four("x", j)};`)}
  ret;
}
`;

const TRIAD = `
.visible .entry infermesh_triad(.param .u64 p_to, .param .u64 p_b, .param .u64 p_c) .maxntid ${BLOCK_THREADS}, 1, 1
{
  .reg .u32 block, thread;
  .reg .u64 at, to, b, c;
  .reg .f32 x<16>, y<16>;
${globalOf("p_to", "to")}${globalOf("p_b", "b")}${globalOf("p_c", "c")}${PLACE}
  add.u64 to, to, at;
  add.u64 b, b, at;
  add.u64 c, c, at;
${lines(4, (j) => `  ld.global.v4.f32 ${four("x", j)}, [b+${OFFSETS[j]}];`)}
${lines(4, (j) => `  ld.global.v4.f32 ${four("y", j)}, [c+${OFFSETS[j]}];`)}
${lines(16, (j) => `  fma.rn.f32 x${j}, y${j}, ${float(TRIAD_FACTOR)}, x${j};`)}
${lines(4, (j) => `  st.global.v4.f32 [to+${OFFSETS[j]}], ${four("x", j)};`)}
  ret;
}
`;

/** Each thread's sum of its chains goes to `to`, by its number: what nobody reads is not computed. */
const CHAIN = `
.visible .entry infermesh_chain(.param .u64 p_to, .param .u32 p_loops) .maxntid ${BLOCK_THREADS}, 1, 1
{
  .reg .u32 block, thread, number, loops;
  .reg .u64 at, to;
  .reg .f32 x<${CHAINS}>, factor, term;
  .reg .pred more;
${globalOf("p_to", "to")}
  ld.param.u32 loops, [p_loops];
  mov.u32 block, %ctaid.x;
  mov.u32 thread, %tid.x;
  mad.lo.u32 number, block, ${BLOCK_THREADS}, thread;
  mul.wide.u32 at, number, 4;
  add.u64 to, to, at;
  cvt.rn.f32.u32 x0, number;
  mul.rn.f32 x0, x0, ${float(CHAIN_STRIDE)};
${lines(CHAINS - 1, (j) => `  add.rn.f32 x${j + 1}, x${j}, ${float(1)};`)}
  mov.f32 factor, ${float(CHAIN_FACTOR)};
  mov.f32 term, ${float(CHAIN_TERM)};
again:
${lines(CHAIN_STEPS * CHAINS, (j) => `  fma.rn.f32 x${j % CHAINS}, x${j % CHAINS}, factor, term;`)}
  sub.u32 loops, loops, 1;
  setp.ne.u32 more, loops, 0;
  @more bra again;
${lines(CHAINS - 1, (j) => `  add.rn.f32 x0, x0, x${j + 1};`)}
  st.global.f32 [to], x0;
  ret;
}
`;

/**
 * Every 32 bits become two float16 of a size between a half and one, of either sign, by a hash of their place: numbers at
 * random, since a card takes less power for zeros, and so may run faster than it would at work.
 */
const FILL = `
.visible .entry infermesh_fill(.param .u64 p_to, .param .u32 p_seed) .maxntid ${BLOCK_THREADS}, 1, 1
{
  .reg .u32 block, thread, seed, number, h, g;
  .reg .u64 at, to;
  .reg .b32 x<4>;
${globalOf("p_to", "to")}
  ld.param.u32 seed, [p_seed];${PLACE}
  add.u64 to, to, at;
  mad.lo.u32 number, block, 4096, seed;
  mad.lo.u32 number, thread, 4, number;
${lines(16, (j) => {
  const turn = `  mul.lo.u32 h, number, 2654435761;
  shr.u32 g, h, 15;
  xor.b32 h, h, g;
  mul.lo.u32 h, h, 2246822519;
  shr.u32 g, h, 13;
  xor.b32 h, h, g;
  and.b32 h, h, 0x83FF83FF;
  or.b32 x${j % 4}, h, 0x38003800;
  add.u32 number, number, ${j % 4 === 3 ? 1021 : 1};`;
  return j % 4 === 3 ? `${turn}\n  st.global.v4.b32 [to+${OFFSETS[(j - 3) / 4]}], {x0, x1, x2, x3};` : turn;
})}
  ret;
}
`;

export const PLAIN_PTX = HEAD + COPY + TRIAD + CHAIN + FILL;
