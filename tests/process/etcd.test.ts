/** The executable with --store etcd://: its client is in it, and nodes come and go without their etcd. */
import { afterAll, describe, expect, test } from "bun:test";
import { parseEtcdAddress } from "../../src/store/etcd-address.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { EtcdCluster, WITHOUT_ETCD } from "../store/etcd-server.ts";
import { done, put } from "../store/store-writes.ts";
import { Bench, EXECUTABLE, type Started, ownEnvironment, until } from "./harness.ts";

const STARTING_MS = 60_000;
const FAST = ["--heartbeat-interval", "20", "--election-timeout", "200"];
const bench = new Bench();

afterAll(() => bench.end());

const said = ({ lines }: Started, text: string): boolean => lines.some((line) => String(line["msg"]).includes(text));

describe.skipIf(WITHOUT_ETCD !== "")("--store etcd://", () => {
  test(
    "a node keeps its policies there, starts without it, and ends in order",
    async () => {
      const etcd = await EtcdCluster.start(1, { flags: FAST });
      const [node] = etcd.nodes;
      const first = await bench.agent("etcd1", null, "--store", `${etcd.address}/one`);
      await until(() => said(first, "no policies were kept under this prefix of etcd yet"));
      // Another program sees what it began, by the same client.
      const address = parseEtcdAddress(`${etcd.address}/one`);
      if (typeof address === "string") throw new Error(address);
      const log = { info() {}, warn() {} };
      const store = new EtcdStore({ address, tls: { verify: true }, cluster: "", log });
      await store.ready();
      done(await store.write([put("pin", "m", { minReplicas: 1 })]));
      await store.stop();

      await node!.kill();
      await until(() => said(first, "etcd can't be followed"));
      const second = await bench.agent("etcd2", null, "--store", `${etcd.address}/one`);
      expect(said(second, "etcd can't be reached yet")).toBe(true);
      await node!.restart();
      await until(() => said(first, "etcd is followed again"));
      expect(await Promise.all([first.stop(), second.stop()])).toEqual([0, 0]);
      await etcd.stop();
    },
    STARTING_MS,
  );

  test("an address that is none, and files that are none, end the start with what is wrong", () => {
    for (const [args, what] of [
      [["--store", "etcd://me:secret@a:0"], /names the endpoint "a:0", which is not HOST:PORT/],
      [["--store", "etcds://127.0.0.1:1", "--store-ca", "/none.pem"], /\/none\.pem: can't be read/],
    ] as const) {
      const ended = Bun.spawnSync([EXECUTABLE, "agent", "--mock", "--gossip", "127.0.0.1:0", ...args], {
        env: ownEnvironment(),
        timeout: 10_000,
      });
      const output = `${ended.stdout.toString()}${ended.stderr.toString()}`;
      expect(output).toMatch(what);
      expect(output).not.toContain("secret");
      expect(ended.exitCode).not.toBe(0);
    }
  });
});
