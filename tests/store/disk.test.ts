/** What control nodes have on their disks: logs that are compacted, snapshots for those that were away, a disk that is full. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { MeshError } from "../../src/base/errors.ts";
import { raftSettings } from "../../src/raft/settings.ts";
import type { LogContents } from "../../src/store/log-archive.ts";
import { openLog } from "../../src/store/log.ts";
import type { PolicyStore } from "../../src/store/policy-store.ts";
import { Cluster, LOG_ENTRY, type Node, until } from "./cluster.ts";

const HERE = mkdtempSync(join(tmpdir(), "infermesh-disk-"));
const DISK = join(HERE, "disk");
mkdirSync(DISK);
const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", DISK], { stderr: "ignore" }).success;
afterAll(() => {
  if (mounted) Bun.spawnSync(["umount", "-l", DISK]);
  rmSync(HERE, { recursive: true, force: true });
});

let cluster = new Cluster();
afterEach(async () => {
  await cluster.end();
  cluster = new Cluster();
});

function pin(store: PolicyStore, name: string, more = 0): ReturnType<PolicyStore["write"]> {
  const nodes = ["a", ...padding(more)];
  return store.write([{ put: { kind: "pin", name, spec: { nodes } } }]);
}

async function names(store: PolicyStore, consistent = true): Promise<string[]> {
  return (await store.list({ kind: "pin", consistent })).items.map(({ name }) => name);
}

/** What a node that is closed has in its log. */
async function contents(name: string): Promise<LogContents> {
  const log = await openLog(join(cluster.dir, `control-${name}.sqlite`), undefined, LOG_ENTRY);
  await log!.close();
  return log!.contents;
}

function fill(): string {
  const ballast = join(DISK, "ballast");
  const { bavail, bsize } = statfsSync(DISK);
  writeFileSync(ballast, new Uint8Array(bavail * bsize));
  return ballast;
}

describe("a log that is compacted", () => {
  const small = {
    compaction: { entriesMax: 40, bytesMax: 2 ** 20 },
    raft: { ...defaultsOf(raftSettings), trailingEntriesMax: 10, snapshotChunkBytes: 1024, snapshotWindowBytes: 2048 },
  };

  async function formed(): Promise<Node[]> {
    const nodes: Node[] = [];
    for (const name of ["n1", "n2", "n3"]) {
      nodes.push(await cluster.open(name, name === "n1" ? "bootstrap" : "join", small));
    }
    await until(async () => {
      const { members, changing } = await nodes[0]!.host.status();
      return !changing && members.filter(({ role }) => role !== "learner").length === 3;
    }, "three voters");
    return nodes;
  }

  test("keeps all that was written, at one node across restarts", async () => {
    const { host } = await cluster.open("n1", "bootstrap", small);
    for (let at = 100; at < 250; at += 1) await pin(host, `m${at}`);
    expect((await host.status()).logBytes).toBeLessThan(40 * 200);
    await cluster.close("n1");
    const { snapshot, entries } = await contents("n1");
    expect(snapshot!.index).toBeGreaterThan(100);
    // Those behind the snapshot, as many as the consensus keeps, and those after it.
    expect(entries.length).toBeLessThan(60);
    expect(snapshot!.index - entries[0]!.index).toBeLessThanOrEqual(10);
    const again = await cluster.open("n1", "auto", small);
    expect(await names(again.host)).toHaveLength(150);
    await pin(again.host, "m250");
    expect((await again.host.status()).revision).toBe(151);
  });

  test("a node that was away for long gets a snapshot, in pieces, and goes on from it; so does a newcomer", async () => {
    const nodes = await formed();
    await pin(nodes[0]!.host, "before");
    const leader = await cluster.leader();
    const away = nodes.find(({ name }) => name !== leader.name)!.name;
    await cluster.close(away);
    const before = await contents(away);
    for (let at = 100; at < 250; at += 1) await pin(leader.host, `m${at}`);
    const back = await cluster.open(away, "auto", small);
    expect(await names(back.host)).toHaveLength(151);
    // It is a full member: with it alone beside the leader there is a majority.
    const third = nodes.find(({ name }) => name !== leader.name && name !== away)!.name;
    await cluster.close(third);
    await pin(leader.host, "later");
    const newcomer = await cluster.open("n4", "join", small);
    await until(() => newcomer.host.isControlNode, "the newcomer");
    expect(await names(newcomer.host)).toHaveLength(152);
    await cluster.close(away);
    await cluster.close("n4");
    for (const name of [away, "n4"]) {
      const { snapshot, entries } = await contents(name);
      expect(snapshot!.index).toBeGreaterThan(before.entries.at(-1)!.index);
      expect(entries.at(-1)!.index).toBeGreaterThan(snapshot!.index);
    }
  }, 15_000);

  test("under load and with members that come and go none lacks anything", async () => {
    const nodes = await formed();
    let written = 0;
    const writer = async (own: number): Promise<void> => {
      for (let at = 0; at < 60; at += 1) {
        await pin(nodes[0]!.host, `w${own}-${at}`);
        written += 1;
      }
    };
    const restarts = async (): Promise<void> => {
      for (const name of ["n2", "n3", "n2"]) {
        await cluster.close(name);
        const again = await cluster.open(name, "auto", small);
        await again.host.list({ consistent: true });
      }
    };
    await Promise.all([writer(0), writer(1), writer(2), restarts()]);
    for (const { host } of cluster.nodes.values()) expect(await names(host)).toHaveLength(written);
    expect(written).toBe(180);
  }, 20_000);
});

