/** Strategies, splits, shadows, sessions and zones of the executable, with real agents, by policy and by modules. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { CHOOSES, wasm } from "../score/wasm-modules.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

const MODEL = "strategy-model";
const START_MS = 60_000;
const TEST_MS = 60_000;

const bench = new Bench();
let router: Started;
const agents: Started[] = [];

const file = (name: string, content: string | Uint8Array): string => {
  const path = joinPath(bench.dataDir, name);
  writeFileSync(path, content);
  return path;
};

/** The node that answered. */
async function ask(of: Started, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`http://${of.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: MODEL, max_tokens: 2, messages: [{ role: "user", content: "hi" }] }),
  });
  await response.text();
  expect(response.status).toBe(200);
  return response.headers.get("x-infermesh-node") ?? "";
}

async function asked(of: Started, times: number, headers?: Record<string, string>): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let count = 0; count < times; count += 1) {
    const node = await ask(of, headers);
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return counts;
}

async function ctl(...args: string[]): Promise<string> {
  const child = Bun.spawn([EXECUTABLE, "ctl", ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...ownEnvironment(), INFERMESH_ENDPOINT: `http://${router.address("api")}` },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`ctl ${args.join(" ")}: ${err}`);
  return out;
}

/** The policy of the model, until the router explains by it. */
async function policy(strategy: string, ...more: string[]): Promise<void> {
  await ctl("policy", "set", "balance", MODEL, `strategy=${strategy}`, ...more);
}

beforeAll(async () => {
  router = await bench.router("--workers", "1", "--fleet-poll-interval", "200ms", "--zone", "a");
  const labels: readonly (readonly string[])[] = [
    ["--zone", "a"],
    ["--zone", "b"],
    ["--label", "revision=v2"],
  ];
  for (const [at, more] of labels.entries()) {
    const join = ["--join", String(router.ready["gossip"]), "--mock-models", MODEL];
    const control = at === 0 ? ["--control", "bootstrap", "--control-listen", "127.0.0.1:0"] : ["--control", "off"];
    agents.push(await bench.agent(`node${at + 1}`, router, ...join, ...control, ...more));
  }
  await until(async () => {
    const seen = await ctl("explain", "--model", MODEL).catch(() => "");
    return ["node1", "node2", "node3"].every((node) => seen.includes(node));
  }, START_MS);
  await until(async () => (await ctl("policy", "list").catch(() => null)) !== null, START_MS);
}, 2 * START_MS);
afterAll(() => bench.end());

describe("by policy", () => {
  test(
    "a strategy, a zone, a session, a split and a shadow count at once",
    async () => {
      await policy("round-robin", "zone=any");
      await until(async () => (await asked(router, 6)).size === 3);
      expect([...(await asked(router, 9)).values()]).toEqual([3, 3, 3]);
      expect(await ctl("explain", "--model", MODEL)).toContain("by round-robin");

      await policy("random", "zone=only");
      await until(async () => !(await asked(router, 12)).has("node2"));
      expect([...(await asked(router, 30)).keys()].toSorted()).toEqual(["node1", "node3"]);

      await policy("random", "zone=any", "session.field=x-session-id");
      await until(async () => (await asked(router, 6, { "x-session-id": "s" })).size === 1);
      expect((await asked(router, 20, { "x-session-id": "s" })).size).toBe(1);

      await policy("ttft", "zone=any", "split={v2: 1}");
      await until(async () => (await asked(router, 3)).size === 1);
      expect([...(await asked(router, 10)).keys()]).toEqual(["node3"]);
      expect(await ctl("explain", "--model", MODEL)).toContain("of the revision v2");

      await policy("random", "zone=any", "shadow.revision=v2", "shadow.share=1");
      await until(async () => !(await asked(router, 6)).has("node3"));
      expect((await asked(router, 10)).has("node3")).toBe(false);
      await until(async () => {
        const text = await fetch(`http://${router.address("metrics")}/metrics`, { headers: { accept: "text/plain" } });
        return /infermesh_router_shadows_total\{result="sent"\} [1-9]/.test(await text.text());
      });
      await ctl("policy", "delete", "balance", MODEL);
    },
    TEST_MS,
  );
});

describe("a module", () => {
  const last = "export default () => ({ choose: (view) => view.routable.lastIndexOf(1) });\n";

  test.each([
    ["WebAssembly", () => file("last.wasm", wasm(CHOOSES.last))],
    ["TypeScript", () => file("last.ts", last.replace("(view)", "(view: { routable: Uint8Array })"))],
    ["JavaScript", () => file("last.mjs", last)],
  ] as const)(
    "of %s chooses in the executable, and is compared in the shadow",
    async (_what, made) => {
      const path = made();
      const upstreams = agents
        .slice(0, 2)
        .flatMap((agent) => ["--upstream", `${MODEL}=http://${agent.address("serve")}`]);
      // Its time goes on while a busy machine has the worker wait; that it is kept to, its own tests look at.
      const how = ["--strategy", path, "--strategy-shadow", path, "--proxy-strategy-budget-ms", "1000"];
      const one = await bench.router("--workers", "2", ...how, ...upstreams);
      await until(async () => (await asked(one, 4)).size === 1);
      expect((await asked(one, 20)).size).toBe(1);
      const metrics = await fetch(`http://${one.address("metrics")}/metrics`, { headers: { accept: "text/plain" } });
      expect(await metrics.text()).toMatch(/infermesh_router_strategy_module_total\{result="agreed"\} [1-9]/);
      expect(await one.stop()).toBe(0);
    },
    TEST_MS,
  );

  test(
    "that can't be used ends the start, and says why",
    async () => {
      const path = file("bad.ts", "export const nothing = 1;\n");
      const child = Bun.spawn(
        [EXECUTABLE, "router", "--strategy", path, "--listen", "127.0.0.1:0", "--data-dir", bench.dataDir],
        { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: ownEnvironment() },
      );
      const err = await child.stderr.text();
      expect(await child.exited).not.toBe(0);
      expect(err).toContain("its default export is no function that makes a strategy");
    },
    TEST_MS,
  );
});
