/**
 * The commands of `infermesh ctl`: what each is for, its settings and its code. All of it is imported when it is run, so
 * that other commands are answered at once.
 */
import type { Help } from "../base/help.ts";
import type { Section } from "../base/settings.ts";
import type { Command } from "./command.ts";
import type { KEYRING_COMMANDS } from "./keyring.ts";
import { type Part, part } from "./part.ts";

const NOTES: readonly (readonly [string, string])[] = [
  ["Exit codes", "0 well\n1 not well, or an error was answered\n2 wrong command line\n3 nobody could be reached"],
];

/** A command: what all of them have in common is added by `commandOf`. */
export interface Entry {
  readonly summary: string;
  /** Beyond the common exit codes. */
  readonly notes?: Help["notes"];
  load(): Promise<Part>;
}

const settings = () => import("./settings.ts");

export const CTL: Readonly<Record<string, Entry>> = {
  "list-nodes": {
    summary: "list the nodes that a router knows, with their load and their place in the mesh",
    load: async () => {
      const { listNodes: run } = await import("./nodes.ts");
      return part({ settings: (await settings()).ctlSettings, run });
    },
  },
  "describe-node": {
    summary: "show all that is known of one node: membership, load, models, GPUs, latest events",
    load: async () => {
      const { describeNode: run } = await import("./describe-node.ts");
      const operand = { name: "ID", expected: "a node's id, as list-nodes shows it" };
      return part({ settings: (await settings()).ctlSettings, run, operand });
    },
  },
  members: {
    summary: "list the members of the mesh, as a router or an agent sees it; --watch: and what happens among them",
    load: async () => {
      const { showMembers: run } = await import("./watch.ts");
      return part({ settings: (await settings()).membersSettings, run });
    },
  },
  leave: {
    summary: "let a router or an agent take leave of the mesh, finish what it has in flight, and end",
    notes: [
      ["Exit code 1", "also: it took leave, but is still there after --timeout, or a supervisor has started it anew"],
    ],
    load: async () => {
      const { leaveMesh: run } = await import("./leave.ts");
      return part({ settings: (await settings()).leaveSettings, run });
    },
  },
  reload: {
    summary: "have a router load its configuration anew, and show what that changed",
    notes: [["Exit code 1", "also: the new configuration is refused; the old one stays as it is"]],
    load: async () => {
      const { reloadRouter: run } = await import("./operations.ts");
      return part({ settings: (await settings()).operationSettings, run });
    },
  },
  "restart-workers": {
    summary: "have a router replace its workers, one by one, without a failed request",
    load: async () => {
      const { restartWorkers: run } = await import("./operations.ts");
      return part({ settings: (await settings()).operationSettings, run });
    },
  },
  upgrade: {
    summary: "have a router of this machine hand over to a new process, without a failed request",
    notes: [["Exit code 1", "also: the new process did not get ready; the old one goes on"]],
    load: async () => {
      const { upgradeRouter: run } = await import("./operations.ts");
      return part({ settings: (await settings()).upgradeSettings, run });
    },
  },
  stats: {
    summary: "show a router's counts, or an agent's vitals",
    load: async () => {
      const { showStats: run } = await import("./commands.ts");
      return part({ settings: (await settings()).ctlSettings, run });
    },
  },
  health: {
    summary: "tell whether a router or an agent is well",
    load: async () => {
      const { showHealth: run } = await import("./commands.ts");
      return part({ settings: (await settings()).ctlSettings, run });
    },
  },
};

const ofKeyring = (name: keyof typeof KEYRING_COMMANDS) => async (): Promise<Part> =>
  (await import("./keyring.ts")).KEYRING_COMMANDS[name];

/** `infermesh ctl keyring`. */
export const KEYRING: Readonly<Record<string, Entry>> = {
  list: { summary: "list the keys that seal the gossip, and which members have them", load: ofKeyring("list") },
  generate: { summary: "print a new key", load: ofKeyring("generate") },
  add: {
    summary:
      "give every member a key that opens from now on: KEY, which other users can see, or a line of standard input",
    load: ofKeyring("add"),
  },
  use: { summary: "let every member seal with a key that all of them have", load: ofKeyring("use") },
  remove: {
    summary: "take a key from every member, when none seals with it any more",
    load: ofKeyring("remove"),
  },
};

/** The command of an entry, whose name is all that follows `infermesh`. */
export async function commandOf(name: string, entry: Entry): Promise<Command<Section>> {
  const { summary, notes = [] } = entry;
  const own = await entry.load();
  const operand =
    own.operand === undefined ? "" : own.operand.optional === true ? `[${own.operand.name}] ` : `${own.operand.name} `;
  return {
    help: { command: `infermesh ${name}`, summary, usage: [`${operand}[flags]`], notes: [...NOTES, ...notes] },
    ...own,
  };
}
