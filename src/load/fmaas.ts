/**
 * `fmaas.GenerationService` of vLLM's gRPC adapter and of TGIS: `Generate`, which answers at once, and `GenerateStream`.
 * Both requests have one form on the wire, since the one that may hold several texts holds one.
 *
 *     request:  1 model_id, 3 { 2 text }, 10 { 3 { 1 max_new_tokens, 2 min_new_tokens } }
 *     response: 2 generated_token_count, 4 text, 6 input_token_count; in 1 of Generate's
 */
import { bytesField, eachField, framed, MessagesAnswer, numberField, textField } from "./grpc-message.ts";

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

export class GenerateAnswer extends MessagesAnswer {
  readonly #isStreamed: boolean;

  constructor(isStreamed: boolean) {
    super();
    this.#isStreamed = isStreamed;
  }

  protected override read(message: Uint8Array): boolean {
    return this.#isStreamed ? this.#response(message) : this.#responses(message);
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
