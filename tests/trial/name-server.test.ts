/** The name server: what it takes for a question, and that it survives everything else. */
import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import { ownNameServer } from "../../src/trial/names.ts";
import { type NameServer, answerTo, nameServer, questionOf } from "../../src/trial/name-server.ts";

const RECORDS = { "a.example": ["10.0.0.7", "fd00::9"], "_s._tcp.example": ["a.example:7946"] };
const servers: NameServer[] = [];

afterAll(() => {
  for (const server of servers) server.stop();
});

function query(name: string, type: number, more: { questions?: number; flags?: number; class?: number } = {}): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0x1234, 0);
  head.writeUInt16BE(more.flags ?? 0x0100, 2);
  head.writeUInt16BE(more.questions ?? 1, 4);
  const labels = name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const tail = Buffer.alloc(5);
  tail.writeUInt16BE(type, 1);
  tail.writeUInt16BE(more.class ?? 1, 3);
  return Buffer.concat([head, ...labels, tail]);
}

test("reads a question, whatever its case", () => {
  const bytes = query("A.Example", 1);
  expect(questionOf(bytes)).toEqual({ name: "a.example", type: 1, end: bytes.length });
  const found = answerTo(RECORDS, bytes);
  expect(found?.subarray(-4)).toEqual(Buffer.from([10, 0, 0, 7]));
  expect(found?.readUInt16BE(0)).toBe(0x1234);
});

test("answers that a name is not there, and what is there has none of another kind", () => {
  const codes = [query("b.example", 1), query("constructor", 1), query("a.example", 16)].map((bytes) => {
    const found = answerTo(RECORDS, bytes);
    return [(found?.readUInt16BE(2) ?? 0) & 15, found?.readUInt16BE(6)];
  });
  expect(codes).toEqual([
    [3, 0],
    [3, 0],
    [0, 0],
  ]);
});

test.each([
  ["an answer", query("a.example", 1, { flags: 0x8180 })],
  ["no question", query("a.example", 1, { questions: 0 })],
  ["two questions", query("a.example", 1, { questions: 2 })],
  ["another class", query("a.example", 1, { class: 3 })],
  ["a compressed name", Buffer.concat([query("", 1).subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])],
  ["a name too long", query(Array.from({ length: 50 }, () => "abcdefgh").join("."), 1)],
  ["too many bytes", Buffer.concat([query("a.example", 1), Buffer.alloc(500)])],
])("%s is no question", (_what, bytes) => {
  expect(questionOf(bytes)).toBeNull();
  expect(answerTo(RECORDS, bytes)).toBeNull();
});

test("a question that ends early is none, wherever it ends", () => {
  const whole = query("a.example", 1);
  for (let length = 0; length < whole.length; length++) expect(questionOf(whole.subarray(0, length))).toBeNull();
});

test("any bytes are a question or none, and never more than there are", () => {
  const start = query("a.example", 1).subarray(0, 12);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isLike) => {
      const all = isLike ? Buffer.concat([start, bytes]) : Buffer.from(bytes);
      const question = questionOf(all);
      if (question !== null) expect(question.end).toBeLessThanOrEqual(all.length);
      answerTo(RECORDS, all);
    }),
    { numRuns: 2000 },
  );
});

test("goes on after what it can't read, by UDP and by TCP, and takes a question in pieces", async () => {
  const server = await nameServer(RECORDS);
  servers.push(server);
  const port = Number(server.at.split(":")[1]);
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const client = await Bun.udpSocket({ socket: { data: (_self, bytes) => resolve(Buffer.from(bytes)) } });
  client.send(Buffer.from("nonsense"), port, "127.0.0.1");
  client.send(query("a.example", 1), port, "127.0.0.1");
  expect((await promise).readUInt16BE(6)).toBe(1);
  client.close();

  const ask = async (...pieces: Buffer[]): Promise<Buffer> => {
    const closed = Promise.withResolvers<void>();
    const got: Buffer[] = [];
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(self, bytes) {
          got.push(Buffer.from(bytes));
          self.end();
        },
        close: () => closed.resolve(),
        end: (self) => void self.end(),
      },
    });
    for (const piece of pieces) {
      socket.write(piece);
      socket.flush();
      await Bun.sleep(5);
    }
    await closed.promise;
    return Buffer.concat(got);
  };
  const body = query("_s._tcp.example", 33);
  const whole = Buffer.concat([Buffer.from([0, body.length]), body]);
  expect(await ask(Buffer.from("nonsense that claims to be long"))).toHaveLength(0);
  const answer = await ask(whole.subarray(0, 1), whole.subarray(1, 20), whole.subarray(20));
  expect([answer.readUInt16BE(0), answer.readUInt16BE(8)]).toEqual([answer.length - 2, 1]);
  expect(server.asked).toEqual({ udp: 2, tcp: 1 });
});

test.each([
  ["nameserver 127.0.0.1\n", "127.0.0.1"],
  ["# ours\nsearch a b\nnameserver\t127.0.0.53\noptions ndots:5\n", "127.0.0.53"],
  ["nameserver 10.0.0.2\n", ""],
  ["nameserver 127.0.0.1\nnameserver 10.0.0.2\n", ""],
  ["nameserver ::1\n", ""],
  ["", ""],
])("%j is asked at %j", (text, address) => {
  expect(ownNameServer(text)).toBe(address);
});
