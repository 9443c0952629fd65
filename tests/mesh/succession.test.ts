/** The gossip's sockets pass to a successor: what comes meanwhile waits, and the mesh does not notice. */
import { afterEach, expect, test } from "bun:test";
import { closeDescriptor } from "../../src/net/descriptor.ts";
import { adoptBoth } from "../../src/mesh/sockets.ts";
import { eventually } from "../admin/raw-client.ts";
import { Bed, TIMEOUT_MS } from "./transport-bed.ts";

const bed = new Bed();
afterEach(() => bed.close());

test("datagrams and requests that come while nobody reads are the successor's", async () => {
  const peer = await bed.node();
  const first = await bed.node();
  peer.transport.send(first.at, Buffer.from("one"));
  await eventually(() => first.received.length === 1);
  const inherited = first.transport.descriptors();
  first.transport.stop();
  peer.transport.send(first.at, Buffer.from("two"));
  const answer = peer.transport.request(first.at, Buffer.from("three"), TIMEOUT_MS);
  await Bun.sleep(20);
  const second = await bed.node({ inherited });
  expect(second.at).toBe(first.at);
  expect(second.transport.host).toBe("127.0.0.1");
  expect(Buffer.from(await answer).toString()).toBe("re: three");
  await eventually(() => second.received.length === 1);
  expect(second.received).toEqual([{ from: peer.at, text: "two" }]);
  expect(first.received.length).toBe(1);
  // And it speaks by them, as the node that it was.
  second.transport.send(peer.at, Buffer.from("four"));
  await eventually(() => peer.received.length === 1);
  expect(peer.received).toEqual([{ from: first.at, text: "four" }]);
});

test("what is handed over as sockets and is something else is refused", async () => {
  const node = await bed.node();
  const { udp, tcp } = node.transport.descriptors();
  const how = {} as Parameters<typeof adoptBoth>[1];
  expect(await adoptBoth({ udp: tcp, tcp: udp }, how).catch(String)).toContain("is none");
  expect(await adoptBoth({ udp: 1, tcp }, how).catch(String)).toContain("is none");
  closeDescriptor(udp);
  closeDescriptor(tcp);
});
