/** The way to runtimes that listen on their machine alone, with 127.0.0.2 as the address by which others know it. */
import { afterEach, expect, test } from "bun:test";
import { createConnection, createServer } from "node:net";
import { RuntimeForward, type RuntimeForwardOptions } from "../src/runtime-forward.ts";
import type { RuntimeEndpoint } from "../src/telemetry/runtime.ts";
import { until } from "./proxy/harness.ts";

const OWN = "127.0.0.2";
const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Something that listens there and says so. */
async function listen(host: string, port = 0): Promise<number> {
  const server = createServer((socket) => socket.end("hello"));
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  ends.push(() => server.close());
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : 0;
}

function forward(endpoints: RuntimeEndpoint[], more: Partial<RuntimeForwardOptions> = {}) {
  const lines: string[] = [];
  const told = { changes: 0 };
  const made = new RuntimeForward({
    mode: "routers",
    host: () => OWN,
    endpoints: () => endpoints,
    isRouter: (address) => address === "127.0.0.4",
    changed: () => void (told.changes += 1),
    log: {
      debug: (message) => void lines.push(`debug ${message}`),
      info: (message) => void lines.push(`info ${message}`),
      warn: (message, fields) => void lines.push(`warn ${message} ${JSON.stringify(fields)}`),
    },
    isAlone: (host) => host === "127.0.0.1",
    ...more,
  });
  ends.push(() => made.stop());
  return { made, lines, told };
}

const endpoint = (port: number, host = "127.0.0.1"): RuntimeEndpoint => {
  return { name: "http", host, port, protocol: "http", tls: false };
};

/** What somebody from that address hears. */
function heard(from: string, to: { host: string; port: number }): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = createConnection({ ...to, localAddress: from });
    socket.on("data", (bytes: Buffer) => (text += bytes.toString()));
    socket.on("error", () => resolve("refused"));
    socket.on("close", () => resolve(text === "" ? "refused" : text));
  });
}

test("one that listens on loopback alone is relayed to routers, and to nobody else", async () => {
  const at = endpoint(await listen("127.0.0.1"));
  const { made, lines, told } = forward([at]);
  await made.look();
  const way = made.wayTo(at)!;
  expect(way.host).toBe(OWN);
  expect(lines).toEqual(["info a runtime that listens on this machine alone is forwarded"]);
  expect(await heard("127.0.0.4", way)).toBe("hello");
  expect(await heard("127.0.0.1", way)).toBe("hello");
  expect(await heard("127.0.0.9", way)).toBe("refused");
  expect(made.summary).toEqual([{ runtime: `127.0.0.1:${at.port}`, from: `${OWN}:${way.port}`, kind: "relayed" }]);
  await made.look();
  expect([told.changes, made.wayTo(at)]).toEqual([1, way]);
});

test("anyone may come where that is said, and nobody where forwarding is off: then it is told what to do", async () => {
  const at = endpoint(await listen("127.0.0.1"));
  const { made: open } = forward([at], { mode: "anyone" });
  await open.look();
  expect(await heard("127.0.0.9", open.wayTo(at)!)).toBe("hello");
  const { made: off, lines, told } = forward([at], { mode: "off" });
  await off.look();
  await off.look();
  expect([off.wayTo(at), told.changes]).toEqual([undefined, 1]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("have the runtime listen on the node's address or on all");
  expect(off.summary[0]).toMatchObject({ kind: "closed", from: "" });
});

test("one that listens on the node's address too is reached by that", async () => {
  const port = await listen("127.0.0.1");
  await listen(OWN, port);
  const { made, lines } = forward([endpoint(port)], { mode: "off" });
  await made.look();
  expect(made.wayTo(endpoint(port))).toEqual({ host: OWN, port });
  expect(lines).toEqual([]);
});

test("nothing is done for one that is elsewhere, is not there yet, or whose node is known by loopback", async () => {
  const port = await listen("127.0.0.1");
  const { made: local } = forward([endpoint(port)], { host: () => "127.0.0.1" });
  await local.look();
  expect(local.wayTo(endpoint(port))).toBeUndefined();
  const { made, told } = forward([endpoint(port, "127.0.0.7"), endpoint(1)]);
  await made.look();
  expect([made.summary, told.changes]).toEqual([[], 0]);
});

test("a port is closed when its runtime is no more the agent's, and at the end", async () => {
  const at = endpoint(await listen("127.0.0.1"));
  const endpoints = [at];
  const { made, told } = forward(endpoints, { mode: "anyone" });
  await made.look();
  const way = made.wayTo(at)!;
  endpoints.pop();
  await made.look();
  expect([made.wayTo(at), told.changes]).toEqual([undefined, 2]);
  await until(async () => (await heard("127.0.0.1", way)) === "refused");
});
