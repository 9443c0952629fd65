/**
 * Request smuggling, end to end: whatever a client does to the framing of a request, it is refused or it reaches the
 * upstream normalised, and nobody behind the relay sees two requests where the client sent one. Each case is sent in one
 * piece and byte by byte. The parsers' own tables are in tests/wire/; here it is the relay that is judged, by an
 * upstream that counts strictly and by the readings of laxer servers.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { answer, ask, CHAT, chunk, Client, CLOSE, Relay, statusOf, until, Upstream, useTransport } from "./harness.ts";
import { disagreements, StrictUpstream } from "./strict-upstream.ts";

const opened: { stop(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.stop();
  useTransport("epoll");
});

function keep<T extends { stop(): void }>(made: T): T {
  opened.push(made);
  return made;
}

const PATH = "/v1/chat/completions";
const HEAD = `POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;
/** What the attacker wants the upstream to take for a request of its own. */
const SMUGGLED = `POST /v1/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: ${CHAT.length}\r\n\r\n${CHAT}`;
const CHUNKS = `${chunk(CHAT)}0\r\n\r\n`;
const LENGTH = `content-length: ${CHAT.length}\r\n`;
const CHUNKED = "transfer-encoding: chunked\r\n";

/** A request whose framing the extra lines are to upset. */
const withFields = (lines: string, body = `${CHUNKS}${SMUGGLED}`): string => `${HEAD}${lines}\r\n${body}`;
const withChunks = (chunks: string): string => `${HEAD}${CHUNKED}\r\n${chunks}${SMUGGLED}`;

type Piecewise = readonly [how: string, pieces: (text: string) => string[]];
const WAYS: readonly Piecewise[] = [
  ["in one piece", (text) => [text]],
  ["byte by byte", (text) => text.split("")],
];

async function sendAll(client: Client, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    if (client.closed) return;
    client.send(Buffer.from(piece, "latin1"));
    if (pieces.length > 1) await new Promise(setImmediate);
  }
}

/**
 * Sends the bytes on a connection of their own, where they come in pieces over Bun's sockets: the epoll lane and this
 * test take turns on one thread, which would cost milliseconds a piece. Answers the statuses that came back, and what
 * the upstream saw.
 */
async function attack(pieces: readonly string[], config: ConstructorParameters<typeof Relay>[1] = {}) {
  useTransport(pieces.length > 1 ? "bun" : "epoll");
  const upstream = keep(new StrictUpstream(() => answer('{"ok":true}')));
  const relay = keep(new Relay([upstream.port], config));
  const client = await Client.open(relay.port);
  await sendAll(client, pieces);
  const text = await client.end();
  await until(() => relay.inFlight === 0);
  expect(upstream.faults).toEqual([]);
  // However lax the server behind the relay reads, it finds the requests that a strict one finds.
  for (const stream of upstream.streams) expect(disagreements(stream.text)).toEqual([]);
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  return { statuses, text, requests: upstream.requests, connections: upstream.streams.length };
}

