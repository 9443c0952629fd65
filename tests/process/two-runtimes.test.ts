/** A compiled agent with two runtimes, joined to a compiled router: the targets of one go with it, the other's stay. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bench, nodes, type Started, until } from "./harness.ts";
import { startVllmMock } from "./vllm-mock.ts";

const bench = new Bench();
const runtimes: ReturnType<typeof startVllmMock>[] = [];
let router: Started;
let agent: Started;

beforeAll(async () => {
  router = await bench.router("--workers", "1");
  runtimes.push(startVllmMock("llama"), startVllmMock("qwen"));
  const at = runtimes.map(({ port }) => `http://127.0.0.1:${port}`);
  const ports = ["--api", "--metrics", "--gossip"].flatMap((name) => [name, "127.0.0.1:0"]);
  const own = ["--id", "gpu-1", "--data-dir", bench.dataDir, "--register", "none"];
  const told = ["--runtime", `one:vllm=${at[0]}`, "--runtime", `two:vllm=${at[1]}`];
  agent = await bench.start("agent", ...own, ...ports, ...told, "--join", String(router.ready["gossip"]));
  await until(async () => (await nodes(router)).length === 2);
});

afterAll(async () => {
  await Promise.all(runtimes.map((one) => one.stop()));
  await bench.end();
});

async function ask(model: string): Promise<{ status: number; node: string | null }> {
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, max_tokens: 1, messages: [{ role: "user", content: "hello" }] }),
  });
  await response.arrayBuffer();
  return { status: response.status, node: response.headers.get("x-infermesh-node") };
}

test("each model is served by the runtime that has it", async () => {
  await until(async () => (await ask("llama")).status === 200 && (await ask("qwen")).status === 200);
  expect(await ask("llama")).toEqual({ status: 200, node: "gpu-1/one" });
  expect(await ask("qwen")).toEqual({ status: 200, node: "gpu-1/two" });
});

test("a runtime that ends takes its own target out, and nothing else", async () => {
  await runtimes.pop()!.stop();
  await until(async () => (await ask("qwen")).status === 503 || (await ask("qwen")).status === 404);
  for (let count = 0; count < 10; count += 1) expect((await ask("llama")).status).toBe(200);
  const seen = (await nodes(router)) as unknown as { id: string; routable: boolean }[];
  await until(async () => ((await nodes(router)) as unknown as typeof seen).some((one) => !one.routable));
  const routable = ((await nodes(router)) as unknown as typeof seen).filter((one) => one.routable);
  expect(routable.map(({ id }) => id)).toEqual(["gpu-1/one"]);
  expect(await agent.stop()).toBe(0);
});
