/**
 * What is inside of a static executable, told to those who run it: a bill of materials (CycloneDX 1.5) and the licences
 * that have to come with it. Both are the same for the same inputs, so that they hold no time and no random number.
 */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** A part of the executable that others made. */
export interface Part {
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression. */
  readonly licence: string;
  /** As a package URL without version: pkg:npm/hono. */
  readonly url: string;
  /** The text of its licence; "" if it brings none. */
  readonly text: string;
  /** SHA-256 or SHA-512 of the archive that it came in, in hexadecimal digits; "" if unknown. */
  readonly hash: string;
}

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly cpu?: readonly string[];
}

const LICENCE_FILE = /^(?:licen[cs]e|copying)/i;

/**
 * Folders of the packages that go into the executable: installed, not marked as for development, and not the native part
 * of another, which nothing here loads and which would differ from one builder to the next.
 */
export function packagesInside(root: string): string[] {
  return Object.entries(lockedPackages(root)).flatMap(([path, { dev, devOptional, cpu }]) => {
    const isOurs = path !== "" && dev !== true && devOptional !== true && cpu === undefined;
    const isInside = isOurs && existsSync(join(root, path));
    return isInside ? [path] : [];
  });
}

function lockedPackages(root: string): Record<string, Locked> {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked>;
  };
  return lock.packages;
}

/** The hexadecimal digits of a hash as npm writes it: sha512-BASE64. */
export function digestOf(integrity: string): string {
  const [algorithm, digest = ""] = integrity.split("-", 2);
  return algorithm === "sha512" ? Buffer.from(digest, "base64").toString("hex") : "";
}

/** The packages of npm, by name. */
export function npmParts(root: string): Part[] {
  const locked = lockedPackages(root);
  return packagesInside(root)
    .map((path) => {
      const folder = join(root, path);
      const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
      const file = readdirSync(folder)
        .sort()
        .find((one) => LICENCE_FILE.test(one));
      return {
        name,
        version: locked[path]?.version ?? "",
        licence: locked[path]?.license ?? "",
        url: `pkg:npm/${name.replace("@", "%40")}`,
        text: file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim(),
        hash: digestOf(locked[path]?.integrity ?? ""),
      };
    })
    .sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

/** A CycloneDX document of the executable, whose SHA-256 is given. */
export function billOfMaterials(
  executable: { readonly name: string; readonly version: string; readonly sha256: string },
  parts: readonly Part[],
): string {
  const components = parts.map(({ name, version, licence, url, hash }) => {
    const reference = `${url}@${encodeURIComponent(version)}`;
    const algorithm = hash.length === 64 ? "SHA-256" : "SHA-512";
    return {
      type: "library",
      "bom-ref": reference,
      name,
      version,
      ...(licence === "" ? {} : { licenses: [{ expression: licence }] }),
      purl: reference,
      ...(hash === "" ? {} : { hashes: [{ alg: algorithm, content: hash }] }),
    };
  });
  const own = {
    type: "application",
    "bom-ref": executable.name,
    name: executable.name,
    version: executable.version,
    licenses: [{ expression: "Apache-2.0" }],
    hashes: [{ alg: "SHA-256", content: executable.sha256 }],
  };
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: own },
    components,
    dependencies: [{ ref: executable.name, dependsOn: components.map((component) => component["bom-ref"]) }],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** The licences of all parts, each with its text where it brings one. */
export function notices(parts: readonly Part[]): string {
  const head = "infermesh contains the following works of others, under their licences.\n";
  const each = parts.map(({ name, version, licence, text }) => {
    const title = `${name} ${version}${licence === "" ? "" : ` (${licence})`}`;
    return `${"-".repeat(80)}\n${title}\n\n${text === "" ? "Its package brings no text of its licence." : text}\n`;
  });
  return [head, ...each].join("\n");
}
