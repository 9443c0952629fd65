/**
 * `inference.GRPCInferenceService` (KServe's Open Inference Protocol, version 2) for models that generate text: `ModelInfer`,
 * which answers at once, and `ModelStreamInfer`. The protocol says nothing of texts; tensors are named as Triton's vLLM
 * backend names them (triton-inference-server/vllm_backend, src/model.py), which others follow.
 *
 *     request:  1 model_name, 3 id, 5 { 1 name, 2 datatype, 3 shape } for each input, 7 its bytes, in the same order
 *     response: 5 { 1 name, 2 datatype, 5 contents } for each output, 6 its bytes where it has no contents
 *     in a stream: 1 error_message, 2 response
 *
 * Inputs: text_input and sampling_parameters (JSON) as BYTES, stream as BOOL, and, where counts of tokens are asked for,
 * return_num_input_tokens and return_num_output_tokens as BOOL. Outputs: text_output, num_input_tokens, num_output_tokens
 * (of each message its own). A BYTES element has its length in front, in 4 bytes, the least first.
 */
import { bytesField, eachField, framed, MessagesAnswer, packed, textField } from "./grpc-message.ts";

export const SERVICE = "inference.GRPCInferenceService";
const WORDS_MAX = 200;
const OUTPUTS_MAX = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface InferAsked {
  readonly model: string;
  readonly prompt: string;
  readonly tokens: number;
  readonly isStreamed: boolean;
  /** No fewer tokens than so many. */
  readonly exactly: boolean;
  readonly asksUsage: boolean;
}

/** A framed request. */
export function inferRequest({ model, prompt, tokens, isStreamed, exactly, asksUsage }: InferAsked): Uint8Array {
  const sampling = JSON.stringify({ max_tokens: tokens, ...(exactly ? { ignore_eos: true } : {}) });
  const inputs: [name: string, datatype: string, bytes: Uint8Array][] = [
    ["text_input", "BYTES", element(prompt)],
    ["stream", "BOOL", Uint8Array.of(isStreamed ? 1 : 0)],
    ["sampling_parameters", "BYTES", element(sampling)],
    // A whole answer would have the prompt in front, and a stream must not.
    ["exclude_input_in_output", "BOOL", Uint8Array.of(1)],
  ];
  if (asksUsage) {
    for (const name of ["return_num_input_tokens", "return_num_output_tokens"]) {
      inputs.push([name, "BOOL", Uint8Array.of(1)]);
    }
  }
  return framed([
    textField(1, model),
    ...inputs.map(([name, datatype]) => bytesField(5, [textField(1, name), textField(2, datatype), SHAPE])),
    ...inputs.map(([, , bytes]) => bytesField(7, [bytes])),
  ]);
}

/** One element. */
const SHAPE = bytesField(3, [Uint8Array.of(1)]);

function element(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const out = new Uint8Array(4 + bytes.length);
  new DataView(out.buffer).setUint32(0, bytes.length, true);
  out.set(bytes, 4);
  return out;
}

interface Output {
  name: string;
  hasText: boolean;
  numbers: readonly number[];
  /** Its values are in the message of the output itself. */
  isInside: boolean;
}

export class InferAnswer extends MessagesAnswer {
  readonly #isStreamed: boolean;

  constructor(isStreamed: boolean) {
    super();
    this.#isStreamed = isStreamed;
  }

  protected override read(message: Uint8Array): boolean {
    return this.#isStreamed ? this.#streamed(message) : this.#response(message);
  }

  #streamed(bytes: Uint8Array): boolean {
    let isRead = true;
    const isMessage = eachField(bytes, (number, _, nested) => {
      if (nested === null) return;
      if (number === 1 && nested.length > 0) this.error ||= decoder.decode(nested).slice(0, WORDS_MAX);
      else if (number === 2 && !this.#response(nested)) isRead = false;
    });
    return isMessage && isRead;
  }

  #response(bytes: Uint8Array): boolean {
    const outputs: Output[] = [];
    const raw: Uint8Array[] = [];
    let isRead = true;
    const isMessage = eachField(bytes, (number, _, nested) => {
      if (nested === null) return;
      if (number === 6) raw.push(nested);
      else if (number === 5) {
        const output = outputOf(nested);
        if (output === undefined || outputs.length === OUTPUTS_MAX) isRead = false;
        else outputs.push(output);
      }
    });
    if (!isMessage || !isRead) return false;
    let next = 0;
    for (const output of outputs) {
      // Bytes follow one another for those outputs alone that have none inside.
      const outside = output.isInside ? undefined : raw[next++];
      if (output.name === "text_output") {
        if (output.hasText || (outside !== undefined && outside.length > 4)) this.texts += 1;
      } else if (output.name === "num_input_tokens") {
        this.promptTokens = (outside === undefined ? output.numbers : words(outside))[0] ?? this.promptTokens;
      } else if (output.name === "num_output_tokens") {
        const sum = (outside === undefined ? output.numbers : words(outside)).reduce((all, one) => all + one, 0);
        this.outputTokens = Math.max(0, this.outputTokens) + sum;
      }
    }
    return true;
  }
}

/** undefined: it is none. */
function outputOf(bytes: Uint8Array): Output | undefined {
  const output: Output = { name: "", hasText: false, numbers: [], isInside: false };
  let isRead = true;
  const isMessage = eachField(bytes, (number, _, nested) => {
    if (nested === null) return;
    if (number === 1) output.name = decoder.decode(nested);
    else if (number === 5) {
      output.isInside = true;
      isRead &&= readContents(nested, output);
    }
  });
  return isMessage && isRead ? output : undefined;
}

/** 2, 3, 4 and 5 are kinds of whole numbers, 8 texts. */
function readContents(bytes: Uint8Array, output: Output): boolean {
  const numbers: number[] = [];
  let isRead = true;
  const isMessage = eachField(bytes, (number, value, nested) => {
    if (number === 8 && nested !== null) output.hasText ||= nested.length > 0;
    if (number < 2 || number > 5) return;
    const all = nested === null ? [value] : packed(nested);
    if (all === undefined) isRead = false;
    else for (const one of all) numbers.push(one);
  });
  output.numbers = numbers;
  return isMessage && isRead;
}

/** Numbers of 4 bytes, the least first. */
function words(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => view.getUint32(at * 4, true));
}
