/**
 * The benchmark's matrix product in PTX, on tensor cores: C = A x B with A and B of float16, sums of float32. It is written
 * for mma.sync, which every card from Ampere on has (sm_80); a card before that has its FP32 rate measured and no more.
 *
 * A has M rows of K numbers, B has N rows of K numbers (its columns, one after the other), C has M rows of N. M and N are
 * multiples of 128, K of 32 and at least 64. A block computes 128 x 128 of C with 256 threads: eight warps, two down and
 * four across, of 64 x 32 each, as 4 x 4 tiles of m16n8k16.
 *
 * K is walked in steps of 32. Three buffers of 16 KiB in shared memory take turns: one is computed with while cp.async
 * fills the next two, so that memory is waited for once. Rows in them are 64 bytes, four chunks of 16, and chunk c of row r
 * stands at c xor (r / 2 mod 4): then the eight rows that ldmatrix reads at once lie in different banks.
 *
 * Blocks of neighbouring numbers share rows of A and of B, which they then find in the L2 cache: x counts within a group of
 * rows of tiles, y along N, z the groups.
 */

/** C of one block is this many rows and columns. */
export const TILE = 128;
export const PRODUCT_THREADS = 256;
const STEP = 32;
const STAGES = 3;
const TILE_BYTES = TILE * STEP * 2;
const STAGE_BYTES = 2 * TILE_BYTES;
/** Tiles of m16n8 of one warp. */
const DOWN = 4;
const ACROSS = 4;

function lines<T>(all: readonly T[], line: (one: T) => string): string {
  return all.map(line).join("\n");
}

const to = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const registers = (name: string, from: number, count: number): string =>
  `{${to(count)
    .map((at) => `${name}${from + at}`)
    .join(", ")}}`;

/** Two chunks of A and two of B a thread, into the buffer at `into`; then its sources are a step further. */
const FETCH = `
  add.u32 place, store, into;
  cp.async.cg.shared.global [place], [fromA], 16;
  cp.async.cg.shared.global [place+4096], [fromA2], 16;
  cp.async.cg.shared.global [place+${TILE_BYTES}], [fromB], 16;
  cp.async.cg.shared.global [place+${TILE_BYTES + 4096}], [fromB2], 16;
${lines(["fromA", "fromA2", "fromB", "fromB2"], (from) => `  add.u64 ${from}, ${from}, ${STEP * 2};`)}`;

const nextStage = (register: string): string => `
  add.u32 ${register}, ${register}, ${STAGE_BYTES};
  setp.eq.u32 isEnd, ${register}, ${STAGES * STAGE_BYTES};
  selp.u32 ${register}, 0, ${register}, isEnd;`;

/** Sixteen of the step's 32: what a warp needs of A and B, and all its products. The other half's chunks are two on. */
const multiply = (half: number): string => `
  add.u32 placeA, readA, out;
  add.u32 placeB, readB, out;
  xor.b32 placeA, placeA, ${half * 32};
  xor.b32 placeB, placeB, ${half * 32};
${lines(
  to(DOWN),
  (m) => `  ldmatrix.sync.aligned.m8n8.x4.shared.b16 ${registers("a", m * 4, 4)}, [placeA+${m * 16 * STEP * 2}];`,
)}
${lines(
  to(ACROSS / 2),
  (pair) =>
    `  ldmatrix.sync.aligned.m8n8.x4.shared.b16 ${registers("b", pair * 4, 4)}, [placeB+${pair * 16 * STEP * 2}];`,
)}
${lines(to(DOWN * ACROSS), (tile) => {
  const c = registers("c", tile * 4, 4);
  const a = registers("a", Math.floor(tile / ACROSS) * 4, 4);
  const b = registers("b", (tile % ACROSS) * 2, 2);
  return `  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 ${c}, ${a}, ${b}, ${c};`;
})}`;

