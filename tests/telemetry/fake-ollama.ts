/** A server that answers as Ollama does: it loads what it is asked for, which takes a while, and lets it go when told. */

export interface FakeOllama {
  readonly port: number;
  /** In memory, or on their way there. */
  readonly loaded: ReadonlySet<string>;
  /** Requests for tokens that it answered. */
  readonly chats: number;
  stop(): Promise<void>;
}

export interface FakeOllamaOptions {
  /** With their tags. */
  readonly models: readonly string[];
  readonly loaded?: readonly string[];
  readonly loadMs?: number;
  readonly sizeBytes?: number;
}

interface Body {
  readonly model?: string;
  readonly keep_alive?: number;
  readonly messages?: unknown;
}

export function startFakeOllama({ models, loaded = [], loadMs = 0, sizeBytes = 1e9 }: FakeOllamaOptions): FakeOllama {
  const inMemory = new Set(loaded);
  const loads = new Map<string, Promise<void>>();
  let chats = 0;
  const load = (model: string): Promise<void> => {
    const known = loads.get(model) ?? (inMemory.has(model) ? Promise.resolve() : Bun.sleep(loadMs));
    loads.set(model, known);
    inMemory.add(model);
    return known;
  };
  const listed = (names: Iterable<string>) =>
    Response.json({
      models: [...names].map((name) => ({ name, model: name, size: sizeBytes, capabilities: ["completion"] })),
    });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (request.method === "GET") {
        if (pathname === "/") return new Response("Ollama is running");
        if (pathname === "/api/version") return Response.json({ version: "0.17.4" });
        if (pathname === "/api/tags") return listed(models);
        if (pathname === "/api/ps") return listed(inMemory);
        return new Response("404 page not found", { status: 404 });
      }
      const body = (await request.json()) as Body;
      const model = body.model?.includes(":") === true ? body.model : `${body.model}:latest`;
      if (!models.includes(model)) return Response.json({ error: `model '${model}' not found` }, { status: 404 });
      if (body.keep_alive === 0) {
        inMemory.delete(model);
        loads.delete(model);
        return Response.json({ model, done: true, done_reason: "unload" });
      }
      await load(model);
      if (pathname === "/api/generate") return Response.json({ model, done: true, done_reason: "load" });
      chats++;
      return Response.json({ object: "chat.completion", model, choices: [] });
    },
  });
  return {
    port: server.port ?? 0,
    loaded: inMemory,
    get chats() {
      return chats;
    },
    stop: () => server.stop(true),
  };
}
