/**
 * What it costs to know who has a prompt's beginning: hashing (of token ids: reading them too), a pick with the question,
 * a note; at 1,024 targets and prompts of 32,768 tokens (128 blocks). Each measurement of a pick or a note is of one call,
 * of another prompt than the one before, in an index that is as full as a busy router's, so the memory is as cold as it is
 * there. Rates of hashing are by the thread's CPU time.
 *
 *   new              nobody has any of the prompt
 *   next turn        a conversation goes on: one target has nearly all of it, all have its system prompt of 2,048 tokens
 *   shared by all    every target has all of the prompt: the worst there is
 */
import { Prng } from "../../src/base/prng.ts";
import { openPicker, openPrefixWork } from "../../src/native.ts";
import { type ChainIds, openTokenChains } from "../../src/native-tokens.ts";
import { TokenChains } from "../../src/proxy/token-chain.ts";
import { hashBlocks, seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { PREFIX_BLOCK_BYTES } from "../../src/score/prefix-layout.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { type PrefixWork, TypeScriptPrefixWork } from "../../src/score/prefix-work.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { report } from "../report.ts";

const TARGETS = 1024;
const BLOCKS = 128;
const BYTES_PER_TOKEN = 4;
const TOKENS = (BLOCKS * PREFIX_BLOCK_BYTES) / BYTES_PER_TOKEN;
const SYSTEM_BLOCKS = 8;
const INDEX_BYTES = 64 * 2 ** 20;
/** Prompts of each kind; conversations fill most of the index. */
const PROMPTS = { new: 2000, "next turn": 8000, "shared by all": 8 };
const CALLS = 4000;
/** In TypeScript, which takes ten times as long. */
const CALLS_BY_TYPESCRIPT = 500;
const HASHED_BYTES = 512 * 2 ** 20;
const HASHED_BYTES_BY_TYPESCRIPT = 64 * 2 ** 20;
/** Of the ids of prompts that come as such, and of engines' blocks. */
const VOCABULARY = 128_000;
const ENGINE_BLOCK_TOKENS = 16;

type Kind = keyof typeof PROMPTS;
type Chains = Readonly<Record<Kind, readonly Int32Array[]>>;

function anyChain(prng: Prng): Int32Array {
  const chain = new Int32Array((BLOCKS + 1) * 2);
  for (let at = 0; at < chain.length; at += 2) {
    chain[at] = prng.nextU32();
    chain[at + 1] = prng.nextU32() | 0x80000000;
  }
  return chain;
}

function chains(prng: Prng): Chains {
  const all = (kind: Kind): Int32Array[] => Array.from({ length: PROMPTS[kind] }, () => anyChain(prng));
  const [system = anyChain(prng)] = all("shared by all");
  const turns = all("next turn");
  for (const turn of turns) turn.set(system.subarray(0, (SYSTEM_BLOCKS + 1) * 2));
  return { new: all("new"), "next turn": turns, "shared by all": all("shared by all") };
}

function furnish(prng: Prng) {
  const table = ScoreTable.create({ targetsMax: TARGETS, modelsMax: 1, workersMax: 1 });
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const index = PrefixIndex.create(INDEX_BYTES, table.rowsMax);
  for (let count = 0; count < TARGETS; count += 1) {
    const row = writer.addRow(model);
    index.reset(row, 10 * TOKENS * (PROMPTS["next turn"] / TARGETS), BYTES_PER_TOKEN);
    writer.write(row, {
      tokenOffset: prng.int(20_000),
      activeOffset: prng.int(64),
      secondsPerPrefillToken: 1 / (8000 + prng.int(20_000)),
      secondsPerActive: 0.0003 * prng.next(),
      slots: 256,
      secondsPerQueuedRequest: 0.1,
      kvOffset: -1,
      kvPerToken: 0,
      penaltySeconds: 0.0005 * prng.next(),
      capacity: 512,
    });
  }
  return { table, model, index };
}

function fill(work: PrefixWork, { "next turn": turns, "shared by all": shared }: Chains): void {
  for (const chain of shared) for (let row = 0; row < TARGETS; row += 1) work.note(0, row, chain, BLOCKS);
  for (const [at, chain] of turns.entries()) work.note(0, at % TARGETS, chain, BLOCKS - 2);
}

/** Nanoseconds of each of many calls, less what reading the clock takes. */
function timed(call: (at: number) => void, calls = CALLS): { p50: number; p99: number } {
  const taken = new Float64Array(calls);
  for (let at = 0; at < calls; at += 1) {
    const started = Bun.nanoseconds();
    call(at);
    taken[at] = Bun.nanoseconds() - started;
  }
  taken.sort();
  const share = (part: number): number => Math.round(taken[Math.floor(calls * part)] ?? Number.NaN);
  return { p50: share(0.5), p99: share(0.99) };
}

function gigabytesPerSecond(hash: typeof hashBlocks, total: number): number {
  const bytes = new Uint8Array(BLOCKS * PREFIX_BLOCK_BYTES);
  const prng = new Prng(5);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = prng.int(256);
  const chain = new Int32Array((BLOCKS + 1) * 2);
  seedChain(chain, new TextEncoder().encode("model"));
  const hashAll = (times: number): void => {
    for (let round = 0; round < times; round += 1) hash(bytes, 0, bytes.length, chain, 0, BLOCKS, false);
  };
  return rate(hashAll, bytes.length, total);
}

/** Of JSON: a list of ids, as Python (a space behind each comma) or JavaScript writes it, read and hashed. */
function gigabytesOfIdsPerSecond(chainIds: ChainIds, total: number, comma: string): number {
  const prng = new Prng(6);
  const bytes = new TextEncoder().encode(`[${Array.from({ length: TOKENS }, () => prng.int(VOCABULARY)).join(comma)}]`);
  const chain = new Int32Array((BLOCKS + 1) * 2);
  const chainAll = (times: number): void => {
    for (let round = 0; round < times; round += 1) {
      if (chainIds(bytes, 0, bytes.length, ENGINE_BLOCK_TOKENS, 0, chain) !== TOKENS) throw new Error("ids are read");
    }
  };
  return rate(chainAll, bytes.length, total);
}

/** Gigabytes a second of the thread's CPU time, when done often. */
function rate(work: (times: number) => void, bytes: number, total: number): number {
  work(50);
  const times = Math.ceil(total / bytes);
  const before = process.threadCpuUsage();
  work(times);
  const { user, system } = process.threadCpuUsage(before);
  return Math.round((times * bytes) / (user + system) / 10) / 100;
}

const microseconds = ({ p50, p99 }: { p50: number; p99: number }, name: string) => ({
  [`${name}, p50 us`]: p50 / 1000,
  [`${name}, p99 us`]: p99 / 1000,
});

async function main(): Promise<void> {
  const prng = new Prng(11);
  const all = chains(prng);
  const { table, model, index } = furnish(prng);
  const lookup = new PrefixLookup(index);
  const work = openPrefixWork(lookup);
  fill(work, all);
  const byTypeScript = new TypeScriptPrefixWork(lookup);
  const { picker, reason } = openPicker(table);
  const twin = new TypeScriptPicker(table);
  const request = new PickRequest();
  request.model = model;
  request.promptTokens = TOKENS;
  request.missWeight = 2;
  const idsTwin = new TokenChains().chain;
  const clock = timed(() => {});
  const picks = (by: typeof picker, kind: Kind | null): { p50: number; p99: number } => {
    request.prefix = kind === null ? null : lookup;
    const prompts = all[kind ?? "new"];
    return timed(
      (at) => {
        request.seed = at;
        if (kind !== null)
          lookup.ask(prompts[(at * 7) % prompts.length]!, BLOCKS, PREFIX_BLOCK_BYTES / BYTES_PER_TOKEN, 0);
        by.pick(request);
      },
      by === twin ? CALLS_BY_TYPESCRIPT : CALLS,
    );
  };
  const kinds: readonly Kind[] = ["new", "next turn", "shared by all"];
  // The first round warms up what is compiled.
  for (const kind of [null, ...kinds]) for (const by of [picker, twin]) picks(by, kind);
  const bare = picks(picker, null);
  await report("prefix", {
    scorer: reason,
    targets: TARGETS,
    "prompt tokens": TOKENS,
    "index blocks": index.entries,
    "index filled": Math.round((index.entries / index.entriesMax) * 100) / 100,
    "hashing by c, GB/s": gigabytesPerSecond((...of) => work.hash(...of), HASHED_BYTES),
    "hashing by typescript, GB/s": gigabytesPerSecond(hashBlocks, HASHED_BYTES_BY_TYPESCRIPT),
    "token ids": [",", ", "].map((comma) => ({
      "between ids": JSON.stringify(comma),
      "c, GB/s": gigabytesOfIdsPerSecond(openTokenChains(idsTwin).chain, HASHED_BYTES, comma),
      "typescript, GB/s": gigabytesOfIdsPerSecond(idsTwin, HASHED_BYTES_BY_TYPESCRIPT, comma),
    })),
    "reading the clock": microseconds(clock, "each time below has it"),
    "pick without a question": microseconds(bare, "c"),
    "pick with a question": kinds.map((kind) => ({
      prompt: kind,
      ...microseconds(picks(picker, kind), "c"),
      ...microseconds(picks(twin, kind), "typescript"),
    })),
    note: kinds.map((kind) => ({
      prompt: kind,
      ...microseconds(
        timed((at) => void work.note(0, (at * 13) % TARGETS, all[kind][at % all[kind].length]!, BLOCKS)),
        "c",
      ),
      ...microseconds(
        timed(
          (at) => void byTypeScript.note(0, (at * 17) % TARGETS, all[kind][at % all[kind].length]!, BLOCKS),
          CALLS_BY_TYPESCRIPT,
        ),
        "typescript",
      ),
    })),
  });
}

await main();
