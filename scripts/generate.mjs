/** npm run generate: proto/ -> src/gen/. */

import { exec, prepare, runAsScript } from "./toolchain.mjs";

await runAsScript(import.meta.url, async (args) => exec(await prepare(), ["scripts/generate-proto.ts", ...args]));
