import { afterAll, expect, test } from "bun:test";
import { Bench, until } from "./harness.ts";

interface Exported {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
  readonly events: readonly { readonly name: string }[];
}

interface ExportBody {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Exported[] }[] }[];
}

const bench = new Bench();
const spans: Exported[] = [];
let authorization = "";
const collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    authorization = request.headers.get("authorization") ?? "";
    const body = (await request.json()) as ExportBody;
    for (const { scopeSpans } of body.resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
    return Response.json({});
  },
});

afterAll(async () => {
  await bench.end();
  await collector.stop(true);
});

test("a router exports a span for each request, the last ones as it ends", async () => {
  const { router } = await bench.mesh(1, [
    `--tracing-endpoint=http://127.0.0.1:${collector.port}`,
    "--tracing-header=authorization=Bearer key",
    "--tracing-interval=50ms",
  ]);
  const chat = async (): Promise<Response> =>
    fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      },
      body: JSON.stringify({
        model: "llama-3.1-8b-instruct",
        messages: [{ role: "user", content: "hi" }],
        max_tokens: 2,
        stream: true,
      }),
    });
  const chats = (): Exported[] => spans.filter(({ name }) => name === "POST /v1/chat/completions");
  expect(await (await chat()).text()).toContain("[DONE]");
  await until(() => chats().length === 1);
  const [span] = chats();
  expect(span).toMatchObject({ traceId: "0af7651916cd43dd8448eb211c80319c", parentSpanId: "b7ad6b7169203331" });
  expect(span?.events.map(({ name }) => name)).toEqual(["picked", "connecting", "connected", "first_token"]);
  const attributes = new Map(span?.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
  expect(attributes.get("infermesh.node")).toBe("node1");
  expect(attributes.get("gen_ai.request.model")).toBe("llama-3.1-8b-instruct");
  expect(attributes.get("infermesh.stream")).toBe(true);
  expect(authorization).toBe("Bearer key");
  const metrics = await fetch(`http://${router.address("metrics")}/telemetry`).then((response) => response.text());
  expect(metrics).toMatch(/^infermesh_router_spans_total\{result="exported"\} [1-9]/m);
  const config = await fetch(`http://${router.address("api")}/config`).then((response) => response.text());
  expect(config).not.toContain("Bearer");
  expect(await (await chat()).text()).toContain("[DONE]");
  expect(await router.stop()).toBe(0);
  expect(chats()).toHaveLength(2);
});
