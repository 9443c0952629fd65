/** The rules by which the mesh's keys are changed, over members that are asked by calls rather than by sockets. */
import { expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { decodeAnswer, encodeAnswer, encodeOrder, type KeyOrder } from "../../src/mesh/key-order.ts";
import { KEYS_MAX, Keyring } from "../../src/mesh/keyring.ts";
import { MeshKeys } from "../../src/mesh/mesh-keys.ts";
import type { Member } from "../../src/swim/event.ts";

const bytes = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const key = (byte: number): string => Buffer.alloc(32, byte).toString("base64");
const fingerprint = (byte: number): string => new Keyring([bytes(byte)]).primary!.fingerprint;
const OLD = fingerprint(1);
const NEW = fingerprint(2);

interface Node {
  readonly keys: MeshKeys;
  readonly keyring: Keyring;
  readonly log: string[];
  /** Orders that came, by the number of their op. */
  readonly asked: number[];
  status: Member["status"];
  /** How many requests it will not answer. */
  deafTo: number;
  /** How often those who ask it have too much to ask already. */
  crowdedFor: number;
  /** In place of its answer. */
  says: Uint8Array | undefined;
}

/** Members a, b, c ... with these rings. */
function mesh(...rings: readonly (readonly number[])[]): Node[] {
  const nodes: Node[] = [];
  const id = (index: number): string => String.fromCharCode(97 + index);
  rings.forEach((ring, index) => {
    const keyring = new Keyring(ring.map(bytes));
    const log: string[] = [];
    const keys = new MeshKeys({
      id: id(index),
      address: `${id(index)}:1`,
      keyring,
      members: () => nodes.map(({ status }, other) => ({ id: id(other), address: `${id(other)}:1`, status })),
      async request(to, order) {
        const node = nodes[to.charCodeAt(0) - 97]!;
        await Bun.sleep(1);
        if (node.crowdedFor-- > 0) {
          throw new MeshError("over_capacity", "512 requests to other members are under way");
        }
        if (node.deafTo-- > 0) throw new MeshError("upstream_timeout", "no answer within 2000 ms");
        node.asked.push(order[1]!);
        return node.says ?? node.keys.answer(order)!;
      },
      log: {
        info: (message, fields) => void log.push(`${message} ${JSON.stringify(fields)}`),
        warn: (message, fields) => void log.push(`${message} ${JSON.stringify(fields)}`),
      },
      windowSeconds: 300,
      settleMs: 1,
      timeoutMs: 300,
    });
    nodes.push({ keys, keyring, log, asked: [], status: "alive", deafTo: 0, crowdedFor: 0, says: undefined });
  });
  return nodes;
}

const answerOf = (keys: MeshKeys, order: KeyOrder) =>
  decodeAnswer(keys.answer(encodeOrder({ order, to: "a", from: "b", seconds: Math.floor(Date.now() / 1000) }))!);

const rings = (nodes: readonly Node[]): string[][] =>
  nodes.map(({ keyring }) => keyring.list().map((listed) => listed.fingerprint));

async function refused(run: Promise<unknown>): Promise<MeshError> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof MeshError)) throw new Error(`not refused: ${String(error)}`);
  return error;
}

test("add, use, remove, at every member, whoever is asked", async () => {
  const nodes = mesh([1], [1], [1]);
  const [a, b, c] = nodes as [Node, Node, Node];
  const added = await a.keys.change({ op: "add", key: key(2) });
  expect(added).toMatchObject({ op: "add", fingerprint: NEW });
  expect(added.members.map(({ id, outcome, kept }) => [id, outcome, kept])).toEqual([
    ["a", "ok", false],
    ["b", "ok", false],
    ["c", "ok", false],
  ]);
  expect(added.keys).toEqual([
    { fingerprint: OLD, primaryAt: 3, presentAt: 3, missingAt: [] },
    { fingerprint: NEW, primaryAt: 0, presentAt: 3, missingAt: [] },
  ]);
  await b.keys.change({ op: "use", fingerprint: NEW });
  expect(rings(nodes)).toEqual([
    [NEW, OLD],
    [NEW, OLD],
    [NEW, OLD],
  ]);
  expect((await c.keys.change({ op: "remove", fingerprint: OLD })).keys).toEqual([
    { fingerprint: NEW, primaryAt: 3, presentAt: 3, missingAt: [] },
  ]);
  expect(rings(nodes)).toEqual([[NEW], [NEW], [NEW]]);
  expect(a.log).toHaveLength(3);
  for (const { log } of [a, b]) expect(log[0]).toContain('"from":"a"');
});

