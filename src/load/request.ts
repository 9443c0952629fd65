/** Bodies of OpenAI's requests. */

export type Api = "chat" | "completions";

export interface Asked {
  readonly api: Api;
  readonly model: string;
  readonly isStreamed: boolean;
  /** Streams end with the counts of tokens; some servers know no such option. */
  readonly asksUsage: boolean;
  /** Generate all that was asked for, whatever the text: an extension of vLLM and others. */
  readonly ignoresEnd: boolean;
}

/** What stands before and behind a prompt, made once. */
export class BodyWriter {
  readonly #before: string;
  readonly #behind: string;
  readonly #end: string;

  constructor({ api, model, isStreamed, asksUsage, ignoresEnd }: Asked) {
    const name = JSON.stringify(model);
    const isChat = api === "chat";
    this.#before = `{"model":${name},${isChat ? '"messages":[{"role":"user","content":"' : '"prompt":"'}`;
    this.#behind = isChat ? '"}],"max_tokens":' : '","max_tokens":';
    const usage = isStreamed && asksUsage ? ',"stream_options":{"include_usage":true}' : "";
    this.#end = `${isStreamed ? ',"stream":true' : ""}${usage}${ignoresEnd ? ',"ignore_eos":true' : ""}}`;
  }

  /** `prompt` needs no escape (prompt.ts). */
  body(prompt: string, outputTokens: number): string {
    return `${this.#before}${prompt}${this.#behind}${outputTokens}${this.#end}`;
  }
}
