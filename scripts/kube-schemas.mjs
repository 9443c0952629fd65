/** Runs kube-schemas.ts by the project's own Bun. */

import { exec, prepare, runAsScript } from "./toolchain.mjs";

await runAsScript(import.meta.url, async (args) => exec(await prepare(), ["scripts/kube-schemas.ts", ...args]));
