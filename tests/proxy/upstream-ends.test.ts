/** A target's connection whose tunnel ends while the target takes nothing: what is queued goes first. */
import { expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Dialer } from "../../src/net/dialer.ts";
import type { Stream, StreamHandlers } from "../../src/net/stream.ts";
import { nowMs, tick } from "../../src/proxy/clock.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { UpstreamPool } from "../../src/proxy/upstream-pool.ts";
import type { UpstreamConnection, UpstreamUser } from "../../src/proxy/upstream.ts";

const SWITCHED = Buffer.from("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n");

/** A connection of a pool that was switched to a tunnel; its stream takes `room` bytes at a time. */
function tunnel() {
  const asked: string[] = [];
  const calls: string[] = [];
  let room = 4;
  let handlers: StreamHandlers<UpstreamConnection> | null = null;
  const stream = {
    data: null as UpstreamConnection | null,
    write(_bytes: Uint8Array, _offset = 0, length = 0): number {
      const taken = Math.min(room, length);
      room -= taken;
      calls.push(`write ${taken}`);
      return taken;
    },
    pause() {},
    resume() {},
    shutdown: () => void calls.push("shutdown"),
    end: () => void calls.push("end"),
    terminate: () => void calls.push("terminate"),
    remoteAddress: undefined,
  };
  const dialer = {
    connect(
      _place: unknown,
      data: UpstreamConnection,
      theirs: StreamHandlers<UpstreamConnection>,
      settled: () => void,
    ) {
      handlers = theirs;
      stream.data = data;
      settled();
      return () => {};
    },
  };
  const config = { ...defaultsOf(proxySettings), streamTimeoutMs: 1000 };
  const pool = new UpstreamPool({ host: "x", port: 1, tls: false }, config, dialer as unknown as Dialer);
  const user: UpstreamUser = {
    isHead: false,
    isUpgrade: true,
    awaitsEvent: false,
    responseHead: () => void asked.push("head"),
    responseBody: (_buffer, _start, _end, ended) => void asked.push(ended ? "ended" : "body"),
    upstreamFailed: (kind) => void asked.push(kind),
    upstreamOpened: () => void asked.push("opened"),
    upstreamDrained: () => void asked.push("drained"),
  };
  const connection = pool.take()!;
  connection.begin(user);
  const open = stream as unknown as Stream<UpstreamConnection>;
  handlers!.open(open);
  handlers!.data(open, SWITCHED, 0, SWITCHED.length);
  asked.length = 0;
  const drain = (more: number): void => {
    room = more;
    handlers!.drain(open);
  };
  return {
    pool,
    connection,
    calls,
    asked,
    drain,
    ended: () => handlers!.end(open),
    closed: () => handlers!.close(open, true),
  };
}

const TEN = Buffer.alloc(10);

test("our half ends behind what is queued", () => {
  const { connection, calls, asked, drain } = tunnel();
  expect(connection.send(TEN, 0, 10)).toBe(false);
  connection.endHalf();
  expect(connection.isHalfEnded).toBe(false);
  drain(5);
  expect(calls).toEqual(["write 4", "write 5"]);
  drain(5);
  expect(calls.slice(2)).toEqual(["write 1", "shutdown"]);
  expect([connection.isHalfEnded, asked]).toEqual([true, []]);
});

test("a tunnel that is over on both sides is left when what is queued is gone", () => {
  const { pool, connection, calls, asked, drain, ended } = tunnel();
  connection.send(TEN, 0, 10);
  connection.endHalf();
  ended();
  expect(asked).toEqual(["ended"]);
  connection.release(true);
  expect([calls, pool.size]).toEqual([["write 4"], 1]);
  drain(10);
  expect([calls, pool.size]).toEqual([["write 4", "write 6", "end"], 0]);
});

test("and is given up where the target never takes it", () => {
  const { pool, connection, calls, ended } = tunnel();
  connection.send(TEN, 0, 10);
  connection.endHalf();
  ended();
  connection.release(true);
  tick();
  pool.sweep(nowMs() + 500);
  expect([calls.includes("terminate"), pool.size]).toEqual([false, 1]);
  pool.sweep(nowMs() + 1500);
  expect([calls.includes("terminate"), pool.size]).toEqual([true, 0]);
});

test("an end that is told by the close alone is one, a cut is none", () => {
  const inOrder = tunnel();
  inOrder.connection.endHalf();
  inOrder.closed();
  expect(inOrder.asked).toEqual(["ended"]);
  const cut = tunnel();
  cut.closed();
  expect(cut.asked).toEqual(["truncated"]);
});
