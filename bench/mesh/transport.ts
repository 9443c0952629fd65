/**
 * What a datagram costs, sealed and plain: packets a second and CPU per packet, for both ends together, through two
 * live transports; what of 1,000 datagrams sent at once arrives at one receiver, paced and not, with the receive buffer
 * that we ask for and with the kernel's own; what seal and open take alone; and requests a second over TCP.
 */
import { createSocket } from "node:dgram";
import { randomBytes } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Envelope, KIND } from "../../src/mesh/envelope.ts";
import { CHANNEL } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";
import { transportSettings } from "../../src/mesh/settings.ts";
import { openTransport, type Transport } from "../../src/mesh/transport.ts";
import { report } from "../report.ts";

const LIMITS = defaultsOf(transportSettings);
const KEY = new Uint8Array(randomBytes(32));
const PACKETS = 25_600;
const ROUNDS = 3;
const BURST = 1000;
const LINUX_DEFAULT_BYTES = 212_992;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

interface End {
  readonly transport: Transport;
  heard: number;
}

async function openEnd(keys: readonly Uint8Array[], limits: Partial<typeof LIMITS> = {}): Promise<End> {
  const end = { heard: 0 } as End;
  const transport = await openTransport({
    host: "127.0.0.1",
    port: 0,
    cluster: "bench",
    keyring: new Keyring(keys),
    limits: { ...LIMITS, ...limits },
    onError: (error) => console.error(error),
    onWarning() {},
  });
  transport.listen(CHANNEL.membership, {
    onPacket: () => void end.heard++,
    onRequest: (_from, bytes) => bytes,
  });
  return Object.assign(end, { transport });
}

/** Until nothing more has come for a while. */
async function settle(heard: () => number): Promise<number> {
  for (let quiet = 0, last = -1; quiet < 10; quiet++) {
    await Bun.sleep(3);
    if (heard() !== last) quiet = 0;
    last = heard();
  }
  return heard();
}

/** Packets a second and CPU microseconds a packet, sending and receiving in this one process. */
async function stream(keys: readonly Uint8Array[], bytes: number) {
  const a = await openEnd(keys, { sendBurst: 10_000 });
  const b = await openEnd(keys);
  const to = `127.0.0.1:${b.transport.port}`;
  const payload = randomBytes(bytes);
  const rates: number[] = [];
  const costs: number[] = [];
  let lost = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    const before = b.heard;
    const cpu = process.cpuUsage();
    const startedAtMs = performance.now();
    for (let sent = 0; sent < PACKETS; sent += 32) {
      for (let n = 0; n < 32; n++) a.transport.send(to, payload);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const tookMs = performance.now() - startedAtMs;
    const used = process.cpuUsage(cpu);
    const heard = (await settle(() => b.heard)) - before;
    // The first round warms up.
    if (round === 0) continue;
    rates.push((PACKETS / tookMs) * 1000);
    costs.push((used.user + used.system) / PACKETS);
    lost += PACKETS - heard;
  }
  a.transport.stop();
  b.transport.stop();
  return { packetsPerSecond: Math.round(median(rates)), cpuMicroseconds: median(costs), lost };
}

/** How many of 1,000 full datagrams arrive that are handed over in one go. */
async function burst(limits: Partial<typeof LIMITS>) {
  const a = await openEnd([KEY], limits);
  const b = await openEnd([KEY], limits);
  const payload = randomBytes(a.transport.payloadBytesMax);
  const startedAtMs = performance.now();
  for (let n = 0; n < BURST; n++) a.transport.send(`127.0.0.1:${b.transport.port}`, payload);
  while (a.transport.stats().waiting > 0) await Bun.sleep(1);
  const leftWithinMs = performance.now() - startedAtMs;
  const arrived = await settle(() => b.heard);
  a.transport.stop();
  b.transport.stop();
  return { arrived, leftWithinMs };
}

/** The same by node:dgram, without a pace. */
async function dgramBurst(recvBufferSize: number) {
  let arrived = 0;
  const receiver = createSocket({ type: "udp4", recvBufferSize }, () => void arrived++);
  await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
  const sender = createSocket("udp4");
  const payload = randomBytes(1400);
  for (let n = 0; n < BURST; n++) sender.send(payload, receiver.address().port, "127.0.0.1");
  await settle(() => arrived);
  receiver.close();
  sender.close();
  return { arrived, leftWithinMs: null };
}

/** What the bare sockets cost, to compare: Bun's own, and node:dgram. */
async function bare(kind: "Bun.udpSocket" | "node:dgram") {
  let heard = 0;
  const payload = randomBytes(400);
  const receiver = kind === "node:dgram" ? createSocket("udp4", () => void heard++) : undefined;
  if (receiver !== undefined) await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
  const own = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0, socket: { data: () => void heard++ } });
  const sender = createSocket("udp4");
  const port = receiver?.address().port ?? own.port;
  const send =
    kind === "node:dgram"
      ? () => sender.send(payload, port, "127.0.0.1")
      : () => void own.send(payload, port, "127.0.0.1");
  const costs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const cpu = process.cpuUsage();
    for (let sent = 0; sent < PACKETS; sent += 32) {
      for (let n = 0; n < 32; n++) send();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const used = process.cpuUsage(cpu);
    await settle(() => heard);
    if (round > 0) costs.push((used.user + used.system) / PACKETS);
  }
  receiver?.close();
  sender.close();
  own.close();
  return { cpuMicroseconds: median(costs), lost: PACKETS * (ROUNDS + 1) - heard };
}

