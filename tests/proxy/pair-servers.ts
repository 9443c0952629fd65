/**
 * Servers of one half of requests each, over real sockets, as strict as vLLM's and SGLang's are: a decode server takes a KV
 * cache only where a prefill server holds one, and a prefill server of SGLang answers only once somebody has fetched it.
 */

export interface Seen {
  readonly path: string;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

export type Manner = "well" | "full" | "broken" | "cut" | "silent" | "unparsed" | "refuse";

export interface HalfServer {
  readonly port: number;
  readonly seen: Seen[];
  manner: Manner;
  /** What answers wait for: while they do, their requests are load. */
  held: Promise<void>;
  /** Requests that were called off before their answer. */
  readonly aborted: number;
  stop(): void;
}

/** What prefill servers hold for decode servers: by engine and request, or by room. */
export class Transfers {
  readonly #held = new Map<string, () => void>();
  readonly #wanted = new Map<string, () => void>();
  taken = 0;

  hold(key: string, fetched: () => void = () => {}): void {
    this.#held.set(key, fetched);
    this.#wanted.get(key)?.();
    this.#wanted.delete(key);
  }

  has(key: string): boolean {
    return this.#held.has(key);
  }

  /** Takes it once; false: nobody holds it. */
  take(key: string): boolean {
    const fetched = this.#held.get(key);
    if (fetched === undefined) return false;
    this.#held.delete(key);
    this.taken += 1;
    fetched();
    return true;
  }

  async waitFor(key: string): Promise<void> {
    if (this.#held.has(key)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wanted.set(key, resolve);
    await promise;
  }
}

const event = (value: unknown): string => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;

/** A whole answer, or a stream, of which each word is a token. */
function answer(body: Record<string, unknown>, words: readonly string[], more: object = {}): Response {
  const usage = { prompt_tokens: 7, completion_tokens: words.length, total_tokens: 7 + words.length };
  if (body["stream"] !== true) {
    const message = { role: "assistant", content: words.join(" ") };
    return Response.json({ object: "chat.completion", choices: [{ index: 0, message }], usage, ...more });
  }
  const events = words.map((content) => event({ choices: [{ index: 0, delta: { content } }] }));
  return new Response([...events, event({ choices: [], usage }), event("[DONE]")].join(""), {
    headers: { "content-type": "text/event-stream" },
  });
}

function serve(answers: (body: Record<string, unknown>, seen: Seen) => Promise<Response> | Response): HalfServer {
  const seen: Seen[] = [];
  let aborted = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (request.method === "GET") return told(pathname);
      const body = (await request.json()) as Record<string, unknown>;
      const one = { path: pathname, body, headers: request.headers };
      seen.push(one);
      request.signal.addEventListener("abort", () => (aborted += 1));
      if (half.manner === "full") return Response.json({ error: { message: "full" } }, { status: 503 });
      if (half.manner === "broken") return Response.json({ error: { message: "broken" } }, { status: 500 });
      if (half.manner === "refuse") return Response.json({ error: { message: "too long" } }, { status: 400 });
      if (half.manner === "unparsed") return new Response("{oops");
      if (half.manner === "silent") await new Promise(() => {});
      await half.held;
      return answers(body, one);
    },
  });
  const half: HalfServer = {
    port: server.port!,
    seen,
    manner: "well",
    held: Promise.resolve(),
    get aborted() {
      return aborted;
    },
    stop: () => void server.stop(true),
  };
  return half;
}

/** As vLLM tells of itself. */
function told(path: string): Response {
  if (path === "/version") return Response.json({ version: "0.11.0" });
  if (path === "/v1/models") {
    return Response.json({ object: "list", data: [{ id: "m", object: "model", owned_by: "vllm", root: "m" }] });
  }
  if (path === "/metrics") return new Response('vllm:num_requests_running{model_name="m",engine="0"} 0\n');
  return new Response(null, { status: path === "/health" ? 200 : 404 });
}

const NOT_ONE_TOKEN = "a prefill server of vLLM is asked for one token, whole";

export function vllmPrefill(transfers: Transfers, engine: string): HalfServer {
  let count = 0;
  return serve((body, { headers }) => {
    const params = body["kv_transfer_params"] as Record<string, unknown> | undefined;
    if (params?.["do_remote_decode"] !== true || params["do_remote_prefill"] !== false) {
      return Response.json({ error: { message: "no do_remote_decode" } }, { status: 400 });
    }
    const isOne = body["max_tokens"] === 1 && body["stream"] === false && body["stream_options"] === undefined;
    if (!isOne || (body["max_completion_tokens"] ?? 1) !== 1) throw new Error(NOT_ONE_TOKEN);
    count += 1;
    const key = `${engine} ${count}`;
    transfers.hold(key);
    return answer(body, ["x"], {
      kv_transfer_params: {
        do_remote_prefill: true,
        do_remote_decode: false,
        remote_engine_id: engine,
        remote_block_ids: [[count, count + 1]],
        remote_host: "127.0.0.1",
        remote_port: 5600,
        remote_request_id: headers.get("x-request-id"),
      },
    });
  });
}

/** Also does what no prefill server was asked for. */
export function vllmDecode(transfers: Transfers): HalfServer {
  return serve((body) => {
    const params = body["kv_transfer_params"] as Record<string, unknown> | undefined;
    if (params === undefined) return answer(body, ["all", "mine"]);
    const ids = params["remote_block_ids"] as number[][];
    if (!transfers.take(`${String(params["remote_engine_id"])} ${ids[0]![0]}`)) {
      return Response.json({ error: { message: "nobody has these blocks" } }, { status: 500 });
    }
    return answer(body, ["a", "b", "c"]);
  });
}

const roomOf = (body: Record<string, unknown>): string =>
  `${String(body["bootstrap_host"])}:${String(body["bootstrap_port"])} ${String(body["bootstrap_room"])}`;

/** It answers, as all of it, once the decode server has fetched what it has. */
export function sglangPrefill(transfers: Transfers): HalfServer {
  return serve(async (body) => {
    if (typeof body["bootstrap_room"] !== "number") throw new Error("a prefill server of SGLang is given a room");
    const { promise, resolve } = Promise.withResolvers<void>();
    transfers.hold(roomOf(body), resolve);
    await promise;
    return answer(body, ["x"]);
  });
}

/** It waits in the room until the prefill server is there. */
export function sglangDecode(transfers: Transfers): HalfServer {
  return serve(async (body) => {
    if (body["bootstrap_room"] === undefined) {
      return Response.json({ error: { message: "disaggregation needs a bootstrap room" } }, { status: 400 });
    }
    await transfers.waitFor(roomOf(body));
    transfers.take(roomOf(body));
    return answer(body, ["a", "b", "c"]);
  });
}

/** One that does all of it by itself. */
export function wholeServer(): HalfServer {
  return serve((body) => {
    if (body["kv_transfer_params"] !== undefined || body["bootstrap_room"] !== undefined) {
      return Response.json({ error: { message: "not for me" } }, { status: 500 });
    }
    return answer(body, ["whole"]);
  });
}
