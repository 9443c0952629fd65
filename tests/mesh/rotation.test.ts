/** A key is rotated over real sockets on loopback while everybody talks to everybody, and nothing is lost. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { CHANNEL, DROP_REASONS } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { joinMesh, type MeshNode } from "../../src/mesh/node-membership.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { bareMeta } from "../../src/swim/meta.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { eventually } from "../admin/raw-client.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "infermesh-rotation-"));
});

const opened: MeshNode[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((node) => node.leave(0)));
  rmSync(directory, { recursive: true });
});

const FAST = {
  ...defaultsOf(swimSettings),
  probeIntervalMs: 100,
  probeTimeoutMs: 50,
  gossipIntervalMs: 20,
  pushPullIntervalMs: 500,
};

const key = (): string => randomBytes(32).toString("base64");
const fingerprintOf = (text: string): string => new Keyring([Buffer.from(text, "base64")]).primary!.fingerprint;

/** A key that a header tells from another one. */
function keyUnlike(other: string): string {
  for (;;) {
    const drawn = key();
    if (fingerprintOf(drawn).slice(0, 2) !== fingerprintOf(other).slice(0, 2)) return drawn;
  }
}

/** A key file of its own. */
function keyFile(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

async function open(
  id: string,
  seed: string,
  keys: { readonly key?: string; readonly keyFile?: string },
  warnings: string[] = [],
): Promise<MeshNode> {
  const node = await joinMesh({
    id,
    identity: 0,
    incarnation: opened.length + 1,
    gossip: { host: "127.0.0.1", port: 0 },
    advertise: "",
    join: seed === "" ? [] : [seed],
    mesh: { ...defaultsOf(gossipSettings), ...keys },
    swim: FAST,
    meta: bareMeta("agent"),
    journal: new Journal(Date.now()),
    log: { info() {}, warn: (message, fields) => void warnings.push(`${message} ${JSON.stringify(fields)}`) },
    onEvent() {},
  });
  opened.push(node);
  return node;
}

/** Datagrams and requests from each to each until it is ended. */
class Traffic {
  readonly #nodes: readonly MeshNode[];
  readonly #loops: Promise<void>[] = [];
  #ended = false;
  sent = 0;
  received = 0;
  asked = 0;
  answered = 0;
  readonly failures: string[] = [];

  constructor(nodes: readonly MeshNode[]) {
    this.#nodes = nodes;
    for (const { transport } of nodes) {
      transport.listen(CHANNEL.state, {
        onPacket: () => void this.received++,
        onRequest: (_from, bytes) => bytes,
      });
    }
    for (const from of nodes) {
      for (const to of nodes) if (from !== to) this.#loops.push(this.#talk(from, to), this.#ask(from, to));
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#loops);
    await eventually(
      () => this.received === this.sent,
      5000,
      () => `received ${this.received} of ${this.sent}; ${JSON.stringify(this.#nodes[0]?.transport.stats())}`,
    );
  }

  async #talk({ transport }: MeshNode, to: MeshNode): Promise<void> {
    for (; !this.#ended; await Bun.sleep(2)) {
      if (transport.send(to.membership.address, randomBytes(200), CHANNEL.state)) this.sent++;
    }
  }

  async #ask({ transport }: MeshNode, to: MeshNode): Promise<void> {
    for (; !this.#ended; await Bun.sleep(5)) {
      this.asked++;
      const question = randomBytes(64);
      await transport.request(to.membership.address, question, 5000, CHANNEL.state).then(
        (answer) => void (this.answered += question.equals(answer) ? 1 : 0),
        (error: Error) => void this.failures.push(error.message),
      );
    }
  }
}

test.each([2, 5])("add, use, remove among %i members under traffic: not one packet is lost", async (count) => {
  const [old, fresh] = [key(), key()];
  const files = Array.from({ length: count }, (_, index) => keyFile(`n${index}`, old));
  const first = await open("n0", "", { keyFile: files[0]! });
  const { address } = first.membership;
  const rest = await Promise.all(files.slice(1).map((file, at) => open(`n${at + 1}`, address, { keyFile: file })));
  const nodes = [first, ...rest];
  await eventually(() => nodes.every(({ membership }) => membership.size === count));
  const traffic = new Traffic(nodes);
  for (const [asked, change] of [
    [0, { op: "add", key: fresh }],
    [count - 1, { op: "use", fingerprint: fingerprintOf(fresh) }],
    [1, { op: "remove", fingerprint: fingerprintOf(old) }],
  ] as const) {
    await Bun.sleep(100);
    const { members } = await nodes[asked]!.keys.change(change);
    expect(members.map(({ outcome, kept }) => [outcome, kept])).toEqual(nodes.map(() => ["ok", true]));
  }
  await Bun.sleep(100);
  await traffic.end();
  expect(traffic.failures).toEqual([]);
  expect(traffic.answered).toBe(traffic.asked);
  expect(traffic.answered).toBeGreaterThan(count * 10);
  expect(traffic.sent).toBeGreaterThan(count * 50);
  for (const { transport, keyring, membership } of nodes) {
    const { dropped } = transport.stats();
    expect(dropped).toEqual(Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as typeof dropped);
    expect(keyring.list()).toEqual([{ fingerprint: fingerprintOf(fresh), primary: true }]);
    expect(membership.size).toBe(count);
  }
  for (const file of files) expect(readFileSync(file, "utf8")).toBe(`${fresh}\n`);
});

