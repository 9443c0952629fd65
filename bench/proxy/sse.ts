/** sse-load.c as the load of the stream benchmarks. */
import { LOAD_CORE } from "./peers.ts";

export interface StreamFigures {
  readonly seconds: number;
  readonly chunks: number;
  readonly reads: number;
  readonly streams: number;
  readonly errors: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** The command of so many streams at once for so long. */
export function streamsCommand(loader: string, port: number, streams: number, seconds: number): string[] {
  return ["taskset", "-c", String(LOAD_CORE), loader, String(port), String(streams), String(seconds)];
}

/** Runs it to its end; answers what it counted. */
export function loadStreams(loader: string, port: number, streams: number, seconds: number): StreamFigures {
  const done = Bun.spawnSync(streamsCommand(loader, port, streams, seconds));
  const figures = done.stdout.toString();
  if (done.exitCode !== 0 || figures === "") throw new Error(`sse-load failed: ${done.stderr.toString()}`);
  return JSON.parse(figures) as StreamFigures;
}
