/** Three control nodes behind a network that is cut between them: what clients see stays linearizable, and goes on. */
import { afterEach, describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { Prng } from "../../src/base/prng.ts";
import { Ways } from "../../src/store/ways.ts";
import { policyModel } from "../linearizability/policy-model.ts";
import { checkHistory } from "../linearizability/wgl.ts";
import { Cluster, until } from "./cluster.ts";
import { FaultyNetwork } from "./faulty-network.ts";
import { historyOf } from "./store-history.ts";

const SEED = Number(process.env["SEED"] ?? 20_261_127);
const NAMES = ["n1", "n2", "n3"];

let cluster = new Cluster();
let network = new FaultyNetwork();
afterEach(async () => {
  network.mend();
  await cluster.end();
  network.stop();
  cluster = new Cluster();
  network = new FaultyNetwork();
});

/** Another state of the network, drawn by chance: whole, one node alone, or one way between two cut. */
function change(prng: Prng): void {
  const [one, other] = [NAMES[prng.int(3)]!, NAMES[prng.int(3)]!];
  const which = prng.next();
  if (which < 0.35) network.mend();
  else if (which < 0.7 || one === other)
    network.isolate(
      one,
      NAMES.filter((name) => name !== one),
    );
  else network.cut([{ from: one, to: other }]);
}

describe("while the network is cut", () => {
  test("the majority goes on, the rest refuses; when it is mended all agree", async () => {
    const nodes = await cluster.form(3, network);
    const leader = await cluster.leader();
    network.isolate(
      leader.name,
      NAMES.filter((name) => name !== leader.name),
    );
    const write = [{ put: { kind: "node", name: "x", spec: { cordoned: true } } }] as const;
    const lost = leader.host.write(write, { timeoutMs: 1500, key: "lost" }).then(
      () => "done",
      (error: MeshError) => (error.retryable ? "retryable" : "final"),
    );
    const rest = nodes.filter(({ name }) => name !== leader.name);
    expect(await rest[0]!.host.write(write, { key: "done" })).toMatchObject({ ok: true, revision: 1 });
    expect(await lost).toBe("retryable");
    network.mend();
    for (const { host } of nodes) {
      await until(async () => (await host.list()).revision === 1, "all to agree");
      expect((await host.list({ consistent: true })).items).toMatchObject([{ name: "x" }]);
    }
  }, 20_000);

  test("one that lags behind tells no follower what is older than it knows", async () => {
    const nodes = await cluster.form(3, network);
    const leader = await cluster.leader();
    const lagging = nodes.find(({ name }) => name !== leader.name)!;
    const write = (name: string): Promise<unknown> =>
      leader.host.write([{ put: { kind: "node", name, spec: { cordoned: true } } }]);
    await write("x");
    await lagging.host.list({ consistent: true });
    network.isolate(
      lagging.name,
      NAMES.filter((name) => name !== lagging.name),
    );
    await write("y");
    const identity = { cluster: "mesh", node: "f", storeId: () => "", keys: () => [] };
    const handlers = { message() {}, call: () => Promise.reject(new MeshError("not_supported", "nothing here")) };
    const ways = new Ways({ identity, handlers, onBroken() {} });
    const { promise: first, resolve } = Promise.withResolvers<unknown>();
    const follow = (): void => {
      const known = { cluster: "", revision: 0 };
      // It may be that nobody leads for longer than it waits.
      ways.ask(lagging.announced(), "follow", known, { onPiece: resolve }).catch(({ code }: MeshError) => {
        if (code === "no_quorum") follow();
      });
    };
    follow();
    // Over the same link: what was asked before has been read.
    expect(await ways.ask(lagging.announced(), "about", {})).toMatchObject({ revision: 1 });
    network.mend();
    expect(await first).toMatchObject({ revision: 2 });
    ways.stop();
  }, 20_000);

  test("what clients of all three see is linearizable, and every write that was acknowledged is there", async () => {
    const nodes = await cluster.form(3, network);
    const prng = new Prng(SEED);
    const stores = nodes.map(({ host }) => host);
    const before = async (count: number): Promise<void> => {
      if (count % 25 === 10) change(prng);
      await Bun.sleep(prng.int(20));
    };
    const history = await historyOf(stores, { seed: SEED, clients: 6, operations: 25, timeoutMs: 1500, before });
    network.mend();
    await until(async () => {
      const all = await Promise.all(stores.map((store) => store.list({ consistent: true, timeoutMs: 5000 })));
      return all.every(({ revision }) => revision === all[0]!.revision);
    }, "all to agree");
    const verdict = checkHistory(policyModel, history);
    if (verdict.verdict !== "linearizable") console.error(`SEED=${SEED}`, Bun.inspect(verdict, { depth: 6 }));
    expect(verdict.verdict).toBe("linearizable");
    expect(history.length).toBeGreaterThan(60);
  }, 60_000);
});
