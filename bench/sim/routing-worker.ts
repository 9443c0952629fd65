/** Plays runs, one after another, for routing.ts. */
import { play, type Run } from "./mooncake.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<Run>) => {
  self.postMessage(play(data));
};
