/**
 * Commands with nothing but their defaults. Their ports are usual ones, to which every node on the machine looks for others:
 * no other test may run meanwhile, and they must be free.
 */
import { afterAll, setDefaultTimeout, test } from "bun:test";
import { Bench, nodes, until } from "../harness.ts";

setDefaultTimeout(120_000);
const bench = new Bench();
afterAll(() => bench.end());

test("the bare commands meet, whichever starts first", async () => {
  const agent = await bench.start(
    "agent",
    "--mock",
    "--serve",
    "127.0.0.1:0",
    "--metrics",
    "127.0.0.1:0",
    "--id",
    "early",
  );
  const router = await bench.start("router", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--workers", "1");
  // By gossip: the agent tries the router's usual port on its own machine.
  await until(
    async () => (await nodes(router)).some(({ id, source }) => id === "early" && source === "gossip"),
    15_000,
  );
  await router.stop();
  const again = await bench.start("router", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--workers", "1");
  await until(async () => (await nodes(again)).some(({ id }) => id === "early"), 15_000);
  await Promise.all([agent.stop(), again.stop()]);
});
