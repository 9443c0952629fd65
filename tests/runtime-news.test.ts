/** What is told of an agent's runtimes. */
import { expect, test } from "bun:test";
import { crowdTeller } from "../src/runtime-news.ts";

test("a runtime that serves more models than routers take is told of once", () => {
  const lines: string[] = [];
  const runtime = { name: "ollama", models: [] as string[] };
  const look = crowdTeller(runtime, { warn: (line) => lines.push(line) });
  look();
  runtime.models = Array.from({ length: 65 }, (_, at) => `m${at}`);
  look();
  look();
  expect(lines).toEqual(["runtime ollama serves 65 models; routers are told of the first 64"]);
});