test("no key's bytes come out: not in answers, logs or errors", async () => {
  const nodes = mesh([1], [1]);
  const full = mesh([1], [1, 3, 4, 5, 6, 7, 8, 9]);
  const outputs = [
    await nodes[0]!.keys.change({ op: "add", key: key(2) }),
    await nodes[0]!.keys.list(),
    await full[0]!.keys.change({ op: "add", key: key(2) }),
    ...[...nodes, ...full].map(({ log }) => log),
  ];
  for (const json of [
    { op: "add", key: key(2).slice(1) },
    { op: "use", fingerprint: key(2) },
    { op: key(2) },
    key(2),
  ]) {
    const error = await refused(nodes[0]!.keys.change(json));
    expect(error.code).toBe("bad_request");
    outputs.push([error.message]);
  }
  const text = JSON.stringify(outputs);
  for (const spelled of [key(2).slice(1, 20), Buffer.alloc(16, 2).toString("hex")]) expect(text).not.toContain(spelled);
});

test("use is refused, and changes nothing, while some member lacks the key", async () => {
  const nodes = mesh([1, 2], [1], [1, 2]);
  const error = await refused(nodes[0]!.keys.change({ op: "use", fingerprint: NEW, force: true }));
  expect(error).toMatchObject({ code: "conflict" });
  expect(error.message).toContain(`b without the key ${NEW}`);
  expect(rings(nodes)).toEqual([[OLD, NEW], [OLD], [OLD, NEW]]);
});

test("remove is refused, and changes nothing, while some member seals with the key", async () => {
  const nodes = mesh([2, 1], [2, 1], [1, 2]);
  const error = await refused(nodes[0]!.keys.change({ op: "remove", fingerprint: OLD, force: true }));
  expect(error).toMatchObject({ code: "conflict" });
  expect(error.message).toContain(`${OLD} is the primary at c`);
  expect(nodes.flatMap(({ asked }) => asked)).toEqual([0, 0]);
});

test("a member that can't be reached refuses use and remove, unless forced, and is passed over then", async () => {
  const nodes = mesh([1, 2], [1, 2], [1, 2]);
  const [a, , c] = nodes as [Node, Node, Node];
  c.deafTo = Infinity;
  c.status = "suspect";
  for (const op of ["use", "remove"]) {
    const error = await refused(a.keys.change({ op, fingerprint: op === "use" ? NEW : OLD }));
    expect(error.message).toContain("can't reach c;");
  }
  const used = await a.keys.change({ op: "use", fingerprint: NEW, force: true });
  expect(used.members.map(({ outcome }) => outcome)).toEqual(["ok", "ok", "unreachable"]);
  expect(used.members[2]?.error).toBe("no answer within 2000 ms");
  await a.keys.change({ op: "remove", fingerprint: OLD, force: true });
  expect(rings(nodes)).toEqual([[NEW], [NEW], [OLD, NEW]]);
});

test("one that did not answer the look is not asked to change, even if it is back by then", async () => {
  const nodes = mesh([2, 1], [2, 1]);
  const [a, b] = nodes as [Node, Node];
  b.deafTo = 1;
  const removed = await a.keys.change({ op: "remove", fingerprint: OLD, force: true });
  expect(removed.members[1]?.outcome).toBe("unreachable");
  expect(rings(nodes)).toEqual([[NEW], [NEW, OLD]]);
  await a.keys.change({ op: "remove", fingerprint: OLD });
  expect(rings(nodes)).toEqual([[NEW], [NEW]]);
});

