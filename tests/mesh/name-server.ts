/** A name server on loopback that knows what a test tells it: A, AAAA and SRV records, over UDP, or TCP where they are many. */

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const;

export interface NameServer {
  /** "127.0.0.1:port". */
  readonly at: string;
  stop(): void;
}

/** Without extensions, an answer over UDP has no more room. */
const UDP_BYTES_MAX = 512;

/** Records by name: IPv4 and IPv6 addresses, or "name:port" for SRV. A name that is not there does not exist. Any free port is `wanted` by default. */
export async function nameServer(
  records: Readonly<Record<string, readonly string[]>>,
  wanted = 0,
): Promise<NameServer> {
  const tcp = Bun.listen({
    hostname: "127.0.0.1",
    port: wanted,
    socket: {
      data(self, bytes) {
        // Questions are short, and come with their length in one piece.
        const found = answer(records, Buffer.from(bytes.subarray(2)));
        const length = Buffer.alloc(2);
        length.writeUInt16BE(found.length);
        self.write(Buffer.concat([length, found]));
      },
    },
  });
  const udp = await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: tcp.port,
    socket: {
      data(self, bytes, port, address) {
        const query = Buffer.from(bytes);
        const whole = answer(records, query);
        self.send(whole.length > UDP_BYTES_MAX ? cut(query) : whole, port, address);
      },
    },
  });
  const stop = (): void => {
    udp.close();
    tcp.stop(true);
  };
  return { at: `127.0.0.1:${tcp.port}`, stop };
}

function answer(records: Readonly<Record<string, readonly string[]>>, query: Buffer): Buffer {
  const { name, type, end } = question(query);
  const found = records[name];
  const answers = (found ?? []).flatMap((text) => record(text, type));
  const head = Buffer.from(query.subarray(0, end));
  // An answer, with recursion; 3: no such name.
  head.writeUInt16BE(0x8180 | (found === undefined ? 3 : 0), 2);
  head.writeUInt16BE(answers.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...answers]);
}

/** Says that the answer is longer than this: ask again over TCP. */
function cut(query: Buffer): Buffer {
  const head = Buffer.from(query.subarray(0, question(query).end));
  head.writeUInt16BE(0x8380, 2);
  head.writeUInt32BE(0, 8);
  return head;
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function record(text: string, type: number): Buffer[] {
  if (/^[\d.]+$/.test(text)) return type === TYPES.A ? [resource(type, Buffer.from(text.split(".").map(Number)))] : [];
  if (text.startsWith("fd00::")) {
    const data = Buffer.alloc(16);
    data[0] = 0xfd;
    data.writeUInt16BE(Number(`0x${text.slice(6)}`), 14);
    return type === TYPES.AAAA ? [resource(type, data)] : [];
  }
  const [target = "", port = ""] = text.split(":");
  const data = Buffer.alloc(6);
  data.writeUInt16BE(Number(port), 4);
  const labels = target.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return type === TYPES.SRV ? [resource(type, Buffer.concat([data, ...labels, Buffer.from([0])]))] : [];
}

function resource(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name is that of the question.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