test("members whose primaries differ work as long as both have both keys", async () => {
  const [old, fresh] = [key(), key()];
  const nodes = [await open("n0", "", { key: old })];
  nodes.push(await open("n1", nodes[0]!.membership.address, { key: old }));
  await eventually(() => nodes.every(({ membership }) => membership.size === 2));
  await nodes[0]!.keys.change({ op: "add", key: fresh });
  nodes[1]!.keyring.use(fingerprintOf(fresh));
  const view = await nodes[0]!.keys.list();
  expect(view.keys.map(({ primaryAt, presentAt }) => [primaryAt, presentAt])).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect(view.members.map(({ kept }) => kept)).toEqual([false, false]);
  const traffic = new Traffic(nodes);
  await Bun.sleep(100);
  await traffic.end();
  expect([traffic.failures, traffic.asked]).toEqual([[], traffic.answered]);
});

test("a member whose key file can't be written says so and keeps its ring; the others go on, and use is refused", async () => {
  const [old, fresh] = [key(), key()];
  const path = keyFile("n1", old);
  const nodes = [await open("n0", "", { key: old })];
  nodes.push(await open("n1", nodes[0]!.membership.address, { keyFile: path }));
  await eventually(() => nodes.every(({ membership }) => membership.size === 2));
  rmSync(path);
  const added = await nodes[0]!.keys.change({ op: "add", key: fresh });
  expect(added.members.map(({ id, outcome }) => [id, outcome])).toEqual([
    ["n0", "ok"],
    ["n1", "error"],
  ]);
  expect(added.members[1]?.error).toContain(`can't read the gossip key file: ENOENT`);
  expect(nodes[1]!.keyring.keys).toHaveLength(1);
  const using = nodes[0]!.keys.change({ op: "use", fingerprint: fingerprintOf(fresh) });
  expect(await using.catch((error: Error) => error.message)).toContain("n1 without the key");
  keyFile("n1", old);
  expect((await nodes[0]!.keys.change({ op: "add", key: fresh })).keys[1]?.missingAt).toEqual([]);
  await nodes[0]!.keys.change({ op: "use", fingerprint: fingerprintOf(fresh) });
  expect(readFileSync(path, "utf8")).toBe(`${fresh}\n${old}\n`);
});

test("one that joins with the old key between use and remove gets in, and hinders remove until it has the new one", async () => {
  const old = key();
  const fresh = keyUnlike(old);
  const first = await open("n0", "", { key: old });
  await first.keys.change({ op: "add", key: fresh });
  await first.keys.change({ op: "use", fingerprint: fingerprintOf(fresh) });
  const late = await open("late", first.membership.address, { key: old });
  await eventually(() => late.membership.size === 2 && first.membership.member("late") !== undefined, 10_000);
  const removing = { op: "remove", fingerprint: fingerprintOf(old) };
  const refusal = await first.keys.change(removing).then(
    () => "",
    (error: Error) => error.message,
  );
  expect(refusal).toMatch(/can't reach late;|late failed and may come back;/);
  expect(first.keyring.keys).toHaveLength(2);
  await late.keys.change({ op: "add", key: fresh });
  await late.keys.change({ op: "use", fingerprint: fingerprintOf(fresh), force: true });
  await eventually(
    () => [first, late].every(({ membership }) => membership.members().every(({ status }) => status === "alive")),
    20_000,
  );
  expect((await first.keys.change(removing)).members.map(({ outcome }) => outcome)).toEqual(["ok", "ok"]);
  for (const { keyring } of [first, late]) expect(keyring.list()).toHaveLength(1);
});

test("one with an old key is not heard, and both sides say what to do, once", async () => {
  const old = key();
  const fresh = keyUnlike(old);
  const [inside, outside]: [string[], string[]] = [[], []];
  const first = await open("n0", "", { key: fresh }, inside);
  const late = await open("late", first.membership.address, { key: old }, outside);
  await eventually(() => inside.length > 0 && outside.length > 0, 10_000);
  expect(inside[0]).toStartWith("a packet from 127.0.0.1");
  expect(inside[0]).toContain(`begins with ${fingerprintOf(old).slice(0, 2)}`);
  expect(inside[0]).toContain("ctl keyring list");
  expect(outside[0]).toContain("no member of the mesh answers");
  expect(outside[0]).toContain("`keyring use` theirs here");
  expect(outside[0]).toContain(fingerprintOf(old));
  first.transport.send(late.membership.address, randomBytes(10));
  await eventually(() => outside.length > 1);
  expect(outside[1]).toContain(`begins with ${fingerprintOf(fresh).slice(0, 2)}`);
  const { key: dropped } = first.transport.stats().dropped;
  late.transport.send(first.membership.address, randomBytes(10));
  await eventually(() => first.transport.stats().dropped.key > dropped);
  expect(inside).toHaveLength(1);
  expect([first.membership.size, late.membership.size]).toEqual([1, 1]);
  // Without a restart: it takes the present key, and is in.
  await late.keys.change({ op: "add", key: fresh });
  await late.keys.change({ op: "use", fingerprint: fingerprintOf(fresh).slice(0, 8) });
  await eventually(() => first.membership.size === 2 && late.membership.size === 2, 20_000);
});
