/** For commands that go on until they are ended: by Ctrl-C, by SIGTERM, or since nobody reads on. */
import type { Terminal } from "./terminal.ts";

const READER_LOOK_MS = 500;

/** Runs the work with a signal that says when it is to end. */
export async function untilEnded<T>(terminal: Terminal, work: (ended: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  const looking = setInterval(() => {
    if (terminal.reading?.() === false) end();
  }, READER_LOOK_MS);
  try {
    return await work(ended.signal);
  } finally {
    clearInterval(looking);
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}

/** Waits, unless it is to end before. */
export async function pause(ms: number, ended: AbortSignal): Promise<void> {
  if (ended.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => resolve();
  ended.addEventListener("abort", stop, { once: true });
  await promise;
  ended.removeEventListener("abort", stop);
  clearTimeout(timer);
}
