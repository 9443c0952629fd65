/** Datagrams between live transports on loopback: who hears what, what is dropped, and that nothing answers strangers. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { networkInterfaces } from "node:os";
import { MeshError } from "../../src/base/errors.ts";
import { type Channel, CHANNEL, Envelope } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { openTransport } from "../../src/mesh/transport.ts";
import { eventually } from "../admin/raw-client.ts";
import { Bed, bytesOf, heard, KEY, LIMITS, TIMEOUT_MS, type Node } from "./transport-bed.ts";

const HAS_IPV6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
const bed = new Bed();
afterEach(() => bed.close());

const dropped = (node: Node): Record<string, number> =>
  Object.fromEntries(Object.entries(node.transport.stats().dropped).filter(([, count]) => count > 0));

describe("datagrams", () => {
  for (const keys of [[KEY], []]) {
    test(`${keys.length === 0 ? "plain" : "sealed"}: arrive, with their sender's address`, async () => {
      const [a, b] = [await bed.node({ keys }), await bed.node({ keys })];
      expect(a.transport.send(b.at, bytesOf("hello"))).toBe(true);
      await heard(b, 1);
      expect(b.received).toEqual([{ from: a.at, text: "hello" }]);
      expect(b.transport.send(b.received[0]!.from, bytesOf("and back"))).toBe(true);
      await heard(a, 1);
      expect(a.transport.stats()).toMatchObject({ packetsIn: 1, packetsOut: 1, waiting: 0 });
      expect(a.transport.stats().bytesOut).toBe(5 + (keys.length === 0 ? 8 : 40));
    });
  }

  test.skipIf(!HAS_IPV6)("over IPv6, over every address, and to names", async () => {
    const lookup = async (name: string) => (name === "node-b" ? ["127.0.0.1"] : []);
    const every = await bed.node({ host: "", lookup });
    const six = await bed.node({ host: "::1" });
    const four = await bed.node();
    expect(every.transport.host).toBe("::");
    every.transport.send(`[::1]:${six.transport.port}`, bytesOf("six"));
    every.transport.send(four.at, bytesOf("four"));
    await Promise.all([heard(six, 1), heard(four, 1)]);
    expect(six.received[0]!.from).toBe(`[::1]:${every.transport.port}`);
    expect(four.received[0]!.from).toBe(`127.0.0.1:${every.transport.port}`);
    four.transport.send(four.received[0]!.from, bytesOf("back"));
    await heard(every, 1);
    expect(every.received[0]!.from).toBe(four.at);
    for (let n = 0; n < 3; n++) {
      expect(every.transport.send(`node-b:${four.transport.port}`, bytesOf(`named ${n}`))).toBe(true);
    }
    await heard(four, 4);
    expect(four.received.slice(1).map(({ text }) => text)).toEqual(["named 0", "named 1", "named 2"]);
    every.transport.send("nobody:7946", bytesOf("lost"));
    await eventually(() => every.transport.stats().unsent.noAddress === 1);
  });

  test("what can't be sent is counted", async () => {
    const a = await bed.node();
    expect(a.transport.payloadBytesMax).toBe(1360);
    expect(a.transport.send(a.at, new Uint8Array(1361))).toBe(false);
    expect(a.transport.send("nonsense", bytesOf("x"))).toBe(false);
    expect(a.transport.send("[::1]:7946", bytesOf("x"))).toBe(false);
    expect(a.transport.send(a.at, new Uint8Array(1360))).toBe(true);
    await heard(a, 1);
    expect(a.transport.stats().unsent).toEqual({ oversized: 1, queueFull: 0, noAddress: 2, failed: 0 });
  });

  test("a thousand at once to one receiver all arrive, in order", async () => {
    const [a, b] = [await bed.node(), await bed.node()];
    for (let n = 0; n < 1000; n++) a.transport.send(b.at, bytesOf(String(n).padEnd(1360)));
    await heard(b, 1000);
    expect(b.received.map(({ text }) => Number(text))).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  });

  test("what the queue has no room for is dropped", async () => {
    const [a, b] = [await bed.node({ limits: { sendBurst: 1, sendQueueMax: 20 } }), await bed.node()];
    const taken = Array.from({ length: 2000 }, () => a.transport.send(b.at, bytesOf("x"))).filter(Boolean).length;
    expect(taken).toBeGreaterThan(20);
    expect(taken).toBeLessThan(2000);
    await heard(b, taken);
    expect(a.transport.stats()).toMatchObject({ packetsOut: taken, unsent: { queueFull: 2000 - taken } });
  });

  test("nobody at the other end is no fault, and the socket lives on", async () => {
    const [a, b] = [await bed.node(), await bed.node()];
    const gone = (await bed.node()).transport;
    gone.stop();
    for (let n = 0; n < 5; n++) a.transport.send(`127.0.0.1:${gone.port}`, bytesOf("anyone?"));
    a.transport.send(b.at, bytesOf("still here"));
    await heard(b, 1);
    b.transport.send(a.at, bytesOf("me too"));
    await heard(a, 1);
    await eventually(() => a.transport.stats().unreachable > 0);
    expect(a.errors).toEqual([]);
  });

  test("what this machine refuses is told once, and fails only that datagram", async () => {
    const [a, b] = [await bed.node({ host: "0.0.0.0" }), await bed.node()];
    for (let n = 0; n < 3; n++) a.transport.send("255.255.255.255:9", bytesOf("broadcast"));
    a.transport.send(b.at, bytesOf("next"));
    await heard(b, 1);
    expect(a.errors).toHaveLength(1);
    expect(a.transport.stats().unsent.failed).toBe(3);
  });
});

describe("rotation", () => {
  test("add, use, remove at two members under traffic, and no packet is lost", async () => {
    const [a, b] = [await bed.node(), await bed.node()];
    const next = randomBytes(32).toString("base64");
    let sent = 0;
    const exchange = async () => {
      for (let n = 0; n < 50; n++, sent++) {
        a.transport.send(b.at, bytesOf(`a ${sent}`));
        b.transport.send(a.at, bytesOf(`b ${sent}`));
      }
      const answer = await a.transport.request(b.at, bytesOf("?"), 5000);
      expect(Buffer.from(answer).toString()).toBe("re: ?");
    };
    const steps: ((node: Node) => void)[] = [
      ({ keyring }) => void keyring.add(next),
      ({ keyring }) => keyring.use(keyring.list()[1]!.fingerprint),
      ({ keyring }) => keyring.remove(keyring.list()[1]!.fingerprint),
    ];
    for (const step of steps) {
      // One member is a step ahead, and packets are under way, while the keys change.
      for (const node of [a, b]) {
        const before = exchange();
        step(node);
        await before;
        await exchange();
      }
      // A step begins when everything sealed before the one before has arrived, as an operator would wait.
      await Promise.all([heard(a, sent), heard(b, sent)]);
    }
    expect(a.received.map(({ text }) => text)).toEqual(Array.from({ length: sent }, (_, n) => `b ${n}`));
    expect(b.received).toHaveLength(sent);
    expect([dropped(a), dropped(b)]).toEqual([{}, {}]);
    expect(a.keyring.list()).toEqual(new Keyring([Buffer.from(next, "base64")]).list());
  });
});

describe("strangers", () => {
  test("other keys, other meshes, plain packets and noise are dropped, and get no byte in return", async () => {
    const b = await bed.node();
    const raw = await bed.rawUdp();
    const strangers = [
      await bed.node({ keys: [new Uint8Array(32).fill(9)] }),
      await bed.node({ cluster: "other" }),
      await bed.node({ keys: [] }),
      await bed.node({ cluster: "other", keys: [] }),
    ];
    for (const { transport } of strangers) transport.send(b.at, bytesOf("let me in"));
    for (const length of [0, 1, 7, 8, 39, 40, 1400, 1401, 9000]) raw.send(randomBytes(length), b.transport.port);
    const friend = await bed.node();
    await eventually(() => b.transport.stats().packetsIn === 13);
    friend.transport.send(b.at, bytesOf("hello"));
    await heard(b, 1);
    expect(b.received.map(({ text }) => text)).toEqual(["hello"]);
    expect(b.transport.stats().packetsOut).toBe(0);
    expect(raw.received).toEqual([]);
    const reasons = b.transport.stats().dropped;
    expect(reasons).toMatchObject({ cluster: 2, plain: 1, oversized: 2 });
    expect(reasons.key + reasons.forged).toBe(1);
    expect(Object.values(reasons).reduce((sum, count) => sum + count)).toBe(13);
  });

  test("a recorded packet is heard once, also by one who never heard its sender, and not after its time", async () => {
    let nowSeconds = 1_800_000_000;
    const clock = () => nowSeconds;
    const [a, b] = [await bed.node({ nowSeconds: clock }), await bed.node({ nowSeconds: clock })];
    const tap = await bed.rawUdp();
    for (const text of ["one", "two"]) a.transport.send(tap.at, bytesOf(text));
    await eventually(() => tap.received.length === 2);
    const [one, two] = tap.received as [Uint8Array, Uint8Array];
    for (const packet of [two, one, two, one, one]) tap.send(packet, b.transport.port);
    await eventually(() => b.transport.stats().packetsIn === 5);
    expect(b.received.map(({ text }) => text)).toEqual(["two", "one"]);
    expect(dropped(b)).toEqual({ replayed: 3 });
    // A member that has just started knows no counters, but the time.
    nowSeconds += LIMITS.replayWindowMs / 1000 + 1;
    const c = await bed.node({ nowSeconds: clock });
    tap.send(one, c.transport.port);
    await eventually(() => c.transport.stats().packetsIn === 1);
    expect(dropped(c)).toEqual({ clock: 1 });
  });
});

describe("a clock that is off", () => {
  const NOW = 1_800_000_000;
  const at = (seconds: number) => bed.node({ nowSeconds: () => NOW + seconds });

  test("is warned of once, with address, difference, limit and remedy", async () => {
    const [here, ahead, behind] = [await at(0), await at(400), await at(-301)];
    for (let n = 0; n < 5; n++) ahead.transport.send(here.at, bytesOf("x"));
    await eventually(() => here.transport.stats().dropped.clock === 5);
    expect(here.warnings).toEqual([
      `the clock of the member at ${ahead.at} is 400 s ahead of this machine's: its packets are dropped, since clocks may differ by 300 s; set both by NTP, or raise --mesh-limits-replay-window at every member`,
    ]);
    // Each side sees the other's: whose clock is wrong only a third one can tell.
    here.transport.send(behind.at, bytesOf("x"));
    await eventually(() => behind.warnings.length === 1);
    expect(behind.warnings[0]).toContain("301 s ahead");
    const other = await at(0);
    behind.transport.send(other.at, bytesOf("x"));
    await eventually(() => other.warnings.length === 1);
    expect(other.warnings[0]).toContain(
      "301 s behind this machine's (unless somebody sends old recordings): its packets",
    );
    expect([here.received, behind.received, other.received]).toEqual([[], [], []]);
  });

  test("is warned of for requests too, short and long, none of which is answered", async () => {
    for (const payload of [bytesOf("?"), randomBytes(200_000)]) {
      const [here, ahead] = [await at(0), await at(400)];
      for (let n = 1; n <= 2; n++) {
        const failed = await ahead.transport.request(here.at, payload, 5000).catch((thrown: unknown) => thrown);
        expect(failed).toMatchObject({ code: "upstream_failed" });
        expect(dropped(here)).toEqual({ clock: n });
      }
      expect(here.warnings).toHaveLength(1);
      expect(here.warnings[0]).toMatch(/^the clock of the member at 127\.0\.0\.1:\d+ is 400 s ahead/);
      expect(here.transport.stats().requestsServed).toBe(0);
    }
  });

  test("can't be made up by a stranger, who does not hide a true one either; recordings cost one look", async () => {
    const [here, member, behind] = [await at(0), await at(0), await at(-1000)];
    const tap = await bed.rawUdp();
    for (const node of [member, behind]) node.transport.send(tap.at, bytesOf("x"));
    await eventually(() => tap.received.length === 2);
    const [first, second] = tap.received.map((packet) => Buffer.from(packet));
    const [now, old] = (first!.readUInt32LE(20) === NOW ? [first, second] : [second, first]) as [Buffer, Buffer];
    const looks = spyOn(Envelope.prototype, "secondsAhead");
    try {
      for (const seconds of [NOW + 301, NOW - 301, 0, 0xffff_ffff]) {
        now.writeUInt32LE(seconds, 20);
        tap.send(now, here.transport.port);
      }
      await eventually(() => here.transport.stats().dropped.clock === 4);
      expect(here.warnings).toEqual([]);
      expect(looks).toHaveBeenCalledTimes(4);
      for (let n = 0; n < 50; n++) tap.send(old, here.transport.port);
      await eventually(() => here.transport.stats().dropped.clock === 54);
      expect(here.warnings).toHaveLength(1);
      expect(here.warnings[0]).toContain(`${tap.at} is 1000 s behind`);
      expect(looks).toHaveBeenCalledTimes(5);
    } finally {
      looks.mockRestore();
    }
  });
});

describe("opening", () => {
  test("a port in use is told, for UDP as for TCP", async () => {
    const a = await bed.node();
    const open = (port: number) =>
      openTransport({
        host: "127.0.0.1",
        port,
        cluster: "test",
        keyring: new Keyring(),
        limits: LIMITS,
        onError() {},
        onWarning() {},
      });
    const raw = await bed.rawUdp();
    for (const port of [a.transport.port, raw.port]) {
      const error = await open(port).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(MeshError);
      expect(error).toMatchObject({ code: "config_invalid" });
      expect(String(error)).toContain(`127.0.0.1:${port}: the port is in use`);
    }
  });

  test("a host that isn't ours is told", async () => {
    expect(String(await bed.node({ host: "192.0.2.1" }).catch((thrown: unknown) => thrown))).toContain(
      "can't listen for gossip on 192.0.2.1:0",
    );
    expect(String(await bed.node({ host: "no-such-host.invalid" }).catch((thrown: unknown) => thrown))).toContain(
      "no such host",
    );
    expect((await bed.node({ host: "localhost" })).transport.host).toBe("127.0.0.1");
  });

  test("plain packets beyond loopback are warned of", async () => {
    expect((await bed.node({ keys: [] })).warnings).toEqual([]);
    expect((await bed.node({ host: "" })).warnings).toEqual([]);
    expect((await bed.node({ host: "", keys: [] })).warnings.join()).toContain("not encrypted");
  });

  test("stopping frees the port, and what comes after is refused", async () => {
    const a = await bed.node();
    const { port } = a.transport;
    a.transport.stop();
    a.transport.stop();
    expect(a.transport.send(a.at, bytesOf("x"))).toBe(false);
    expect(await a.transport.request(a.at, bytesOf("x"), 1000).catch((thrown: unknown) => thrown)).toMatchObject({
      code: "draining",
    });
    expect((await bed.node({ port })).transport.port).toBe(port);
  });
});

describe("channels", () => {
  test("each has its listener; what nobody listens to is dropped, and is no answer", async () => {
    const a = await bed.node();
    const b = await bed.node();
    const states: string[] = [];
    b.transport.listen(CHANNEL.state, {
      onPacket: (_from, bytes) => void states.push(Buffer.from(bytes).toString()),
      onRequest: () => bytesOf("state"),
    });
    a.transport.send(b.at, bytesOf("a state"), CHANNEL.state);
    a.transport.send(b.at, bytesOf("lost"), CHANNEL.control);
    a.transport.send(b.at, bytesOf("news"));
    await heard(b, 1);
    await eventually(
      () => states.length > 0,
      TIMEOUT_MS,
      () => "no state came",
    );
    expect([b.received.map(({ text }) => text), states]).toEqual([["news"], ["a state"]]);
    const ask = (channel: Channel) => a.transport.request(b.at, bytesOf("?"), TIMEOUT_MS, channel);
    expect(Buffer.from(await ask(CHANNEL.state)).toString()).toBe("state");
    expect(Buffer.from(await ask(CHANNEL.membership)).toString()).toBe("re: ?");
    expect(await ask(CHANNEL.control).catch((error: unknown) => error)).toBeInstanceOf(MeshError);
  });
});
