/** A server that answers what a llama.cpp of another build was recorded to answer: one and the same, whatever happens. */
import { recorded } from "./replay.ts";

const PAGES: Readonly<Record<string, string>> = {
  "/health": "health.json",
  "/metrics": "idle.metrics.txt",
  "/models": "models.json",
  "/props": "props.json",
  "/slots": "idle.slots.json",
  "/v1/models": "models.json",
  "/v1/chat/completions": "chat.json",
};

export function recordedLlamaServer(build: string, port: number): ReturnType<typeof Bun.serve> {
  return Bun.serve({
    hostname: "127.0.0.1",
    port,
    fetch(request) {
      const page = PAGES[new URL(request.url).pathname];
      if (page === undefined) return new Response("no such page", { status: 404 });
      const { body, contentType } = recorded(`llamacpp-${build}.${page}`);
      // Those that were recorded had been built without their number.
      const text = Buffer.from(body).toString().replace("b0-unknown", `${build}-recorded`);
      return new Response(text, { headers: { "content-type": contentType, server: "llama.cpp" } });
    },
  });
}
