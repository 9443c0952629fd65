/** Calls by the Connect protocol, over both versions of HTTP, as bytes. */
import * as http2 from "node:http2";

export interface Envelope {
  readonly flags: number;
  readonly json: Record<string, unknown>;
}

export function enveloped(message: string | Uint8Array, flags = 0): Buffer {
  const bytes = Buffer.from(message as string);
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Whole envelopes; throws for what is cut off. */
export function envelopesIn(bytes: Uint8Array): Envelope[] {
  const buffer = Buffer.from(bytes);
  const found: Envelope[] = [];
  for (let at = 0; at < buffer.length;) {
    const length = buffer.readUInt32BE(at + 1);
    if (at + 5 + length > buffer.length) throw new Error("an envelope is cut off");
    found.push({ flags: buffer[at]!, json: JSON.parse(buffer.toString("utf8", at + 5, at + 5 + length)) });
    at += 5 + length;
  }
  return found;
}

export const STREAM = { "content-type": "application/connect+json" };

/** A whole streaming call over HTTP/1.1. */
export async function streamed(
  url: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string | null; envelopes: Envelope[] }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { ...STREAM, ...headers },
    body: new Uint8Array(body),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, type: response.headers.get("content-type"), envelopes: envelopesIn(bytes) };
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A client's connection of HTTP/2 with prior knowledge. */
export class Http2Client {
  readonly session: http2.ClientHttp2Session;

  constructor(url: string) {
    this.session = http2.connect(url);
    this.session.on("error", () => {});
  }

  open(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream {
    const stream = this.session.request(headers);
    stream.on("error", () => {});
    return stream;
  }

  async ask(path: string, headers: http2.OutgoingHttpHeaders = {}, body?: string | Uint8Array): Promise<Http2Answer> {
    const method = body === undefined ? "GET" : "POST";
    const stream = this.open({ ":path": path, ":method": method, ...headers });
    return new Promise((resolve, reject) => {
      let head: http2.IncomingHttpHeaders = {};
      const parts: Buffer[] = [];
      stream.on("response", (fields) => (head = fields));
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => resolve({ status: Number(head[":status"]), headers: head, body: Buffer.concat(parts) }));
      stream.on("error", reject);
      stream.end(body === undefined ? undefined : Buffer.from(body as string));
    });
  }

  close(): void {
    this.session.destroy();
  }
}
