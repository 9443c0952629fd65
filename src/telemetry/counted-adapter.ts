/** An adapter whose refusals are counted, for the agent's metrics. */
import type { Adapter } from "../runtimes/adapter.ts";

/** The same adapter, whose refusals are counted by kind. */
export function counted(adapter: Adapter, count: (kind: string) => void): Adapter {
  return {
    kind: adapter.kind,
    get looks() {
      return adapter.looks;
    },
    get modelsMark() {
      return adapter.modelsMark ?? 0;
    },
    get loadsMark() {
      return adapter.loadsMark ?? 0;
    },
    get feed() {
      return adapter.feed;
    },
    get countsLoads() {
      return adapter.countsLoads ?? false;
    },
    get processMark() {
      return adapter.processMark ?? 0;
    },
    answered(look, answer, nowMs) {
      const read = adapter.answered(look, answer, nowMs);
      if (!read.ok && read.kind !== "not_supported") count(read.kind);
      return read;
    },
    reading: (nowMs) => adapter.reading(nowMs),
    restarted: () => adapter.restarted(),
  };
}