/** Microseconds to seal and to open a packet, and to drop one that is forged. */
function cipher(bytes: number) {
  const make = () =>
    new Envelope({
      cluster: "bench",
      keyring: new Keyring([KEY]),
      replays: new ReplayTable({ windowSeconds: 300, sessionsMax: 1000 }),
      windowSeconds: 300,
      bytesMax: LIMITS.frameBytesMax,
      nowSeconds: () => Math.floor(Date.now() / 1000),
    });
  const [a, b] = [make(), make()];
  const payload = randomBytes(bytes);
  const count = 20_000;
  const times = { seal: [] as number[], open: [] as number[], dropForged: [] as number[] };
  for (let round = 0; round <= ROUNDS; round++) {
    const packets: Uint8Array[] = [];
    const timed = (into: number[], each: (n: number) => void) => {
      const startedAtMs = performance.now();
      for (let n = 0; n < count; n++) each(n);
      if (round > 0) into.push(((performance.now() - startedAtMs) * 1000) / count);
    };
    timed(times.seal, () => void packets.push(a.seal(KIND.datagram, payload)));
    for (const packet of packets) packet[packet.length - 1]! ^= 1;
    timed(times.dropForged, (n) => void b.open(KIND.datagram, packets[n]!));
    for (const packet of packets) packet[packet.length - 1]! ^= 1;
    timed(times.open, (n) => {
      if (typeof b.open(KIND.datagram, packets[n]!) === "string") throw new Error("it did not open");
    });
  }
  return { seal: median(times.seal), open: median(times.open), dropForged: median(times.dropForged) };
}

/** What zstd would save on a full datagram of news, and on a push/pull of 1,000 members; and what it takes. */
function compression() {
  const members = Array.from({ length: 1000 }, (_, n) => {
    const ip = `10.0.${n >> 8}.${n & 255}`;
    const meta = `role=gpu;zone=dc1-${n % 4};api=${ip}:50051;serve=${ip}:8000;models=llama-3.1-8b`;
    return Buffer.concat([
      randomBytes(12),
      Buffer.from(`gpu-${n}.rack${n % 40}`),
      Buffer.from(`${ip}:7946`),
      Buffer.from(meta),
    ]);
  });
  const all = Buffer.concat(members);
  const rows = {
    "small datagram": randomBytes(60),
    "datagram of news": all.subarray(0, 1360),
    "push/pull of 1,000": all,
  };
  return Object.fromEntries(
    Object.entries(rows).map(([name, bytes]) => {
      const count = bytes.length > 10_000 ? 50 : 2000;
      const packed = zstdCompressSync(bytes, { params: { 100: 1 } });
      const took = (run: () => void): number => {
        run();
        const startedAtMs = performance.now();
        for (let n = 0; n < count; n++) run();
        return ((performance.now() - startedAtMs) * 1000) / count;
      };
      const packMicroseconds = took(() => void zstdCompressSync(bytes, { params: { 100: 1 } }));
      const unpackMicroseconds = took(() => void zstdDecompressSync(packed));
      return [name, { bytes: bytes.length, packed: packed.length, packMicroseconds, unpackMicroseconds }];
    }),
  );
}

async function requests(keys: readonly Uint8Array[], bytes: number, atOnce: number) {
  const [a, b] = [await openEnd(keys), await openEnd(keys)];
  const payload = randomBytes(bytes);
  const count = 1000;
  const startedAtMs = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (; next < count; next++) await a.transport.request(`127.0.0.1:${b.transport.port}`, payload, 5000);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const tookMs = performance.now() - startedAtMs;
  a.transport.stop();
  b.transport.stop();
  return { bytes, atOnce, perSecond: Math.round((count / tookMs) * 1000) };
}

const streams: Record<string, Awaited<ReturnType<typeof stream>>> = {};
for (const bytes of [60, 400, 1360]) {
  streams[`plain, ${bytes} bytes`] = await stream([], bytes);
  streams[`sealed, ${bytes} bytes`] = await stream([KEY], bytes);
}
await report("transport", {
  "datagrams, both ends in one process": streams,
  "bare sockets, 400 bytes": { "Bun.udpSocket": await bare("Bun.udpSocket"), "node:dgram": await bare("node:dgram") },
  "1,000 datagrams at once": {
    "as it is: paced, large buffer": await burst({}),
    "paced, Linux's default buffer": await burst({ receiveBufferBytes: LINUX_DEFAULT_BYTES / 2 }),
    "not paced, large buffer": await burst({ sendBurst: 10_000 }),
    "not paced, Linux's default buffer": await burst({
      sendBurst: 10_000,
      receiveBufferBytes: LINUX_DEFAULT_BYTES / 2,
    }),
    "node:dgram, not paced, 2 MiB buffer": await dgramBurst(LIMITS.receiveBufferBytes),
    "node:dgram, not paced, default buffer": await dgramBurst(LINUX_DEFAULT_BYTES / 2),
  },
  "microseconds a packet, alone": Object.fromEntries([60, 400, 1360].map((bytes) => [`${bytes} bytes`, cipher(bytes)])),
  compression: compression(),
  "requests over TCP": {
    plain: await requests([], 200, 1),
    sealed: await requests([KEY], 200, 1),
    "sealed, 16 at once": await requests([KEY], 200, 16),
    "sealed, 128 KiB": await requests([KEY], 131_072, 4),
  },
});
