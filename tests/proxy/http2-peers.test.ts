/** The lane between the programs of nghttp2, where they are installed: h2load in front, nghttpd behind. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { answer, by, CHAT, fixtures, until } from "./harness.ts";
import { framed } from "./http2-bed.ts";

const { relay, upstream } = fixtures();
const isThere = ["h2load", "nghttpd"].every((name) => Bun.which(name) !== null);

async function load(port: number, path: string, body: string, ...more: string[]): Promise<string> {
  const process = Bun.spawn(["h2load", "-d", body, ...more, `http://127.0.0.1:${port}${path}`], { stdout: "pipe" });
  return new Response(process.stdout).text();
}

describe.skipIf(!isThere)("nghttp2", () => {
  test("every call succeeds, on one stream a connection and on many; nothing stays in flight", async () => {
    const folder = mkdtempSync(join(tmpdir(), "infermesh-h2-"));
    const body = join(folder, "body");
    writeFileSync(body, framed("x".repeat(300)));
    const port = freePort();
    const server = Bun.spawn(
      ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", folder, "--trailer", "grpc-status: 0", String(port)],
      {
        stdout: "ignore",
        stderr: "ignore",
      },
    );
    try {
      const router = relay([by("grpc", port)]);
      const grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
      for (const [clients, streams] of [
        ["4", "64"],
        ["16", "1"],
      ] as const) {
        const out = await load(router.port, "/body", body, "-n", "2000", "-c", clients, "-m", streams, ...grpc);
        expect(out).toContain("2000 succeeded, 0 failed, 0 errored, 0 timeout");
      }
      await until(() => router.inFlight === 0);
      expect([...router.stats.requests(0)]).toEqual([["200", 4000]]);
    } finally {
      server.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("plain requests too, through the machinery of HTTP/1.1", async () => {
    const folder = mkdtempSync(join(tmpdir(), "infermesh-h2-"));
    try {
      const body = join(folder, "body");
      writeFileSync(body, CHAT);
      const up = upstream((socket) => socket.write(answer("z".repeat(300))));
      const router = relay([up.port]);
      const out = await load(
        router.port,
        "/v1/chat/completions",
        body,
        "-n",
        "1000",
        "-c",
        "4",
        "-m",
        "16",
        "-H",
        "content-type: application/json",
      );
      expect(out).toContain("1000 succeeded, 0 failed, 0 errored, 0 timeout");
      await until(() => router.inFlight === 0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