describe.skipIf(!mounted)("a full disk (skipped where nothing may be mounted)", () => {
  const writes = (store: PolicyStore): Promise<string> =>
    pin(store, "more", 200).then(
      () => "written",
      ({ code }: MeshError) => code,
    );

  test("of the only control node: writes are refused, reads served, and it goes on when there is space", async () => {
    const { host, lines } = await cluster.open("n1", "bootstrap", { dataDir: DISK });
    await pin(host, "m1");
    const ballast = fill();
    let told = "";
    // Until what was allocated for the log is used up. The first write that finds no space may still be done.
    for (let at = 0; at < 200 && told !== "store_full"; at += 1) {
      told = await host
        .write([{ put: { kind: "pin", name: "m2", spec: { nodes: [`${at}`, ...padding(250)] } } }], { timeoutMs: 500 })
        .then(
          () => "written",
          ({ code }: MeshError) => code,
        );
      expect(["written", "request_timeout", "store_full"]).toContain(told);
    }
    expect(told).toBe("store_full");
    expect(await names(host)).toContain("m1");
    const { writable, alarm } = await host.status();
    expect(writable).toBe(false);
    expect(alarm).toContain("free some space");
    expect(lines.join("\n")).toContain("can't be written");
    rmSync(ballast);
    await until(async () => (await host.status()).writable, "it to go on");
    expect(await writes(host)).toBe("written");
    expect(lines.join("\n")).toContain("can be written again");
    await cluster.close("n1");
    const again = await cluster.open("n1", "auto", { dataDir: DISK });
    expect(await names(again.host)).toEqual(["m1", "m2", "more"]);
    await cluster.close("n1");
  }, 30_000);

  test("of the leader of three: it hands over to one that has space, and writes go on", async () => {
    const first = await cluster.open("d1", "bootstrap", { dataDir: DISK });
    for (const name of ["n2", "n3"]) await cluster.open(name, "join");
    await until(
      async () => (await first.host.status()).members.filter(({ role }) => role !== "learner").length === 3,
      "3",
    );
    expect((await first.host.status()).leader).toBe("d1");
    const ballast = fill();
    const other = cluster.nodes.get("n2")!.host;
    const text = padding(250);
    for (let at = 0; at < 300 && (await other.status()).leader === "d1"; at += 1) {
      await other
        .write([{ put: { kind: "pin", name: "m", spec: { nodes: [`${at}`, ...text] } } }], { timeoutMs: 2000 })
        .catch(({ code }: MeshError) => expect(["store_full", "request_timeout"]).toContain(code));
    }
    await until(async () => ["n2", "n3"].includes((await other.status()).leader), "another leader");
    await pin(other, "later");
    // Also by the node whose disk is full.
    await pin(first.host, "last");
    expect(await names(first.host)).toEqual(["last", "later", "m"]);
    rmSync(ballast);
    await until(async () => (await first.host.status()).writable, "its disk");
    await cluster.close("d1");
  }, 30_000);
});

function padding(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${at}-${"v".repeat(240)}`);
}