const REFUSED: readonly (readonly [name: string, bytes: string, status: number])[] = [
  // ---- two framings
  ["CL.TE", withFields(`content-length: ${CHUNKS.length + SMUGGLED.length}\r\n${CHUNKED}`), 400],
  ["TE.CL", withFields(`${CHUNKED}content-length: 4\r\n`), 400],
  ["CL.TE with the coding in capitals", withFields(`${LENGTH}TRANSFER-ENCODING: CHUNKED\r\n`), 400],
  ["CL.TE with a coding of another name", withFields(`${LENGTH}transfer-encoding: identity\r\n`), 501],
  ["TE.TE, the second made up", withFields(`${CHUNKED}transfer-encoding: cow\r\n`), 400],
  ["TE.TE, the first made up", withFields(`transfer-encoding: cow\r\n${CHUNKED}`), 501],
  ["TE.TE, the same twice", withFields(`${CHUNKED}${CHUNKED}`), 400],
  ["TE.TE in a list", withFields("transfer-encoding: chunked, identity\r\n"), 400],
  ["a coding behind a vertical tab", withFields(`${LENGTH}transfer-encoding: \x0bchunked\r\n`), 400],
  ["a coding before a form feed", withFields(`${LENGTH}transfer-encoding: chunked\x0c\r\n`), 400],
  ["a coding in quotes", withFields(`${LENGTH}transfer-encoding: "chunked"\r\n`), 400],
  ["a coding with a parameter", withFields(`${LENGTH}transfer-encoding: chunked;q=1\r\n`), 400],
  ["an almost-coding", withFields("transfer-encoding: xchunked\r\n"), 501],
  ["an empty coding", withFields(`${LENGTH}transfer-encoding:\r\n`), 400],
  ["a coding in HTTP/1.0", withFields(CHUNKED).replace("HTTP/1.1", "HTTP/1.0"), 400],
  // ---- lengths
  ["two lengths that differ", withFields(`${LENGTH}content-length: 4\r\n`), 400],
  ["two equal lengths", withFields(`${LENGTH}${LENGTH}`), 400],
  ["a list of lengths", withFields(`content-length: ${CHAT.length}, ${CHAT.length}\r\n`), 400],
  ["a huge length", withFields("content-length: 18446744073709551617\r\n"), 400],
  ["a length beyond 2^53", withFields("content-length: 9007199254740993\r\n"), 400],
  ["a length beyond what is taken", withFields("content-length: 9007199254740991\r\n"), 413],
  ["a negative length", withFields("content-length: -1\r\n"), 400],
  ["a signed length", withFields(`content-length: +${CHAT.length}\r\n`), 400],
  ["a length in hexadecimal", withFields("content-length: 0x38\r\n"), 400],
  ["a length with an exponent", withFields("content-length: 5e1\r\n"), 400],
  ["a length with a separator", withFields("content-length: 5_6\r\n"), 400],
  ["a length in two words", withFields("content-length: 5 6\r\n"), 400],
  ["an empty length", withFields("content-length:\r\n"), 400],
  ["a length that Connection takes back", withFields(`connection: content-length\r\n${LENGTH}`), 400],
  ["a coding that Connection takes back", withFields(`connection: close, transfer-encoding\r\n${CHUNKED}`), 400],
  // ---- names
  ["a space before the colon of a length", withFields(`${CHUNKED}content-length : 4\r\n`), 400],
  ["a tab before the colon of a coding", withFields(`${LENGTH}transfer-encoding\t: chunked\r\n`), 400],
  ["a NUL in the name of a coding", withFields(`${LENGTH}transfer-encoding\0: chunked\r\n`), 400],
  ["a NUL before a name", withFields(`${LENGTH}\0transfer-encoding: chunked\r\n`), 400],
  ["a high byte in a name", withFields(`${LENGTH}transfer-encoding\xa0: chunked\r\n`), 400],
  ["a return in a name", withFields(`${LENGTH}x\rtransfer-encoding: chunked\r\n`), 400],
  ["a name with brackets", withFields(`${LENGTH}(transfer-encoding): chunked\r\n`), 400],
  ["a line without a colon", withFields(`${LENGTH}transfer-encoding chunked\r\n`), 400],
  ["an empty name", withFields(`${LENGTH}: chunked\r\n`), 400],
  // ---- lines
  ["a coding folded onto the next line", withFields(`${LENGTH}transfer-encoding:\r\n chunked\r\n`), 400],
  ["a coding folded with a tab", withFields(`${LENGTH}x: y\r\n\ttransfer-encoding: chunked\r\n`), 400],
  [
    "a first field that begins with a space",
    `POST ${PATH} HTTP/1.1\r\n host: x\r\n${LENGTH}\r\n${CHAT}${SMUGGLED}`,
    400,
  ],
  ["a bare LF before a coding", withFields(`${LENGTH}x: y\ntransfer-encoding: chunked\r\n`), 400],
  ["a bare CR before a coding", withFields(`${LENGTH}x: y\rtransfer-encoding: chunked\r\n`), 400],
  ["a head of bare LFs", `POST ${PATH} HTTP/1.1\nhost: x\ncontent-length: ${CHAT.length}\n\n${CHAT}${SMUGGLED}`, 400],
  ["a blank line of a bare LF", `${HEAD}${LENGTH}\n${CHAT}${SMUGGLED}`, 400],
  ["a NUL in a value", withFields(`${LENGTH}x: a\0b\r\n`), 400],
  ["a NUL in the target", `POST ${PATH}\0 HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["a NUL in the method", `PO\0ST ${PATH} HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  // ---- request lines and hosts
  ["two spaces in the request line", `POST  ${PATH} HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["a tab in the request line", `POST\t${PATH} HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["a request in the target", `POST ${PATH} HTTP/1.1\r\nx: HTTP/1.1\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["HTTP/0.9", `POST ${PATH}\r\n\r\n${SMUGGLED}`, 400],
  ["a version of two digits", `POST ${PATH} HTTP/1.10\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["HTTP/1.2", `POST ${PATH} HTTP/1.2\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 505],
  ["CONNECT", `CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n${SMUGGLED}`, 501],
  ["a second Host", withFields(`${LENGTH}host: y\r\n`, CHAT), 400],
  ["no Host", `POST ${PATH} HTTP/1.1\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["an absolute target of another scheme", `POST file:///v1/x HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  ["an absolute target without a host", `POST http:///v1/x HTTP/1.1\r\nhost: x\r\n${LENGTH}\r\n${CHAT}`, 400],
  // ---- chunks
  ["a size in 0x", withChunks(`0x${CHUNKS}`), 400],
  ["a size with a sign", withChunks(`+${CHUNKS}`), 400],
  ["a negative size", withChunks(`-1\r\n${CHAT}\r\n0\r\n\r\n`), 400],
  ["a size behind a space", withChunks(` ${CHUNKS}`), 400],
  ["a size before a space", withChunks(CHUNKS.replace("\r\n", " \r\n")), 400],
  ["a size of 17 digits", withChunks(`10000000000000000\r\n${CHAT}\r\n0\r\n\r\n`), 400],
  ["a size beyond 2^53", withChunks(`fffffffffffffff0\r\n${CHAT}\r\n0\r\n\r\n`), 400],
  ["a size ended by a bare LF", withChunks(CHUNKS.replace("\r\n", "\n")), 400],
  ["a size ended by a bare CR", withChunks(CHUNKS.replace("\r\n", "\r")), 400],
  ["no size", withChunks(`\r\n${CHAT}\r\n0\r\n\r\n`), 400],
  ["a bare LF in an extension", withChunks(CHUNKS.replace("\r\n", ";a\nb\r\n")), 400],
  ["a bare CR in an extension", withChunks(CHUNKS.replace("\r\n", ";a\rb\r\n")), 400],
  ["a NUL in an extension", withChunks(CHUNKS.replace("\r\n", ";\0\r\n")), 400],
  ["an extension without end", withChunks(CHUNKS.replace("\r\n", `;${"x".repeat(300)}\r\n`)), 400],
  ["data longer than its size", withChunks(`${CHAT.length.toString(16)}\r\n${CHAT}x\r\n0\r\n\r\n`), 400],
  ["data ended by a bare LF", withChunks(`${CHAT.length.toString(16)}\r\n${CHAT}\n0\r\n\r\n`), 400],
  ["data ended by a bare CR", withChunks(`${CHAT.length.toString(16)}\r\n${CHAT}\r0\r\n\r\n`), 400],
  ["a last chunk ended by a bare LF", withChunks(`${chunk(CHAT)}0\n\n`), 400],
  // ---- trailers
  ["a folded trailer", withChunks(`${chunk(CHAT)}0\r\nx: a\r\n b\r\n\r\n`), 400],
  ["a trailer with a space before its colon", withChunks(`${chunk(CHAT)}0\r\nx : a\r\n\r\n`), 400],
  ["a trailer with a bare LF", withChunks(`${chunk(CHAT)}0\r\nx: a\ny: b\r\n\r\n`), 400],
  ["a trailer with a NUL", withChunks(`${chunk(CHAT)}0\r\nx: a\0b\r\n\r\n`), 400],
  ["a trailer without a colon", withChunks(`${chunk(CHAT)}0\r\nGET /v1/x HTTP/1.1\r\n\r\n`), 400],
  ["a trailer section without end", withChunks(`${chunk(CHAT)}0\r\n${"x: y\r\n".repeat(2000)}\r\n`), 400],
  // ---- bodies that the router refuses for another reason: what follows must not become a request
  [
    "a body on a listing",
    `GET /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    200,
  ],
  ["a body on health", `GET /health HTTP/1.1\r\nhost: x\r\n${CHUNKED}\r\n${chunk(SMUGGLED)}0\r\n\r\n`, 200],
  [
    "a body on an unknown path",
    `POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    404,
  ],
  [
    "a body for an unknown model",
    withFields(`${CHUNKED}x-infermesh-model: nobody\r\n`, `${chunk(SMUGGLED)}0\r\n\r\n`),
    404,
  ],
];

/** The rest never comes. */
const CUT_SHORT: readonly (readonly [name: string, bytes: string])[] = [
  ["a body that stops short", withFields(`content-length: ${CHAT.length + 1}\r\n`, CHAT)],
  ["chunks that stop short", `${HEAD}${CHUNKED}\r\n${chunk(CHAT)}0\r\n`],
];

describe.each(WAYS)("refused, and nothing of it reaches the upstream: %s", (_how, pieces) => {
  test.each(REFUSED)("%s", async (_name, bytes, status) => {
    // A client that got its answer is cut off: what it still had to send is nobody's request.
    const { statuses, text, requests } = await attack(pieces(bytes));
    expect(statuses).toEqual([status]);
    // For its framing, and not for what a body that is cut elsewhere happens to say.
    if (status === 400) expect(text).toContain('"code":"bad_request"');
    expect(requests).toEqual([]);
  });
});

describe.each(WAYS)("never whole, and nobody's request: %s", (_how, pieces) => {
  test.each(CUT_SHORT)("%s", async (_name, bytes) => {
    const { statuses, requests } = await attack(pieces(bytes), { bodyTimeoutMs: 150 });
    expect(statuses).toEqual([408]);
    expect(requests).toEqual([]);
  });
});

type Normalised = readonly [name: string, bytes: string, shows: RegExp, hides: RegExp];

const NORMALISED: readonly Normalised[] = [
  [
    "a tab before a coding",
    `${HEAD}transfer-encoding:\tchunked\r\n${CLOSE}\r\n${CHUNKS}`,
    /^transfer-encoding: chunked$/m,
    /\t/,
  ],
  [
    "a coding in capitals",
    `${HEAD}Transfer-Encoding: CHUNKED \r\n${CLOSE}\r\n${CHUNKS}`,
    /^transfer-encoding: chunked$/m,
    /CHUNKED/,
  ],
  [
    "an absolute target",
    `POST http://evil:1/v1/completions?a HTTP/1.1\r\nhost: x\r\n${LENGTH}${CLOSE}\r\n${CHAT}`,
    /^POST \/v1\/completions\?a /m,
    /^host: x$/m,
  ],
  ["empty lines before a request", `\r\n\r\n${HEAD}${LENGTH}${CLOSE}\r\n${CHAT}`, /^POST/, /^$/],
  [
    "an extension of a chunk",
    `${HEAD}${CHUNKED}${CLOSE}\r\n${CHUNKS.replace("\r\n", ";a=b\r\n")}`,
    /^transfer-encoding: chunked$/m,
    /smuggled/,
  ],
  [
    "a last chunk of many zeroes",
    `${HEAD}${CHUNKED}${CLOSE}\r\n${chunk(CHAT)}0000\r\n\r\n`,
    /^transfer-encoding: chunked$/m,
    /smuggled/,
  ],
  [
    "fields that Connection nominates",
    `${HEAD}${LENGTH}x-drop: 1\r\nconnection: x-drop, close\r\n\r\n${CHAT}`,
    /^POST/,
    /x-drop|^connection/m,
  ],
  [
    "an upgrade to h2c",
    `${HEAD}${LENGTH}upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nconnection: upgrade, http2-settings, close\r\n\r\n${CHAT}`,
    /^POST/,
    /upgrade|http2-settings/i,
  ],
  ...["h2c", "websocket, h2c", "HTTP/2.0", "TLS/1.0"].map((protocol): Normalised => [
    `an upgrade to ${protocol} that could be asked of a target`,
    `GET /v1/custom HTTP/1.1\r\nhost: x\r\nx-infermesh-model: m\r\nupgrade: ${protocol}\r\nhttp2-settings: AAMAAABk\r\nconnection: upgrade, http2-settings, close\r\n\r\n`,
    /^GET/,
    /upgrade|http2-settings/i,
  ]),
  [
    "an upgrade that Connection does not name",
    `${HEAD}${LENGTH}upgrade: websocket\r\n${CLOSE}\r\n${CHAT}`,
    /^POST/,
    /upgrade/i,
  ],
  ["an expectation that nobody knows", `${HEAD}${LENGTH}expect: miracles\r\n${CLOSE}\r\n${CHAT}`, /^POST/, /expect/i],
  [
    "te and trailer",
    `${HEAD}${LENGTH}te: trailers, chunked\r\ntrailer: content-length\r\n${CLOSE}\r\n${CHAT}`,
    /^POST/,
    /^te:|^trailer:/m,
  ],
  [
    "a request within a body",
    `${HEAD}content-length: ${SMUGGLED.length + CHAT.length}\r\nx-infermesh-model: m\r\n${CLOSE}\r\n${CHAT}${SMUGGLED}`,
    /^POST \/v1\/chat/,
    /^$/,
  ],
  [
    "HTTP/1.0 with a request behind it",
    `POST ${PATH} HTTP/1.0\r\n${LENGTH}\r\n${CHAT}${SMUGGLED}`,
    /^host: infermesh$/m,
    /smuggled/,
  ],
  ["a last request with another behind it", `${HEAD}${LENGTH}${CLOSE}\r\n${CHAT}${SMUGGLED}`, /^POST/, /smuggled/],
];

describe.each(WAYS)("normalised, and seen as one request: %s", (_how, pieces) => {
  test.each(NORMALISED)("%s", async (_name, bytes, shows, hides) => {
    const { statuses, requests } = await attack(pieces(bytes));
    expect(statuses).toEqual([200]);
    expect(requests).toHaveLength(1);
    const [request] = requests;
    const head = [request?.line, ...[...(request?.fields ?? [])].map(([name, value]) => `${name}: ${value}`)].join(
      "\n",
    );
    expect(head).toMatch(shows);
    expect(head).not.toMatch(hides);
  });
});

test("the readings tell a smuggled request where there is one", () => {
  const both = `${HEAD}content-length: ${CHUNKS.length + SMUGGLED.length}\r\n${CHUNKED}\r\n${CHUNKS}${SMUGGLED}`;
  const bare = `${HEAD}${LENGTH}x: y\n${CHUNKED}\r\n${CHUNKS}${SMUGGLED}`;
  const blank = `${HEAD}${LENGTH}${CHUNKED.replace(":", " :")}\r\n${CHUNKS}${SMUGGLED}`;
  const quoted = `${HEAD}content-length: ${CHUNKS.length + SMUGGLED.length}\r\ntransfer-encoding: "chunked"\r\n\r\n${CHUNKS}${SMUGGLED}`;
  for (const text of [both, bare, blank, quoted]) expect(disagreements(text)).not.toEqual([]);
  expect(disagreements(`${HEAD}${LENGTH}\r\n${CHAT}${SMUGGLED}`)).toEqual([]);
});

describe("requests that are two", () => {
  test.each(WAYS)("are seen as two, each with its own body: %s", async (_how, pieces) => {
    const second = `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${CHUNKED}${CLOSE}\r\n${CHUNKS}`;
    const { statuses, requests } = await attack(pieces(`${HEAD}${LENGTH}\r\n${CHAT}${second}`));
    expect(statuses).toEqual([200, 200]);
    expect(requests.map(({ line }) => line)).toEqual([`POST ${PATH} HTTP/1.1`, "POST /v1/completions HTTP/1.1"]);
    expect(requests.map(({ body }) => body)).toEqual([CHAT, CHUNKS]);
  });

  test("the HTTP/2 preface in the middle of a connection is no request", async () => {
    const { statuses, requests } = await attack([`${HEAD}${LENGTH}\r\n${CHAT}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`]);
    expect(statuses).toEqual([200, 400]);
    expect(requests).toHaveLength(1);
  });
});

describe("a long body that is streamed on", () => {
  const long = JSON.stringify({ model: "m", prompt: "z".repeat(60_000) });
  const LIMITS = { replayBytes: 4096, bodyTimeoutMs: 500 };

  test.each([
    ["breaks its chunks", `${HEAD}${CHUNKED}\r\n${chunk(long)}zz\r\n${SMUGGLED}`, 400],
    ["stops short", `${HEAD}content-length: ${long.length + 10}\r\n\r\n${long}`, 408],
  ])("and %s is never whole for its upstream", async (_name, bytes, status) => {
    const pieces = bytes.match(/[^]{1,8000}/g) ?? [];
    const { statuses, requests, connections } = await attack(pieces, LIMITS);
    expect(statuses).toEqual([status]);
    expect(requests).toEqual([]);
    // It had been bound: the upstream saw the beginning, on a connection that nobody uses again.
    expect(connections).toBe(1);
  });
});

/** What an upstream answers to deceive the client, or the client that comes next; `evil` must reach neither. */
const EVIL = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
const OK = "HTTP/1.1 200 OK\r\n";

const ANSWERS: readonly (readonly [name: string, bytes: string])[] = [
  ["a length and a coding", `${OK}content-length: 4\r\n${CHUNKED}\r\n0\r\n\r\n${EVIL}`],
  ["two lengths", `${OK}content-length: 0\r\ncontent-length: ${EVIL.length}\r\n\r\n${EVIL}`],
  ["a list of lengths", `${OK}content-length: 0, 4\r\n\r\n${EVIL}`],
  ["a negative length", `${OK}content-length: -1\r\n\r\n${EVIL}`],
  ["two codings", `${OK}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n${EVIL}`],
  ["a coding that nobody knows", `${OK}transfer-encoding: cow\r\n\r\n${EVIL}`],
  ["a space before a colon", `${OK}content-length : 0\r\n\r\n${EVIL}`],
  ["a folded field", `${OK}content-length: 0\r\nx: a\r\n b\r\n\r\n${EVIL}`],
  ["a head of bare LFs", `HTTP/1.1 200 OK\ncontent-length: 0\n\n${EVIL}`],
  ["a NUL in a field", `${OK}x: a\0b\r\ncontent-length: 0\r\n\r\n${EVIL}`],
  ["a return within a field", `${OK}x: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n${EVIL}`],
  ["another protocol", "RTSP/1.0 200 OK\r\n\r\nevil"],
  ["another version", `HTTP/2.0 200 OK\r\n\r\n${EVIL}`],
  ["a status of two digits", `HTTP/1.1 20 OK\r\n\r\n${EVIL}`],
  ["a switch of protocols that nobody asked for", `HTTP/1.1 101 Switching Protocols\r\n\r\n${EVIL}`],
];

describe("an upstream that answers with", () => {
  test.each(ANSWERS)("%s is refused, and its client told so", async (_name, bytes) => {
    const upstream = keep(new StrictUpstream(() => bytes));
    const relay = keep(new Relay([upstream.port], { attemptsMax: 1 }));
    const client = await Client.open(relay.port);
    client.send(`${HEAD}${LENGTH}\r\n${CHAT}`);
    await client.until((text) => text.endsWith("}"));
    expect(statusOf(client.text)).toBe(502);
    client.send(`${HEAD}${LENGTH}${CLOSE}\r\n${CHAT}`);
    expect(await client.end()).not.toMatch(/evil|set-cookie/);
    // Its connection is never used again.
    expect(upstream.streams).toHaveLength(2);
    expect(upstream.requests).toHaveLength(2);
    expect(relay.inFlight).toBe(0);
  });

  test.each([
    ["no body, then more", `${OK}content-length: 0\r\n\r\n${EVIL}`],
    ["a body shorter than what comes", `${OK}content-length: 2\r\n\r\n{}${EVIL}`],
    ["a last chunk, then more", `${OK}${CHUNKED}\r\n${chunk("{}")}0\r\n\r\n${EVIL}`],
    ["no content, then more", `HTTP/1.1 204 No Content\r\n\r\n${EVIL}`],
  ])("%s is heard up to its end", async (_name, bytes) => {
    const upstream = keep(new StrictUpstream((_request, nth) => (nth === 1 ? bytes : answer("{}"))));
    const relay = keep(new Relay([upstream.port]));
    const client = await Client.open(relay.port);
    client.send(`${HEAD}${LENGTH}\r\n${CHAT}`);
    await until(() => relay.inFlight === 0 && client.text !== "");
    client.send(`${HEAD}${LENGTH}${CLOSE}\r\n${CHAT}`);
    const text = await client.end();
    expect(text).not.toContain("evil");
    expect(text.match(/HTTP\/1\.1 20[04] /g)).toHaveLength(2);
    expect(upstream.streams).toHaveLength(2);
  });

  test.each([
    ["at once", 0, 502],
    ["after a while", 20, 200],
  ])("chunks that break %s is never heard as whole", async (_when, pauseMs, status) => {
    const upstream = keep(
      new Upstream((socket) => {
        const broken = `zz\r\n${EVIL}`;
        socket.write(`${OK}${CHUNKED}\r\n${chunk("some")}${pauseMs === 0 ? broken : ""}`);
        if (pauseMs > 0) setTimeout(() => socket.write(broken), pauseMs);
      }),
    );
    const relay = keep(new Relay([upstream.port], { attemptsMax: 1 }));
    const text = await ask(relay.port, `${HEAD}${LENGTH}${CLOSE}\r\n${CHAT}`);
    expect(statusOf(text)).toBe(status);
    expect(text).not.toMatch(/evil|0\r\n\r\n$/);
    expect(relay.inFlight).toBe(0);
  });
});

describe("names with underscores", () => {
  test("reach the upstream as they are, and frame nothing", async () => {
    const { statuses, requests } = await attack([`${HEAD}${LENGTH}x_own: 1\r\n${CLOSE}\r\n${CHAT}`]);
    expect(statuses).toEqual([200]);
    expect(requests[0]?.fields.get("x_own")).toBe("1");
    expect(requests[0]?.body).toBe(CHAT);
  });
});
