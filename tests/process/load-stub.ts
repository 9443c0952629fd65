/** A server of OpenAI's chat whose answers a test chooses: well, slow, failing, cut, malformed. */

const event = (value: unknown) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const text = (content: string) => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const USAGE = event({
  choices: [],
  usage: { prompt_tokens: 100, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 40 } },
});
const WELL = [text("a"), text("b"), text("c"), USAGE, event("[DONE]")];

export interface Seen {
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
  readonly path: string;
}

export type Manner = "well" | "full" | "malformed" | "told" | "silent" | "broken" | "html" | "unended";

export interface Stub {
  readonly url: string;
  readonly seen: Seen[];
  /** Asked for each request, by its number. */
  manner: (number: number) => Manner;
  /** Before an answer begins. */
  waitMs: (number: number) => number;
  stop(): void;
}

export function startStub(tls?: { readonly cert: string; readonly key: string }): Stub {
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    ...(tls === undefined ? {} : { tls }),
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/v1/models") return Response.json({ object: "list", data: [{ id: "stub-model" }] });
      const body = (await request.json()) as Record<string, unknown>;
      const number = seen.push({ body, headers: request.headers, path: pathname }) - 1;
      await Bun.sleep(stub.waitMs(number));
      return answer(stub.manner(number), body["stream"] === true);
    },
  });
  const stub: Stub = {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${server.port}`,
    seen,
    manner: () => "well",
    waitMs: () => 0,
    stop: () => void server.stop(true),
  };
  return stub;
}

function answer(manner: Manner, isStreamed: boolean): Response | Promise<Response> {
  const headers = { "content-type": "text/event-stream", "x-infermesh-node": "stub-node" };
  const stream = (...parts: readonly string[]) => new Response(parts.join(""), { headers });
  switch (manner) {
    case "full": {
      const error = { message: "too many requests are waiting", type: "rate_limit_error" };
      return Response.json({ error }, { status: 429, headers: { "retry-after": "7" } });
    }
    case "malformed":
      return stream(text("a"), "data: {oops\n\n", event("[DONE]"));
    case "told":
      return stream(text("a"), event({ error: { message: "out of memory" } }));
    case "unended":
      return stream(text("a"));
    case "html":
      return new Response("<html>hello</html>", { headers: { "content-type": "text/html" } });
    case "broken":
      return new Response("", { status: 500 });
    case "silent":
      return new Promise(() => {});
    default: {
      if (isStreamed) return stream(...WELL);
      const usage = { prompt_tokens: 100, completion_tokens: 3 };
      return Response.json(
        { choices: [{ message: { content: "abc" } }], usage },
        { headers: { "x-infermesh-node": "stub-node" } },
      );
    }
  }
}

/** A server that writes these bytes to each request, and ends the connection. */
export function startRaw(answers: readonly string[]): { readonly url: string; stop(): void } {
  let served = 0;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.write(answers[served++ % answers.length]!);
        socket.end();
      },
    },
  });
  return { url: `http://127.0.0.1:${listener.port}`, stop: () => listener.stop(true) };
}

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const CHUNK = text("a");
/** Nothing; half a stream, in chunks and by a length; half a head; no HTTP. */
export const CUTS = [
  "",
  `${HEAD}transfer-encoding: chunked\r\n\r\n${CHUNK.length.toString(16)}\r\n${CHUNK}\r\n`,
  `${HEAD}content-length: 1000\r\n\r\n${CHUNK}`,
  HEAD,
  "SSH-2.0-OpenSSH_9.6\r\n",
] as const;
