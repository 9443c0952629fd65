/** Prefill and decode at servers of their own, through the executable: with agents whose runtimes have roles, and without. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { LoadReport } from "../../src/load/report.ts";
import {
  type HalfServer,
  sglangDecode,
  sglangPrefill,
  Transfers,
  vllmDecode,
  vllmPrefill,
  wholeServer,
} from "../proxy/pair-servers.ts";
import { freePorts } from "../ports.ts";
import { Bench, EXECUTABLE, nodes, ownEnvironment, type Started, until } from "./harness.ts";

setDefaultTimeout(60_000);

const bench = new Bench();
const servers: HalfServer[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop();
});
afterEach(() => bench.clear());
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
  // A target takes 20 requests at most, as many again as it computes at a time.
  const router = await bench.router("--fleet-poll-interval", "200ms", "--workers", "2", "--score-slots", "10");
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
  // Held, they are load, and more of it than one takes. Those of servers that answer at once would all go to the nearer.
  const enough = Promise.withResolvers<void>();
  for (const one of [decode, second]) one.held = enough.promise;
  const arrived = () => decode.seen.length + second.seen.length;
  const before = arrived();
  const asked = Promise.all(Array.from({ length: 30 }, () => ask(router, true)));
  await until(() => arrived() === before + 30);
  enough.resolve();
  const answers = await asked;
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

test.each(["vllm", "sglang"])("mock nodes of %s pass KV caches on: who decodes computes no prompt", async (kind) => {
  const router = await bench.router("--fleet-poll-interval", "200ms");
  const roles = ["prefill", "prefill", "decode", "decode"].map((part) => `${kind}.${part}`);
  const ports = freePorts(roles.length);
  for (const [at, role] of roles.entries()) {
    // The bootstrap server of a mock is its own port.
    const label = role === "sglang.prefill" ? `${role}.${ports[at]}` : role;
    const own = ["--serve", `127.0.0.1:${ports[at]}`, "--label", `infermesh.role=${label}`, "--mock-models", "m"];
    await bench.agent(`${kind}-${at}`, router, ...own, "--mock-speed", "20");
  }
  await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 4);
  const load = Bun.spawn(
    [
      EXECUTABLE,
      "load",
      `http://${router.address("listen")}`,
      "--model=m",
      "--rate=40",
      "--max-requests=80",
      "--prompt-tokens=400",
      "--output-tokens=5",
      "--format=json",
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: ownEnvironment() },
  );
  const report = JSON.parse(await new Response(load.stdout).text()) as LoadReport;
  expect(report).toMatchObject({ requests: 80, ok: 80, failed: 0, outputTokens: 400 });
  expect(report.nodes.map(({ node }) => node)).toEqual([`${kind}-2`, `${kind}-3`]);
  // All of each prompt but the end of its last block came from elsewhere, though all prompts differ.
  expect(report.hitRate!).toBeGreaterThan(0.95);
  await router.stop();
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
