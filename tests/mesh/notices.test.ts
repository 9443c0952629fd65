/** What the operator is told of packets with a strange key, or of another version, and how often. */
import { expect, test } from "bun:test";
import { Envelope } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { Notices } from "../../src/mesh/notices.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";

function notices(): { readonly notices: Notices; readonly warnings: string[] } {
  const warnings: string[] = [];
  const envelope = new Envelope({
    cluster: "test",
    keyring: new Keyring([new Uint8Array(32)]),
    replays: new ReplayTable({ windowSeconds: 300, sessionsMax: 8 }),
    windowSeconds: 300,
    bytesMax: 1024,
    nowSeconds: () => 1,
  });
  const onWarning = (message: string): void => void warnings.push(message);
  return { notices: new Notices({ envelope, windowSeconds: 300, onError() {}, onWarning }), warnings };
}

const packet = Uint8Array.of(0xe1, 1, 4, 0x3f);

test("a strange key is told once for each host, by its address, so that no stranger silences a member", () => {
  const { notices: told, warnings } = notices();
  for (const from of [
    "10.0.0.1:7946",
    "10.0.0.1:50123",
    "10.0.0.1",
    "10.0.0.2:7946",
    "[fd00::1]:7946",
    "[fd00::1]:1",
  ]) {
    told.strangeKey(from, packet);
  }
  expect(warnings.map((warning) => warning.split(" is sealed")[0])).toEqual([
    "a packet from 10.0.0.1:7946",
    "a packet from 10.0.0.2:7946",
    "a packet from [fd00::1]:7946",
  ]);
  expect(warnings[0]).toContain("begins with 3f");
});

test("another version is told with who is to be upgraded", () => {
  const { notices: told, warnings } = notices();
  told.strangeVersion("10.0.0.1:7946", Uint8Array.of(0xe1, 2, 0, 0));
  told.strangeVersion("10.0.0.1:7946", Uint8Array.of(0xe1, 2, 0, 0));
  told.strangeVersion("10.0.0.2:7946", Uint8Array.of(0xe1, 0, 0, 0));
  expect(warnings).toEqual([
    expect.stringContaining(
      "10.0.0.1:7946 is of version 2 of the mesh's packets, and this node speaks version 1: what runs here",
    ),
    expect.stringContaining(
      "10.0.0.2:7946 is of version 0 of the mesh's packets, and this node speaks version 1: what runs there",
    ),
  ]);
});

test("made-up addresses fill no log, and nothing is told after the end", () => {
  const { notices: told, warnings } = notices();
  for (let host = 0; host < 1000; host++) told.strangeKey(`10.0.${host >> 8}.${host & 255}:7946`, packet);
  expect(warnings).toHaveLength(32);
  const stopped = notices();
  stopped.notices.stop();
  stopped.notices.strangeKey("10.0.0.1:7946", packet);
  expect(stopped.warnings).toEqual([]);
});
