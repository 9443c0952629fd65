/** What a runtime is asked to load a model or to let it go: one ask after the other, until one is refused. */
import { MeshError } from "../base/errors.ts";
import type { Adapter, Answer, Ask, ModelCall } from "../runtimes/adapter.ts";
import { ProgressLines } from "./progress-lines.ts";
import type { AskLimits, Asked } from "./runtime-client.ts";

/** Who is asked, and how. */
export interface Asking {
  /** Of the runtime, for people. */
  readonly name: string;
  readonly adapter: Adapter;
  readonly bytesMax: number;
  readonly ask: (
    ask: Ask,
    limits: AskLimits & { piece?: (bytes: Uint8Array) => void },
    signal: AbortSignal,
  ) => Promise<Asked>;
}

const LINES_BYTES_MAX = 2 ** 40;

/** One that can't be carried out says why, before anybody hears of it. */
export function expectPlan({ adapter, name }: Asking, call: ModelCall | undefined, what: string): ModelCall {
  if (call === undefined) throw new MeshError("not_supported", `${name} (${adapter.kind}) can't be told to ${what}`);
  const never = call.asks.length === 0 ? call.fault({ status: 0, contentType: "", body: new Uint8Array() }, 0) : "";
  if (never !== "") throw new MeshError("not_supported", `${name}: ${never}`);
  return call;
}

/** The last answer; undefined where nothing had to be asked. */
export async function carryOut(
  { ask, name, bytesMax }: Asking,
  call: ModelCall,
  progressed: (text: string) => void,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  let last: Answer | undefined;
  const progress = new ProgressLines(call, progressed);
  // Of what comes in lines only the end is kept, and a pull tells of itself for hours.
  const limits = { timeoutMs: call.patienceMs, bytesMax: call.progress === undefined ? bytesMax : LINES_BYTES_MAX };
  for (const [index, one] of call.asks.entries()) {
    const asked = await ask(one, { ...limits, ...progress.reader() }, signal);
    signal.throwIfAborted();
    if (!asked.ok) throw new MeshError("upstream_failed", `${name} can't be asked: ${asked.message}`);
    last = { ...asked.answer, body: progress.bodyOf(asked.answer.body) };
    const fault = call.fault(last, index);
    // What it will not do however often it is asked is the asker's to mend.
    const isAsked = asked.answer.status >= 400 && asked.answer.status < 500;
    if (fault !== "") throw new MeshError(isAsked ? "bad_request" : "upstream_failed", `${name} refuses: ${fault}`);
  }
  return last;
}
