/** A thread that sends a share of a run's requests. Its clock's zero is its own: what it is told of time is Unix time. */
import { Tally, type TallyState } from "../load/tally.ts";
import { Drive, type DriveCounts, type DrivePart } from "./drive.ts";

declare const self: Worker;

const PROGRESS_MS = 250;

export type ToDriver = { readonly part: DrivePart } | { readonly startAtMs: number } | "stop";
export type FromDriver =
  | "ready"
  | { readonly counts: DriveCounts }
  | { readonly tally: TallyState; readonly isStopped: boolean };

let drive: Drive | null = null;
let telling: ReturnType<typeof setInterval> | undefined;

self.onmessage = ({ data }: MessageEvent<ToDriver>): void => {
  if (data === "stop") drive?.stop();
  else if ("part" in data) {
    const tally = new Tally();
    drive = new Drive(data.part, tally, (isStopped) => {
      clearInterval(telling);
      const state = tally.state();
      const moved = state.blocks.map(({ buffer }) => buffer as ArrayBuffer);
      self.postMessage({ tally: state, isStopped } satisfies FromDriver, moved);
    });
    self.postMessage("ready" satisfies FromDriver);
  } else {
    drive?.start(data.startAtMs - performance.timeOrigin);
    telling = setInterval(() => {
      if (drive !== null) self.postMessage({ counts: drive.counts } satisfies FromDriver);
    }, PROGRESS_MS);
  }
};