test("failed members are not asked; they are named, and refuse use and remove unless forced", async () => {
  const nodes = mesh([1], [1], [1]);
  const [a, b] = nodes as [Node, Node, Node];
  b.status = "failed";
  nodes[2]!.status = "left";
  const { members, absent } = await a.keys.change({ op: "add", key: key(2) });
  expect(members.map(({ id }) => id)).toEqual(["a"]);
  expect(absent).toEqual(["b"]);
  expect(rings(nodes)).toEqual([[OLD, NEW], [OLD], [OLD]]);
  const using = { op: "use", fingerprint: NEW };
  expect((await refused(a.keys.change(using))).message).toContain("b failed and may come back; wait");
  expect(rings(nodes)).toEqual([[OLD, NEW], [OLD], [OLD]]);
  // Back, it lacks the key visibly; with the key, nothing hinders any more.
  b.status = "alive";
  expect((await refused(a.keys.change(using))).message).toContain(`b without the key ${NEW}`);
  await a.keys.change({ op: "add", key: key(2) });
  await a.keys.change(using);
  b.status = "failed";
  const removing = { op: "remove", fingerprint: OLD };
  expect((await refused(a.keys.change(removing))).message).toContain("b failed and may come back; wait");
  const forced = await a.keys.change({ ...removing, force: true });
  expect([forced.members.map(({ outcome }) => outcome), forced.absent]).toEqual([["ok"], ["b"]]);
  expect(rings(nodes)).toEqual([[NEW], [NEW, OLD], [OLD]]);
});

test("one that fails while it is asked is named once, as what did not answer", async () => {
  const [a, b] = mesh([1, 2], [1, 2]) as [Node, Node];
  b.deafTo = Infinity;
  const changing = a.keys.change({ op: "use", fingerprint: NEW });
  b.status = "failed";
  const { message } = await refused(changing);
  expect(message).toContain("can't reach b;");
  expect(message).not.toContain("b failed");
});

test("an order is good for the member that it names, and not for a process that is younger than it", async () => {
  const keyring = new Keyring([bytes(1)]);
  const log: string[] = [];
  let nowSeconds = 1000;
  const started = (): MeshKeys =>
    new MeshKeys({
      id: "b",
      address: "b:1",
      keyring,
      members: () => [],
      request: () => Promise.reject(new Error("nobody is there")),
      log: { info: () => {}, warn: (message, fields) => void log.push(`${message} ${JSON.stringify(fields)}`) },
      windowSeconds: 300,
      nowSeconds: () => nowSeconds,
    });
  const keys = started();
  const order: KeyOrder = { op: "add", key: bytes(2) };
  const sent = (to: string, seconds: number) => encodeOrder({ order, to, from: "a", seconds });
  const answer = (of: MeshKeys, recorded: Uint8Array) => decodeAnswer(of.answer(recorded)!);
  const has = (): boolean => keyring.list().length === 2;
  expect(answer(keys, sent("c", 1000))).toEqual({ error: "the order is for c, and this is b" });
  expect(answer(keys, sent("b", 999))).toEqual({ error: expect.stringContaining("1 s before this process started") });
  expect(answer(keys, sent("b", 1301))).toEqual({ error: expect.stringContaining("the clock of a differs by 301 s") });
  nowSeconds = 1301;
  expect(answer(keys, sent("b", 1000))).toEqual({ error: expect.stringContaining("the clock of a differs by 301 s") });
  expect(has()).toBe(false);
  expect(log).toHaveLength(4);
  expect(log[0]).toContain('"from":"a"');
  const recorded = sent("b", 1300);
  expect(answer(keys, recorded)).toMatchObject({ kept: false });
  expect(has()).toBe(true);
  // Removed, and started anew: the recording brings it back no more.
  keyring.remove(NEW);
  nowSeconds = 1302;
  expect(answer(started(), recorded)).toEqual({ error: expect.stringContaining("2 s before this process started") });
  expect(has()).toBe(false);
});

