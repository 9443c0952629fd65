/**
 * Nanoseconds a pick: C against TypeScript, by number of targets, quiet and while a writer thread refreshes rows.
 * Rounds are interleaved and medians are told, so that both scorers see the same machine.
 */

import { Prng } from "../../src/base/prng.ts";
import { BLOCK_WORD, BLOCK_WORDS, COLUMN, rowWord } from "../../src/score/layout.ts";
import { openPicker } from "../../src/native.ts";
import { type Picker, PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { report } from "../report.ts";

const SIZES = [8, 64, 256, 1024, 4096];
const ROUNDS = 9;
/** About this many rows are scored in one measurement. */
const ROWS_PER_MEASUREMENT = 2_000_000;
const PICKS_MAX = 40_000;

/** A row on a busy target, different for each number. */
function values(prng: Prng) {
  return {
    tokenOffset: prng.int(20_000) - 2000,
    activeOffset: prng.int(64) - 8,
    secondsPerPrefillToken: 1 / (8000 + prng.int(20_000)),
    secondsPerActive: 0.0003 * prng.next(),
    slots: 256,
    secondsPerQueuedRequest: 0.1,
    kvOffset: prng.next() * 3 - 2.5,
    kvPerToken: 2e-5,
    penaltySeconds: 0.0005 * prng.next(),
    capacity: prng.int(17) === 0 ? 0 : 512,
  };
}

interface Bed {
  readonly size: number;
  readonly model: number;
}

/** A model of each size in one table, so that quiet and busy runs read the same rows. */
function furnish(): { table: ScoreTable; writer: TableWriter; beds: Bed[]; rows: number[] } {
  const targetsMax = SIZES.reduce((sum, size) => sum + Math.max(64, size), 0);
  const table = ScoreTable.create({ targetsMax, modelsMax: 16, workersMax: 4 });
  const writer = new TableWriter(table);
  const prng = new Prng(7);
  const rows: number[] = [];
  const beds = SIZES.map((size) => {
    const model = writer.addModel();
    for (let count = 0; count < size; count += 1) {
      const row = writer.addRow(model);
      writer.write(row, values(prng));
      table.tryBegin(0, row, prng.int(4000));
      rows.push(row);
    }
    return { size, model };
  });
  return { table, writer, beds, rows };
}

function measure(picker: Picker, request: PickRequest, bed: Bed): number {
  const picks = Math.min(PICKS_MAX, Math.trunc(ROWS_PER_MEASUREMENT / bed.size));
  request.model = bed.model;
  let sum = 0;
  const started = Bun.nanoseconds();
  for (let count = 0; count < picks; count += 1) {
    request.promptTokens = 100 + (count & 1023);
    request.seed = count;
    sum += picker.pick(request);
  }
  const elapsed = Bun.nanoseconds() - started;
  if (sum === Number.MIN_VALUE) console.log(sum);
  return elapsed / picks;
}

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

function rounds(pickers: readonly Picker[], beds: readonly Bed[]): Map<string, number> {
  const request = new PickRequest();
  const seen = new Map<string, number[]>();
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const bed of beds) {
      for (const picker of pickers) {
        const ns = measure(picker, request, bed);
        // The first round warms up.
        if (round < 0) continue;
        const name = `${picker.kind} ${bed.size}`;
        seen.set(name, [...(seen.get(name) ?? []), ns]);
      }
    }
  }
  return new Map([...seen].map(([name, numbers]) => [name, median(numbers)]));
}

/** The writer's thread: one row each 0.1 ms, which is more than a router of 1,000 targets does. */
function write({ buffer, rows }: { buffer: SharedArrayBuffer; rows: readonly number[] }): void {
  const { words, floats, blocksWord } = ScoreTable.attach(buffer);
  const asleep = new Int32Array(new SharedArrayBuffer(4));
  postMessage("ready");
  for (let count = 0; ; count += 1) {
    const row = rows[count % rows.length] ?? 0;
    const block = blocksWord + Math.trunc(row / 64) * BLOCK_WORDS;
    Atomics.add(words, block + BLOCK_WORD.sequence, 1);
    for (const column of [COLUMN.secondsPerActive, COLUMN.penaltySeconds]) {
      floats[blocksWord + rowWord(row) + column] = (count % 1000) / 1e6;
    }
    Atomics.add(words, block + BLOCK_WORD.sequence, 1);
    Atomics.wait(asleep, 0, 0, 0.1);
  }
}

async function startWriter(table: ScoreTable, rows: readonly number[]): Promise<Worker> {
  const worker = new Worker(import.meta.url);
  const ready = new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
  worker.postMessage({ buffer: table.buffer, rows });
  await ready;
  return worker;
}

async function main(): Promise<void> {
  const { table, beds, rows } = furnish();
  const { picker, reason } = openPicker(table);
  const twin = new TypeScriptPicker(table);
  const pickers = picker.kind === "c" ? [picker, twin] : [twin];
  const quiet = rounds(pickers, beds);
  const worker = await startWriter(table, rows);
  const busy = rounds(pickers, beds);
  worker.terminate();
  const figure = (numbers: Map<string, number>, name: string) =>
    Math.round((numbers.get(name) ?? Number.NaN) * 10) / 10;
  await report("pick", {
    scorer: reason,
    "nanoseconds a pick": beds.map(({ size }) => ({
      targets: size,
      c: figure(quiet, `c ${size}`),
      typescript: figure(quiet, `typescript ${size}`),
      "c, live writer": figure(busy, `c ${size}`),
      "typescript, live writer": figure(busy, `typescript ${size}`),
      "typescript / c": Math.round(((quiet.get(`typescript ${size}`) ?? 0) / (quiet.get(`c ${size}`) ?? 1)) * 10) / 10,
    })),
  });
}

if (Bun.isMainThread) await main();
else addEventListener("message", (event: MessageEvent) => write(event.data));
