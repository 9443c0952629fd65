import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Event, type KeyValue } from "../../src/gen/etcd.js";
import { type EtcdAddress, parseEtcdAddress } from "../../src/store/etcd-address.ts";
import { EtcdClient } from "../../src/store/etcd-client.ts";
import { EtcdFailure } from "../../src/store/etcd-failure.ts";
import { EtcdFeed } from "../../src/store/etcd-feed.ts";
import { selfSigned } from "../net/certificates.ts";
import { compact, defragment, deleteOutside, demandLogin, disarm, putOutside } from "./etcd-gateway.ts";
import { freePorts } from "../ports.ts";
import { EtcdCluster, WITHOUT_ETCD } from "./etcd-server.ts";

if (WITHOUT_ETCD !== "") console.log(`> skipped: ${WITHOUT_ETCD}`);
const withEtcd = describe.skipIf(WITHOUT_ETCD !== "");

/** For tests that start a server of their own. */
const STARTING_MS = 30_000;
const FAST = ["--heartbeat-interval", "20", "--election-timeout", "200"];
const bytes = (text: string): Buffer => Buffer.from(text);
const put = (key: string, value: string | Uint8Array) => ({
  success: [{ requestPut: { key: bytes(key), value: typeof value === "string" ? bytes(value) : value } }],
});

function addressOf(text: string): EtcdAddress {
  const address = parseEtcdAddress(text);
  if (typeof address === "string") throw new Error(address);
  return address;
}

function failed(reply: unknown): EtcdFailure {
  if (!(reply instanceof EtcdFailure)) throw new Error("it succeeded");
  return reply;
}

async function valueOf(client: EtcdClient, key: string): Promise<string | undefined> {
  const reply = await client.range({ key: bytes(key) }, 5000);
  if (reply instanceof EtcdFailure) throw reply.error;
  return reply.kvs[0] && Buffer.from(reply.kvs[0].value ?? []).toString();
}

/** What a feed told, and a way to wait for it. */
class Told {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  #waiting: { readonly isIt: () => boolean; readonly resolve: () => void }[] = [];

  loaded(kvs: readonly KeyValue.$Properties[]): void {
    this.#tell(`= ${kvs.map(({ key, value }) => `${text(key)}:${text(value)}`).join(" ")}`);
  }

  changed(events: readonly Event.$Properties[]): void {
    for (const { type, kv } of events) {
      this.#tell(`${type === Event.EventType.DELETE ? "-" : "+"} ${text(kv?.key)}:${text(kv?.value)}`);
    }
  }

  failed(error: Error | null): void {
    if (error !== null) this.errors.push(error.message);
    this.#look();
  }

  until(isIt: () => boolean): Promise<void> {
    if (isIt()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ isIt, resolve }));
  }

  #tell(line: string): void {
    this.lines.push(line);
    this.#look();
  }

  #look(): void {
    for (const { isIt, resolve } of this.#waiting) if (isIt()) resolve();
  }
}

const text = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString();

/** Whose watches begin when they are let, so that something can happen between loading and watching. */
class LateWatches extends EtcdClient {
  readonly #gate = Promise.withResolvers<void>();
  readonly #asked = Promise.withResolvers<void>();
  readonly asked = this.#asked.promise;

  open(): void {
    this.#gate.resolve();
  }

  override async openWatch(timeoutMs: number): ReturnType<EtcdClient["openWatch"]> {
    this.#asked.resolve();
    await this.#gate.promise;
    return super.openWatch(timeoutMs);
  }
}

