/**
 * Several vLLM servers, as far as an agent can tell, in a process of their own: `bun vllm-servers.ts COUNT BYTES` serves on
 * as many free ports, each with a page of metrics of that size whose counters grow, and prints the ports as JSON.
 * `GET /asked` of any of them: how often each was asked so far.
 */
import { vllmPage } from "../wire/vllm-page.ts";

export interface VllmServers extends Disposable {
  readonly ports: readonly number[];
  /** Requests that each has had. */
  asked(): Promise<number[]>;
}

export async function startVllmServers(count: number, pageBytes: number): Promise<VllmServers> {
  const child = Bun.spawn([process.execPath, import.meta.path, String(count), String(pageBytes)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  const ports = JSON.parse(new TextDecoder().decode(value)) as number[];
  return {
    ports,
    asked: async () => (await fetch(`http://127.0.0.1:${ports[0]}/asked`)).json() as Promise<number[]>,
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
}

const TEXT = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };

function serve(at: number, asked: number[], pageBytes: number): number {
  let tick = 0;
  const card = { id: `model-${at}`, object: "model", owned_by: "vllm", max_model_len: 8192 };
  const { port = 0 } = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/asked") return Response.json(asked);
      asked[at] = (asked[at] ?? 0) + 1;
      if (pathname === "/metrics")
        return new Response(Buffer.from(vllmPage(pageBytes, (tick += 1))), { headers: TEXT });
      if (pathname === "/version") return Response.json({ version: "0.11.0" });
      if (pathname === "/v1/models") return Response.json({ object: "list", data: [card] });
      return new Response(null, { status: pathname === "/health" ? 200 : 404 });
    },
  });
  return port;
}

if (import.meta.main) {
  const [count = 1, pageBytes = 0] = process.argv.slice(2).map(Number);
  const asked = Array.from({ length: count }, () => 0);
  console.log(JSON.stringify(asked.map((_, at) => serve(at, asked, pageBytes))));
}
