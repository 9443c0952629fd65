/**
 * What is inside of a static executable, told to those who run it: a bill of materials (CycloneDX 1.5) and the licences
 * that have to come with it. Both are the same for the same inputs, so that they hold no time and no random number.
 */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** A part of the executable that others made. */
export interface Part {
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression. */
  readonly licence: string;
  /** As a package URL without version: pkg:npm/hono. */
  readonly url: string;
  /** The text of its licence as it brings it; "" for none, and then the texts of `licence` stand at the end. */
  readonly text: string;
  /** Whose it is, where it brings no text that says so. */
  readonly copyright: readonly string[];
  /** The URL of the part that has it inside. */
  readonly inside?: string;
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
const PACKAGE = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/;
const LICENCES = join(import.meta.dir, "licences");
/** infermesh's own, which others have too. */
const APACHE = resolve(import.meta.dir, "..", "..", "LICENSE");

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

/** Folders of the packages that the bundler took something of, by its metafile: other packages are not in the executable. */
export function packagesBundled(metafile: string): Set<string> {
  const { inputs } = JSON.parse(metafile) as { readonly inputs: Readonly<Record<string, unknown>> };
  const folders = Object.keys(inputs).flatMap((path) => PACKAGE.exec(path)?.[0] ?? []);
  return new Set(folders.map((folder) => folder.slice(folder.indexOf("node_modules/"))));
}

/** The hexadecimal digits of a hash as npm writes it: sha512-BASE64. */
export function digestOf(integrity: string): string {
  const [algorithm, digest = ""] = integrity.split("-", 2);
  return algorithm === "sha512" ? Buffer.from(digest, "base64").toString("hex") : "";
}

/** The packages of npm, by name: those whose folders are given. */
export function npmParts(root: string, folders: Iterable<string>): Part[] {
  const locked = lockedPackages(root);
  return [...folders]
    .map((path): Part => {
      if (locked[path] === undefined) throw new Error(`${path} is in the executable, and not in package-lock.json`);
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
        copyright: [],
        hash: digestOf(locked[path]?.integrity ?? ""),
      };
    })
    .sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

const referenceOf = ({ url, version }: Part): string =>
  version === "" ? url : `${url}@${encodeURIComponent(version)}`;

/** A CycloneDX document of the executable, whose SHA-256 is given. */
export function billOfMaterials(
  executable: { readonly name: string; readonly version: string; readonly sha256: string },
  parts: readonly Part[],
): string {
  const components = parts.map((part) => {
    const { name, version, licence, hash } = part;
    const algorithm = hash.length === 64 ? "SHA-256" : "SHA-512";
    return {
      type: "library",
      "bom-ref": referenceOf(part),
      name,
      ...(version === "" ? {} : { version }),
      ...(licence === "" ? {} : { licenses: [{ expression: licence }] }),
      purl: referenceOf(part),
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
  const holders = parts.filter(({ url }) => parts.some(({ inside }) => inside === url));
  const dependencies = [
    { ref: executable.name, dependsOn: parts.filter(({ inside }) => inside === undefined).map(referenceOf) },
    ...holders.map((holder) => ({
      ref: referenceOf(holder),
      dependsOn: parts.filter(({ inside }) => inside === holder.url).map(referenceOf),
    })),
  ];
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: own },
    components,
    dependencies,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** The single licences of an expression; an exception to one is its own. */
export function licencesOf(expression: string): string[] {
  return expression.split(/\s+(?:AND|OR|WITH)\s+|[()]/).filter((id) => id !== "");
}

function licenceText(id: string, part: string): string {
  const path = id === "Apache-2.0" ? APACHE : join(LICENCES, `${id}.txt`);
  if (existsSync(path)) return readFileSync(path, "utf8").trim();
  throw new Error(`${part} is under the licence ${id}, brings no text of it, and scripts/static/licences/ has none`);
}

/** The licences of all parts: as each brings them, or at the end. Throws where a part has neither. */
export function notices(parts: readonly Part[]): string {
  const head = "infermesh contains the following works of others, under their licences.\n";
  const rule = "-".repeat(80);
  const texts = new Map<string, string>();
  const each = parts.map(({ name, version, licence, text, copyright }) => {
    const title = [name, version, licence === "" ? "" : `(${licence})`].filter((word) => word !== "").join(" ");
    if (text !== "") return `${rule}\n${title}\n\n${text}\n`;
    const ids = licencesOf(licence);
    if (ids.length === 0) throw new Error(`${name} has no licence`);
    for (const id of ids) texts.set(id, licenceText(id, name));
    return `${rule}\n${title}\n\n${[...copyright, "The licence's text is at the end."].join("\n")}\n`;
  });
  const ends = [...texts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([id, text]) => `${rule}\n${id}\n\n${text}\n`);
  return [head, ...each, ...ends].join("\n");
}
