/** npm start: install and build what is missing, then a local mesh. `npm start -- --traffic` passes arguments on. */

import { EXECUTABLE, build } from "./build.mjs";
import { exec, prepare, runAsScript } from "./toolchain.mjs";

await runAsScript(import.meta.url, async (args) => {
  await build(await prepare());
  return exec(EXECUTABLE, ["dev", ...args]);
});
