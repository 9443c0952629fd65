/** Requests as bytes: a head that is made once, the body's length, the body. */
import type { Header } from "../load/settings.ts";

export class RequestWriter {
  readonly #before: Buffer;

  constructor(method: "GET" | "POST", path: string, authority: string, headers: readonly Header[]) {
    const own = new Map([
      ["accept", "application/json, text/event-stream"],
      ["content-type", "application/json"],
      ["user-agent", "infermesh-load"],
    ]);
    for (const { name, value } of headers) own.set(name, value);
    const lines = [...own].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    this.#before = Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n${lines}`, "latin1");
  }

  bytes(body: string): Uint8Array {
    const length = Buffer.byteLength(body);
    const middle = `content-length: ${length}\r\n\r\n`;
    const all = Buffer.allocUnsafe(this.#before.length + middle.length + length);
    this.#before.copy(all, 0);
    all.write(middle, this.#before.length, "latin1");
    all.write(body, this.#before.length + middle.length, "utf8");
    return all;
  }
}
