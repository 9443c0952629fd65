/** Writes the manifests of deploy/kubernetes anew: `node scripts/kube-manifests.mjs`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MANIFESTS, manifest, manifestNames } from "./kube/manifests.ts";

for (const name of manifestNames()) {
  writeFileSync(join(MANIFESTS, `${name}.yaml`), manifest(name));
  console.log(`> deploy/kubernetes/${name}.yaml`);
}
