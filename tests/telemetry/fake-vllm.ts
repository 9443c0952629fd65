/**
 * A process that answers as vLLM does, for tests that kill, stop and slow it: `bun fake-vllm.ts PORT [STATE]`, STATE in
 * JSON. `POST /control` changes its state.
 */

interface State {
  version: string;
  models: string[];
  /** LoRA adapters, by the model that they adapt. */
  adapters: Record<string, string>;
  /** Status of /health. */
  health: number;
  running: number;
  waiting: number;
  metrics: "well" | "slow" | "garbage" | "large" | "huge-head" | "trickle" | "missing";
  /** Each answer is the last of its connection. */
  closes: boolean;
  /** What requests must show in `authorization`. */
  authorization: string;
  /** Status of /v1/models. */
  list: number;
  /** Status of /v1/chat/completions. */
  chat: number;
  /** Milliseconds that loading an adapter takes. */
  loadMs: number;
  /** It counts the requests that it answers, as a server does that tells its metrics. */
  counts: boolean;
}

const state: State = {
  version: "0.11.0",
  models: ["base-model"],
  adapters: {},
  health: 200,
  running: 0,
  waiting: 0,
  metrics: "well",
  closes: false,
  authorization: "",
  list: 200,
  chat: 200,
  loadMs: 0,
  counts: true,
};
const asked: string[] = [];
/** By path; those that are asked again and again are left out. */
const answered = new Map<string, number>();
const UNCOUNTED = ["/metrics", "/health", "/version", "/control"];
Object.assign(state, JSON.parse(process.argv[3] ?? "{}"));

function metricsText(): string {
  const labels = `{engine="0",model_name="${state.models[0] ?? ""}"}`;
  return [
    "# TYPE vllm:num_requests_running gauge",
    `vllm:num_requests_running${labels} ${state.running}`,
    "# TYPE vllm:num_requests_waiting gauge",
    `vllm:num_requests_waiting${labels} ${state.waiting}`,
    "# TYPE vllm:kv_cache_usage_perc gauge",
    `vllm:kv_cache_usage_perc${labels} 0.25`,
    "# TYPE http_requests_total counter",
    ...[...(state.counts ? answered : [])].map(
      ([handler, count]) => `http_requests_total{handler="${handler}",method="POST",status="2xx"} ${count}.0`,
    ),
    "",
  ].join("\n");
}

const TEXT = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };

async function metrics(): Promise<Response> {
  switch (state.metrics) {
    case "slow":
      await Bun.sleep(5000);
      return new Response(metricsText(), { headers: TEXT });
    case "garbage":
      return new Response("\u0000}{ <html>not metrics at all", { headers: TEXT });
    case "large": {
      const line = 'vllm:other_total{engine="0",model_name="base-model",finished_reason="stop"} 1\n';
      return new Response(metricsText() + line.repeat(Math.ceil((5 * 1024 ** 2) / line.length)), { headers: TEXT });
    }
    case "huge-head":
      return new Response(metricsText(), { headers: { ...TEXT, "x-padding": "x".repeat(80_000) } });
    case "trickle":
      return new Response(
        new ReadableStream({
          async pull(controller) {
            controller.enqueue(new TextEncoder().encode("#"));
            await Bun.sleep(50);
          },
        }),
        { headers: TEXT },
      );
    case "missing":
      return new Response("not found", { status: 404 });
    case "well":
      return new Response(metricsText(), { headers: TEXT });
  }
}

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/control") {
    Object.assign(state, await request.json());
    return Response.json({ state, asked });
  }
  asked.push(`${request.method} ${pathname}`);
  if (state.authorization !== "" && request.headers.get("authorization") !== state.authorization) {
    return Response.json({ error: "Unauthorized" }, { status: 401 });
  }
  const card = (id: string, parent: string | null) => ({
    id,
    object: "model",
    owned_by: "vllm",
    parent,
    max_model_len: 8192,
  });
  switch (pathname) {
    case "/health":
      return new Response(null, { status: state.health });
    case "/version":
      return Response.json({ version: state.version });
    case "/metrics":
      return metrics();
    case "/v1/models": {
      if (state.list !== 200) return Response.json({ error: "not now" }, { status: state.list });
      const adapters = Object.entries(state.adapters).map(([id, parent]) => card(id, parent));
      return Response.json({ object: "list", data: [...state.models.map((id) => card(id, null)), ...adapters] });
    }
    case "/v1/load_lora_adapter": {
      const { lora_name: name } = (await request.json()) as { lora_name: string };
      await Bun.sleep(state.loadMs);
      state.adapters[name] = state.models[0] ?? "";
      return new Response(`Success: LoRA adapter '${name}' added successfully.`);
    }
    case "/v1/unload_lora_adapter": {
      const { lora_name: name } = (await request.json()) as { lora_name: string };
      delete state.adapters[name];
      return new Response(`Success: LoRA adapter '${name}' removed successfully.`);
    }
    case "/v1/chat/completions":
      return Response.json({ choices: [] }, { status: state.chat });
    default:
      return Response.json({ detail: "Not Found" }, { status: 404 });
  }
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2] ?? 0),
  idleTimeout: 0,
  async fetch(request) {
    const response = await answer(request);
    const { pathname } = new URL(request.url);
    if (!UNCOUNTED.includes(pathname)) answered.set(pathname, (answered.get(pathname) ?? 0) + 1);
    if (state.closes && pathname !== "/control") response.headers.set("connection", "close");
    return response;
  },
});
process.stdout.write(`${server.port}\n`);

export type { State };
