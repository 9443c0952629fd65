/**
 * Changes fields of a JSON object by splicing its bytes: what is not edited stays as it was written, byte for byte,
 * and the body is read once, strictly (json-scan.ts), and never parsed into values.
 *
 * What each edit means, so that the target reads what was meant whichever of two equal keys it takes: a field that
 * occurs more than once is edited wherever it occurs. Edits of one field are applied in this order, whatever order they
 * came in: remove, set, default, limits, prompt. So "remove" with "default" puts the default in place of what the
 * client said, and a prompt stands where its field has none. `null` counts as absent for defaults and prompts, as runtimes take it. A limit is never made up for an
 * absent field (give a default too), and a value that is no number, such as "9999", becomes the limit, since runtimes
 * convert it.
 *
 * A field is compared decoded: "mod\u0065l" is the model. Blanks next to a removed member go with it; what is added
 * comes last. Bodies that are no object, or no JSON, are "bad", with the position and the reason; nothing is guessed.
 */
import { BACKSLASH, QUOTE } from "./octets.ts";
import { CLOSE_ARRAY, COMMA, JsonScanner, OPEN_ARRAY, OPEN_OBJECT, isNumeric, isSame } from "./json-scan.ts";

/** One change of a top-level field. `json` is the text of a JSON value. */
export type JsonEdit =
  | { readonly edit: "remove"; readonly field: string }
  | { readonly edit: "set" | "default"; readonly field: string; readonly json: string }
  | { readonly edit: "min" | "max"; readonly field: string; readonly limit: number }
  /** A text in front of a field that is a string, or an array of text blocks (Anthropic's `system`). */
  | { readonly edit: "prefix"; readonly field: string; readonly text: string; readonly when: PromptWhen }
  /** A system message in front of an array of messages (OpenAI's `messages`). */
  | { readonly edit: "message"; readonly field: string; readonly text: string; readonly when: PromptWhen };

/** always: also in front of the client's own system prompt. absent: only where the client gives none. */
export type PromptWhen = "always" | "absent";

interface Prompt {
  readonly isMessage: boolean;
  readonly when: PromptWhen;
  /** The text as a string. */
  readonly text: Uint8Array;
  /** The text inside a string, escaped, with an empty line behind it. */
  readonly inString: Uint8Array;
  /** The element in front of an array's. */
  readonly element: Uint8Array;
}

/** Everything that is to be done with one field. */
class FieldPlan {
  readonly name: string;
  /** The key as it is usually written, with its quotes. */
  readonly key: Uint8Array;
  /** The key with its colon. */
  readonly keyed: Uint8Array;
  remove = false;
  set: Uint8Array | null = null;
  /** The value of a field that is absent or null. */
  absent: Uint8Array | null = null;
  min = -Infinity;
  max = Infinity;
  prompt: Prompt | null = null;
  /** Whether the body that is being edited has the field. */
  seen = false;

