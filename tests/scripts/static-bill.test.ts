/** What is told of the parts of a static executable: the packages of the lock file, without those for development. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { billOfMaterials, digestOf, notices, npmParts, packagesInside } from "../../scripts/static/bill.ts";

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
  expect(npmParts(root)).toEqual([
    { name: "@scope/b", version: "1.0.0-rc+1", licence: "", url, text: "", hash: "" },
    { name: "@scope/b", version: "2.0.0", licence: "MIT", url, text, hash: "ab".repeat(64) },
    { name: "a", version: "1.0.0", licence: "Apache-2.0", url: "pkg:npm/a", text: "", hash: "" },
  ]);
});

test("the bill of materials names each once, and is the same each time", () => {
  const executable = { name: "infermesh-linux-x64", version: "0.1.0", sha256: "cd".repeat(32) };
  const bill = billOfMaterials(executable, npmParts(root));
  expect(billOfMaterials(executable, npmParts(root))).toBe(bill);
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

test("the notices hold every text, and say where there is none", () => {
  const text = notices(npmParts(root));
  expect(text).toContain("@scope/b 2.0.0 (MIT)\n\nDo as you like.\n");
  expect(text).toContain("a 1.0.0 (Apache-2.0)\n\nIts package brings no text of its licence.\n");
});

test("hashes of other kinds are left out", () => {
  expect(digestOf("sha1-AAAA")).toBe("");
  expect(digestOf("")).toBe("");
});

test("this checkout's packages have licences, all of them", () => {
  const parts = npmParts(resolve(import.meta.dir, "..", ".."));
  expect(parts.map(({ name }) => name)).toContain("hono");
  expect(parts.filter(({ licence, version }) => licence === "" || version === "")).toEqual([]);
});
