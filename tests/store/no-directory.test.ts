/** A node whose data directory can't be made: it stands by without one, or says what to do. */
import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, until } from "./cluster.ts";

const cluster = new Cluster();
const file = join(cluster.dir, "file");
writeFileSync(file, "");
const dataDir = join(file, "below");

afterAll(() => cluster.end());

test("one that stands by follows the others, keeps nothing, and says so", async () => {
  const { host: first } = await cluster.open("n1", "bootstrap");
  await first.write([{ put: { kind: "pin", name: "m1", spec: { nodes: ["a"] } } }]);
  const { host, lines } = await cluster.open("n2", "auto", { dataDir });
  await until(async () => (await host.list()).items.length === 1, "the policies");
  expect(lines.filter((line) => line.includes("not kept"))).toEqual([
    expect.stringContaining(`can't make the directory ${dataDir}: `),
  ]);
});

test.each(["bootstrap", "join", "auto"] as const)("one that is to keep the policies is refused: %s", async (mode) => {
  const opened = cluster.open("n3", mode, { dataDir, isAlone: true, peers: () => [] });
  expect(await opened.then(String, ({ code, message }) => [code, message])).toEqual([
    "config_invalid",
    expect.stringMatching(/^can't make the directory .*; name one that can be written by --data-dir$/),
  ]);
});
