/**
 * Writes to the log when a source of GPUs reads, or does not any more. A driver that hangs and a process that is started
 * again and again change the message each time; it is told once for each state, and of ok when the message is another one.
 */
import type { SourceState } from "../health/source-state.ts";
import type { Log } from "../obs/log.ts";

const SAID: Readonly<Record<SourceState["state"], string>> = {
  starting: "GPUs are being looked for",
  ok: "GPUs are read",
  absent: "no GPU is read",
  denied: "GPUs may not be read",
  broken: "GPUs can't be read: the driver or its library fails",
  lost: "GPUs can't be read: they are lost, or must be reset",
  unresponsive: "GPUs can't be read: the driver does not answer",
};

export class SourceLog {
  readonly #log: Log;
  readonly #told: string[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Sources are only ever added, at the end. */
  look(states: readonly SourceState[]): void {
    for (const [at, { state, message, stack }] of states.entries()) {
      const key = state === "ok" ? `ok ${message}` : state;
      if (key === this.#told[at] || state === "starting") continue;
      this.#told[at] = key;
      const fields = {
        ...(message === "" ? {} : { reason: message }),
        ...(stack === undefined ? {} : { backend: stack.backend }),
        ...(stack?.driverVersion === undefined ? {} : { driver: stack.driverVersion }),
      };
      // A machine without GPUs is none that something is wrong with.
      if (state === "absent" || (state === "ok" && message === "")) this.#log.info(SAID[state], fields);
      else this.#log.warn(SAID[state], fields);
    }
  }
}
