/**
 * One request's draw to the targets that have the beginning of its prompt: its blocks, reckoned once for all of its
 * attempts; the question that goes with the choice of a target; and what became of what was believed.
 */
import type { PromptPrefix } from "../flow/fair-order.ts";
import { PREFIX_BLOCK_BYTES } from "../score/prefix-layout.ts";
import { promptIn } from "../wire/proto-prompt.ts";
import { unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { HeldFor } from "./late-news.ts";
import type { Urgency } from "../score/pick.ts";
import type { Held } from "./reshape.ts";
import { sessionOf } from "./sessions.ts";
import { fieldValue } from "../wire/field-search.ts";
import type { PromptParts } from "../wire/prompt-parts.ts";

/** A request with the number of its model. */
interface Drawn extends Held {
  readonly model: number;
  readonly wishes: Urgency;
}

export class Draw {
  readonly #context: WorkerContext;
  #prompt: PromptPrefix | null = null;
  /** The model that its blocks were reckoned for; -1: they were not yet. */
  #model = -1;
  /** Tokens of its prompt that the target is believed to have cached. */
  #expected = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** Another request: nothing of its body is read yet. */
  begin(parts: PromptParts): void {
    parts.reset();
    this.#prompt = null;
    this.#model = -1;
    this.#expected = 0;
  }

  /** The beginning of its prompt, as of the last question; null: it has none. */
  get prefix(): PromptPrefix | null {
    return this.#prompt;
  }

  /** The next choice is for this request. */
  ask(request: Drawn, parts: PromptParts): void {
    const { prefixes, pick, routes, strategies } = this.#context;
    pick.urgency = request.wishes;
    const field = strategies.sessionField(request.model);
    const session = field === null ? null : fieldValue(request.held, request.bodyAt, field);
    pick.session = session === null ? 0 : sessionOf(session);
    if (prefixes === null) return;
    if (this.#model !== request.model) {
      this.#model = request.model;
      this.#prompt = prefixes.prefixOf(request, parts, request.model, routes.modelName(request.model));
    }
    prefixes.ask(pick, this.#prompt);
  }

  /** The next choice is for a call whose first message is bytes [start, end), as far as it is here. */
  askCall(model: number, bytes: Uint8Array, start: number, end: number): void {
    const { prefixes, pick, routes } = this.#context;
    if (prefixes === null) return;
    if (this.#model !== model) {
      this.#model = model;
      const span = end - start < PREFIX_BLOCK_BYTES ? null : promptIn(bytes, start, end);
      const name = routes.modelName(model);
      this.#prompt = span === null ? null : prefixes.prefixOfText(bytes, span.start, span.end, name);
    }
    prefixes.ask(pick, this.#prompt);
  }

  /**
   * The choice was made: it is remembered, and where in `decisions` is answered; a row below 0 is none. `prefillRow`
   * computes the prompt, where that is another one's.
   */
  end(model: number, row: number, tokens: number, isRetry: boolean, held: HeldFor | null, prefillRow = row): number {
    const { prefixes, pick, decisions, counters, index } = this.#context;
    const prefill = prefillRow === row ? -1 : prefillRow;
    const lookup = prefixes?.lookup;
    const at = row < 0 ? -1 : decisions.record(model, row, tokens, isRetry, unixMs(), pick, held, lookup, prefill);
    if (prefixes === null) return at;
    if (row >= 0 && this.#prompt !== null) {
      prefixes.note(index, prefillRow, this.#prompt);
      this.#expected = Math.min(tokens, Math.trunc(pick.cachedTokens));
      counters.prefixAsked(tokens, this.#expected);
    }
    prefixes.done(pick);
    return at;
  }

  /** The answer has ended, and said what of the prompt was cached; less than 0: it did not. */
  told({ promptTokens, cachedTokens }: { readonly promptTokens: number; readonly cachedTokens: number }): void {
    if (cachedTokens >= 0) this.#context.counters.prefixTold(promptTokens, cachedTokens, this.#expected);
  }
}
