/** Plays runs, one after another, for routing.ts. */
import { best, play, type Run } from "./mooncake.ts";

declare const self: Worker;

self.onmessage = ({ data: { run, seeks } }: MessageEvent<{ run: Run; seeks: "outcome" | "best" }>) => {
  self.postMessage(seeks === "outcome" ? play(run) : best(run));
};