test("the refusal repeats why a member's last change failed, whoever asks, until one succeeds", async () => {
  const nodes = mesh([1, 2], [1, 2], [1, 2]);
  const [a, b, c] = nodes as [Node, Node, Node];
  let writable = false;
  Object.defineProperty(b.keyring, "use", {
    value(wanted: string) {
      if (!writable) throw new MeshError("config_invalid", "can't write the gossip key file: EACCES");
      Keyring.prototype.use.call(b.keyring, wanted);
    },
  });
  const used = await a.keys.change({ op: "use", fingerprint: NEW });
  expect(used.members[1]).toMatchObject({ outcome: "error", error: expect.stringContaining("EACCES") });
  const error = await refused(c.keys.change({ op: "remove", fingerprint: OLD, force: true }));
  expect(error.message).toContain(`${OLD} is the primary at b`);
  expect(error.message).toContain("at b: can't write the gossip key file: EACCES");
  expect((await c.keys.list()).members[2]).toMatchObject({
    id: "b",
    outcome: "ok",
    error: expect.stringContaining("EACCES"),
  });
  writable = true;
  await a.keys.change({ op: "use", fingerprint: NEW });
  expect((await c.keys.list()).members.map((member) => member.error)).toEqual(["", "", ""]);
  await c.keys.change({ op: "remove", fingerprint: OLD });
  expect(rings(nodes)).toEqual([[NEW], [NEW], [NEW]]);
});

test("a member that does not tell its keys is passed over by force", async () => {
  const nodes = mesh([2, 1], [2, 1]);
  const [a, b] = nodes as [Node, Node];
  b.says = encodeAnswer({ error: "out of order" });
  expect((await refused(a.keys.change({ op: "remove", fingerprint: OLD }))).message).toContain("b: out of order");
  const forced = await a.keys.change({ op: "remove", fingerprint: OLD, force: true });
  expect(forced.members.map(({ outcome }) => outcome)).toEqual(["ok", "error"]);
  expect(rings(nodes)).toEqual([[NEW], [NEW, OLD]]);
});

test("callers share one list; one that comes after a change gets another", async () => {
  const [a, b] = mesh([1], [1]) as [Node, Node];
  const lists = await Promise.all(Array.from({ length: 20 }, () => a.keys.list()));
  expect(new Set(lists).size).toBe(1);
  expect(b.asked).toEqual([0]);
  const before = a.keys.list();
  await a.keys.change({ op: "add", key: key(2) });
  expect((await a.keys.list()).keys).toHaveLength(2);
  await before;
});

test("too many requests here are waited for, and are not said to be that member's fault", async () => {
  const [a, b] = mesh([1], [1]) as [Node, Node];
  b.crowdedFor = 2;
  expect((await a.keys.list()).members[1]).toMatchObject({ outcome: "ok" });
  b.crowdedFor = Infinity;
  expect((await a.keys.list()).members[1]).toMatchObject({
    outcome: "error",
    error: "not asked, try again: 512 requests to other members are under way",
  });
});

test("a member's own fault is told by its name, and refuses what comes next", async () => {
  const nodes = mesh([1], [1, ...Array.from({ length: KEYS_MAX - 1 }, (_, index) => index + 10)], [1]);
  const [a, , c] = nodes as [Node, Node, Node];
  const added = await a.keys.change({ op: "add", key: key(2) });
  expect(added.members.map(({ outcome }) => outcome)).toEqual(["ok", "error", "ok"]);
  expect(added.members[1]?.error).toContain("at most 8 keys");
  expect((await refused(a.keys.change({ op: "use", fingerprint: NEW }))).message).toContain("b without the key");
  c.says = encodeAnswer({ error: "out of order" });
  expect((await refused(a.keys.change({ op: "use", fingerprint: OLD }))).message).toContain("c: out of order");
  c.says = Uint8Array.of(9);
  expect((await a.keys.list()).members[2]).toMatchObject({ outcome: "error", error: "its answer is not understood" });
});

