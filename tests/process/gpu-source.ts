/** What an agent says of where its GPUs are read. */
import type { Started } from "./harness.ts";

const LIMIT_MS = 5000;

export interface SourceView {
  readonly state: string;
  readonly message: string;
}

/** Of a node's API. */
export async function json(one: Started, path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`http://${one.address("api")}${path}`, { signal: AbortSignal.timeout(LIMIT_MS) });
  return (await response.json()) as Record<string, unknown>;
}

/** The first of its sources; "none" of an agent without any. */
export async function sourceOf(one: Started): Promise<SourceView> {
  const [first] = (await json(one, "/status"))["gpuSources"] as SourceView[];
  return first ?? { state: "none", message: "" };
}
