/** A member of a live mesh, asked by somebody who is none. */
import { afterEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { type PeerAnswer, probePeer } from "../../src/mesh/peer-probe.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { open, stopAll } from "./member-bed.ts";

afterEach(stopAll);

const KEY = new Uint8Array(randomBytes(32));
const OTHER = new Uint8Array(randomBytes(32));
const TIMEOUT_MS = 10_000;
const wallSeconds = (): number => Math.floor(Date.now() / 1000);

function ask(
  address: string,
  keys: readonly Uint8Array[],
  more: { cluster?: string; aheadSeconds?: number } = {},
): Promise<PeerAnswer> {
  const mesh = { ...defaultsOf(gossipSettings), cluster: more.cluster ?? "infermesh" };
  const nowSeconds = (): number => wallSeconds() + (more.aheadSeconds ?? 0);
  return probePeer(address, { mesh, keyring: new Keyring(keys), timeoutMs: TIMEOUT_MS, nowSeconds });
}

test.each([
  ["plain", []],
  ["sealed", [KEY]],
] as const)("it answers by TCP and UDP, and does not take the one who asks for a member: %s", async (_, keys) => {
  const { member, warnings } = await open("gpu-1", [], { keyring: new Keyring(keys) });
  const answer = await ask(member.address, keys);
  const isNear = answer.kind === "answered" && answer.secondsAhead !== null && Math.abs(answer.secondsAhead) <= 2;
  expect(answer).toEqual({
    kind: "answered",
    id: "gpu-1",
    members: 1,
    tcpMs: expect.any(Number),
    udpMs: expect.any(Number),
    secondsAhead: keys.length === 0 ? null : expect.any(Number),
  });
  expect(isNear).toBe(keys.length > 0);
  expect(member.size).toBe(1);
  // That it is open to all is told of a plain one elsewhere than on loopback.
  expect(warnings).toEqual([]);
});

test("its clock is told", async () => {
  const { member } = await open("gpu-1", [], { keyring: new Keyring([KEY]) });
  const answer = await ask(member.address, [KEY], { aheadSeconds: -60 });
  expect(answer.kind === "answered" ? Math.round((answer.secondsAhead ?? 0) / 10) : answer).toBe(6);
});

test("to a stranger it is silent, which is not the same as nobody there", async () => {
  const { member } = await open("gpu-1", [], { keyring: new Keyring([KEY]) });
  expect(await ask(member.address, [OTHER])).toEqual({ kind: "stranger" });
  expect(await ask(member.address, [])).toEqual({ kind: "stranger" });
  expect(await ask(member.address, [KEY], { cluster: "other" })).toEqual({ kind: "stranger" });
  expect(await ask(member.address, [KEY], { aheadSeconds: 3600 })).toEqual({ kind: "stranger" });
});

test("one without keys is told from a stranger", async () => {
  const { member } = await open("gpu-1", []);
  expect(await ask(member.address, [KEY])).toEqual({ kind: "plain" });
});

test("nobody there, something else there, and what is no address", async () => {
  const babbler = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") },
  });
  const address = `127.0.0.1:${babbler.port}`;
  expect(await ask(address, [KEY])).toEqual({ kind: "silent", message: expect.stringContaining("the answer") });
  babbler.stop(true);
  expect(await ask(address, [KEY])).toEqual({ kind: "refused" });
  for (const wrong of ["", "gpu-1:7946", "127.0.0.1"]) {
    expect(await ask(wrong, [KEY])).toEqual({ kind: "silent", message: "it is no IP address with a port" });
  }
});
