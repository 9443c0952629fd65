/** Waiting until what is known has come as far as some revision of etcd. */

/** Who waits for so long is told that it takes long, and so is whoever can hurry. */
const LATE_MS = 500;

export class Progress {
  readonly #at: () => number;
  readonly #late: () => void;
  readonly #waiters = new Set<{ readonly at: number; readonly settle: () => void }>();

  /** `at`: how far it has come. `late`: called when somebody has waited for long. */
  constructor(at: () => number, late: () => void) {
    this.#at = at;
    this.#late = late;
  }

  /** True once it has come so far; false after a while, or when it was stopped. */
  reached(at: number): Promise<boolean> {
    if (this.#at() >= at) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(this.#at() >= at);
      };
      const timer = setTimeout(() => {
        this.#late();
        settle();
      }, LATE_MS);
      const waiter = { at, settle };
      this.#waiters.add(waiter);
    });
  }

  moved(): void {
    const now = this.#at();
    for (const { at, settle } of this.#waiters) if (at <= now) settle();
  }

  stop(): void {
    for (const { settle } of this.#waiters) settle();
  }
}