withEtcd("a single etcd", () => {
  let etcd: EtcdCluster;
  let client: EtcdClient;
  let port = 0;

  beforeAll(async () => {
    etcd = await EtcdCluster.start(1, { flags: FAST });
    port = etcd.nodes[0]!.port;
    client = new EtcdClient(addressOf(etcd.address), null);
  });

  afterAll(async () => {
    client.close();
    await etcd.stop();
  });

  test("transactions compare, write and read", async () => {
    expect(await client.txn(put("/c/a", "1"), 5000, false)).toMatchObject({ succeeded: true });
    const unchanged = { target: 1, key: bytes("/c/a"), createRevision: 0 };
    const again = { ...put("/c/a", "2"), compare: [unchanged], failure: [{ requestRange: { key: bytes("/c/a") } }] };
    const reply = await client.txn(again, 5000, false);
    expect(reply).toMatchObject({ succeeded: false, responses: [{ responseRange: { kvs: [{ version: 1 }] } }] });
    expect(await valueOf(client, "/c/a")).toBe("1");
  });

  test("leases are of the number asked for, and asking twice does no harm", async () => {
    await client.grant(2 ** 52 + 1, 60, 5000);
    await client.grant(2 ** 52 + 1, 60, 5000);
    const leased = { requestPut: { key: bytes("/c/l"), value: bytes("x"), lease: 2 ** 52 + 1 } };
    expect(await client.txn({ success: [leased] }, 5000, false)).toMatchObject({ succeeded: true });
    const unknown = { requestPut: { key: bytes("/c/l"), value: bytes("x"), lease: 77 } };
    expect(failed(await client.txn({ success: [unknown] }, 5000, false)).next).toBe("lease");
  });

  test("who its members are, in numbers of 64 bits, and how they are", async () => {
    const [member] = await client.members(5000);
    const [status] = await client.status(5000);
    if (status === undefined || status instanceof EtcdFailure) throw new Error("no status");
    expect(member).toMatchObject({ name: "n0", clientUrls: [`http://127.0.0.1:${port}`], isLearner: false });
    expect([status.member, status.leader]).toEqual([member!.id, member!.id]);
    expect(status.cluster).toMatch(/^[0-9a-f]{1,16}$/);
    expect(status.message.version).toMatch(/^3\./);
    expect(status.message.errors).toEqual([]);
    // Each is asked for itself in JSON as well, where numbers are texts.
    const listed = await fetch(`http://127.0.0.1:${port}/v3/cluster/member/list`, { method: "POST", body: "{}" });
    const { members } = (await listed.json()) as { members: { ID: string }[] };
    expect(member!.id).toBe(BigInt(members[0]!.ID).toString(16));
  });

  test("what is too large for etcd is said to be", async () => {
    const { error, isFateUnknown } = failed(await client.txn(put("/c/big", Buffer.alloc(1_600_000)), 5000, false));
    expect([error.code, isFateUnknown]).toEqual(["payload_too_large", false]);
  });

  test("a feed loads in pages, follows, and resumes after a restart", async () => {
    const many = Array.from({ length: 120 }, (_, i) => i);
    for (let page = 0; page < 10; page++) {
      const success = many.map((i) => put(`/many/${page * 120 + i}`, Buffer.alloc(10, "v")).success[0]!);
      await client.txn({ success }, 5000, false);
    }
    let loaded = 0;
    const silent = { loaded: (kvs: readonly unknown[]) => (loaded = kvs.length), changed() {}, failed() {} };
    const all = new EtcdFeed(client, "/many/", silent);
    const told = new Told();
    const own = new EtcdClient(addressOf(etcd.address), null);
    const feed = new EtcdFeed(own, "/f/", told);
    await putOutside(port, "/f/a", "1");
    const running = [feed.run(), all.run()];
    await told.until(() => told.lines.length === 1);
    await putOutside(port, "/f/b", "2");
    await deleteOutside(port, "/f/a");
    await putOutside(port, "/g/b", "of others");
    await told.until(() => told.lines.length === 3);
    expect(told.lines).toEqual(["= /f/a:1", "+ /f/b:2", "- /f/a:"]);
    expect(loaded).toBe(1200);

    await etcd.nodes[0]!.kill();
    await told.until(() => told.errors.length > 0);
    await etcd.nodes[0]!.restart();
    await putOutside(port, "/f/c", "3");
    await told.until(() => told.lines.length === 4);
    expect(told.lines.at(-1)).toBe("+ /f/c:3");

    for (const one of [feed, all]) one.stop();
    await Promise.all(running);
    own.close();
  });

  test("a feed whose place was compacted away loads anew", async () => {
    const late = new LateWatches(addressOf(etcd.address), null);
    const told = new Told();
    const feed = new EtcdFeed(late, "/k/", told);
    await putOutside(port, "/k/a", "1");
    const running = feed.run();
    await late.asked;
    await putOutside(port, "/k/b", "2");
    await compact(port, await putOutside(port, "/k/c", "3"));
    late.open();
    await told.until(() => told.lines.length === 2);
    await putOutside(port, "/k/d", "4");
    await told.until(() => told.lines.length === 3);
    expect(told.lines).toEqual(["= /k/a:1", "= /k/a:1 /k/b:2 /k/c:3", "+ /k/d:4"]);
    feed.stop();
    await running;
    late.close();
  });
});

