/** The thread of a durable log: whoever waits for the disk waits here, and nowhere else. */
import { toMeshError } from "../base/errors.ts";
import { LogKeeper } from "./log-keeper.ts";
import { type FromLog, type ToLog, unpackBatch } from "./log-message.ts";

declare const self: Worker;

let keeper: LogKeeper | null = null;
let scheduled = false;

function post(message: FromLog): void {
  self.postMessage(message);
}

/** After all messages that wait have been taken: their batches become one transaction. */
function flushSoon(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    keeper?.flush();
  });
}

self.onmessage = ({ data: message }: MessageEvent<ToLog>): void => {
  if (message instanceof Uint8Array) {
    keeper?.put(unpackBatch(message));
    return flushSoon();
  }
  switch (message.kind) {
    case "open":
      try {
        // What it has to tell while it opens is told after that it is open.
        const early: FromLog[] = [];
        let tell = (told: FromLog): void => void early.push(told);
        keeper = LogKeeper.open(message.path, message.identity, (told) => tell(told));
        post({ kind: "opened", contents: keeper?.contents ?? null });
        tell = post;
        for (const told of early) post(told);
      } catch (error) {
        const { code, message: why } = toMeshError(error);
        post({ kind: "refused", error: { code, message: why } });
      }
      break;
    case "write":
    case "compact":
      keeper?.put(message);
      flushSoon();
      break;
    case "close":
      keeper?.close();
      keeper = null;
      post({ kind: "closed" });
      break;
  }
};
