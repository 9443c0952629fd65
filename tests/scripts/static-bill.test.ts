/** What is told of the parts of a static executable: what the bundler took of packages, Bun and what it links, musl. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  billOfMaterials,
  digestOf,
  licencesOf,
  notices,
  npmParts,
  packagesBundled,
  packagesInside,
  type Part,
} from "../../scripts/static/bill.ts";
import { bunParts } from "../../scripts/static/bun-parts.ts";
import { JsonSchema } from "./json-schema.ts";

const CHECKOUT = resolve(import.meta.dir, "..", "..");
const SCHEMA = new JsonSchema(join(import.meta.dir, "cyclonedx", "bom-1.5.SNAPSHOT.schema.json"));

const root = mkdtempSync(join(tmpdir(), "infermesh-bill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeAll(() => {
  const integrity = `sha512-${Buffer.alloc(64, 0xab).toString("base64")}`;
  const packages = {
    "": { version: "1.0.0" },
    "node_modules/@scope/b": { version: "2.0.0", license: "MIT", integrity },
    "node_modules/a": { version: "1.0.0", license: "Apache-2.0" },
    "node_modules/a/node_modules/@scope/b": { version: "1.0.0-rc+1" },
    "node_modules/tool": { version: "9.0.0", dev: true },
    "node_modules/either": { version: "9.0.0", devOptional: true },
    "node_modules/native": { version: "9.0.0", optional: true, cpu: ["x64"] },
    "node_modules/of-another-platform": { version: "9.0.0", optional: true },
  };
  writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages }));
  for (const path of Object.keys(packages)) {
    if (!path.endsWith("platform")) mkdirSync(join(root, path), { recursive: true });
  }
  writeFileSync(join(root, "node_modules/@scope/b/LICENSE"), "Do as you like.\n");
  writeFileSync(join(root, "node_modules/a/README"), "Read me.\n");
});

test("those are inside that are installed, not for development, and not for one processor", () => {
  expect(packagesInside(root)).toEqual([
    "node_modules/@scope/b",
    "node_modules/a",
    "node_modules/a/node_modules/@scope/b",
  ]);
});

test("parts have versions, licences and hashes, and come by name and version", () => {
  const text = "Do as you like.";
  const url = "pkg:npm/%40scope/b";
  expect(npmParts(root, packagesInside(root))).toEqual([
    { name: "@scope/b", version: "1.0.0-rc+1", licence: "", url, text: "", copyright: [], hash: "" },
    { name: "@scope/b", version: "2.0.0", licence: "MIT", url, text, copyright: [], hash: "ab".repeat(64) },
    { name: "a", version: "1.0.0", licence: "Apache-2.0", url: "pkg:npm/a", text: "", copyright: [], hash: "" },
  ]);
});

test("the bill of materials names each once, and is the same each time", () => {
  const executable = { name: "infermesh-linux-x64", version: "0.1.0", sha256: "cd".repeat(32) };
  const bill = billOfMaterials(executable, npmParts(root, packagesInside(root)));
  expect(billOfMaterials(executable, npmParts(root, packagesInside(root)))).toBe(bill);
  const parsed = JSON.parse(bill) as { components: { purl: string }[]; dependencies: { dependsOn: string[] }[] };
  const names = ["pkg:npm/%40scope/b@1.0.0-rc%2B1", "pkg:npm/%40scope/b@2.0.0", "pkg:npm/a@1.0.0"];
  expect(parsed.components.map(({ purl }) => purl)).toEqual(names);
  expect(parsed.dependencies[0]?.dependsOn).toEqual(names);
  expect(parsed).toMatchObject({
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    metadata: { component: { name: executable.name, hashes: [{ alg: "SHA-256", content: executable.sha256 }] } },
    components: [
      { type: "library", name: "@scope/b" },
      { licenses: [{ expression: "MIT" }], hashes: [{ alg: "SHA-512", content: "ab".repeat(64) }] },
      { version: "1.0.0" },
    ],
  });
});

test("the notices hold every text that is brought, and at the end once those of the licences of what brings none", () => {
  const own = { version: "1", url: "pkg:x", hash: "", text: "" };
  const text = notices([
    { ...own, name: "a", licence: "Apache-2.0 AND MIT", copyright: ["Copyright A", "and B"] },
    { ...own, name: "b", licence: "MIT", copyright: [], text: "Do as you like." },
    { ...own, name: "c", licence: "Apache-2.0 WITH LLVM-exception", copyright: ["Copyright C"] },
  ]);
  expect(text).toContain("a 1 (Apache-2.0 AND MIT)\n\nCopyright A\nand B\nThe licence's text is at the end.\n");
  expect(text).toContain("b 1 (MIT)\n\nDo as you like.\n");
  for (const id of ["Apache-2.0", "LLVM-exception", "MIT"]) expect(text.split(`\n${id}\n\n`)).toHaveLength(2);
  expect(text).toContain("Permission is hereby granted, free of charge");
});

test("a part without a text, under a licence that is not known or none, stops the build", () => {
  const part = { name: "a", version: "1", url: "pkg:x", hash: "", text: "", copyright: [] };
  expect(() => notices([{ ...part, licence: "MIT AND Secret-1.0" }])).toThrow(
    "a is under the licence Secret-1.0, brings no text of it, and scripts/static/licences/ has none",
  );
  expect(() => notices([{ ...part, licence: "" }])).toThrow("a has no licence");
  expect(licencesOf("(MIT OR Apache-2.0 WITH LLVM-exception) AND Zlib")).toEqual([
    "MIT",
    "Apache-2.0",
    "LLVM-exception",
    "Zlib",
  ]);
});

test("packages are those that the bundler names, wherever they lie", () => {
  const inputs = {
    "src/main.ts": {},
    "node_modules/hono/dist/hono.js": {},
    "node_modules/hono/dist/router.js": {},
    "node_modules/@grpc/proto-loader/node_modules/protobufjs/index.js": {},
    "../main/node_modules/@scope/b/b.js": {},
  };
  expect([...packagesBundled(JSON.stringify({ inputs }))]).toEqual([
    "node_modules/hono",
    "node_modules/@grpc/proto-loader/node_modules/protobufjs",
    "node_modules/@scope/b",
  ]);
  expect(() => npmParts(root, ["node_modules/unknown"])).toThrow("not in package-lock.json");
});

test("hashes of other kinds are left out", () => {
  expect(digestOf("sha1-AAAA")).toBe("");
  expect(digestOf("")).toBe("");
});

describe("Bun", () => {
  const bun = { name: "@oven/bun", version: "1", url: "pkg:npm/%40oven/bun", hash: "ab".repeat(64) };

  test("is told with what it links, by what it says of itself", () => {
    const parts = bunParts(bun, process.versions);
    expect(parts[0]).toMatchObject({ name: "@oven/bun", licence: "MIT" });
    expect(parts.find(({ name }) => name.startsWith("WebKit"))).toMatchObject({
      inside: bun.url,
      version: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    expect(parts.filter(({ inside }) => inside === undefined)).toHaveLength(1);
  });

  test("of other parts than are known stops the build, and names them", () => {
    expect(() => bunParts(bun, { ...process.versions, libnew: "1" })).toThrow("it tells of libnew");
    const { webkit: _gone, ...rest } = process.versions as Record<string, string>;
    expect(() => bunParts(bun, rest)).toThrow("it has no webkit any more");
  });
});

describe("the executable as it is bundled", () => {
  let parts: Part[] = [];

  beforeAll(async () => {
    const bun = { name: "@oven/bun", version: "1", url: "pkg:npm/%40oven/bun", hash: "ab".repeat(64) };
    const entries = ["main", "proxy/worker", "store/log-worker"].map((name) => join(CHECKOUT, "src", `${name}.ts`));
    const out = ["--target=bun", "--splitting", `--metafile=${join(root, "meta.json")}`, "--outdir", join(root, "out")];
    const built = Bun.spawn([process.execPath, "build", ...out, ...entries], { stdout: "ignore", stderr: "pipe" });
    expect([await built.exited, await new Response(built.stderr).text()][0]).toBe(0);
    const bundled = packagesBundled(readFileSync(join(root, "meta.json"), "utf8"));
    parts = [...bunParts(bun, process.versions), ...npmParts(CHECKOUT, bundled)];
  });

  test("has every package's licence with its text, and none of those for development", () => {
    const text = notices(parts);
    const names = parts.filter(({ inside }) => inside === undefined).map(({ name }) => name);
    expect(names).toContain("hono");
    expect(names).not.toContain("fast-check");
    for (const { name, version, text: own } of parts.slice(1).filter(({ inside }) => inside === undefined)) {
      expect([name, own !== "" && text.includes(`\n${name} ${version} (`) && text.includes(own)]).toEqual([name, true]);
    }
    const locked = packagesInside(CHECKOUT).map((path) => path.slice(path.lastIndexOf("node_modules/") + 13));
    expect(names.slice(1).filter((name) => !locked.includes(name))).toEqual([]);
  });

  test("has a bill of materials that CycloneDX's own schema takes", () => {
    const executable = { name: "infermesh-linux-x64", version: "0.1.0", sha256: "cd".repeat(32) };
    const bill: unknown = JSON.parse(billOfMaterials(executable, parts));
    expect(SCHEMA.faults(bill)).toEqual([]);
    const { components, dependencies } = bill as {
      components: { "bom-ref": string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    const references = components.map((component) => component["bom-ref"]);
    expect(new Set(references).size).toBe(references.length);
    const reached = dependencies.flatMap(({ dependsOn }) => dependsOn);
    expect(reached.toSorted()).toEqual(references.toSorted());
  });
});

test("the schema refuses what is no bill of materials", () => {
  const executable = { name: "infermesh", version: "1", sha256: "cd".repeat(32) };
  const bill = JSON.parse(billOfMaterials(executable, npmParts(root, packagesInside(root)))) as Record<string, unknown>;
  expect(SCHEMA.faults(bill)).toEqual([]);
  const { components } = bill as { components: object[] };
  for (const planted of [
    { ...bill, specVersion: 1.5 },
    { ...bill, unknown: 1 },
    { ...bill, components: [components[0], components[0]] },
    { ...bill, components: [{ ...components[0], type: "lib" }] },
    { ...bill, components: [{ ...components[0], hashes: [{ alg: "SHA-256", content: "12" }] }] },
    { ...bill, components: [{ ...components[0], licenses: [{ license: { id: "No-Such" } }] }] },
    { ...bill, metadata: { component: { type: "application" } } },
  ]) {
    expect(SCHEMA.faults(planted)).not.toEqual([]);
  }
});