withEtcd("an etcd with a login, with TLS, without space", () => {
  test(
    "a login is asked for, checked, limited to its prefix, and renewed",
    async () => {
      const etcd = await EtcdCluster.start(1, { flags: FAST });
      const { port } = etcd.nodes[0]!;
      await demandLogin(port, "mesh", "s:3/cret", "/infermesh/");
      const at = `127.0.0.1:${port}`;
      const nobody = new EtcdClient(addressOf(`etcd://${at}`), null);
      const wrong = new EtcdClient(addressOf(`etcd://mesh:wrong@${at}`), null);
      const mesh = new EtcdClient(addressOf(`etcd://mesh:s%3A3%2Fcret@${at}`), null);
      const key = { key: bytes("/infermesh/x") };
      for (const [client, what] of [
        [nobody, /user name is empty: it asks for a login/],
        [wrong, /authentication failed/],
      ] as const) {
        const { error } = failed(await client.range(key, 5000));
        expect([error.code, error.message]).toEqual(["forbidden", expect.stringMatching(what)]);
      }
      expect(await mesh.txn(put("/infermesh/x", "1"), 5000, false)).toMatchObject({ succeeded: true });
      const { error } = failed(await mesh.range({ key: bytes("/other") }, 5000));
      expect([error.code, error.message]).toEqual(["forbidden", expect.stringMatching(/permission denied.*readwrite/)]);
      // Its member forgets its tokens.
      await etcd.nodes[0]!.kill();
      await etcd.nodes[0]!.restart();
      expect(await valueOf(mesh, "/infermesh/x")).toBe("1");
      const told = new Told();
      const feed = new EtcdFeed(mesh, "/infermesh/", told);
      const running = feed.run();
      await told.until(() => told.lines.length === 1);
      expect(told.lines).toEqual(["= /infermesh/x:1"]);
      feed.stop();
      await running;
      for (const client of [nobody, wrong, mesh]) client.close();
      await etcd.stop();
    },
    STARTING_MS,
  );

  test(
    "TLS, with certificates on both sides, and with those that are not trusted",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "infermesh-etcd-tls-"));
      const file = (name: string, pem: string): string => {
        writeFileSync(join(folder, name), pem);
        return join(folder, name);
      };
      const [server, mesh, stranger] = [selfSigned("localhost", "IP:127.0.0.1"), selfSigned("mesh"), selfSigned("x")];
      const [cert, key, ca] = [file("cert", server.cert), file("key", server.key), file("ca", mesh.cert)];
      const etcd = await EtcdCluster.start(1, { flags: FAST, tls: { cert, key, ca } });
      const address = addressOf(etcd.address.replace("etcd:", "etcds:"));
      const trusting = new EtcdClient(address, { ca: server.cert, identity: mesh, verify: true });
      expect(await trusting.txn(put("/t", "1"), 5000, false)).toMatchObject({ succeeded: true });
      const misled = { ...address, endpoints: [{ host: "127.0.0.2", port: etcd.nodes[0]!.port }] };
      for (const [client, what] of [
        [new EtcdClient(address, { ca: stranger.cert, identity: mesh, verify: true }), /certificate|self.signed/i],
        [new EtcdClient(address, { ca: server.cert, identity: stranger, verify: true }), /./],
        [new EtcdClient(address, { ca: server.cert, verify: true }), /./],
        [new EtcdClient({ ...address, tls: false }, null), /./],
        [new EtcdClient(misled, { ca: server.cert, identity: mesh, verify: true }), /connection refused|certificate/],
      ] as const) {
        const { error } = failed(await client.range({ key: bytes("/t") }, 400));
        expect([error.code, error.message]).toEqual(["no_quorum", expect.stringMatching(what)]);
        client.close();
      }
      trusting.close();
      await etcd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
    STARTING_MS,
  );

  test(
    "a full database refuses writes, serves reads, and recovers",
    async () => {
      const etcd = await EtcdCluster.start(1, { flags: [...FAST, "--quota-backend-bytes", "1000000"] });
      const { port } = etcd.nodes[0]!;
      const client = new EtcdClient(addressOf(etcd.address), null);
      let refused: EtcdFailure | null = null;
      // It weighs its data by what it has brought to disk, ten times a second: more may be written than there is room for.
      for (let i = 0; i < 500 && refused === null; i++) {
        const reply = await client.txn(put("/full", Buffer.alloc(100_000, i % 256)), 5000, false);
        if (reply instanceof EtcdFailure) refused = reply;
      }
      expect(refused?.error.code).toBe("store_full");
      expect(refused?.error.message).toContain("etcdctl alarm disarm");
      expect(await valueOf(client, "/full")).toHaveLength(100_000);
      const member = (await client.members(5000))[0]!.id;
      expect(await client.status(5000)).toMatchObject([
        { message: { errors: [expect.stringContaining("alarm:NOSPACE")] } },
      ]);
      await compact(port, await deleteOutside(port, "/full"));
      await defragment(port);
      await disarm(port, member);
      expect(await client.txn(put("/full", "small"), 5000, false)).toMatchObject({ succeeded: true });
      client.close();
      await etcd.stop();
    },
    STARTING_MS,
  );
});

