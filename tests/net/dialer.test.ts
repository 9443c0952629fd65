import { describe, expect, test } from "bun:test";
import { type Answer, Dialer } from "../../src/net/dialer.ts";
import { formatIp, parseIpv4, parseIpv6 } from "../../src/net/ip.ts";
import type { IpPlace, Stream, StreamHandlers, Transport } from "../../src/net/stream.ts";
import { until } from "../proxy/harness.ts";

/** A transport whose attempts end as the test says. */
class Scripted implements Transport {
  readonly kind = "bun";
  readonly attempts: { host: string; open: () => void; fail: () => void; givenUp: boolean; cut: boolean }[] = [];

  adopt(): () => void {
    throw new Error("nothing is accepted here");
  }

  connect<T>({ host }: IpPlace, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void {
    const attempt = {
      host,
      givenUp: false,
      cut: false,
      open: () => {
        settled();
        handlers.open(stream);
      },
      fail: () => {
        settled();
        handlers.connectError(stream, new Error(`${host} refused`));
      },
    };
    const stream = {
      data,
      terminate: () => {
        attempt.cut = true;
      },
    } as unknown as Stream<T>;
    this.attempts.push(attempt);
    return () => {
      attempt.givenUp = true;
    };
  }

  wakeAt(): void {}

  later(): void {}

  breathe(): void {}

  destroy(): void {}
}

function dial(lookup: (host: string) => Promise<readonly Answer[]>, host = "up.test") {
  const transport = new Scripted();
  const dialer = new Dialer(transport, { verify: true }, lookup);
  const events: string[] = [];
  const handlers = {
    open: () => events.push("open"),
    connectError: (_stream: Stream<null>, error: Error) => events.push(error.message),
  } as unknown as StreamHandlers<null>;
  const connect = (): (() => void) =>
    dialer.connect({ host, port: 80, tls: false }, null, handlers, () => events.push("settled"));
  return { transport, events, connect };
}

const v4 = (...addresses: string[]): Answer[] => addresses.map((address) => ({ address, family: 4 }));

describe("dialling", () => {
  test("an address is dialled at once", () => {
    const { transport, connect } = dial(() => Promise.reject(new Error("no lookups")), "10.1.2.3");
    connect();
    expect(transport.attempts.map(({ host }) => host)).toEqual(["10.1.2.3"]);
  });

  test("the next address is tried when one fails, families in turns", async () => {
    const answers = [...v4("10.0.0.1", "10.0.0.2"), { address: "fd00::1", family: 6 }];
    const { transport, events, connect } = dial(async () => answers);
    connect();
    await until(() => transport.attempts.length === 1);
    transport.attempts[0]!.fail();
    transport.attempts[1]!.fail();
    transport.attempts[2]!.open();
    expect(transport.attempts.map(({ host }) => host)).toEqual(["10.0.0.1", "fd00::1", "10.0.0.2"]);
    expect(events).toEqual(["settled", "open"]);
  });

  test("an address that does not answer is overtaken, and given up when another opens", async () => {
    const { transport, events, connect } = dial(async () => v4("10.0.0.1", "10.0.0.2"));
    connect();
    await until(() => transport.attempts.length === 2);
    transport.attempts[1]!.open();
    expect(transport.attempts[0]!.givenUp).toBe(true);
    // It opens all the same, since giving up was too late.
    transport.attempts[0]!.open();
    expect(transport.attempts[0]!.cut).toBe(true);
    expect(events).toEqual(["settled", "open"]);
  });

  test("when all fail the last failure is told, once", async () => {
    const { transport, events, connect } = dial(async () => v4("10.0.0.1", "10.0.0.2"));
    connect();
    await until(() => transport.attempts.length === 1);
    transport.attempts[0]!.fail();
    transport.attempts[1]!.fail();
    expect(events).toEqual(["settled", "10.0.0.2 refused"]);
  });

  test("a name that can't be resolved fails with the reason", async () => {
    const { events, connect } = dial(() => Promise.reject(new Error("no such name")));
    connect();
    await until(() => events.length === 2);
    expect(events).toEqual(["settled", "up.test can't be resolved: no such name"]);
  });

  test("a name without addresses fails too", async () => {
    const { events, connect } = dial(async () => []);
    connect();
    await until(() => events.length === 2);
    expect(events[1]).toBe("up.test has no address");
  });

  /** Each look-up finds another address, which is good for that long. */
  function moving(ttl: number) {
    const seen = { lookups: 0 };
    const bed = dial(async () => [{ address: `10.0.0.${++seen.lookups}`, family: 4, ttl }]);
    return { ...bed, seen };
  }

  test("an answer is used again while it is fresh", async () => {
    const { transport, connect, seen } = moving(60);
    connect();
    await until(() => transport.attempts.length === 1);
    connect();
    expect(seen.lookups).toBe(1);
    expect(transport.attempts.map(({ host }) => host)).toEqual(["10.0.0.1", "10.0.0.1"]);
  });

  test("and looked up anew after that", async () => {
    const { transport, connect, seen } = moving(0.02);
    connect();
    await until(() => transport.attempts.length === 1);
    await Bun.sleep(40);
    connect();
    await until(() => seen.lookups === 2);
    connect();
    expect(transport.attempts.map(({ host }) => host)).toEqual(["10.0.0.1", "10.0.0.1", "10.0.0.2"]);
  });

  test("the last answer is used on while lookups fail", async () => {
    let lookups = 0;
    const { transport, connect } = dial(async () => {
      if (++lookups > 1) throw new Error("server failure");
      return [{ address: "10.0.0.1", family: 4, ttl: 0.001 }];
    });
    connect();
    await until(() => transport.attempts.length === 1);
    await Bun.sleep(10);
    connect();
    await until(() => lookups === 2);
    connect();
    expect(transport.attempts).toHaveLength(3);
  });

  test("an attempt that is given up settles, and tells nothing more", async () => {
    const { transport, events, connect } = dial(async () => v4("10.0.0.1"));
    const giveUp = connect();
    await until(() => transport.attempts.length === 1);
    giveUp();
    transport.attempts[0]!.fail();
    expect(events).toEqual(["settled"]);
    expect(transport.attempts[0]!.givenUp).toBe(true);
  });
});

describe("addresses", () => {
  test.each(["::", "::1", "fe80::1", "2001:db8::8:800:200c:417a", "1:2:3:4:5:6:7:8", "1::3:0:0:6", "1:0:2::"])(
    "%s is written as it is read",
    (text) => {
      const bytes = parseIpv6(text);
      expect(bytes).not.toBeNull();
      const again = parseIpv6(formatIp(bytes!));
      expect(again).toEqual(bytes);
    },
  );

  test("the longest run of zeros is the one that is left out", () => {
    expect(formatIp(parseIpv6("1:0:0:2:0:0:0:3")!)).toBe("1:0:0:2::3");
    expect(formatIp(parseIpv6("0:0:0:0:0:0:0:0")!)).toBe("::");
    expect(formatIp(parseIpv6("1:0:2:3:4:5:6:7")!)).toBe("1:0:2:3:4:5:6:7");
  });

  test("IPv4, also as it comes in by IPv6", () => {
    expect(formatIp(parseIpv4("10.1.2.3")!)).toBe("10.1.2.3");
    expect(formatIp(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3]))).toBe("10.1.2.3");
    for (const text of ["1.2.3", "1.2.3.256", "a.b.c.d", "1:2", "1::2::3", "12345::", "fe80::1%eth0"]) {
      expect(parseIpv4(text) ?? parseIpv6(text)).toBeNull();
    }
  });
});
