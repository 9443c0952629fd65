/** A server that answers as llama.cpp's does in router mode: it begins what it is told, and tells how it goes on. */

export interface FakeLlamaRouter {
  readonly port: number;
  /** What came, but for looks at its pages. */
  readonly asked: readonly string[];
  /** Who reads its feed now. */
  readonly readers: number;
  /** Status of its list of models. */
  list: number;
  /** As a request does that is for a model which is not loaded. */
  load(model: string): void;
  unload(model: string): void;
  /** All who read its feed. */
  hangUp(): void;
  stop(): Promise<void>;
}

export interface FakeLlamaRouterOptions {
  readonly models: readonly string[];
  readonly loadMs?: number;
  /** Before 2026 it told nothing by itself. */
  readonly hasFeed?: boolean;
}

export function startFakeLlamaRouter({ models, loadMs = 0, hasFeed = true }: FakeLlamaRouterOptions): FakeLlamaRouter {
  const states = new Map(models.map((model) => [model, "unloaded"]));
  const readers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const asked: string[] = [];
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const tell = (model: string, status: string): void => {
    states.set(model, status);
    const event = JSON.stringify({ model, event: "status_change", data: { status } });
    for (const reader of readers) reader.enqueue(new TextEncoder().encode(`data: ${event}\n\n`));
  };
  const feed = (): Response => {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        own = controller;
        readers.add(controller);
      },
      cancel: () => void readers.delete(own),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  const card = ([id, value]: [string, string]) => ({ id, object: "model", owned_by: "llamacpp", status: { value } });
  const fake = {
    asked,
    list: 200,
    get readers() {
      return readers.size;
    },
    load(model: string) {
      tell(model, "loading");
      timers.add(setTimeout(() => tell(model, "loaded"), loadMs));
    },
    unload: (model: string) => tell(model, "unloaded"),
    hangUp() {
      for (const reader of readers) reader.close();
      readers.clear();
    },
  };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/health") return Response.json({ status: "ok" });
      if (pathname === "/props") return Response.json({ role: "router", build_info: "b11434", models_autoload: false });
      if (pathname === "/metrics") return new Response("llamacpp:requests_processing 0\n");
      asked.push(`${request.method} ${pathname}`);
      if (pathname === "/v1/models") {
        return fake.list === 200
          ? Response.json({ object: "list", data: [...states].map(card) })
          : Response.json({ error: { message: "not now" } }, { status: fake.list });
      }
      if (pathname === "/models/sse" && hasFeed) return feed();
      const { model = "" } = request.method === "POST" ? ((await request.json()) as { model?: string }) : {};
      if (!states.has(model)) return Response.json({ error: { message: "File Not Found" } }, { status: 404 });
      if (pathname === "/models/load") fake.load(model);
      else fake.unload(model);
      return Response.json({ success: true });
    },
  });
  return Object.assign(fake, {
    port: server.port!,
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      fake.hangUp();
      await server.stop(true);
    },
  });
}
