/** Ollama itself: what its adapter is tested against is sound. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MODEL, OLLAMA, startOllama } from "./ollama.ts";
import type { Ollama } from "./ollama.ts";

const TIMEOUT_MS = 90_000;

describe.skipIf(OLLAMA === null)("a real Ollama", () => {
  let server: Ollama;
  beforeAll(async () => {
    server = await startOllama();
  }, TIMEOUT_MS);
  afterAll(() => server.runtime.stop());

  const names = async (path: string): Promise<string[]> => {
    const { models } = (await (await fetch(`${server.url}/api/${path}`)).json()) as { models: { name: string }[] };
    return models.map(({ name }) => name);
  };
  const generate = (more: object): Promise<Response> =>
    fetch(`${server.url}/api/generate`, { method: "POST", body: JSON.stringify({ model: MODEL, ...more }) });

  test(
    "tells its version, what it has and what is loaded",
    async () => {
      expect(await (await fetch(`${server.url}/api/version`)).json()).toEqual({ version: expect.any(String) });
      expect(await names("tags")).toEqual([MODEL]);
      expect(await names("ps")).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "loads a model without a prompt, streams tokens of it, and lets it go",
    async () => {
      expect(await (await generate({ stream: false })).json()).toMatchObject({ done: true, done_reason: "load" });
      expect(await names("ps")).toEqual([MODEL]);
      const options = { num_predict: 12, temperature: 0 };
      const streamed = await generate({ prompt: "Tell me a story.", options });
      const parts = (await streamed.text())
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { response: string; done: boolean });
      expect(parts.at(-1)).toMatchObject({ done: true, done_reason: "length", eval_count: 12 });
      expect(parts.filter(({ response }) => response !== "").length).toBeGreaterThan(1);
      expect(await (await generate({ keep_alive: 0, stream: false })).json()).toMatchObject({ done_reason: "unload" });
      for (let tries = 0; tries < 1000 && (await names("ps")).length > 0; tries += 1) await Bun.sleep(20);
      expect(await names("ps")).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
