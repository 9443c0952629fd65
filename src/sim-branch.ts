/** `infermesh sim` as a tree of commands, which are loaded as they are run. */
import type { Section } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import type { Branch } from "./ctl/complete.ts";

const simulating = (name: "generate" | "validate" | "run" | "compare") => async () =>
  (await import("./sim-commands.ts")).SIM_COMMANDS[name] as Command<Section>;

export const simBranch: Branch = {
  doc: "Simulated meshes: play traffic on thousands of nodes, compare strategies.",
  children: {
    generate: { doc: "Print a scenario to begin with.", load: simulating("generate") },
    validate: { doc: "Check a scenario.", load: simulating("validate") },
    run: { doc: "Play a scenario by one strategy.", load: simulating("run") },
    compare: { doc: "Play a scenario by several strategies.", load: simulating("compare") },
  },
};