  constructor(name: string) {
    this.name = name;
    this.key = utf8(JSON.stringify(name));
    this.keyed = utf8(`${JSON.stringify(name)}:`);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
const COMMA_BYTES = utf8(",");
const LETTER_N = 110;
const ROLE = utf8('"role"');

function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

export class JsonEditor {
  /** After "bad": where, from the body's start, and why. */
  position = 0;
  reason = "";
  #result: Uint8Array = NOTHING;
  readonly #plans: readonly FieldPlan[];
  readonly #model: FieldPlan | null;
  readonly #scanner = new JsonScanner();
  readonly #inner = new JsonScanner();
  /** Splices in order: from, to, and what comes in their place. */
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  readonly #bytes: Uint8Array[] = [];

  /** `renames`: `edit` will be given names for the field `model`. */
  constructor(edits: readonly JsonEdit[], renames = false) {
    const plans = new Map<string, FieldPlan>();
    const planOf = (field: string): FieldPlan => {
      const plan = plans.get(field) ?? new FieldPlan(field);
      plans.set(field, plan);
      return plan;
    };
    this.#model = renames ? planOf("model") : null;
    for (const edit of edits) addTo(planOf(edit.field), edit);
    for (const plan of plans.values()) settle(plan);
    this.#plans = [...plans.values()];
  }

  /** Edits the body [start, end). `model`, a name's UTF-8 as JSON with its quotes, replaces the model's name. */
  edit(body: Uint8Array, start: number, end: number, model: Uint8Array | null = null): "same" | "edited" | "bad" {
    const scanner = this.#scanner;
    this.#from.length = 0;
    this.#to.length = 0;
    this.#bytes.length = 0;
    for (const plan of this.#plans) plan.seen = false;
    const open = scanner.body(body, start, end);
    if (open < 0) {
      this.position = scanner.position;
      this.reason = scanner.reason;
      return "bad";
    }
    if (this.#model !== null) this.#model.set = model;
    let kept = 0;
    const count = scanner.memberCount;
    for (let index = 0; index < count; index++) {
      const plan = this.#planOf(body, scanner.keyStart(index), scanner.keyEnd(index));
      if (plan?.remove === true) {
        // What is added in its place comes last, once.
        this.#remove(index, kept, count);
        continue;
      }
      kept++;
      if (plan !== null) this.#change(plan, body, scanner.valueStart(index), scanner.valueEnd(index), end);
    }
    this.#append(count === 0 ? open + 1 : scanner.valueEnd(count - 1), kept);
    // An editor lives long: it must not keep the last body that it saw.
    scanner.release();
    this.#inner.release();
    if (this.#from.length === 0) return "same";
    this.#build(body, start, end);
    return "edited";
  }

  /** After "edited": the new body in a buffer of its own, handed over. */
  take(): Uint8Array {
    const result = this.#result;
    this.#result = NOTHING;
    return result;
  }

  #planOf(body: Uint8Array, start: number, end: number): FieldPlan | null {
    let escaped = false;
    for (let i = start; i < end && !escaped; i++) escaped = body[i] === BACKSLASH;
    const name = escaped ? (JSON.parse(decoder.decode(body.subarray(start, end))) as string) : "";
    for (const plan of this.#plans) {
      if (escaped ? plan.name === name : isSame(body, start, end, plan.key)) return plan;
    }
    return null;
  }

  /** Takes a member out, with the comma before it, or where it is the first that stays, the one behind it. */
  #remove(index: number, kept: number, count: number): void {
    const scanner = this.#scanner;
    if (kept > 0) this.#splice(scanner.valueEnd(index - 1), scanner.valueEnd(index), NOTHING);
    else if (index + 1 < count) this.#splice(scanner.keyStart(index), scanner.keyStart(index + 1), NOTHING);
    else this.#splice(scanner.keyStart(index), scanner.valueEnd(index), NOTHING);
  }

  #change(plan: FieldPlan, body: Uint8Array, from: number, to: number, end: number): void {
    plan.seen = true;
    const first = body[from]!;
    if (plan.set !== null) {
      if (!isSame(body, from, to, plan.set)) this.#splice(from, to, plan.set);
    } else if (first === LETTER_N) {
      if (plan.absent !== null) this.#splice(from, to, plan.absent);
    } else if (plan.min > -Infinity || plan.max < Infinity) {
      this.#limit(plan, body, from, to, first);
    } else if (plan.prompt !== null) {
      this.#prompt(plan.prompt, body, from, end, first);
    }
  }

  #limit({ min, max }: FieldPlan, body: Uint8Array, from: number, to: number, first: number): void {
    const value = isNumeric(first) ? Number(decoder.decode(body.subarray(from, to))) : NaN;
    if (value >= min && value <= max) return;
    this.#splice(from, to, utf8(String(value < min || max === Infinity ? min : max)));
  }

  #prompt(prompt: Prompt, body: Uint8Array, from: number, end: number, first: number): void {
    if (first === OPEN_ARRAY) {
      if (prompt.when === "absent" && (!prompt.isMessage || this.#hasSystemMessage(body, from, end))) return;
      const next = this.#scanner.blank(from + 1);
      this.#splice(from + 1, from + 1, prompt.element);
      if (body[next] !== CLOSE_ARRAY) this.#splice(from + 1, from + 1, COMMA_BYTES);
    } else if (first === QUOTE && !prompt.isMessage && prompt.when === "always") {
      this.#splice(from + 1, from + 1, prompt.inString);
    }
  }

  /** Whether an array of messages, known to be well-formed, has one from the system. */
  #hasSystemMessage(body: Uint8Array, open: number, end: number): boolean {
    const scanner = this.#scanner;
    const inner = this.#inner;
    let at = scanner.blank(open + 1);
    while (body[at] !== CLOSE_ARRAY) {
      if (body[at] === OPEN_OBJECT) {
        at = inner.object(body, at, end);
        for (let index = 0; index < inner.memberCount; index++) {
          if (!isSame(body, inner.keyStart(index), inner.keyEnd(index), ROLE)) continue;
          const role: unknown = JSON.parse(
            decoder.decode(body.subarray(inner.valueStart(index), inner.valueEnd(index))),
          );
          if (role === "system" || role === "developer") return true;
        }
      } else {
        at = scanner.value(at);
      }
      at = scanner.blank(at);
      if (body[at] === COMMA) at = scanner.blank(at + 1);
    }
    return false;
  }

  /** Adds what the body lacks, behind its last member. */
  #append(at: number, kept: number): void {
    let before = kept;
    for (const plan of this.#plans) {
      const value = plan.set ?? plan.absent;
      if (plan.seen || value === null) continue;
      if (before++ > 0) this.#splice(at, at, COMMA_BYTES);
      this.#splice(at, at, plan.keyed);
      this.#splice(at, at, value);
    }
  }

