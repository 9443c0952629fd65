/** A vLLM over the mock runtime, as far as an agent can tell: the mock does not say which version it is. */
import { PROFILES } from "../../src/sim/profile.ts";
import { startMockRuntime } from "../../src/telemetry/mock-runtime.ts";

export function startVllmMock(model: string, hostname = "127.0.0.1"): { readonly port: number; stop(): Promise<void> } {
  const profile = Object.keys(PROFILES)[0] as keyof typeof PROFILES;
  const mock = startMockRuntime({ hostname: "127.0.0.1", port: 0, profile, models: [model], seed: 1, speed: 50 });
  const server = Bun.serve({
    hostname,
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/version") return Response.json({ version: "0.11.0" });
      const body = request.method === "POST" ? await request.text() : undefined;
      const to = `http://127.0.0.1:${mock.port}${pathname}${search}`;
      const answer = await fetch(to, { method: request.method, ...(body === undefined ? {} : { body }) });
      if (pathname !== "/v1/models") return answer;
      // By that it is told apart from other servers.
      return new Response((await answer.text()).replaceAll('"infermesh"', '"vllm"'), {
        headers: { "content-type": "application/json" },
      });
    },
  });
  return {
    port: server.port ?? 0,
    async stop() {
      await Promise.all([server.stop(true), mock.stop()]);
    },
  };
}
