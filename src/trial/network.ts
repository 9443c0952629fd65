/** Servers of this process, and clients of them, over loopback: HTTP, WebSocket, UDP. */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Part, type Place, folderOf, must, mustEqual } from "./part.ts";

const LOOPBACK = "127.0.0.1";
const MEBIBYTE = 1 << 20;
const DATAGRAMS = [1, 1400, 60_000] as const;
/** Loopback loses none but when a buffer is full, so that one more try is more than enough. */
const DATAGRAM_TRIES = 3;
const DATAGRAM_WAIT_MS = 2000;

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A body comes back as it was; a stream comes piece by piece, not all at its end; a path is a name in UTF-8. */
async function http(place: Place): Promise<string> {
  const { promise: goOn, resolve: readFirst } = Promise.withResolvers<void>();
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from("first");
    await goOn;
    yield Buffer.from("second");
  };
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/echo") return new Response(request.body, { headers: { "x-kind": request.method } });
    if (pathname === "/stream") return new Response(pieces());
    return new Response("no such path", { status: 404 });
  };
  const server = Bun.serve({ hostname: LOOPBACK, port: 0, fetch: answer });
  const base = `http://${LOOPBACK}:${server.port}`;
  try {
    const sent = randomBytes(MEBIBYTE);
    const echo = await fetch(`${base}/echo`, { method: "POST", body: sent, proxy: false });
    mustEqual("the answer's head", [echo.status, echo.headers.get("x-kind")], [200, "POST"]);
    mustEqual("the body that came back", digest(await echo.bytes()), digest(sent));
    const stream = await fetch(`${base}/stream`, { proxy: false });
    const read: string[] = [];
    for await (const piece of stream.body ?? []) {
      read.push(Buffer.from(piece).toString());
      readFirst();
    }
    mustEqual("the stream's pieces", read, ["first", "second"]);
    mustEqual("the status of no page", (await fetch(`${base}/none`, { proxy: false })).status, 404);
  } finally {
    await server.stop(true);
  }
  const bySocket = await unixSocket(place, answer);
  return `1 MiB there and back, a stream in pieces, ${bySocket}`;
}

async function unixSocket(place: Place, answer: (request: Request) => Promise<Response>): Promise<string> {
  const path = join(folderOf(place), "http.sock");
  const server = Bun.serve({ unix: path, fetch: answer });
  try {
    const echo = await fetch("http://self-test/echo", { unix: path, method: "PUT", body: "by a file" });
    mustEqual("what came by a socket file", await echo.text(), "by a file");
  } finally {
    await server.stop(true);
  }
  return "a socket file";
}

async function websocket(): Promise<string> {
  const server = Bun.serve({
    hostname: LOOPBACK,
    port: 0,
    fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no upgrade", { status: 400 })),
    websocket: {
      perMessageDeflate: true,
      message(socket, message) {
        if (message === "end") socket.close(4001, "as asked");
        else socket.send(message, true);
      },
    },
  });
  try {
    const socket = new WebSocket(`ws://${LOOPBACK}:${server.port}/`);
    socket.binaryType = "arraybuffer";
    const bytes = randomBytes(100_000);
    const said: (string | ArrayBuffer)[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<CloseEvent>();
    socket.addEventListener("open", () => socket.send("grüße 🌍"));
    socket.addEventListener("message", ({ data }) => {
      said.push(data as string | ArrayBuffer);
      socket.send(said.length === 1 ? bytes : "end");
    });
    socket.addEventListener("close", resolve);
    socket.addEventListener("error", () => reject(new Error("the WebSocket client failed")));
    const { code, reason } = await promise;
    const [text, back] = said;
    mustEqual("the text that came back", text, "grüße 🌍");
    must(back instanceof ArrayBuffer && digest(new Uint8Array(back)) === digest(bytes), "other bytes came back");
    mustEqual("how it was closed", [code, reason], [4001, "as asked"]);
  } finally {
    await server.stop(true);
  }
  return "text and 100 kB there and back, deflated; closed with a reason";
}

async function udp(): Promise<string> {
  const v4 = await echoDatagrams(LOOPBACK);
  must(v4, "datagrams by IPv4 do not come back");
  let v6: boolean;
  try {
    v6 = await echoDatagrams("::1");
  } catch {
    // Many containers have no IPv6.
    return `datagrams of up to ${DATAGRAMS.at(-1)} bytes there and back by IPv4; no IPv6 here`;
  }
  must(v6, "datagrams by IPv6 do not come back");
  return `datagrams of up to ${DATAGRAMS.at(-1)} bytes there and back by IPv4 and IPv6`;
}

/** Throws where the address can't be bound. */
async function echoDatagrams(hostname: string): Promise<boolean> {
  const echo = await Bun.udpSocket({
    hostname,
    port: 0,
    socket: { data: (self, bytes, port, address) => void self.send(bytes, port, address) },
  });
  let isBack = (_bytes: Uint8Array): void => {};
  const client = await Bun.udpSocket({ hostname, port: 0, socket: { data: (_self, bytes) => isBack(bytes) } });
  try {
    for (const size of DATAGRAMS) {
      const sent = randomBytes(size);
      let back = false;
      for (let tries = 0; tries < DATAGRAM_TRIES && !back; tries++) {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        const timer = setTimeout(() => resolve(false), DATAGRAM_WAIT_MS);
        isBack = (bytes) => resolve(sent.equals(bytes));
        client.send(sent, echo.port, hostname);
        back = await promise;
        clearTimeout(timer);
      }
      if (!back) return false;
    }
    return true;
  } finally {
    client.close();
    echo.close();
  }
}

export const NETWORK_PARTS: readonly Part[] = [
  { name: "http", run: http },
  { name: "websocket", run: websocket },
  { name: "udp", run: udp },
];
