/**
 * Writes the schemas of Kubernetes' resources into a folder: `bun scripts/kube-schemas.ts FOLDER SWAGGER.json CRD.yaml...`.
 * scripts/install-kube-checkers.sh calls it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apiSchemas, customSchemas } from "./kube/schemas.ts";

const [folder, swagger, ...custom] = process.argv.slice(2);
if (folder === undefined || swagger === undefined) {
  console.error("usage: bun scripts/kube-schemas.ts FOLDER SWAGGER.json CRD.yaml...");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const all = [
  ...apiSchemas(JSON.parse(readFileSync(swagger, "utf8"))),
  ...custom.flatMap((path) => customSchemas(Bun.YAML.parse(readFileSync(path, "utf8")))),
];
for (const { file, schema } of all) writeFileSync(join(folder, file), JSON.stringify(schema));
console.log(`> ${all.length} schemas in ${folder}`);
