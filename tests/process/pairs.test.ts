/** Prefill and decode at servers of their own, through the executable: with agents whose runtimes have roles, and without. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import {
  type HalfServer,
  sglangDecode,
  sglangPrefill,
  Transfers,
  vllmDecode,
  vllmPrefill,
  wholeServer,
} from "../proxy/pair-servers.ts";
import { Bench, nodes, type Started, until } from "./harness.ts";

setDefaultTimeout(60_000);

const bench = new Bench();
const servers: HalfServer[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop();
});
afterAll(() => bench.end());

function kept(server: HalfServer): HalfServer {
  servers.push(server);
  return server;
}

async function ask(router: Started, stream = false) {
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "why?" }], max_tokens: 9, stream }),
  });
  return { status: response.status, text: await response.text(), node: response.headers.get("x-infermesh-node") };
}

test("agents tell routers of the roles of their runtimes, alone and of several on one node", async () => {
  const transfers = new Transfers();
  const [prefill, decode, second] = [
    kept(vllmPrefill(transfers, "e1")),
    kept(vllmDecode(transfers)),
    kept(vllmDecode(transfers)),
  ];
  const router = await bench.router("--fleet-poll-interval", "200ms", "--workers", "2");
  const agent = (id: string, ...runtimes: readonly string[]) =>
    bench.start(
      "agent",
      `--id=${id}`,
      "--api=127.0.0.1:0",
      "--metrics=127.0.0.1:0",
      "--gossip=127.0.0.1:0",
      `--register=http://${router.address("api")}`,
      `--data-dir=${bench.dataDir}/${id}`,
      ...runtimes.flatMap((runtime) => ["--runtime", runtime]),
    );
  await agent("one", `vllm=http://127.0.0.1:${prefill.port},role=prefill`);
  await agent(
    "two",
    `a:vllm=http://127.0.0.1:${decode.port},role=decode`,
    `b:vllm=http://127.0.0.1:${second.port},role=decode`,
  );
  await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 3);
  await until(async () => (await ask(router)).status === 200);
  const answers = await Promise.all(Array.from({ length: 30 }, () => ask(router, true)));
  for (const { status, text, node } of answers) {
    expect(status).toBe(200);
    expect(node).toMatch(/^two\/[ab]$/);
    expect(text.match(/"content":"[abc]"/g)).toHaveLength(3);
  }
  for (const one of [decode, second]) {
    expect(one.seen.length).toBeGreaterThan(3);
    // None computed a prompt itself.
    expect(one.seen.every(({ body }) => body["kv_transfer_params"] !== undefined)).toBe(true);
  }
  expect(transfers.taken).toBe(prefill.seen.length);
  prefill.stop();
  await until(async () => [502, 503].includes((await ask(router)).status));
});

test("targets without an agent; when a half is gone, those that do all of it serve", async () => {
  const transfers = new Transfers();
  const [prefill, decode, whole] = [kept(sglangPrefill(transfers)), kept(sglangDecode(transfers)), kept(wholeServer())];
  const at = ({ port }: HalfServer, role: string): string[] => ["--upstream", `m=http://127.0.0.1:${port}${role}`];
  const router = await bench.router(...at(prefill, ",role=sglang.prefill.9000"), ...at(decode, ",role=sglang.decode"));
  expect((await ask(router)).text).toContain("a b c");
  expect(prefill.seen[0]?.body).toMatchObject({ bootstrap_host: "127.0.0.1", bootstrap_port: 9000 });
  await router.stop();
  prefill.stop();
  const roles = [...at(prefill, ",role=sglang.prefill"), ...at(decode, ",role=sglang.decode")];
  const half = await bench.router(...roles, ...at(whole, ""));
  for (let times = 0; times < 4; times += 1) expect((await ask(half)).text).toContain("whole");
});
