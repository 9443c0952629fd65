/**
 * A vLLM in a process of its own, as far as an agent can tell: `bun vllm-peer.ts MODEL [HOST]` says its port, and serves until
 * it is killed. The mock that answers does not say which version it is.
 */
import { PROFILES } from "../../src/sim/profile.ts";
import { startMockRuntime } from "../../src/telemetry/mock-runtime.ts";

const [model = "llama", hostname = "127.0.0.1"] = process.argv.slice(2);
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
    return fetch(to, { method: request.method, ...(body === undefined ? {} : { body }) });
  },
});
// Whoever started it is gone: so is it.
process.stdin.on("end", () => process.exit(0)).resume();
console.log(server.port);
