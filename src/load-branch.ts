/** `infermesh load` as a tree of commands, which are loaded as they are run: a run is what an URL alone means. */
import type { Section } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import type { Branch } from "./ctl/complete.ts";

const running = async () => (await import("./load-command.ts")).loadCommand as Command<Section>;
const comparing = async () => (await import("./load-compare.ts")).loadCompareCommand as Command<Section>;

export const loadBranch: Branch = {
  doc: "Send requests to a server when they are due, and tell what came of them.",
  load: running,
  takesOperands: true,
  children: {
    run: { doc: "Send requests; what happens when an URL stands here.", load: running },
    compare: { doc: "Lay the reports of several runs beside one another.", load: comparing },
  },
};
