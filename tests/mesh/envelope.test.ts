/** What opens and what does not, one reason at a time; then a million mutated packets, none of which may open or throw. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { Prng } from "../../src/base/prng.ts";
import { type DropReason, Envelope, KIND, type Kind } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";

const SEED = Number(Bun.env["SEED"] ?? 20_261_202);
const WINDOW = 300;
const NOW = 1_800_000_000;
const BYTES_MAX = 1 << 20;
const KEYS = [randomBytes(32), randomBytes(32), randomBytes(32)];

interface Side {
  readonly envelope: Envelope;
  readonly keyring: Keyring;
  readonly replays: ReplayTable;
  nowSeconds: number;
}

function side(keys: readonly Uint8Array[], cluster = "west"): Side {
  const keyring = new Keyring(keys);
  const replays = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 1000 });
  const made = { keyring, replays, nowSeconds: NOW } as Side & { envelope: Envelope };
  Object.assign(made, {
    envelope: new Envelope({
      cluster,
      keyring,
      replays,
      windowSeconds: WINDOW,
      bytesMax: BYTES_MAX,
      nowSeconds: () => made.nowSeconds,
    }),
  });
  return made;
}

const text = (opened: Uint8Array | DropReason): string =>
  typeof opened === "string" ? `dropped: ${opened}` : Buffer.from(opened).toString();
const HELLO = Buffer.from("hello");
const sealed = KEYS.slice(0, 1);

describe("envelopes", () => {
  for (const [name, keys] of [["sealed", sealed] as const, ["plain", []] as const]) {
    test(`${name}: what goes in comes out`, () => {
      const a = side(keys).envelope;
      const b = side(keys).envelope;
      for (const length of [0, 1, 100, 1023, 1024, 1360, 70_000]) {
        const payload = randomBytes(length);
        const packet = a.seal(KIND.datagram, payload);
        expect(packet.length).toBe(length + a.overhead);
        expect(b.open(KIND.datagram, packet)).toEqual(payload);
        const request = a.seal(KIND.request, payload);
        expect(b.open(KIND.request, request)).toEqual(payload);
        expect(a.open(KIND.response, b.seal(KIND.response, payload, request), request)).toEqual(payload);
      }
    });

    test(`${name}: what does not open has a reason`, () => {
      const a = side(keys).envelope;
      const b = side(keys).envelope;
      const open = (change: (packet: Buffer) => Uint8Array | void, kind: Kind = KIND.datagram) => {
        const packet = Buffer.from(a.seal(KIND.datagram, HELLO));
        return text(b.open(kind, change(packet) ?? packet));
      };
      expect(open(() => {})).toBe("hello");
      expect(open((packet) => packet.subarray(0, 7))).toBe("dropped: truncated");
      expect(open(() => new Uint8Array(0))).toBe("dropped: truncated");
      expect(open((packet) => void (packet[0] = 0xb7))).toBe("dropped: magic");
      expect(open((packet) => void (packet[1] = 2))).toBe("dropped: version");
      expect(open((packet) => void (packet[2]! |= 64))).toBe("dropped: flags");
      expect(open((packet) => void (packet[2]! |= 8))).toBe("dropped: flags");
      expect(open(() => {}, KIND.request)).toBe("dropped: flags");
      expect(text(side(keys, "east").envelope.open(KIND.datagram, a.seal(KIND.datagram, HELLO)))).toBe(
        "dropped: cluster",
      );
    });
  }

  test("sealed and plain don't mix", () => {
    const packet = side([]).envelope.seal(KIND.datagram, HELLO);
    expect(text(side(sealed).envelope.open(KIND.datagram, packet))).toBe("dropped: plain");
    const other = side(sealed).envelope.seal(KIND.datagram, HELLO);
    expect(text(side([]).envelope.open(KIND.datagram, other))).toBe("dropped: sealed");
  });

  test("no bit of a sealed packet can be changed, and none can be missing", () => {
    const a = side(sealed).envelope;
    const b = side(sealed).envelope;
    const packet = a.seal(KIND.datagram, HELLO);
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const changed = Buffer.from(packet);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(b.open(KIND.datagram, changed)).toBeString();
    }
    for (let end = 0; end < packet.length; end++) {
      expect(b.open(KIND.datagram, packet.subarray(0, end))).toBeString();
    }
    expect(text(b.open(KIND.datagram, Buffer.concat([packet, Buffer.alloc(1)])))).toBe("dropped: forged");
    // None of these has used the packet up.
    expect(text(b.open(KIND.datagram, packet))).toBe("hello");
    expect(text(b.open(KIND.datagram, packet))).toBe("dropped: replayed");
  });

  test("the cluster's whole name is authenticated, not only its hash in the header", () => {
    const packet = Buffer.from(side(sealed, "east").envelope.seal(KIND.datagram, HELLO));
    const west = side(sealed).envelope;
    packet.set(west.seal(KIND.datagram, HELLO).subarray(4, 8), 4);
    expect(text(west.open(KIND.datagram, packet))).toBe("dropped: forged");
  });

  test("a key that is not in the ring, also one with the same hint", () => {
    const b = side([KEYS[1]!]).envelope;
    const packet = Buffer.from(side(sealed).envelope.seal(KIND.datagram, HELLO));
    const hint = b.seal(KIND.datagram, HELLO)[3]!;
    if (packet[3] !== hint) expect(text(b.open(KIND.datagram, packet))).toBe("dropped: key");
    packet[3] = hint;
    expect(text(b.open(KIND.datagram, packet))).toBe("dropped: forged");
  });

  test("old recordings are dropped, and so are clocks that are too far off", () => {
    const a = side(sealed);
    const b = side(sealed);
    const packet = a.envelope.seal(KIND.datagram, HELLO);
    for (const [offset, opened] of [
      [-WINDOW - 1, "dropped: clock"],
      [WINDOW + 1, "dropped: clock"],
      [-WINDOW, "hello"],
    ] as const) {
      b.nowSeconds = NOW + offset;
      expect(text(b.envelope.open(KIND.datagram, packet))).toBe(opened);
    }
    // A response needs no clock: it answers what was just asked.
    const request = b.envelope.seal(KIND.request, HELLO);
    a.nowSeconds = NOW + 10_000;
    expect(text(b.envelope.open(KIND.response, a.envelope.seal(KIND.response, HELLO, request), request))).toBe("hello");
  });

  test("a response is sealed with the key that opened its request, even when it is not the primary any more", () => {
    const [late, there] = [side([KEYS[0]!]), side([KEYS[1]!, KEYS[0]!])];
    const request = late.envelope.seal(KIND.request, HELLO);
    expect(text(there.envelope.open(KIND.request, request))).toBe("hello");
    const response = there.envelope.seal(KIND.response, HELLO, request);
    expect(text(late.envelope.open(KIND.response, response, request))).toBe("hello");
    // What answers nothing goes out with the primary, and others get theirs as before.
    expect(there.envelope.seal(KIND.datagram, HELLO)[3]).toBe(there.keyring.primary!.hint);
    const other = side([KEYS[1]!]);
    const asked = other.envelope.seal(KIND.request, HELLO);
    there.envelope.open(KIND.request, asked);
    expect(text(other.envelope.open(KIND.response, there.envelope.seal(KIND.response, HELLO, asked), asked))).toBe(
      "hello",
    );
  });

  test("a response answers one request, and no other", () => {
    const a = side(sealed).envelope;
    const b = side(sealed).envelope;
    const first = a.seal(KIND.request, HELLO);
    const second = a.seal(KIND.request, HELLO);
    const response = b.seal(KIND.response, HELLO, first);
    expect(text(a.open(KIND.response, response, second))).toBe("dropped: forged");
    expect(text(a.open(KIND.response, response))).toBe("dropped: forged");
    expect(text(a.open(KIND.response, response, first))).toBe("hello");
  });

  test("no nonce twice, over processes and purposes", () => {
    const nonces = new Set<string>();
    for (let process = 0; process < 50; process++) {
      const { envelope } = side(sealed);
      for (const kind of [KIND.datagram, KIND.request]) {
        for (let n = 0; n < 100; n++) {
          nonces.add(Buffer.from(envelope.seal(kind, HELLO).subarray(8, 20)).toString("hex"));
        }
      }
    }
    expect(nonces.size).toBe(50 * 200);
  });

  test("any key of the ring opens; only the primary seals", () => {
    const b = side(KEYS);
    for (const key of KEYS) expect(text(b.envelope.open(KIND.datagram, seal(key)))).toBe("hello");
    const only = side([KEYS[0]!]).envelope;
    expect(text(only.open(KIND.datagram, b.envelope.seal(KIND.datagram, HELLO)))).toBe("hello");
    b.keyring.remove(b.keyring.list()[2]!.fingerprint);
    expect(b.envelope.open(KIND.datagram, seal(KEYS[2]!))).toBeString();
  });
});

const seal = (key: Uint8Array): Uint8Array => side([key]).envelope.seal(KIND.datagram, HELLO);

describe("compression", () => {
  const repeated = Buffer.from("role=gpu;zone=dc1;".repeat(1000));

  test("streams shrink where it pays, datagrams never", () => {
    const a = side(sealed).envelope;
    expect(a.seal(KIND.request, repeated).length).toBeLessThan(1000);
    expect(a.seal(KIND.datagram, repeated).length).toBe(repeated.length + a.overhead);
    const random = randomBytes(5000);
    expect(a.seal(KIND.request, random).length).toBe(random.length + a.overhead);
  });

  test("bombs, lies and cut frames are dropped", () => {
    const b = side([]).envelope;
    const wrapped = (announced: number, packed: Uint8Array): string => {
      const head = Buffer.from(b.seal(KIND.request, new Uint8Array(4)));
      head[2]! |= 8;
      head.writeUInt32LE(announced, 8);
      return text(b.open(KIND.request, Buffer.concat([head, packed]))).slice(0, 30);
    };
    const packed = zstdCompressSync(repeated);
    expect(wrapped(repeated.length, packed)).toStartWith("role=gpu");
    expect(wrapped(repeated.length - 1, packed)).toBe("dropped: compression");
    expect(wrapped(repeated.length + 1, packed)).toBe("dropped: compression");
    expect(wrapped(repeated.length, packed.subarray(0, -8))).toBe("dropped: compression");
    expect(wrapped(0, packed)).toBe("dropped: compression");
    expect(wrapped(0xffff_ffff, zstdCompressSync(Buffer.alloc(BYTES_MAX * 4)))).toBe("dropped: compression");
    expect(wrapped(BYTES_MAX, zstdCompressSync(Buffer.alloc(BYTES_MAX * 4)))).toBe("dropped: compression");
    expect(wrapped(100, randomBytes(100))).toBe("dropped: compression");
    expect(wrapped(100, new Uint8Array(0))).toBe("dropped: compression");
  });
});

describe("a million mutated packets", () => {
  /** Changes one to four places of a packet, or its length; never nothing. */
  function mutate(packet: Uint8Array, prng: Prng, from: number): Uint8Array {
    for (;;) {
      const changed = mutateOnce(packet, prng, from);
      // Once the packet itself has opened, all that look like it are replays, and the tag is not looked at any more.
      if (Buffer.compare(changed, packet) !== 0) return changed;
    }
  }

  function mutateOnce(packet: Uint8Array, prng: Prng, from: number): Uint8Array {
    const work = Buffer.from(packet);
    const kind = prng.int(8);
    if (kind === 0) return work.subarray(0, prng.int(work.length));
    if (kind === 1) return Buffer.concat([work, work.subarray(prng.int(work.length))]);
    for (let changes = 1 + prng.int(4); changes > 0; changes--) {
      const at = from + prng.int(work.length - from);
      work[at] = prng.int(2) === 0 ? prng.int(256) : work[at]! ^ (1 << prng.int(8));
    }
    return work;
  }

  /** [name, keys, rounds, first byte that is mutated, kind]; from 24 on every packet gets as far as the tag. */
  const parts = [
    ["sealed datagrams, anywhere", KEYS, 400_000, 0, KIND.datagram],
    ["sealed datagrams, behind the header", KEYS.slice(0, 1), 200_000, 24, KIND.datagram],
    ["sealed requests, anywhere", KEYS, 100_000, 0, KIND.request],
    ["plain datagrams, anywhere", [], 200_000, 0, KIND.datagram],
    ["plain requests, compressed", [], 100_000, 0, KIND.request],
  ] as const;
  for (const [name, keys, rounds, from, kind] of parts) {
    test(name, () => {
      const prng = new Prng(SEED);
      const a = side(keys);
      const b = side(keys);
      const payloads = [Buffer.alloc(0), randomBytes(40), Buffer.from("zone=dc1;".repeat(200))];
      const packets = payloads.map((payload) => a.envelope.seal(kind, payload));
      const counts: Record<string, number> = {};
      for (let round = 0; round < rounds; round++) {
        const packet = packets[round % packets.length]!;
        const changed = mutate(packet, prng, Math.min(from, packet.length - 1));
        const opened = b.envelope.open(kind, changed);
        const reason = typeof opened === "string" ? opened : "opened";
        counts[reason] = (counts[reason] ?? 0) + 1;
        if (typeof opened === "string") continue;
        // Plain packets have nothing that tells a changed payload.
        if (keys.length > 0) throw new Error(`a changed packet opened; SEED=${SEED}`);
        if (opened.length > BYTES_MAX) throw new Error(`opened to ${opened.length} bytes; SEED=${SEED}`);
      }
      console.log(`${name}: SEED=${SEED}`, JSON.stringify(counts));
      expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(rounds);
      // Damage to the header shows as what it is: another mesh, a version to come, and so on.
      const reasons = from > 0 ? ["truncated", "forged"] : ["truncated", "magic", "version", "flags", "cluster"];
      for (const reason of reasons) expect([reason, (counts[reason] ?? 0) > 0]).toEqual([reason, true]);
      expect(b.replays.size).toBe(0);
    });
  }
});
