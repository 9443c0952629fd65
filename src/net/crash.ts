/** What handlers of Bun's sockets share: a bug in one must end the process, and errors of the system have a code. */

/** Bun hands what a handler throws to the socket's `error` and goes on; this throws it where nobody catches it. */
export function orCrash(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** "ECONNREFUSED" and its like; "" for what has no code. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}
