/** Mock servers for tests: started on any free port, stopped together. */

import OpenAI from "openai";
import { startMockRuntime } from "../../src/telemetry/mock-runtime.ts";
import type { MockRuntime, MockRuntimeOptions } from "../../src/telemetry/mock-runtime.ts";

export const MODEL = "tiny-model";
export const HELLO = [{ role: "user" as const, content: "Tell me about the weather in the mountains, please." }];
const started: MockRuntime[] = [];

export function start(options: MockRuntimeOptions = {}): { runtime: MockRuntime; base: string; client: OpenAI } {
  const runtime = startMockRuntime({ models: [MODEL, "second-model"], speed: 200, ...options });
  started.push(runtime);
  const base = `http://${runtime.hostname}:${runtime.port}`;
  return { runtime, base, client: new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 }) };
}

export async function stopAll(): Promise<void> {
  await Promise.all(started.splice(0).map((each) => each.stop()));
}

/** Polls until it holds: how long a disconnect takes to be seen is the socket's matter. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (holds()) return;
    await Bun.sleep(5);
  }
  throw new Error(`never came true: ${what}`);
}

export const idle = (one: MockRuntime) => () => {
  const { running, waiting, kvBlocksUsed } = one.stats();
  return running === 0 && waiting === 0 && kvBlocksUsed === 0 && one.sample().requestsInProgress === 0;
};