test("a fingerprint may be shortened as long as it means one key", async () => {
  // Two keys whose fingerprints begin alike, found by trying.
  const seen = new Map<string, number>();
  let pair: [number, number] | undefined;
  for (let seed = 0; pair === undefined; seed++) {
    const beginning = new Keyring([seeded(seed)]).primary!.fingerprint.slice(0, 6);
    const other = seen.get(beginning);
    if (other !== undefined) pair = [other, seed];
    seen.set(beginning, seed);
  }
  const [a] = mesh([1]) as [Node];
  for (const seed of pair) a.keyring.add(Buffer.from(seeded(seed)).toString("base64"));
  const twins = a.keyring.list().slice(1);
  const error = await refused(a.keys.change({ op: "use", fingerprint: twins[0]!.fingerprint.slice(0, 6) }));
  expect(error).toMatchObject({ code: "bad_request", param: "fingerprint" });
  for (const twin of twins) expect(error.message).toContain(twin.fingerprint);
  const used = await a.keys.change({ op: "use", fingerprint: twins[1]!.fingerprint.toUpperCase() });
  expect(used.fingerprint).toBe(twins[1]!.fingerprint);
  expect((await a.keys.change({ op: "use", fingerprint: OLD.slice(0, 6) })).fingerprint).toBe(OLD);
  expect(await refused(a.keys.change({ op: "use", fingerprint: "00000000" }))).toMatchObject({ code: "not_found" });
  expect(await refused(a.keys.change({ op: "use", fingerprint: OLD.slice(0, 5) }))).toMatchObject({
    code: "bad_request",
  });
});

function seeded(seed: number): Uint8Array {
  const made = Buffer.alloc(32);
  made.writeUInt32LE(seed);
  return made;
}

test("a mesh without keys says so, whoever is asked", async () => {
  const [plain] = mesh([]) as [Node];
  const [sealed] = mesh([1], [1]) as [Node, Node];
  for (const run of [plain.keys.list(), plain.keys.change({ op: "add", key: key(1) })]) {
    expect((await refused(run)).message).toContain("not encrypted");
  }
  // And to a member that asks.
  expect(answerOf(plain.keys, { op: "list" })).toEqual({ error: expect.stringContaining("not encrypted") });
  expect(plain.log).toEqual([]);
  expect((await sealed.keys.list()).members).toHaveLength(2);
});

test("one change at a time; a refused one frees the place", async () => {
  const [a] = mesh([1], [1]) as [Node, Node];
  const first = a.keys.change({ op: "add", key: key(2) });
  expect((await refused(a.keys.change({ op: "add", key: key(3) }))).message).toContain("under way");
  await first;
  await refused(a.keys.change({ op: "remove", fingerprint: OLD }));
  expect((await a.keys.change({ op: "use", fingerprint: NEW })).fingerprint).toBe(NEW);
});

test("many members are asked side by side, but not all at once", async () => {
  let [now, most, count] = [0, 0, 0];
  const members = Array.from({ length: 500 }, (_, index) => ({
    id: `m${index}`,
    address: `m${index}:1`,
    status: "alive" as const,
  }));
  const keyring = new Keyring([bytes(1)]);
  const keys = new MeshKeys({
    id: "m0",
    address: "m0:1",
    keyring,
    members: () => members,
    async request(to) {
      most = Math.max(most, ++now);
      count++;
      await Bun.sleep(1);
      now--;
      if (to === "m7:1") throw new Error("gone");
      return encodeAnswer({ fingerprints: [OLD], kept: true, fault: "" });
    },
    log: { info() {}, warn() {} },
    windowSeconds: 300,
  });
  const view = await keys.list();
  expect(view.members.map(({ id }) => id)).toEqual(members.map(({ id }) => id));
  expect(view.keys).toEqual([{ fingerprint: OLD, primaryAt: 499, presentAt: 499, missingAt: [] }]);
  expect(view.members[7]).toMatchObject({ outcome: "unreachable", error: "gone" });
  expect(count).toBe(499);
  expect(most).toBeGreaterThan(8);
  expect(most).toBeLessThanOrEqual(32);
});
