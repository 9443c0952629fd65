/** Waiting for what the looks at a runtime bring. */
export class LookWaiter {
  readonly #waiting = new Set<() => void>();

  /** A look has brought something new. */
  wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Until that happens, or for so long. */
  async next(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await pause(ms, signal, promise);
    } finally {
      this.#waiting.delete(resolve);
    }
  }
}

/** For so long, or until something else comes. Rejects with the signal's reason when that comes first. */
export async function pause(ms: number, signal: AbortSignal, until?: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = (): void => resolve();
  signal.addEventListener("abort", end);
  if (signal.aborted) resolve();
  void until?.then(resolve);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
}
