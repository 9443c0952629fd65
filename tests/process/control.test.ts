/** Three real agents that keep the policies: killed by kill -9 under load, and cut off from each other, what
 * clients see stays linearizable. */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Prng } from "../../src/base/prng.ts";
import { policyModel } from "../linearizability/policy-model.ts";
import { checkHistory } from "../linearizability/wgl.ts";
import { freePort } from "../ports.ts";
import { FaultyNetwork } from "../store/faulty-network.ts";
import { historyOf } from "../store/store-history.ts";
import { ApiStore, call } from "./api-store.ts";
import { Bench, type Started, until } from "./harness.ts";

const SEED = Number(process.env["SEED"] ?? 20_261_127);
const NAMES = ["c1", "c2", "c3"];
const bench = new Bench();
/** Between the control nodes; whole until something is cut. */
const network = new FaultyNetwork();
afterAll(async () => {
  network.mend();
  await bench.end();
  network.stop();
});

const running = new Map<string, Started>();

/** Of each node, the port that it listens on for the others, and that of the relay through which they reach it. */
const ports = new Map<string, readonly [own: number, relay: number]>();

async function portsOf(name: string): Promise<readonly [number, number]> {
  const known = ports.get(name);
  if (known !== undefined) return known;
  const own = freePort();
  const both = [own, network.relay(name, own)] as const;
  ports.set(name, both);
  return both;
}

async function start(name: string, mode: string): Promise<Started> {
  const [own, relay] = await portsOf(name);
  const seeds = [...running].filter(([other]) => other !== name).map(([, { ready }]) => String(ready["gossip"]));
  const args = [
    ...seeds.flatMap((seed) => ["--join", seed]),
    "--register=none",
    `--control=${mode}`,
    `--control-listen=127.0.0.1:${own}`,
    `--control-advertise=127.0.0.1:${relay}`,
    "--control-dir",
    join(bench.dataDir, "control"),
    "--swim-profile=local",
  ];
  return bench.agent(name, null, ...args);
}

const apiOf = (name: string): string => running.get(name)!.address("api");
const stores = NAMES.map((name) => new ApiStore(() => apiOf(name)));

async function leader(): Promise<string> {
  let found = "";
  await until(async () => {
    for (const store of stores) {
      const told = await store.status().catch(() => undefined);
      if (told !== undefined && NAMES.includes(told.leader)) found = told.leader;
    }
    return found !== "";
  });
  return found;
}

async function expectAgreement(): Promise<void> {
  const lists = await Promise.all(NAMES.map((name) => call(apiOf(name), "ListPolicies", {}, 20_000)));
  expect(lists[1]).toEqual(lists[0]);
  expect(lists[2]).toEqual(lists[0]);
}

function expectLinearizable(history: Awaited<ReturnType<typeof historyOf>>): void {
  const verdict = checkHistory(policyModel, history);
  if (verdict.verdict !== "linearizable") console.error(`SEED=${SEED}`, Bun.inspect(verdict, { depth: 6 }));
  expect(verdict.verdict).toBe("linearizable");
}

describe("three control nodes", () => {
  test("form a control plane of three voters, by the mesh that they are in", async () => {
    for (const [at, name] of NAMES.entries()) running.set(name, await start(name, at === 0 ? "bootstrap" : "join"));
    await until(async () => {
      const { members, changing } = await stores[0]!.status();
      return members.filter(({ role }) => role === "leader" || role === "follower").length === 3 && !changing;
    });
    await until(async () =>
      (await Promise.all(stores.map((store) => store.status()))).every(({ writable }) => writable),
    );
  }, 30_000);

  test("the leader killed again and again under load: linearizable, and nothing acknowledged is lost", async () => {
    let kills = 0;
    let killing: Promise<void> = Promise.resolve();
    const kill = async (): Promise<void> => {
      kills += 1;
      const name = await leader();
      await running.get(name)!.kill();
      running.set(name, await start(name, "auto"));
    };
    const before = async (count: number): Promise<void> => {
      // One at a time; the other clients go on meanwhile.
      if (count % 60 === 20) await (killing = killing.then(kill));
    };
    const asked = stores as unknown as Parameters<typeof historyOf>[0];
    const history = await historyOf(asked, {
      seed: SEED,
      clients: 6,
      operations: 35,
      timeoutMs: 3000,
      keys: 8,
      before,
    });
    expect(kills).toBe(4);
    // All three, also those that were killed.
    await expectAgreement();
    expectLinearizable(history);
    expect(history.filter(({ result }) => result !== undefined).length).toBeGreaterThan(100);
  }, 90_000);

  test("the network between them cut again and again: linearizable, and all agree when it is whole", async () => {
    const prng = new Prng(SEED);
    const before = async (count: number): Promise<void> => {
      if (count % 30 !== 10) return;
      const [one, other] = [NAMES[prng.int(3)]!, NAMES[prng.int(3)]!];
      const which = prng.next();
      if (which < 0.3) network.mend();
      else if (which < 0.7 || one === other) {
        network.isolate(
          one,
          NAMES.filter((name) => name !== one),
        );
      } else network.cut([{ from: one, to: other }]);
    };
    // A history begins with nothing there.
    const { policies } = (await call(apiOf("c1"), "ListPolicies", { kind: "node" })) as {
      policies: { name: string }[];
    };
    const writes = policies.map(({ name }) => ({ delete: { kind: "node", name } }));
    if (writes.length > 0) await call(apiOf("c1"), "ApplyPolicies", { writes });
    const asked = stores as unknown as Parameters<typeof historyOf>[0];
    const history = await historyOf(asked, {
      seed: SEED + 1,
      clients: 6,
      operations: 25,
      timeoutMs: 1500,
      keys: 8,
      before,
    });
    network.mend();
    await expectAgreement();
    expectLinearizable(history);
    expect(history.length).toBeGreaterThan(60);
  }, 90_000);

  test("without a majority: reads of what is known, and a clear word for writes that can be tried again", async () => {
    const [gone, also] = ["c1", "c2"];
    await call(apiOf("c3"), "PinModel", { model: "kept", minReplicas: 1 });
    // The leader has it and one other; a consistent read shows that c3 has it, too.
    await call(apiOf("c3"), "ListPolicies", { kind: "pin" });
    await Promise.all([running.get(gone)!.kill(), running.get(also)!.kill()]);
    const write = call(apiOf("c3"), "PinModel", { model: "m", minReplicas: 1 }, 1500);
    expect(write).rejects.toMatchObject({ retryable: true });
    await write.catch(() => {});
    const local = (await call(apiOf("c3"), "ListPolicies", { kind: "pin", local: true })) as { policies: unknown[] };
    expect(local.policies).toMatchObject([{ name: "kept" }]);
    running.set(gone, await start(gone, "auto"));
    const again = await call(apiOf("c3"), "PinModel", { model: "m", minReplicas: 1 }, 10_000);
    expect(again).toMatchObject({ policies: [{ kind: "pin", name: "m" }] });
  }, 60_000);
});
