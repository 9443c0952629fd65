/**
 * The lines of an answer that comes while the runtime works, such as Ollama's of a pull: each is read as it comes, and
 * told now and then. The end of the answer is kept, since its last line says how it went.
 */
import type { ModelCall } from "../runtimes/adapter.ts";

/** Between two words of progress. */
const TELL_MS = 2000;
/** What is kept of the answer's end. */
const TAIL_BYTES = 65_536;
const LINE_BYTES_MAX = 16_384;

const decoder = new TextDecoder();

export class ProgressLines {
  readonly #call: Pick<ModelCall, "progress">;
  readonly #tell: (text: string) => void;
  #tail: Uint8Array = new Uint8Array();
  #line = "";
  #toldAtMs = -Infinity;
  #told = "";

  constructor(call: Pick<ModelCall, "progress">, tell: (text: string) => void) {
    this.#call = call;
    this.#tell = tell;
  }

  /** What takes the pieces of the next answer; nothing where its lines tell nothing. */
  reader(): { piece?: (bytes: Uint8Array) => void } {
    this.#tail = new Uint8Array();
    this.#line = "";
    return this.#call.progress === undefined ? {} : { piece: (bytes) => this.#piece(bytes) };
  }

  /** Of the answer that has ended. */
  bodyOf(body: Uint8Array): Uint8Array {
    return this.#call.progress === undefined ? body : this.#tail;
  }

  #piece(bytes: Uint8Array): void {
    const joined = Buffer.concat([this.#tail, bytes]);
    this.#tail = joined.length > TAIL_BYTES ? Buffer.from(joined.subarray(joined.length - TAIL_BYTES)) : joined;
    const lines = (this.#line + decoder.decode(bytes)).split("\n");
    this.#line = (lines.pop() ?? "").slice(0, LINE_BYTES_MAX);
    for (const line of lines) if (line.trim() !== "") this.#read(line.slice(0, LINE_BYTES_MAX));
  }

  #read(line: string): void {
    const progress = this.#call.progress?.(line);
    if (progress === undefined) return;
    const { text, fraction } = progress;
    const words = fraction === undefined ? text : `${text}: ${Math.floor(fraction * 100)} %`;
    const nowMs = performance.now();
    if (words === this.#told || nowMs - this.#toldAtMs < TELL_MS) return;
    this.#told = words;
    this.#toldAtMs = nowMs;
    this.#tell(words);
  }
}
