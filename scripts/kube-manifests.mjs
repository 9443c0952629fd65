/** Writes deploy/kubernetes/*.yaml by kube-manifests.ts, with the Helm of install-kube-checkers.sh. */

import { exec, prepare, runAsScript } from "./toolchain.mjs";

await runAsScript(import.meta.url, async (args) => exec(await prepare(), ["scripts/kube-manifests.ts", ...args]));
