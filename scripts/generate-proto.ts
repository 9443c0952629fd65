/**
 * proto/state.proto -> src/gen/state.js and .d.ts, by pbjs (protobuf.js, static module): what the mesh carries;
 * proto/etcd/etcd.proto -> src/gen/etcd.js and .d.ts alike: what etcd is asked;
 * proto/*.proto -> src/gen/services.js and .d.ts: the API's messages and services (proto-services.ts);
 * proto/grpc/ -> the descriptors that the data plane's reflection tells (proto-descriptors.ts).
 *
 *   bun scripts/generate-proto.ts           write what is stale
 *   bun scripts/generate-proto.ts --check   exit 1 if anything is stale or was edited by hand
 *
 * The first line of each generated file holds the hash of what it was made from (the .proto text, the generator's
 * version, this recipe) and of what was written, so that the check needs neither the generator nor a network.
 *
 * Two changes are made to what pbjs writes: 64-bit integers are plain numbers (exact up to 2^53, more than any count,
 * byte size or millisecond here), and every message of the package is also exported by its short name.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { descriptorModule, protoTexts } from "./proto-descriptors.ts";
import { servicesModule, servicesText } from "./proto-services.ts";

const ROOT = resolve(import.meta.dir, "..");
const PROTO = join(ROOT, "proto");
const GEN = join(ROOT, "src", "gen");
const PBJS = join(ROOT, "node_modules", "protobufjs-cli", "bin", "pbjs");
const DESCRIBED = join(PROTO, "grpc");
const RECIPE = 1;
const OPTIONS = ["-t", "static-module", "-w", "esm", "--force-number"];
const LEAVE_OUT = ["--no-service", "--no-delimited", "--no-verify", "--no-typeurl"];
/** Files whose messages are decoded often: they get code of their own. Nobody makes etcd's of other objects. */
const STATIC = [
  { file: "state.proto", leaveOut: LEAVE_OUT },
  { file: "etcd/etcd.proto", leaveOut: [...LEAVE_OUT, "--no-convert"] },
];

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 24);

function packageVersion(name: string): string {
  return JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
}

function sourceHash(protoText: string, leaveOut = LEAVE_OUT): string {
  const versions = ["protobufjs", "protobufjs-cli"].map(packageVersion);
  return sha256(JSON.stringify([RECIPE, OPTIONS, leaveOut, versions, protoText]));
}

function stamped(source: string, body: string): string {
  return `// Generated from proto/ by scripts/generate-proto.ts: never edit. source ${source} output ${sha256(body)}\n${body}`;
}

/** Why the file is stale, or "" if it is what the generator wrote from this source. */
function staleness(path: string, source: string): string {
  if (!existsSync(path)) return "is missing";
  const text = readFileSync(path, "utf8");
  const end = text.indexOf("\n");
  const stamp = /source (\w+) output (\w+)$/.exec(text.slice(0, end));
  if (stamp === null) return "carries no stamp";
  if (stamp[1] !== source) return "was made from another proto file or by another generator";
  if (stamp[2] !== sha256(text.slice(end + 1))) return "was edited by hand";
  return "";
}

function pbjs(args: string[]): void {
  const done = Bun.spawnSync([process.execPath, PBJS, ...OPTIONS, ...args], { stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`pbjs failed: ${done.stderr.toString().trim()}`);
}

/** The names declared at the package's top level, and the package: what the short exports need. */
function topLevel(protoText: string): { namespace: string; names: string[] } {
  const namespace = /^package\s+([\w.]+)\s*;/m.exec(protoText)?.[1];
  if (namespace === undefined) throw new Error("a .proto file needs a package");
  return { namespace, names: [...protoText.matchAll(/^(?:message|enum)\s+(\w+)/gm)].map((match) => match[1] ?? "") };
}

function generate(protoPath: string, protoText: string, leaveOut: string[]): { code: string; types: string } {
  const scratch = mkdtempSync(join(tmpdir(), "infermesh-proto-"));
  try {
    const out = join(scratch, "out.js");
    // The declarations are made from the code's comments, so it is generated twice: with them and without.
    pbjs([...leaveOut, "-d", "-o", out, protoPath]);
    let types = readFileSync(join(scratch, "out.d.ts"), "utf8");
    pbjs([...leaveOut, "--no-comments", "-o", out, protoPath]);
    let code = readFileSync(out, "utf8");
    const library = /^import \$protobuf from .*;$/m.exec(code)?.[0];
    if (library === undefined) throw new Error("pbjs wrote an import that this script does not know");
    code = code.replace(library, `${library}\n$protobuf.util.Long = null;\n$protobuf.configure();`);
    const { namespace, names } = topLevel(protoText);
    code = code.replace(/\nexport \{\s*\$root as default\s*\};?\s*$/, "\n");
    code += `\nexport const { ${names.join(", ")} } = ${namespace};\n`;
    types = types.replace('import Long = require("long");\n', "");
    types += `\n${names.map((name) => `export import ${name} = ${namespace}.${name};`).join("\n")}\n`;
    return { code, types };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Output {
  readonly name: string;
  readonly from: string;
  /** Hash of what it is made from. */
  readonly source: string;
  readonly make: () => { code: string; types: string };
}

function outputs(): Output[] {
  const described = protoTexts(DESCRIBED).map(({ name, text }) => `${name}\n${text}`);
  return [
    ...STATIC.map(({ file, leaveOut }) => {
      const protoPath = join(PROTO, file);
      const text = readFileSync(protoPath, "utf8");
      return {
        name: basename(file, ".proto"),
        from: `proto/${file}`,
        source: sourceHash(text, leaveOut),
        make: () => generate(protoPath, text, leaveOut),
      };
    }),
    {
      name: "services",
      from: "proto/",
      source: sourceHash(servicesText(PROTO, DESCRIBED)),
      make: () => servicesModule(PROTO, DESCRIBED),
    },
    {
      name: "descriptors",
      from: "proto/grpc/",
      source: sourceHash(described.join("\n")),
      make: () => descriptorModule(DESCRIBED),
    },
  ];
}

function main(): number {
  const check = process.argv.includes("--check");
  mkdirSync(GEN, { recursive: true });
  let stale = 0;
  for (const { name, from, source, make } of outputs()) {
    const stem = join(GEN, name);
    const faults = [`${stem}.js`, `${stem}.d.ts`].flatMap((path) => {
      const why = staleness(path, source);
      return why === "" ? [] : [`${path.slice(ROOT.length + 1)} ${why}`];
    });
    if (faults.length === 0) continue;
    stale += faults.length;
    if (check) {
      for (const fault of faults) console.error(`stale: ${fault}`);
      continue;
    }
    const { code, types } = make();
    writeFileSync(`${stem}.js`, stamped(source, code));
    writeFileSync(`${stem}.d.ts`, stamped(source, types));
    console.log(`${from} -> ${stem.slice(ROOT.length + 1)}.js, .d.ts`);
  }
  if (check && stale > 0) {
    console.error("run `npm run generate` and commit src/gen/");
    return 1;
  }
  return 0;
}

process.exit(main());
