/** Threads that send a run's requests together: they begin at one moment, each with its share, and what each saw is added up. */
import type { Tally } from "../load/tally.ts";
import type { DriveCounts, DrivePart } from "./drive.ts";
import type { FromDriver, ToDriver } from "./worker.ts";

/** Between the word to begin and the beginning: all have heard it by then. */
const BEGIN_MS = 50;

export interface CrewWork {
  readonly parts: readonly DrivePart[];
  /** worker.ts, named by a file of src/ itself. */
  readonly workerEntry: URL;
  /** What all saw goes into it. */
  readonly tally: Tally;
  readonly warmUpMs: number;
  readonly ended: AbortSignal;
}

/** All of `counts` are of one thread; `told` hears each again and again. Answers whether it was stopped. */
export async function driveTogether(
  { parts, workerEntry, tally, warmUpMs, ended }: CrewWork,
  told: (index: number, counts: DriveCounts) => void,
): Promise<boolean> {
  const threads = parts.map(() => new Worker(workerEntry));
  const say = (message: ToDriver): void => {
    for (const thread of threads) thread.postMessage(message);
  };
  const stop = (): void => say("stop");
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let [ready, over, isStopped] = [0, 0, false];
    for (const [index, thread] of threads.entries()) {
      thread.onerror = (event) => reject(new Error(`a sending thread failed: ${event.message}`));
      thread.addEventListener("close", () => {
        if (over < parts.length) reject(new Error("a sending thread ended before its requests had"));
      });
      thread.onmessage = ({ data }: MessageEvent<FromDriver>) => {
        if (data === "ready") {
          ready += 1;
          if (ready < parts.length) return;
          say({ startAtMs: performance.timeOrigin + performance.now() + BEGIN_MS });
          // Not before: who has not begun can't be stopped.
          if (ended.aborted) stop();
          else ended.addEventListener("abort", stop, { once: true });
        } else if ("counts" in data) told(index, data.counts);
        else {
          tally.absorb(data.tally);
          isStopped ||= data.isStopped;
          over += 1;
          if (over === parts.length) resolve();
        }
      };
      thread.postMessage({ part: parts[index]! } satisfies ToDriver);
    }
    tally.start(0, warmUpMs);
    await promise;
    return isStopped;
  } finally {
    ended.removeEventListener("abort", stop);
    for (const thread of threads) thread.terminate();
  }
}
