import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Outbox } from "../../src/net/outbox.ts";

/** A socket that takes what `room` allows, then nothing until it is given more. */
class SlowSocket {
  taken: number[] = [];
  room: number;
  closed = false;

  constructor(room: number) {
    this.room = room;
  }

  write(bytes: Uint8Array, offset = 0, length = bytes.length): number {
    if (this.closed) return -1;
    const count = Math.min(this.room, length);
    this.taken.push(...bytes.subarray(offset, offset + count));
    this.room -= count;
    return count;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("Outbox", () => {
  test("hands bytes through while the socket takes them", () => {
    const outbox = new Outbox();
    const socket = new SlowSocket(100);
    expect(outbox.write(socket, bytes("xhellox"), 1, 6)).toBe(true);
    expect(String.fromCharCode(...socket.taken)).toBe("hello");
    expect(outbox.pending).toBe(0);
  });

  test("queues a copy of what the socket did not take", () => {
    const outbox = new Outbox();
    const socket = new SlowSocket(2);
    const buffer = bytes("hello");
    expect(outbox.write(socket, buffer, 0, 5)).toBe(false);
    buffer.fill(0);
    expect(outbox.pending).toBe(3);
    socket.room = 10;
    expect(outbox.flush(socket)).toBe(true);
    expect(String.fromCharCode(...socket.taken)).toBe("hello");
  });

  test("sends nothing past a backlog", () => {
    const outbox = new Outbox();
    const socket = new SlowSocket(1);
    outbox.write(socket, bytes("ab"), 0, 2);
    socket.room = 1;
    expect(outbox.write(socket, bytes("cd"), 0, 2)).toBe(false);
    expect(String.fromCharCode(...socket.taken)).toBe("a");
    expect(outbox.flush(socket)).toBe(false);
    expect(String.fromCharCode(...socket.taken)).toBe("ab");
  });

  test("an empty write tells whether there is a backlog", () => {
    const outbox = new Outbox();
    const socket = new SlowSocket(0);
    expect(outbox.write(socket, bytes(""), 0, 0)).toBe(true);
    outbox.write(socket, bytes("a"), 0, 1);
    expect(outbox.write(socket, bytes(""), 0, 0)).toBe(false);
  });

  test("a closed socket takes nothing, and clear forgets the rest", () => {
    const outbox = new Outbox();
    const socket = new SlowSocket(0);
    outbox.queue(bytes("abc"), 0, 3);
    socket.closed = true;
    expect(outbox.flush(socket)).toBe(false);
    expect(outbox.write(socket, bytes("d"), 0, 1)).toBe(false);
    outbox.clear();
    expect(outbox.pending).toBe(0);
  });

  test("keeps every byte, in order, however the socket takes them", () => {
    const step = fc.oneof(
      fc.record({ write: fc.uint8Array({ maxLength: 20 }) }),
      fc.record({ room: fc.integer({ min: 0, max: 15 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const outbox = new Outbox();
        const socket = new SlowSocket(0);
        const sent: number[] = [];
        for (const one of steps) {
          if ("write" in one) {
            sent.push(...one.write);
            outbox.write(socket, one.write, 0, one.write.length);
          } else {
            socket.room = one.room;
            outbox.flush(socket);
          }
          expect(socket.taken.length + outbox.pending).toBe(sent.length);
        }
        socket.room = sent.length;
        expect(outbox.flush(socket)).toBe(true);
        expect(socket.taken).toEqual(sent);
      }),
    );
  });
});
