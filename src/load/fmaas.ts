/**
 * `fmaas.GenerationService` of vLLM's gRPC adapter and of TGIS: `Generate`, which answers at once, and `GenerateStream`.
 * Both requests have one form on the wire, since the one that may hold several texts holds one.
 *
 *     request:  1 model_id, 3 { 2 text }, 10 { 3 { 1 max_new_tokens, 2 min_new_tokens } }
 *     response: 2 generated_token_count, 4 text, 6 input_token_count; in 1 of Generate's
 */
import { bytesField, eachField, framed, type GrpcAnswer, Messages, numberField, textField } from "./grpc-message.ts";

export const SERVICE = "fmaas.GenerationService";

/** A framed request. `exactly`: no fewer tokens than so many, either. */
export function generateRequest(model: string, prompt: string, tokens: number, exactly: boolean): Uint8Array {
  const stopping = [numberField(1, tokens), ...(exactly ? [numberField(2, tokens)] : [])];
  return framed([
    textField(1, model),
    bytesField(3, [textField(2, prompt)]),
    bytesField(10, [bytesField(3, stopping)]),
  ]);
}

export class GenerateAnswer implements GrpcAnswer {
  readonly #isStreamed: boolean;
  readonly #messages = new Messages();
  texts = 0;
  promptTokens = -1;
  outputTokens = -1;
  readonly cachedTokens = -1;
  readonly error = "";

  constructor(isStreamed: boolean) {
    this.#isStreamed = isStreamed;
  }

  get isWhole(): boolean {
    return this.#messages.isWhole;
  }

  get fault(): string {
    return this.#messages.fault;
  }

  push(bytes: Uint8Array): number {
    const before = this.texts;
    this.#messages.push(bytes, (message) => (this.#isStreamed ? this.#response(message) : this.#responses(message)));
    return this.texts - before;
  }

  #responses(bytes: Uint8Array): boolean {
    let isRead = true;
    const isMessage = eachField(bytes, (number, _, nested) => {
      if (number === 1 && nested !== null && !this.#response(nested)) isRead = false;
    });
    return isMessage && isRead;
  }

  #response(bytes: Uint8Array): boolean {
    return eachField(bytes, (number, value, nested) => {
      if (number === 2 && nested === null) this.outputTokens = value;
      else if (number === 6 && nested === null && value > 0) this.promptTokens = value;
      else if (number === 4 && nested !== null && nested.length > 0) this.texts += 1;
    });
  }
}