describe("what is no etcd", () => {
  test("nobody listens: every endpoint and its reason is named", async () => {
    const ports = freePorts(2);
    const client = new EtcdClient(addressOf(`etcd://${ports.map((port) => `127.0.0.1:${port}`).join(",")}`), null);
    const { error, isFateUnknown } = failed(await client.txn(put("/a", "1"), 200, false));
    expect([error.code, error.retryable, isFateUnknown]).toEqual(["no_quorum", true, false]);
    for (const port of ports) expect(error.message).toContain(`127.0.0.1:${port}: connection refused`);
    client.close();
  });

  test("one that takes connections and says nothing was sent nothing, and carried out nothing", async () => {
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const client = new EtcdClient(addressOf(`etcd://127.0.0.1:${silent.port}`), null);
    const { error, isFateUnknown } = failed(await client.txn(put("/a", "1"), 300, false));
    expect([error.code, error.retryable, isFateUnknown]).toEqual(["no_quorum", true, false]);
    expect(error.message).toContain(`127.0.0.1:${silent.port}: no connection in time`);
    client.close();
    silent.stop(true);
  });

  test("an HTTP server", async () => {
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    const client = new EtcdClient(addressOf(`etcd://127.0.0.1:${server.port}`), null);
    const { error } = failed(await client.range({ key: bytes("a") }, 300));
    expect([error.code, error.message]).toEqual(["no_quorum", expect.stringContaining(`127.0.0.1:${server.port}`)]);
    client.close();
    await server.stop(true);
  });
});
