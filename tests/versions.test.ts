/** The version stands in package.json alone, and whatever else names it, or a protocol's, says the same. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { config, version } from "../package.json";
import { entryOf } from "../scripts/artefacts/changelog.ts";

const ROOT = resolve(import.meta.dir, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** Every file below a folder of the checkout; none where it is not there. */
function filesIn(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`);
}

describe("the version", () => {
  test("is one of SemVer, and the lock file's", () => {
    expect(version).toMatch(/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/);
    const lock = JSON.parse(read("package-lock.json")) as { version: string; packages: { "": { version: string } } };
    expect([lock.version, lock.packages[""].version]).toEqual([version, version]);
  });

  test("has an entry in the changelog", () => {
    expect(entryOf(read("CHANGELOG.md"), version)?.text).toMatch(/^### \w/m);
  });

  test("is that of the Helm chart and of what it deploys", () => {
    for (const path of filesIn("deploy").filter((name) => name.endsWith("/Chart.yaml"))) {
      const chart = Bun.YAML.parse(read(path)) as { version: unknown; appVersion: unknown };
      expect([path, chart.version, chart.appVersion]).toEqual([path, version, version]);
    }
  });

  test("is what images of the project are labelled and named with, wherever they are", () => {
    for (const path of filesIn("deploy").filter((name) => /(?:Dockerfile[^/]*|\.ya?ml|\.yaml\.in)$/.test(name))) {
      const named = [...read(path).matchAll(/(?:image\.version"?[=:] *"?|\binfermesh:)v?(\d+\.\d+\.\d+[^\s"']*)/g)];
      for (const [, found] of named) expect([path, found]).toEqual([path, version]);
    }
  });

  test("the one before is a whole commit", () => {
    expect(config.previous).toMatch(/^[0-9a-f]{40}$/);
  });
});

/** Rows of docs/upgrading.md, and where the number of each stands in the source. */
const PROTOCOLS: readonly (readonly [row: string, path: string, constant: string])[] = [
  ["packets of the mesh", "src/mesh/envelope.ts", "PACKET_VERSION"],
  ["gossip (membership)", "src/swim/wire.ts", "PROTOCOL_VERSION"],
  ["a member's metadata", "src/swim/meta.ts", "VERSION"],
  ["links between control nodes", "src/store/link.ts", "VERSION"],
  ["Raft's messages", "src/raft/codec.ts", "VERSION"],
  ["the store of a control node", "src/store/log-schema.ts", "FORMAT"],
  ["snapshots of the policies", "src/policy/snapshot.ts", "SNAPSHOT_VERSION"],
  ["copies of the policies", "src/store/copy-file.ts", "VERSION"],
  ["files of `ctl snapshot save`", "src/store/saved.ts", "VERSION"],
  ["the layout of the policies", "src/store/etcd-identity.ts", "LAYOUT"],
];

test("docs/upgrading.md tells the versions that the protocols have", () => {
  const rows = read("docs/upgrading.md")
    .split("\n")
    .filter((line) => /^\| .+ \| +\d+ +\|/.test(line));
  expect(rows).toHaveLength(PROTOCOLS.length);
  for (const [row, path, constant] of PROTOCOLS) {
    const told = rows
      .find((line) => line.startsWith(`| ${row}`))
      ?.split("|")[2]
      ?.trim();
    const actual = new RegExp(`\\bconst ${constant} = (\\d+);`).exec(read(path))?.[1];
    expect([row, told]).toEqual([row, actual]);
  }
});
