/** An agent's part for a test that kills it: starts a probe that soon hangs, and says which process that is. */
import { join } from "node:path";
import { Prober } from "../../src/gpu/prober.ts";

const [course = "", spec = ""] = process.argv.slice(2);
const command = [process.execPath, join(import.meta.dir, "probe-child.ts"), course, spec];
const config = { silentMaxMs: 600_000, restartPauseMinMs: 1000, restartPauseMaxMs: 1000 };
const prober = new Prober({ command, config });
const timer = setInterval(() => {
  if (prober.state.state !== "ok") return;
  clearInterval(timer);
  console.log(prober.pid);
}, 5);
setInterval(() => {}, 60_000);
