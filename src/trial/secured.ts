/** TLS by certificates that are made for it, among them such as must be refused; HTTP/2 by them and in the clear. */
import { connect, createSecureServer, createServer } from "node:http2";
import type { ClientHttp2Session, Http2SecureServer, Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { rootCertificates } from "node:tls";
import { type Identity, selfSigned } from "./certificate.ts";
import { type Part, must, mustEqual, refusalOf } from "./part.ts";

const LOOPBACK = "127.0.0.1";
const HOUR_MS = 3_600_000;
const STREAMS = 20;
/** Mozilla trusts more than a hundred: far fewer would mean that they were lost. */
const AUTHORITIES_MIN = 50;

function certificate(name: string, fromHours: number, untilHours: number): Identity {
  const nowMs = Date.now();
  return selfSigned(name, nowMs + fromHours * HOUR_MS, nowMs + untilHours * HOUR_MS);
}

/** Asks a server that has this certificate, and knows one authority at most. */
async function askWith({ cert, key }: Identity, ca?: string): Promise<string> {
  const server = Bun.serve({ hostname: LOOPBACK, port: 0, tls: { cert, key }, fetch: () => new Response("sealed") });
  try {
    const trust = ca === undefined ? {} : { tls: { ca } };
    const answer = await fetch(`https://${LOOPBACK}:${server.port}/`, { ...trust, proxy: false, keepalive: false });
    return await answer.text();
  } finally {
    await server.stop(true);
  }
}

async function tls(): Promise<string> {
  const good = certificate(LOOPBACK, -1, 1);
  mustEqual("the answer by TLS", await askWith(good, good.cert), "sealed");
  const old = certificate(LOOPBACK, -2, -1);
  const foreign = certificate("elsewhere.invalid", -1, 1);
  const refusals = [
    ["a certificate of nobody we know", good, undefined, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["a certificate signed by another key", good, certificate(LOOPBACK, -1, 1).cert, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["one that ran out", old, old.cert, "CERT_HAS_EXPIRED"],
    ["one for another name", foreign, foreign.cert, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ] as const;
  for (const [what, identity, ca, code] of refusals) {
    mustEqual(`why ${what} is refused`, await refusalOf(what, () => askWith(identity, ca)), code);
  }
  must(rootCertificates.length >= AUTHORITIES_MIN, `only ${rootCertificates.length} public authorities are known`);
  return `by an own certificate; ${refusals.length} bad ones refused; ${rootCertificates.length} public authorities known`;
}

/** Twenty requests at once over one connection, each answered with what it sent and a trailer. */
async function askStreams(session: ClientHttp2Session): Promise<void> {
  const one = async (serial: number): Promise<void> => {
    const stream = session.request({ ":method": "POST", ":path": `/${serial}` });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let [status, trailer, text] = ["", "", ""];
    stream.on("response", (headers) => (status = String(headers[":status"])));
    stream.on("trailers", (headers) => (trailer = String(headers["x-serial"])));
    stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
    stream.on("error", reject);
    stream.on("end", () => resolve());
    stream.end(`body ${serial}`);
    await promise;
    mustEqual(`stream ${serial}`, [status, text, trailer], ["200", `body ${serial}`, `${serial}`]);
  };
  await Promise.all(Array.from({ length: STREAMS }, (_, serial) => one(serial)));
}

async function useServer(
  server: Http2Server | Http2SecureServer,
  scheme: "http" | "https",
  ca?: string,
): Promise<string> {
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-serial": String(headers[":path"]).slice(1) }));
    stream.pipe(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  const session = connect(`${scheme}://${LOOPBACK}:${port}`, ca === undefined ? {} : { ca });
  try {
    const failed = new Promise<never>((_resolve, reject) => session.on("error", reject));
    await Promise.race([askStreams(session), failed]);
    return session.alpnProtocol ?? "";
  } finally {
    session.destroy();
    server.close();
  }
}

async function http2(): Promise<string> {
  mustEqual("the protocol in the clear", await useServer(createServer(), "http"), "h2c");
  const { cert, key } = certificate(LOOPBACK, -1, 1);
  mustEqual("the protocol by TLS", await useServer(createSecureServer({ cert, key }), "https", cert), "h2");
  return `${STREAMS} streams at once with trailers, in the clear and by TLS`;
}

export const SECURED_PARTS: readonly Part[] = [
  { name: "tls", run: tls },
  { name: "http2", run: http2 },
];