  #splice(from: number, to: number, bytes: Uint8Array): void {
    this.#from.push(from);
    this.#to.push(to);
    this.#bytes.push(bytes);
  }

  #build(body: Uint8Array, start: number, end: number): void {
    let length = end - start;
    for (let i = 0; i < this.#from.length; i++) length += this.#bytes[i]!.length - this.#to[i]! + this.#from[i]!;
    const result = new Uint8Array(length);
    let from = start;
    let at = 0;
    for (let i = 0; i < this.#from.length; i++) {
      result.set(body.subarray(from, this.#from[i]), at);
      at += this.#from[i]! - from;
      result.set(this.#bytes[i]!, at);
      at += this.#bytes[i]!.length;
      from = this.#to[i]!;
    }
    result.set(body.subarray(from, end), at);
    this.#result = result;
  }
}

function addTo(plan: FieldPlan, edit: JsonEdit): void {
  switch (edit.edit) {
    case "remove":
      plan.remove = true;
      break;
    case "set":
      plan.set = utf8(edit.json);
      break;
    case "default":
      plan.absent = utf8(edit.json);
      break;
    case "min":
      plan.min = Math.max(plan.min, edit.limit);
      break;
    case "max":
      plan.max = Math.min(plan.max, edit.limit);
      break;
    case "prefix":
    case "message": {
      const isMessage = edit.edit === "message";
      const text = JSON.stringify(edit.text);
      const element = isMessage ? `{"role":"system","content":${text}}` : `{"type":"text","text":${text}}`;
      const inString = utf8(`${text.slice(1, -1)}\\n\\n`);
      plan.prompt = { isMessage, when: edit.when, inString, text: utf8(text), element: utf8(element) };
      break;
    }
  }
}

/** The order of edits, as far as it does not depend on the body: limits hold for configured values too. */
function settle(plan: FieldPlan): void {
  // Limits of several rules may leave no value: the upper one is the one that protects the target.
  plan.min = Math.min(plan.min, plan.max);
  plan.set = limited(plan, plan.set);
  plan.absent = limited(plan, plan.absent);
  // Messages that are missing are the target's to complain about.
  if (plan.prompt !== null && !plan.prompt.isMessage) plan.absent = plan.prompt.text;
}

function limited({ min, max }: FieldPlan, json: Uint8Array | null): Uint8Array | null {
  if (json === null) return null;
  const value: unknown = JSON.parse(decoder.decode(json));
  if (typeof value !== "number" || (value >= min && value <= max)) return json;
  return utf8(String(value < min ? min : max));
}