export const PRODUCT_PTX = `.version 7.0
.target sm_80
.address_size 64

.visible .entry infermesh_product(
  .param .u64 p_c, .param .u64 p_a, .param .u64 p_b, .param .u32 p_n, .param .u32 p_k
) .maxntid ${PRODUCT_THREADS}, 1, 1 .minnctapersm 2
{
  .shared .align 128 .b8 buffers[${STAGES * STAGE_BYTES}];
  .reg .u32 thread, lane, warpDown, warpAcross, n, k, row0, column0, row, chunk, swizzle, t, u;
  .reg .u32 base, store, place, readA, readB, placeA, placeB, into, out, fetches, steps;
  .reg .u64 c, fromA, fromA2, fromB, fromB2, at, skip;
  .reg .b32 a<${DOWN * 4}>, b<${ACROSS * 2}>;
  .reg .f32 c<${DOWN * ACROSS * 4}>;
  .reg .pred isEnd, isFetched, more;

  ld.param.u64 c, [p_c];
  ld.param.u64 fromA, [p_a];
  ld.param.u64 fromB, [p_b];
  ld.param.u32 n, [p_n];
  ld.param.u32 k, [p_k];
  cvta.to.global.u64 c, c;
  cvta.to.global.u64 fromA, fromA;
  cvta.to.global.u64 fromB, fromB;
  mov.u32 base, buffers;
  mov.u32 thread, %tid.x;
  and.b32 lane, thread, 31;
  shr.u32 t, thread, 5;
  shr.u32 warpDown, t, 2;
  and.b32 warpAcross, t, 3;

  // The block's first row and column of C.
  mov.u32 t, %ctaid.z;
  mov.u32 u, %nctaid.x;
  mov.u32 row, %ctaid.x;
  mad.lo.u32 row0, t, u, row;
  shl.b32 row0, row0, 7;
  mov.u32 column0, %ctaid.y;
  shl.b32 column0, column0, 7;

  // What the thread fetches: chunk (thread mod 4) of row (thread / 4), and of the row 64 further down.
  shr.u32 row, thread, 2;
  and.b32 chunk, thread, 3;
  mul.wide.u32 skip, k, 128;
  add.u32 t, row0, row;
  mul.wide.u32 at, t, k;
  shl.b64 at, at, 1;
  add.u64 fromA, fromA, at;
  add.u32 t, column0, row;
  mul.wide.u32 at, t, k;
  shl.b64 at, at, 1;
  add.u64 fromB, fromB, at;
  mul.wide.u32 at, chunk, 16;
  add.u64 fromA, fromA, at;
  add.u64 fromB, fromB, at;
  add.u64 fromA2, fromA, skip;
  add.u64 fromB2, fromB, skip;
  shr.u32 t, row, 1;
  and.b32 t, t, 3;
  xor.b32 t, t, chunk;
  shl.b32 t, t, 4;
  mad.lo.u32 store, row, 64, t;
  add.u32 store, store, base;

  // What it gives ldmatrix the address of: of A rows by the lane's low four bits and the chunk by its fifth; of B rows by
  // its low three bits and its fifth, and the chunk by its fourth.
  shr.u32 swizzle, lane, 1;
  and.b32 swizzle, swizzle, 3;
  and.b32 row, lane, 15;
  mad.lo.u32 row, warpDown, 64, row;
  shr.u32 chunk, lane, 4;
  xor.b32 t, chunk, swizzle;
  shl.b32 t, t, 4;
  mad.lo.u32 readA, row, 64, t;
  add.u32 readA, readA, base;
  shl.b32 row, chunk, 3;
  and.b32 t, lane, 7;
  add.u32 row, row, t;
  mad.lo.u32 row, warpAcross, 32, row;
  shr.u32 chunk, lane, 3;
  and.b32 chunk, chunk, 1;
  xor.b32 t, chunk, swizzle;
  shl.b32 t, t, 4;
  mad.lo.u32 readB, row, 64, t;
  add.u32 readB, readB, base;
  add.u32 readB, readB, ${TILE_BYTES};

${lines(to(DOWN * ACROSS * 4), (at) => `  mov.f32 c${at}, 0f00000000;`)}
  shr.u32 steps, k, 5;
  sub.u32 fetches, steps, 2;
  mov.u32 out, 0;
  mov.u32 into, 0;
${FETCH}
  cp.async.commit_group;
  mov.u32 into, ${STAGE_BYTES};
${FETCH}
  cp.async.commit_group;
  mov.u32 into, ${2 * STAGE_BYTES};

step:
  // All but the newest fetch are there, for every thread; and nobody reads the buffer any more that is filled next.
  cp.async.wait_group 1;
  bar.sync 0;
  setp.eq.u32 isFetched, fetches, 0;
  @isFetched bra fetched;
${FETCH}
  sub.u32 fetches, fetches, 1;
fetched:
  // An empty one as well: they are waited for by their count.
  cp.async.commit_group;
${nextStage("into")}
${multiply(0)}
${multiply(1)}
${nextStage("out")}
  sub.u32 steps, steps, 1;
  setp.ne.u32 more, steps, 0;
  @more bra step;

  // A tile's thread has two neighbours of row (lane / 4), and two of the row eight further down.
  shr.u32 row, lane, 2;
  mad.lo.u32 row, warpDown, 64, row;
  add.u32 row, row, row0;
  and.b32 t, lane, 3;
  shl.b32 t, t, 1;
  mad.lo.u32 t, warpAcross, 32, t;
  add.u32 t, t, column0;
  mul.wide.u32 at, row, n;
  mul.wide.u32 skip, t, 1;
  add.u64 at, at, skip;
  shl.b64 at, at, 2;
  add.u64 c, c, at;
  mul.wide.u32 skip, n, 32;
${lines(to(DOWN * 2), (half) => {
  const stores = lines(to(ACROSS), (tile) => {
    const from = (Math.floor(half / 2) * ACROSS + tile) * 4 + (half % 2) * 2;
    return `  st.global.v2.f32 [c+${tile * 32}], ${registers("c", from, 2)};`;
  });
  return `${stores}\n  add.u64 c, c, skip;`;
})}
  ret;
}
`;
