/**
 * Replays a real trace of LLM traffic: its arrival times (sped up), prompt lengths and answer lengths, as streamed
 * chat requests. The trace is the Azure Public Dataset's conversation trace of 2023; the project carries no copy.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const FOLDER = process.env["TRACES_FOLDER"] ?? resolve(import.meta.dir, "..", "..", "..", "shared", "traces");
export const TRACE_FILE = join(FOLDER, "azure_2023_conv.csv");
/** Why there is no trace to replay, or "". */
export const traceMissing = existsSync(TRACE_FILE)
  ? ""
  : `${TRACE_FILE} is not there (TRACES_FOLDER names the folder of azure_2023_conv.csv)`;

export interface TraceRequest {
  /** Since the first request of the trace. */
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface Caps {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** The first `count` requests; longer prompts and answers than the caps are cut. */
export function readTrace(count: number, caps: Caps): TraceRequest[] {
  const lines = readFileSync(TRACE_FILE, "utf8").trim().split("\n");
  const rows = lines.slice(1, count + 1).map((line) => {
    const [timestamp = "", context, generated] = line.split(",");
    const atMs = Date.parse(`${timestamp.trim().replace(" ", "T").slice(0, 23)}Z`);
    return {
      atMs,
      promptTokens: Math.min(caps.promptTokens, Number(context)),
      outputTokens: Math.min(caps.outputTokens, Number(generated)),
    };
  });
  const startMs = rows[0]?.atMs ?? 0;
  return rows.map((row) => ({ ...row, atMs: row.atMs - startMs }));
}

/** A text of about that many tokens (four characters each) which shares no prefix with that of another `serial`. */
export function prompt(tokens: number, serial: number): string {
  const words = [serial.toString(36).padStart(6, "0")];
  for (let i = words.length; i < tokens; i++) words.push((1296 + ((serial * 7919 + i) % 45_360)).toString(36));
  return words.join(" ");
}

export interface Outcome {
  /** The node that answered, as x-infermesh-node names it. */
  readonly node: string;
  /** From sending to the first event of the stream. */
  readonly firstTokenMs: number;
  /** "" when the stream came to its [DONE]. */
  readonly error: string;
}

export interface Replay {
  readonly requests: readonly TraceRequest[];
  readonly model: string;
  /** Arrivals come this many times as fast as in the trace. */
  readonly speedup: number;
  /** Where the request with that index goes, as http://host:port. */
  readonly base: (index: number) => string;
  /** Keeps the prompts of one replay apart from those of another, so that no cache knows them. */
  readonly series: number;
}

/** Sends every request at its time, whether or not those before it were answered; answers when all have ended. */
export async function replay({ requests, model, speedup, base, series }: Replay): Promise<Outcome[]> {
  const startMs = performance.now();
  const outcomes: Promise<Outcome>[] = [];
  for (const [index, { atMs, promptTokens, outputTokens }] of requests.entries()) {
    const waitMs = startMs + atMs / speedup - performance.now();
    if (waitMs > 1) await Bun.sleep(waitMs);
    const content = prompt(promptTokens, series * 100_000 + index);
    const body = JSON.stringify({
      model,
      messages: [{ role: "user", content }],
      max_tokens: outputTokens,
      stream: true,
    });
    outcomes.push(send(base(index), body));
  }
  return Promise.all(outcomes);
}

/** One streamed chat request, read to its end. */
export async function send(base: string, body: string): Promise<Outcome> {
  const sentMs = performance.now();
  let node = "";
  let firstTokenMs = Number.NaN;
  try {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${base}/v1/chat/completions`, { method: "POST", headers, body });
    node = response.headers.get("x-infermesh-node") ?? "";
    if (!response.ok || response.body === null) {
      return { node, firstTokenMs, error: `status ${response.status}: ${await response.text()}` };
    }
    const decoder = new TextDecoder();
    let end = "";
    for await (const chunk of response.body) {
      if (Number.isNaN(firstTokenMs)) firstTokenMs = performance.now() - sentMs;
      // The end of the stream is all that is looked at, and may come in pieces.
      end = (end + decoder.decode(chunk, { stream: true })).slice(-64);
    }
    return { node, firstTokenMs, error: end.endsWith("data: [DONE]\n\n") ? "" : `cut off: ${end}` };
  } catch (error) {
    return { node, firstTokenMs, error: String(error) };
  }
}

/** How many requests each node answered. */
export function byNode(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { node } of outcomes) counts[node] = (counts[node] ?? 0) + 1;
  return counts;
}
