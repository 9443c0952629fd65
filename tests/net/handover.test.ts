import { describe, expect, test } from "bun:test";
import { boundAddress, closeDescriptor, duplicate, expectSocket } from "../../src/net/descriptor.ts";
import { parseHandover, Predecessor } from "../../src/net/handover.ts";

const fdOf = (socket: unknown): number => (socket as { readonly fd: number }).fd;
const HANDLERS = { data() {} };

describe("descriptors", () => {
  test("tell where a socket is bound, of either family", async () => {
    const tcp = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: HANDLERS });
    expect(boundAddress(fdOf(tcp))).toEqual({ host: "127.0.0.1", port: tcp.port });
    const every = Bun.listen({ hostname: "::", port: 0, socket: HANDLERS });
    expect(boundAddress(fdOf(every))).toEqual({ host: "::", port: every.port });
    const udp = await Bun.udpSocket({ hostname: "127.0.0.1" });
    expect(boundAddress(fdOf(udp))).toEqual({ host: "127.0.0.1", port: udp.port });

    expectSocket(fdOf(tcp), "listening");
    expectSocket(fdOf(udp), "datagram");
    expect(() => expectSocket(fdOf(udp), "listening")).toThrow("is none");
    expect(() => expectSocket(fdOf(tcp), "datagram")).toThrow("is none");
    for (const one of [tcp, every]) one.stop();
    udp.close();
  });

  test("that are closed or no sockets are refused", () => {
    expect(() => boundAddress(99_999)).toThrow("is none");
    expect(() => boundAddress(1)).toThrow("is none");
    expect(() => expectSocket(1, "listening")).toThrow("is none");
    expect(() => duplicate(99_999)).toThrow("can't duplicate descriptor");
  });

  test("are duplicated: the socket lives as long as one of them", async () => {
    const first = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: HANDLERS });
    const { port } = first;
    const copy = duplicate(fdOf(first));
    first.stop();
    const client = await Bun.connect({ hostname: "127.0.0.1", port, socket: HANDLERS });
    client.end();
    closeDescriptor(copy);
    const refused = await Bun.connect({ hostname: "127.0.0.1", port, socket: HANDLERS }).catch((error: Error) => error);
    expect(refused).toBeInstanceOf(Error);
  });
});

describe("what is handed over", () => {
  const one = {
    format: 1,
    sockets: { listen: { at: ":8080", fds: [3, 4] }, api: { at: "127.0.0.1:50052", fds: [5] } },
  };

  test("is read as it was written", () => {
    expect([...(parseHandover(JSON.stringify(one)) ?? [])]).toEqual(Object.entries(one.sockets));
  });

  test("is refused when it is anything else", () => {
    const listen = one.sockets.listen;
    const wrong: unknown[] = [
      null,
      [],
      {},
      { ...one, format: 2 },
      { ...one, sockets: [] },
      { ...one, sockets: { listen: null } },
      { ...one, sockets: { listen: { ...listen, at: 7 } } },
      { ...one, sockets: { listen: { ...listen, fds: "3" } } },
      { ...one, sockets: { listen: { ...listen, fds: [2] } } },
      { ...one, sockets: { listen: { ...listen, fds: [3.5] } } },
      { ...one, sockets: { listen: { ...listen, fds: ["3"] } } },
    ];
    for (const told of wrong) expect(parseHandover(JSON.stringify(told))).toBeUndefined();
    expect(parseHandover("{")).toBeUndefined();
  });

  test("is nothing for a start like any other, and a mistake for one by hand", () => {
    expect(Predecessor.find({})).toBeNull();
    expect(Predecessor.find({ INFERMESH_HANDOVER: "" })).toBeNull();
    const env = { INFERMESH_HANDOVER: JSON.stringify(one), NODE_CHANNEL_FD: "3" };
    expect(() => Predecessor.find(env)).toThrow("is for an upgrade");
    // Nor is it for what this process starts in its turn.
    expect(Object.keys(env)).toEqual([]);
  });
});
