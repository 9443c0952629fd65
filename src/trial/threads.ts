/** Threads that share memory, as a router's workers do; and native code: the C library's and our own. */
import { closeSync, readSync, writeSync } from "node:fs";
import { openLibc, errnoReader } from "../net/libc.ts";
import { openPicker } from "../native.ts";
import { ScoreTable } from "../score/table.ts";
import { type Part, type Place, must, mustEqual } from "./part.ts";

/** What a thread is told. */
export interface Task {
  readonly memory: SharedArrayBuffer;
  /** Words of the memory: one opens when it is no longer 0, one is counted up. */
  readonly gate: number;
  readonly counter: number;
  readonly counts: number;
  /** It is to end with this error instead. */
  readonly throws?: string;
}

const THREADS = 4;
const COUNTS = 50_000;
const EBADF = 9;
const O_CLOEXEC = 0x80000;

async function workers({ workerEntry }: Place): Promise<string> {
  const memory = new SharedArrayBuffer(8);
  const words = new Int32Array(memory);
  const threads = Array.from({ length: THREADS }, () => new Worker(workerEntry));
  try {
    const done = Promise.all(threads.map(nextOf));
    for (const thread of threads) thread.postMessage({ memory, gate: 0, counter: 1, counts: COUNTS } satisfies Task);
    // Who waits already is woken; who comes later sees that the gate is open.
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    mustEqual(
      "what the threads answered",
      await done,
      Array.from({ length: THREADS }, () => 1),
    );
    mustEqual("what they counted together", Atomics.load(words, 1), THREADS * COUNTS);
    const [first] = threads;
    must(first !== undefined, "there is no thread");
    const failed = nextOf(first).then(
      () => "nothing",
      (error: Error) => error.message,
    );
    first.postMessage({ memory, gate: 0, counter: 1, counts: 0, throws: "as it was told" } satisfies Task);
    const message = await failed;
    must(message.includes("as it was told"), `the error of a thread is told as: ${message}`);
  } finally {
    for (const thread of threads) thread.terminate();
  }
  return `${THREADS} threads counted to ${THREADS * COUNTS} in shared memory; the error of one was told`;
}

/** The thread's next message; rejects when it ends by an error. */
function nextOf(thread: Worker): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  thread.addEventListener("message", ({ data }: MessageEvent<unknown>) => resolve(data), { once: true });
  thread.addEventListener("error", (event) => reject(new Error(event.message)), { once: true });
  return promise;
}

/** All calls that the data plane makes are there; some are made. */
function foreignCalls(): string {
  const libc = openLibc();
  must(libc !== null, "the C library can't be opened, or lacks a function");
  const errno = errnoReader(libc);
  mustEqual("what closing no file answers", [libc.close(-1), errno()], [-1, EBADF]);
  const ends = new Int32Array(new ArrayBuffer(8));
  mustEqual("what making a pipe answers", libc.pipe2(ends, O_CLOEXEC), 0);
  const [readEnd = -1, writeEnd = -1] = ends;
  const got = Buffer.alloc(16);
  writeSync(writeEnd, "through");
  closeSync(writeEnd);
  mustEqual("what came through it", got.toString("utf8", 0, readSync(readEnd, got)), "through");
  closeSync(readEnd);
  return `${Object.keys(libc).length} functions of the C library found, a pipe made by them`;
}

/** It picks as its TypeScript twin does, or is refused when it is opened. */
function scorer(): string {
  const { picker, reason } = openPicker(ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 }));
  must(picker.kind === "c", reason);
  return `${reason} picks as its TypeScript twin does`;
}

export const THREAD_PARTS: readonly Part[] = [
  { name: "workers", run: workers },
  { name: "ffi", run: foreignCalls },
  { name: "scorer", run: scorer },
];
