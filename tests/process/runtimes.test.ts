/** Agents of real inference servers, as far as a process that answers as one is real: found, watched, lost, found again. */
import { join } from "node:path";
import { afterAll, expect, test } from "bun:test";
import { freePort } from "../ports.ts";
import { endFakes, startFake } from "../telemetry/fake-runtime.ts";
import { Bench, type Started, until } from "./harness.ts";

const bench = new Bench();
// Each has processes of its own, and waits for them most of the time.
afterAll(() => Promise.all([bench.end(), endFakes()]));

function agent(id: string, router: Started, ...args: string[]): Promise<Started> {
  const free = "127.0.0.1:0";
  const ports = ["--api", free, "--metrics", free, "--gossip", free, "--data-dir", join(bench.dataDir, id)];
  return bench.start("agent", "--id", id, ...ports, "--register", `http://${router.address("api")}`, ...args);
}

async function ask(router: Started, model: string): Promise<number> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] });
  const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
  await answer.text();
  return answer.status;
}

const statusOf = async (of: Started): Promise<{ runtimes: { name: string; state: string; message: string }[] }> =>
  (await fetch(`http://${of.address("api")}/status`)).json() as Promise<{
    runtimes: { name: string; state: string; message: string }[];
  }>;

test.concurrent("requests go to a runtime while it serves, and not while it is gone", async () => {
  const fake = await startFake();
  const router = await bench.router();
  const node = await agent("real", router, "--runtime", `vllm=http://127.0.0.1:${fake.port},api-key=s3cret`);
  await until(async () => (await ask(router, "base-model")) === 200);
  expect((await statusOf(node)).runtimes).toMatchObject([
    { name: "vllm", kind: "vllm", state: "ready", version: "0.11.0" },
  ]);
  await fake.kill();
  await until(async () => (await statusOf(node)).runtimes[0]?.state === "down");
  // It is known that there is such a model, and that nobody serves it now.
  await until(async () => (await ask(router, "base-model")) === 503);
  await startFake({}, fake.port);
  await until(async () => (await ask(router, "base-model")) === 200);
  const events = await fetch(`http://${node.address("api")}/events?type=runtime`).then((answer) => answer.text());
  for (const kind of ["ready", "down"]) expect(events).toContain(`"runtime.${kind}"`);
  const metrics = await fetch(`http://${node.address("metrics")}/telemetry`).then((answer) => answer.text());
  expect(metrics).toContain('infermesh_runtime_up{runtime="vllm"} 1');
  const told = [events, metrics, JSON.stringify(await statusOf(node)), JSON.stringify(node.lines)].join();
  expect(told).not.toContain("s3cret");
  expect(await node.stop()).toBe(0);
}, 60_000);

test.concurrent("a node with two runtimes serves what both have", async () => {
  const [one, two] = [await startFake({ models: ["one"] }), await startFake({ models: ["two"] })];
  const router = await bench.router();
  const at = (port: number): string => `http://127.0.0.1:${port}`;
  const node = await agent(
    "both",
    router,
    "--runtime",
    `vllm=${at(one.port)}`,
    "--runtime",
    `second:vllm=${at(two.port)}`,
  );
  await until(async () => (await ask(router, "one")) === 200 && (await ask(router, "two")) === 200);
  expect((await statusOf(node)).runtimes.map(({ name }) => name)).toEqual(["vllm", "second"]);
  await one.kill();
  await until(async () => (await ask(router, "one")) === 503);
  expect(await ask(router, "two")).toBe(200);
  await node.stop();
}, 60_000);

test.concurrent("a runtime that the agent starts is ready when it serves, and comes again when it is killed", async () => {
  const port = freePort();
  const router = await bench.router();
  const command = `${process.execPath} ${join(import.meta.dir, "../telemetry/fake-vllm.ts")} ${port}`;
  const args = ["--exec", command, "--exec-pause-min", "100ms", "--exec-pause-max", "200ms"];
  const node = await agent("child", router, ...args, "--runtime", `vllm=http://127.0.0.1:${port}`);
  await until(async () => (await ask(router, "base-model")) === 200);
  const processOf = async (): Promise<{ state: string; pid: number; restarts: number }> =>
    (await fetch(`http://${node.address("api")}/runtime`)).json() as Promise<{
      state: string;
      pid: number;
      restarts: number;
    }>;
  const { state, pid } = await processOf();
  expect(state).toBe("ready");
  process.kill(pid, "SIGKILL");
  await until(async () => (await processOf()).restarts === 1);
  await until(async () => (await ask(router, "base-model")) === 200);
  expect(await node.stop()).toBe(0);
  // It ends with the agent.
  await until(() =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      () => false,
      () => true,
    ),
  );
}, 60_000);

test.concurrent("an agent of nothing serves nothing, and tells so", async () => {
  const router = await bench.router();
  const node = await agent("bare", router, "--runtime", "none");
  expect((await statusOf(node)).runtimes).toEqual([]);
  const health = await fetch(`http://${node.address("metrics")}/health`).then((answer) => answer.json());
  expect(health).toMatchObject({ status: "degraded", ready: false });
  expect(await node.stop()).toBe(0);
}, 60_000);

test.concurrent.each([
  [["--runtime", "vlm=http://127.0.0.1:1"], /did you mean vllm\?/],
  [["--runtime", "vllm=ftp://127.0.0.1:1"], /expected http:\/\/HOST:PORT/],
  [["--runtime", "generic=http://127.0.0.1:1"], /--runtime-map/],
  [["--runtime", "vllm=https://127.0.0.1:1,ca=/nowhere.pem"], /ca of vllm: \/nowhere\.pem: can't be read/],
])(
  "%p is refused with what to do",
  async (args, why) => {
    const router = await bench.router();
    const refusal = await agent("wrong", router, ...args).then(
      () => "none",
      (error: Error) => error.message,
    );
    expect(refusal).toMatch(why);
  },
  60_000,
);
