/**
 * llama.cpp's own server behind an agent, behind a router: real tokens go through, its own metrics are the router's row, and
 * whatever befalls it is known and got over without help.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type OpenAI from "openai";
import { LLAMA_SERVER, type LlamaServer, MODEL, startLlamaServer } from "../runtimes/llama-server.ts";
import { recordedLlamaServer } from "../runtimes/recorded-llama-server.ts";
import { temporaryFolder } from "../runtimes/real-runtimes.ts";
import { USUAL_PORTS } from "../../src/runtimes/identify.ts";
import { endFakes, startFake } from "../telemetry/fake-runtime.ts";
import type { Started } from "./harness.ts";
import { eventsOf, eventually, RuntimeMesh } from "./runtime-mesh.ts";

const TIMEOUT_MS = 120_000;
const NODE = "gpu-1";
const KEY = "s3cret-of-llama";
const messages = [{ role: "user" as const, content: "Tell me a story, please." }];

describe.skipIf(LLAMA_SERVER === null)("a real llama-server behind the mesh", () => {
  let server: LlamaServer;
  let mesh: RuntimeMesh;
  let agent: Started;

  beforeAll(async () => {
    [server, mesh] = await Promise.all([startLlamaServer({ slots: 2 }), RuntimeMesh.start()]);
    agent = await mesh.agent(NODE, [`llamacpp=${server.url}`]);
    await mesh.known(NODE, "ready");
    await mesh.answers(MODEL, 200);
  }, TIMEOUT_MS);
  afterEach(endFakes);
  afterAll(async () => {
    await mesh?.end();
    await server?.runtime.stop();
  });

  test(
    "its model is the mesh's, and its tokens stream through the router",
    async () => {
      expect(await mesh.models()).toEqual([MODEL]);
      const asked = { model: MODEL, messages, temperature: 0, max_tokens: 48 };
      const { data: stream, response } = await mesh.client.chat.completions
        .create({ ...asked, stream: true, stream_options: { include_usage: true } })
        .withResponse();
      expect(response.headers.get("x-infermesh-node")).toBe(NODE);
      const pieces: string[] = [];
      let usage: OpenAI.CompletionUsage | undefined;
      for await (const chunk of stream) {
        const piece = chunk.choices[0]?.delta.content ?? "";
        if (piece !== "") pieces.push(piece);
        usage = chunk.usage ?? usage;
      }
      expect(usage?.completion_tokens).toBe(48);
      expect(pieces).toHaveLength(48);
      // What it says by itself, and without streaming, is the same.
      const whole = await mesh.client.chat.completions.create(asked);
      expect(whole.choices[0]?.message.content).toBe(pieces.join(""));
    },
    TIMEOUT_MS,
  );

  test(
    "what it can do, and how fast, stands in the router's row and in ctl",
    async () => {
      // Speeds are told by what ends between two looks.
      await eventually(async () => {
        await mesh.ask(MODEL, { max_tokens: 200, ignore_eos: true });
        return ((await mesh.model(NODE, MODEL))?.decodeTokensPerSecond ?? 0) > 0;
      });
      expect(await mesh.model(NODE, MODEL)).toMatchObject({
        state: "loaded",
        slots: 2,
        contextTokensMax: 4096,
        capabilities: ["chat", "completions"],
        prefillTokensPerSecond: expect.any(Number),
      });
      const { out } = await mesh.ctl(["describe-node", NODE]);
      expect(out).toMatch(/llamacpp +llamacpp +\S+ +ready/);
      expect(out).toMatch(/tiny +\d+ +\d+ +2 /);
      const figures = await (await fetch(`http://${agent.address("metrics")}/telemetry`)).text();
      expect(figures).toContain('infermesh_runtime_up{runtime="llamacpp"} 1');
    },
    TIMEOUT_MS,
  );

  test(
    "those that wait where its slots are taken are in the router's row, and gone when they have gone",
    async () => {
      const closing = new AbortController();
      // By clients beside the mesh: of its own the router keeps what has no slot.
      const waiting = Array.from({ length: 4 }, () =>
        fetch(`${server.url}/v1/chat/completions`, {
          method: "POST",
          body: JSON.stringify({ model: MODEL, messages, max_tokens: 100_000, ignore_eos: true, stream: true }),
          signal: closing.signal,
        }).then(
          (answer) => answer.text().catch(() => ""),
          () => "",
        ),
      );
      const isSo = async (running: number, queued: number): Promise<boolean> => {
        const row = await mesh.model(NODE, MODEL);
        return row?.runningRequests === running && row.waitingRequests === queued;
      };
      await eventually(() => isSo(2, 2));
      expect((await mesh.ctl(["list-nodes"])).out).toMatch(/gpu-1 .* 2 +2 /);
      closing.abort();
      await Promise.all(waiting);
      await eventually(() => isSo(0, 0));
    },
    TIMEOUT_MS,
  );

  test(
    "killed, it is down and asked for nothing; started again, it serves",
    async () => {
      await server.runtime.kill();
      expect((await mesh.known(NODE, "down")).message).toContain("refused");
      expect((await mesh.targets(NODE))[0]).toMatchObject({ routable: false });
      await mesh.answers(MODEL, 503);
      await server.runtime.restart();
      await mesh.known(NODE, "ready");
      await mesh.answers(MODEL, 200);
      const told = (await eventsOf(agent, "runtime")).map(({ type }) => type);
      for (const type of ["runtime.ready", "runtime.down"]) expect(told).toContain(type);
    },
    TIMEOUT_MS,
  );

  test(
    "stopped by SIGSTOP it is unresponsive, and serves when it goes on",
    async () => {
      server.runtime.pause();
      try {
        await mesh.known(NODE, "unresponsive");
        await eventually(async () => (await mesh.targets(NODE))[0]?.routable === false);
        // The agent itself is well meanwhile.
        expect((await fetch(`http://${agent.address("api")}/status`)).status).toBe(200);
      } finally {
        server.runtime.resume();
      }
      await mesh.known(NODE, "ready");
      await mesh.answers(MODEL, 200);
    },
    TIMEOUT_MS,
  );

  test(
    "another version in its place is known as that, another kind as foreign",
    async () => {
      const port = Number(new URL(server.url).port);
      const { version } = await mesh.known(NODE, "ready");
      await server.runtime.kill();
      const older = recordedLlamaServer("b8672", port);
      try {
        await eventually(async () => ((await mesh.runtime(NODE))?.version ?? "").startsWith("b8672-"));
        await mesh.known(NODE, "ready");
      } finally {
        await older.stop(true);
      }
      const other = await startFake({}, port);
      expect((await mesh.known(NODE, "foreign")).message).not.toBe("");
      await mesh.answers(MODEL, 503);
      await other.kill();
      await server.runtime.restart();
      expect((await mesh.known(NODE, "ready")).version).toBe(version);
      await mesh.answers(MODEL, 200);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(LLAMA_SERVER === null)("a real llama-server that wants a key", () => {
  test(
    "is denied without it; with the key in its file, and the router's, requests pass",
    async () => {
      const server = await startLlamaServer({ flags: ["--api-key", KEY] });
      await using runtime = server.runtime;
      expect(runtime.pid).toBeGreaterThan(0);
      const folder = temporaryFolder("llama-key");
      const keyFile = join(folder, "key");
      await Bun.write(keyFile, "wrong\n");
      const mesh = await RuntimeMesh.start("--upstream-auth", `${MODEL}=bearer:file:${keyFile}`);
      try {
        const agent = await mesh.agent(NODE, [`llamacpp=${server.url},api-key=file:${keyFile}`]);
        await mesh.known(NODE, "denied");
        expect(await mesh.ask(MODEL)).not.toBe(200);
        await Bun.write(keyFile, `${KEY}\n`);
        await mesh.known(NODE, "ready");
        mesh.router.process.kill("SIGHUP");
        await mesh.answers(MODEL, 200);
        const shown = [agent, mesh.router].map(({ lines }) => JSON.stringify(lines)).join();
        const status = await (await fetch(`http://${agent.address("api")}/status`)).text();
        const row = await (await fetch(`http://${mesh.router.address("api")}/nodes`)).text();
        for (const text of [shown, status, row]) expect(text).not.toContain(KEY);
      } finally {
        await mesh.end();
        rmSync(folder, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(LLAMA_SERVER === null)("a real llama-server at a usual port", () => {
  test(
    "is found by itself, and found again where it is gone for a while",
    async () => {
      const server = await atUsualPort();
      if (server === undefined) {
        console.log("skipped: all usual ports of this machine are taken");
        return;
      }
      await using runtime = server.runtime;
      const mesh = await RuntimeMesh.start();
      try {
        const agent = await mesh.agent(NODE, ["auto"]);
        // Others may be found on this machine, too.
        const found = async (): Promise<{ kind: string; state: string; name: string } | undefined> => {
          const status = await (await fetch(`http://${agent.address("api")}/status`)).json();
          const { runtimes } = status as {
            runtimes: { name: string; kind: string; state: string; endpoints: string[] }[];
          };
          return runtimes.find(({ endpoints }) => endpoints.includes(server.url));
        };
        await eventually(async () => (await found())?.state === "ready");
        const { kind, name } = (await found())!;
        expect(kind).toBe("llamacpp");
        await mesh.known(NODE, "ready", name);
        await mesh.answers(MODEL, 200);
        await runtime.kill();
        await mesh.known(NODE, "down", name);
        await runtime.restart();
        await mesh.known(NODE, "ready", name);
        await mesh.answers(MODEL, 200);
      } finally {
        await mesh.end();
      }
    },
    TIMEOUT_MS,
  );
});

/** On the first of the usual ports that is free; undefined where none is. */
async function atUsualPort(): Promise<LlamaServer | undefined> {
  for (const { port } of USUAL_PORTS.toReversed()) {
    const isTaken = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).then(
      (socket) => (socket.end(), true),
      () => false,
    );
    if (isTaken) continue;
    try {
      return await startLlamaServer({ port });
    } catch {
      // Somebody else was faster.
    }
  }
  return undefined;
}
