/** A worker that starts only under the first two indexes, and dies or refuses under others: in the place of a real one. */
import type { FromWorker, ToWorker } from "../../src/proxy/protocol.ts";

declare const self: Worker;

const post = (message: FromWorker): void => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<ToWorker>): void => {
  if (data.kind === "start") {
    const { index, host, port } = data;
    if (index === 2) post({ kind: "failed", index, message: "refused to" });
    else if (index === 3) throw new Error("died of it");
    else post({ kind: "ready", index, port, scorer: host, reason: "", transport: "bun", transportReason: "" });
  } else if (data.kind === "drain") {
    post({ kind: "drained", index: 0 });
  } else if (data.kind === "end") {
    process.exit();
  }
};
