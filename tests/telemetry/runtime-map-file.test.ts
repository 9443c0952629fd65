import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runtimeMapIn } from "../../src/telemetry/runtime-map-file.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-map-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const MAP = `
title: Acme Serve
health: /healthz
models: { path: /v1/models, list: data, name: id }
metrics: { path: /metrics, figures: { runningRequests: acme_running } }
`;

test("a map is read of YAML and of JSON", () => {
  const table = runtimeMapIn(file("acme.yaml", MAP));
  expect([table.kind, table.title, table.looks.length]).toEqual(["generic", "Acme Serve", 3]);
  const json = JSON.stringify(Bun.YAML.parse(MAP));
  expect(runtimeMapIn(file("acme.json", json)).looks.length).toBe(3);
});

test.each([
  ["a file that is away", () => join(folder, "none.yaml"), /none\.yaml can't be read: .*ENOENT/],
  ["no YAML", () => file("broken.yaml", "a: [1"), /broken\.yaml can't be read/],
  ["other keys", () => file("wrong.yaml", `${MAP}metrix: 1\n`), /wrong\.yaml is wrong:\n.*metrix/],
  ["megabytes", () => file("large.yaml", "#".repeat(1024 ** 2 + 1)), /it has 1048577 bytes/],
  ["nothing", () => "", /--runtime-map FILE/],
])("%s is refused with what to do", (_what, path, why) => {
  expect(() => runtimeMapIn(path())).toThrow(why);
});
