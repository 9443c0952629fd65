/** Whether a runtime is ready, by servers that answer, answer wrongly, or not at all. */
import { afterAll, describe, expect, test } from "bun:test";
import { type ReadyCheck, readyCheck } from "../../src/exec/settings.ts";
import { askReady } from "../../src/keeper/ready.ts";
import { withHttpProxy } from "../net/http-proxy.ts";
import { freePort } from "../ports.ts";

const http = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/hangs") return new Promise<Response>(() => {});
    if (pathname === "/endless")
      return new Response(new ReadableStream({ pull: (it) => it.enqueue(new Uint8Array(65_536)) }));
    if (pathname === "/moved") return Response.redirect("/health", 302);
    return new Response("", { status: Number(pathname.slice(1)) });
  },
});
const lines = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: { data: (socket) => void socket.end("what?\r\n\r\n") },
});
const closedPort = freePort();
afterAll(() => {
  void http.stop(true);
  lines.stop(true);
});

const ask = (url: string, timeoutMs = 5000): Promise<string> => {
  const check = readyCheck(url);
  return askReady(check as ReadyCheck, timeoutMs);
};
const at = (path: string): string => `http://127.0.0.1:${http.port}${path}`;

describe("a check of readiness", () => {
  test("tells nothing that may be a secret of the URL", async () => {
    const withSecrets = (port: number): string => `http://user:word@127.0.0.1:${port}/503?key=word`;
    expect(await ask(withSecrets(http.port ?? 0))).toBe(`${at("/503")} answered 503`);
    const refused = await ask(withSecrets(closedPort));
    expect(refused).toStartWith(`http://127.0.0.1:${closedPort}/503: `);
    expect(refused).not.toContain("word");
  });

  test("passes by an answer from 200 to 299, whatever comes with it", async () => {
    expect(await ask(at("/200"))).toBe("");
    expect(await ask(at("/204"))).toBe("");
    expect(await ask(at("/endless"))).toBe("");
  });

  test("goes to the runtime itself, whatever proxy the environment names", async () => {
    const asked = await withHttpProxy(async () => {
      expect(await ask(at("/200"))).toBe("");
    });
    expect(asked).toEqual([]);
  });

  test("says what was answered else", async () => {
    expect(await ask(at("/503"))).toBe(`${at("/503")} answered 503`);
    expect(await ask(at("/moved"))).toBe(`${at("/moved")} answered 302`);
    expect(await ask(`http://127.0.0.1:${lines.port}/`)).toStartWith(`http://127.0.0.1:${lines.port}/: `);
  });

  test("says that nobody answers, or listens", async () => {
    expect(await ask(at("/hangs"), 100)).toBe(`${at("/hangs")}: no answer within 100 ms`);
    expect(await ask(`http://127.0.0.1:${closedPort}/`)).toContain("nothing listens there yet");
    expect(await ask(`tcp://127.0.0.1:${closedPort}`)).toContain("nothing listens there yet");
    expect(await ask("tcp://name.invalid:1", 5000)).toStartWith("tcp://name.invalid:1: ");
  });

  test("passes by a connection that is taken", async () => {
    expect(await ask(`tcp://127.0.0.1:${lines.port}`)).toBe("");
  });
});
