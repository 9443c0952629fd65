/** A thread of the self-test: counts in memory that it shares, waits to be woken, throws when it is told to. */
import type { Task } from "./threads.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<Task>): void => {
  if (data.throws !== undefined) throw new Error(data.throws);
  const words = new Int32Array(data.memory);
  // Nothing is counted until all threads are there: they shall count at the same time.
  Atomics.wait(words, data.gate, 0);
  for (let count = 0; count < data.counts; count++) Atomics.add(words, data.counter, 1);
  self.postMessage(Atomics.load(words, data.gate));
};
