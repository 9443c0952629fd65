/** Threads that play scenarios: each a cell by a strategy at a time, as many at once as there are processors. */
import { availableParallelism } from "node:os";
import { type CellPlayed } from "../sim/scenario-world.ts";
import type { Scenario, StrategyName } from "../sim/scenario.ts";

export interface Task {
  readonly scenario: Scenario;
  readonly strategy: StrategyName;
  readonly cell: number;
  /** Of the scenario's file. */
  readonly folder: string;
}

/** What a thread says: how much of its task is done, and in the end what came of it. */
export type Answer = { readonly part: number } | { readonly played: CellPlayed; readonly cpuMs: number };

export interface PlayedBy {
  readonly strategy: StrategyName;
  readonly cells: readonly CellPlayed[];
  /** Of processors, in all threads together. */
  readonly cpuMs: number;
}

const THREADS_MAX = 64;

/**
 * Plays the scenario by each of the strategies; `done` gets what came of one as soon as it is there, in no promised order.
 * `progress` hears what part of all the work is done. `workerEntry` is worker.ts, named by a file of src/ itself.
 */
export async function playAll(
  scenario: Scenario,
  strategies: readonly StrategyName[],
  folder: string,
  workerEntry: URL,
  done: (played: PlayedBy) => void,
  progress: (part: number) => void,
): Promise<void> {
  const tasks = strategies.flatMap((strategy) =>
    Array.from({ length: scenario.cells }, (_, cell): Task => ({ scenario, strategy, cell, folder })),
  );
  const parts = new Map<Task, number>();
  const told = (task: Task, part: number): void => {
    parts.set(task, part);
    progress(parts.values().reduce((sum, each) => sum + each, 0) / tasks.length);
  };
  const collected = new Map<StrategyName, { cells: (CellPlayed | undefined)[]; left: number; cpuMs: number }>(
    strategies.map((strategy) => [strategy, { cells: [], left: scenario.cells, cpuMs: 0 }]),
  );
  const size = Math.max(1, Math.min(tasks.length, availableParallelism(), THREADS_MAX));
  let next = 0;
  const work = async (): Promise<void> => {
    const thread = new Worker(workerEntry);
    try {
      for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) {
        const current = task;
        const { played, cpuMs } = await playOne(thread, current, (part) => told(current, part));
        told(current, 1);
        const of = collected.get(current.strategy)!;
        of.cells[current.cell] = played;
        of.cpuMs += cpuMs;
        of.left -= 1;
        if (of.left > 0) continue;
        // What came of many cells is large: it goes as soon as it was told.
        collected.delete(current.strategy);
        done({ strategy: current.strategy, cells: of.cells as CellPlayed[], cpuMs: of.cpuMs });
      }
    } finally {
      thread.terminate();
    }
  };
  await Promise.all(Array.from({ length: size }, work));
}

async function playOne(
  thread: Worker,
  task: Task,
  progress: (part: number) => void,
): Promise<Extract<Answer, { played: CellPlayed }>> {
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("part" in data) progress(data.part);
      else resolve(data);
    };
    thread.onerror = (event) => reject(new Error(`a simulating thread failed: ${event.message}`));
    thread.postMessage(task);
  });
}
