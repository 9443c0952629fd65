/**
 * A name server on loopback that knows what it is told: A, AAAA and SRV records (RFC 1035, 2782), over UDP, or over TCP
 * where they are too many for a datagram. It reads one question of at most 512 bytes, answers what it can't read with
 * nothing, and knows no compression of names, which no question has.
 */

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const;
const CLASS_IN = 1;
/** Without extensions, an answer over UDP has no more room. */
const UDP_BYTES_MAX = 512;
const HEAD_BYTES = 12;
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
/** An answer, with recursion. */
const ANSWER = 0x8180;
const TRUNCATED = 0x0200;
const NO_SUCH_NAME = 3;

/** Records by name: IPv4 and IPv6 addresses, or "name:port" for SRV. A name that is not there does not exist. */
export type Records = Readonly<Record<string, readonly string[]>>;

export interface NameServer {
  /** "127.0.0.1:port". */
  readonly at: string;
  /** How many questions came by each way. */
  readonly asked: { readonly udp: number; readonly tcp: number };
  stop(): void;
}

export interface Question {
  readonly name: string;
  readonly type: number;
  /** Where it ends. */
  readonly end: number;
}

/** Throws where the address can't be had, both by UDP and by TCP. */
export async function nameServer(records: Records, hostname = "127.0.0.1", port = 0): Promise<NameServer> {
  const asked = { udp: 0, tcp: 0 };
  const tcp = Bun.listen<Buffer>({
    hostname,
    port,
    socket: {
      open(self) {
        self.data = Buffer.alloc(0);
      },
      data(self, bytes) {
        const got = Buffer.concat([self.data, bytes]);
        self.data = got;
        const length = got.length < 2 ? UDP_BYTES_MAX : got.readUInt16BE(0);
        if (length > UDP_BYTES_MAX) return void self.end();
        if (got.length < 2 + length) return;
        asked.tcp++;
        self.data = Buffer.alloc(0);
        const found = answerTo(records, got.subarray(2, 2 + length));
        if (found === null) return void self.end();
        const head = Buffer.alloc(2);
        head.writeUInt16BE(found.length);
        self.write(Buffer.concat([head, found]));
      },
    },
  });
  try {
    const udp = await Bun.udpSocket({
      hostname,
      port: tcp.port,
      socket: {
        data(self, bytes, from, address) {
          asked.udp++;
          const query = Buffer.from(bytes);
          const whole = answerTo(records, query);
          if (whole === null) return;
          self.send(whole.length > UDP_BYTES_MAX ? cut(query, questionOf(query)) : whole, from, address);
        },
      },
    });
    const stop = (): void => {
      udp.close();
      tcp.stop(true);
    };
    return { at: `${hostname}:${tcp.port}`, asked, stop };
  } catch (error) {
    tcp.stop(true);
    throw error;
  }
}

/** The answer to a question; null to what is none. */
export function answerTo(records: Records, query: Buffer): Buffer | null {
  const question = questionOf(query);
  if (question === null) return null;
  const { name, type, end } = question;
  const found = Object.hasOwn(records, name) ? records[name] : undefined;
  const answers = (found ?? []).flatMap((text) => recordOf(text, type));
  const head = Buffer.from(query.subarray(0, end));
  head.writeUInt16BE(ANSWER | (found === undefined ? NO_SUCH_NAME : 0), 2);
  head.writeUInt16BE(answers.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...answers]);
}

/** Says that the answer is longer than this: ask again over TCP. */
function cut(query: Buffer, question: Question | null): Buffer {
  const head = Buffer.from(query.subarray(0, question?.end ?? HEAD_BYTES));
  head.writeUInt16BE(ANSWER | TRUNCATED, 2);
  head.writeUInt32BE(0, 8);
  return head;
}

/** The one question of a query, its name in lower case; null where there is none that can be read. */
export function questionOf(query: Buffer): Question | null {
  if (query.length < HEAD_BYTES || query.length > UDP_BYTES_MAX) return null;
  // A question, and one alone.
  if (query.readUInt16BE(2) >> 15 !== 0 || query.readUInt16BE(4) !== 1) return null;
  const labels: string[] = [];
  let at = HEAD_BYTES;
  for (let length = query[at]; length !== 0; length = query[at]) {
    if (length === undefined || length > LABEL_BYTES_MAX || at - HEAD_BYTES > NAME_BYTES_MAX) return null;
    if (at + 1 + length > query.length) return null;
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  if (end > query.length || query.readUInt16BE(at + 3) !== CLASS_IN) return null;
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end };
}

function recordOf(text: string, type: number): Buffer[] {
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
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
