/**
 * What a pair of targets is sent in place of a request, where prefill and decode are disaggregated. Whatever the client
 * wrote of transfers itself is replaced: a target would fetch from wherever it says.
 *
 * vLLM (NIXL and connectors like it): the prefill target is asked for one token, with `kv_transfer_params` that have it
 * keep the KV cache of the prompt. Those of its answer say where that lies, and go to the decode target with the request.
 * An answer without them (a prompt of less than a block) leaves the decode target to compute all of it.
 *
 * SGLang: both are sent the request at once, with the address of the prefill target's bootstrap server and the number of a
 * room that nobody else has, and find each other there.
 */
import type { MeshError } from "../base/errors.ts";
import { JsonEditor, type JsonEdit } from "../wire/json-edit.ts";
import { JsonScanner } from "../wire/json-scan.ts";
import type { Rewrite } from "../wire/rewrite.ts";
import type { ApiShape } from "../wire/api-shapes.ts";
import { type Held, plainBody, reshape, type Reshaped } from "./reshape.ts";

/** Those of OpenAI's paths that both servers take with such parameters. */
const SHAPES: ReadonlySet<string> = new Set(["openai.chat", "openai.completions"]);
/** Of SGLang's rooms: it keeps them as int64, and JSON's numbers are exact up to here. */
const ROOM_MAX = 2 ** 53;
const OPEN_ARRAY = 91;
const decoder = new TextDecoder();

const REMOTE_DECODE = JSON.stringify({
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
});

/** One token, as one answer; what is not there stays so. */
const vllmPrefill = editor([
  { edit: "set", field: "kv_transfer_params", json: REMOTE_DECODE },
  { edit: "set", field: "stream", json: "false" },
  { edit: "remove", field: "stream_options" },
  { edit: "set", field: "max_tokens", json: "1" },
  { edit: "max", field: "max_completion_tokens", limit: 1 },
  { edit: "max", field: "min_tokens", limit: 1 },
]);
const vllmWhole = editor([{ edit: "remove", field: "kv_transfer_params" }]);

function editor(body: readonly JsonEdit[]): Rewrite {
  return { request: null, response: null, body: new JsonEditor(body) };
}

/** The request as it would go to a target that does all of it. */
export function sourceOf(request: Held, shaped: Reshaped | null): Held {
  if (shaped === null) return request;
  const { bytes, bodyAt, hasBody } = shaped;
  const { held, isComplete, shape } = request;
  const whole = hasBody ? bytes : Buffer.concat([bytes, held.subarray(request.bodyAt, request.heldEnd)]);
  const contentLength = hasBody ? bytes.length - bodyAt : request.contentLength;
  const unnamed = { nameStart: -1, nameEnd: -1 };
  return { held: whole, heldEnd: whole.length, bodyAt, contentLength, isComplete, shape, ...unnamed };
}

export function mayPair({ name }: ApiShape): boolean {
  return SHAPES.has(name);
}

/**
 * Whether it is one prompt with one answer, in JSON that can be read: pairs know no more. `n` of several would have each
 * answer fetch a KV cache that is given up after the first.
 */
export function isOnePrompt(request: Held): boolean {
  if (!request.isComplete || !mayPair(request.shape)) return false;
  const { bytes, start, end } = plainBody(request);
  const scanner = new JsonScanner();
  if (scanner.body(bytes, start, end) < 0) return false;
  for (let index = 0; index < scanner.memberCount; index++) {
    const name = textAt(bytes, scanner.keyStart(index), scanner.keyEnd(index));
    const [from, to] = [scanner.valueStart(index), scanner.valueEnd(index)];
    if ((name === "n" || name === "best_of") && !/^(?:1|null)$/.test(decoder.decode(bytes.subarray(from, to)))) {
      return false;
    }
    // Numbers are one prompt's tokens; texts, or lists of numbers, are prompts.
    if (
      name === "prompt" &&
      bytes[from] === OPEN_ARRAY &&
      !/^\[\s*\d/.test(decoder.decode(bytes.subarray(from, from + 64)))
    ) {
      return false;
    }
  }
  return true;
}

function textAt(bytes: Uint8Array, start: number, end: number): string {
  return JSON.parse(decoder.decode(bytes.subarray(start, end))) as string;
}

export function vllmPrefillOf(request: Held): Reshaped | MeshError {
  return edited(request, vllmPrefill);
}

/** `params`: the JSON of what the prefill target answered; null: nothing, so that no transfer takes place. */
export function vllmDecodeOf(request: Held, params: string | null): Reshaped | MeshError {
  const edits = params === null ? vllmWhole : editor([{ edit: "set", field: "kv_transfer_params", json: params }]);
  return edited(request, edits);
}

export function sglangOf(request: Held, host: string, port: number, room: number): Reshaped | MeshError {
  const edits: JsonEdit[] = [
    { edit: "set", field: "bootstrap_host", json: JSON.stringify(host.includes(":") ? `[${host}]` : host) },
    { edit: "set", field: "bootstrap_port", json: String(port) },
    { edit: "set", field: "bootstrap_room", json: String(room) },
  ];
  return edited(request, editor(edits));
}

/** One that nobody has: of two at one prefill target at once, the chance is one in 10^15. */
export function newRoom(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high * 2 ** 32 + low) % ROOM_MAX;
}

function edited(request: Held, edits: Rewrite): Reshaped | MeshError {
  const made = reshape(request, null, edits);
  // Nothing to be changed: it goes as it is.
  return made ?? { bytes: request.held.subarray(0, request.heldEnd), bodyAt: request.bodyAt, hasBody: true };
}

/** The parameters in a prefill target's answer; null: there are none; undefined: it is no answer that can be read. */
export function transferParamsIn(answer: Uint8Array): string | null | undefined {
  const scanner = new JsonScanner();
  if (scanner.body(answer, 0, answer.length) < 0) return undefined;
  let found: string | null = null;
  for (let index = 0; index < scanner.memberCount; index++) {
    if (textAt(answer, scanner.keyStart(index), scanner.keyEnd(index)) !== "kv_transfer_params") continue;
    const text = decoder.decode(answer.subarray(scanner.valueStart(index), scanner.valueEnd(index)));
    found = text === "null" ? null : text;
  }
  return found;
}
