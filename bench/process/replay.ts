/**
 * `npm run bench -- replay [rounds]`: time to first token by the mesh's routing against round robin.
 *
 * The first 500 requests of the Azure trace, 12 times as fast as they came, go to three mock nodes (H100s with an 8B
 * model, at twice their speed), as in tests/process/replay.test.ts: once through a router with its default settings,
 * once from the same client straight to the nodes in turn. Rounds are interleaved and change who goes first. Round robin
 * saves the way through the router; it loses what it does not know. Then the same with node1 slowed 3 times, once the
 * router has a sample of its new rate. Two minutes and a half for three rounds.
 */
import { Bench, nodes, until } from "../../tests/process/harness.ts";
import type { Started } from "../../tests/process/harness.ts";
import { byNode, prompt, readTrace, replay, send, traceMissing } from "../../tests/process/trace.ts";
import type { Outcome } from "../../tests/process/trace.ts";
import { report } from "../report.ts";

const ROUNDS = Math.min(10, Number(process.argv[2] ?? 3));
const REQUESTS = 500;
const SPEEDUP = 12;
const CAPS = { promptTokens: 4096, outputTokens: 64 };
const NODES = 3;
const SLOW = 3;
const MOCK_SPEED = "2";
const POLL_LIMIT_MS = 20_000;
/** Sent both ways before anything is counted, so that neither pays for code that runs for the first time. */
const WARM_UP = 60;
const POLICIES = ["mesh", "round robin"] as const;

function percentile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return Number(value.toFixed(1));
}

if (traceMissing !== "") throw new Error(`nothing to replay: ${traceMissing}`);
const requests = readTrace(REQUESTS, CAPS);
const bench = new Bench();
let series = 0;

/** Slows a node down, and waits until the router's sample of it tells. */
async function slowDown(router: Started, agent: Started, model: string): Promise<void> {
  const before = await prefillRate(router, "node1");
  await fetch(`http://${agent.address("api")}/mock/faults`, { method: "POST", body: JSON.stringify({ slow: SLOW }) });
  const work = Array.from({ length: 12 }, (_, index) => {
    const messages = [{ role: "user", content: prompt(2000, 9_000_000 + index) }];
    return send(`http://${agent.address("serve")}`, JSON.stringify({ model, messages, max_tokens: 1, stream: true }));
  });
  await Promise.all(work);
  await until(async () => (await prefillRate(router, "node1")) < before / 2, POLL_LIMIT_MS);
}

async function prefillRate(router: Started, id: string): Promise<number> {
  const node = (await nodes(router)).find((one) => one.id === id);
  return node?.sample?.models[0]?.prefillTokensPerSecond ?? Number.NaN;
}

try {
  const router = await bench.router("--workers", "2");
  const agents: Started[] = [];
  for (let n = 1; n <= NODES; n++) agents.push(await bench.agent(`node${n}`, router, "--mock-speed", MOCK_SPEED));
  await until(
    async () => (await nodes(router)).filter(({ sample }) => sample !== null).length === NODES,
    POLL_LIMIT_MS,
  );
  const model = (await nodes(router))[0]?.models[0] ?? "";
  const bases = {
    mesh: () => `http://${router.address("listen")}`,
    "round robin": (index: number) => `http://${agents[index % NODES]?.address("serve") ?? ""}`,
  };

  const measure = async (policy: (typeof POLICIES)[number], count = REQUESTS): Promise<Outcome[]> => {
    const some = requests.slice(0, count);
    const outcomes = await replay({ requests: some, model, speedup: SPEEDUP, base: bases[policy], series: ++series });
    const failed = outcomes.filter(({ error }) => error !== "");
    if (failed.length > 0) throw new Error(`${policy}: ${failed.length} failed, the first: ${failed[0]?.error ?? ""}`);
    return outcomes;
  };

  for (const policy of POLICIES) await measure(policy, WARM_UP);
  const rows: Record<string, string | number>[] = [];
  for (const variant of ["all alike", `node1 ${SLOW} times slower`]) {
    if (variant !== "all alike") await slowDown(router, agents[0] as Started, model);
    const outcomes = { mesh: [] as Outcome[], "round robin": [] as Outcome[] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const policy of round % 2 === 0 ? POLICIES : POLICIES.toReversed()) {
        outcomes[policy].push(...(await measure(policy)));
        console.log(`${variant}, round ${round + 1} of ${ROUNDS}: ${policy} done`);
      }
    }
    for (const policy of POLICIES) {
      const sorted = outcomes[policy].map(({ firstTokenMs }) => firstTokenMs).toSorted((a, b) => a - b);
      const node1 = policy === "mesh" ? (byNode(outcomes.mesh)["node1"] ?? 0) / sorted.length : 1 / NODES;
      rows.push({
        nodes: variant,
        routing: policy,
        requests: sorted.length,
        p50Ms: percentile(sorted, 0.5),
        p95Ms: percentile(sorted, 0.95),
        p99Ms: percentile(sorted, 0.99),
        node1Share: Number(node1.toFixed(3)),
      });
    }
  }
  await report("replay", { rounds: ROUNDS, speedup: SPEEDUP, mockSpeed: Number(MOCK_SPEED), rows });
} finally {
  await bench.end();
}
