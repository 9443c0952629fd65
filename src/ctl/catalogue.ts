/**
 * The commands of `infermesh ctl`: what each is for, its settings and its code. All of it is imported when it is run, so
 * that other commands are answered at once.
 */
import type { Help } from "../base/help.ts";
import type { Section } from "../base/settings.ts";
import type { Command } from "./command.ts";
import type { Part } from "./part.ts";
import { asking } from "./part.ts";

const NOTES: readonly (readonly [string, string])[] = [
  [
    "Exit codes",
    "0 well\n1 not well, or an error was answered\n2 wrong command line or file\n3 nobody could be reached\n4 a conflict: what was to be changed has another revision by now",
  ],
];

/** A command: what all of them have in common is added by `commandOf`. */
export interface Entry {
  readonly summary: string;
  /** Beyond the common exit codes. */
  readonly notes?: Help["notes"];
  /** After `infermesh`. */
  readonly examples?: Help["examples"];
  /** Not for people. */
  readonly hidden?: boolean;
  load(): Promise<Part>;
}

const settings = () => import("./settings.ts");
const watched = async () => {
  const [{ section }, { ctlSettings }, { repeating, watchFields }] = await Promise.all([
    import("../base/settings.ts"),
    settings(),
    import("./repeat.ts"),
  ]);
  return { repeating, watchedSettings: section({ ...ctlSettings.fields, ...watchFields }) };
};

export const CTL: Readonly<Record<string, Entry>> = {
  "list-nodes": {
    summary: "list the nodes that a router knows, with their load and their place in the mesh",
    load: async () => {
      const [{ listNodes }, { repeating, watchedSettings }] = await Promise.all([import("./nodes.ts"), watched()]);
      return asking({
        settings: watchedSettings,
        run: (config, terminal) => repeating(config, terminal, (to) => listNodes(config, to)),
      });
    },
  },
  "describe-node": {
    summary: "show all that is known of one node: membership, load, models, GPUs, latest events",
    load: async () => {
      const [{ describeNode }, { ctlSettings }] = await Promise.all([import("./describe-node.ts"), settings()]);
      return asking({
        settings: ctlSettings,
        operands: [{ name: "ID", expected: "a node's id, as list-nodes shows it", completes: "node" }],
        run: (config, terminal, [id = ""]) => describeNode(config, terminal, id),
      });
    },
  },
  "list-gpus": {
    summary: "list the GPUs of all nodes, or of one: health, load, memory, power, temperature, models",
    examples: [
      ["infermesh ctl list-gpus --node gpu-1 -o wide", "With UUIDs, MIG profiles, and why one is not healthy."],
    ],
    load: async () => (await import("./list-gpus.ts")).LIST_GPUS,
  },
  "describe-gpu": {
    summary: "show all that is known of one GPU, as its node's agent knows it, whoever is asked",
    examples: [
      ["infermesh ctl describe-gpu 0@gpu-1", "By its index at its node."],
      ["infermesh ctl describe-gpu GPU-4d6c", "By its UUID, or the beginning of it."],
    ],
    load: async () => (await import("./describe-gpu.ts")).DESCRIBE_GPU,
  },
  top: {
    summary: "watch GPUs and models live: load, memory, power, temperature, health, requests, queues",
    examples: [
      ["infermesh ctl top", "Until q or Ctrl-C."],
      ["infermesh ctl top --once --sort health", "Once, what is not well first."],
    ],
    load: async () => (await import("./top.ts")).TOP,
  },
  drain: {
    summary: "send no new requests to nodes; what they have is finished",
    examples: [["infermesh ctl drain gpu-1 --reason maintenance --wait", "And wait until nothing is in flight there."]],
    notes: [["Exit code 1", "also: requests are still in flight after --wait"]],
    load: async () => (await import("./node-changes.ts")).NODE_CHANGES.drain,
  },
  undrain: {
    summary: "send requests to drained nodes again",
    load: async () => (await import("./node-changes.ts")).NODE_CHANGES.undrain,
  },
  cordon: {
    summary: "send no new requests to nodes; what they have goes on, and they are not told",
    load: async () => (await import("./node-changes.ts")).NODE_CHANGES.cordon,
  },
  uncordon: {
    summary: "send requests to cordoned nodes again, and end quarantines of their GPUs that don't end by themselves",
    examples: [["infermesh ctl uncordon gpu-1 --gpu 0 --dry-run", "What would end of one GPU's quarantine."]],
    notes: [["Exit code 1", "also: a GPU stays quarantined by what is read of it"]],
    load: async () => (await import("./uncordon.ts")).UNCORDON,
  },
  "list-models": {
    summary: "list the models that nodes serve or that a pin names",
    load: async () => (await import("./models.ts")).MODELS.list,
  },
  "describe-model": {
    summary: "show where a model is served, and all policies that decide about it",
    load: async () => (await import("./models.ts")).MODELS.describe,
  },
  "load-model": {
    summary: "have nodes load a model, and wait for it",
    load: async () => (await import("./models.ts")).MODELS.load,
  },
  "unload-model": {
    summary: "have nodes unload a model once its requests are finished",
    load: async () => (await import("./models.ts")).MODELS.unload,
  },
  "pin-model": {
    summary: "decide where a model is to be served, in place of what its pin said before",
    examples: [
      ["infermesh ctl pin-model llama-3-8b --nodes node1,node2 --min-replicas 2", "At these two nodes."],
      ["infermesh ctl pin-model llama-3-8b --selector gpu=h100 --dry-run", "What would be warned of."],
    ],
    load: async () => (await import("./pins.ts")).PINS.pin,
  },
  "unpin-model": {
    summary: "take a model's pin away",
    load: async () => (await import("./pins.ts")).PINS.unpin,
  },
  "list-pins": {
    summary: "list the pins of all models, or of one",
    load: async () => (await import("./pins.ts")).PINS.list,
  },
  explain: {
    summary: "show every candidate for a request with each term of its score, and why the winner won",
    examples: [
      ["infermesh ctl explain --model llama-3-8b --prompt-tokens 2000", "A request as it would be sent now."],
      ["infermesh ctl explain req-5f2c", "One of the past, by its x-request-id."],
    ],
    load: async () => (await import("./explain.ts")).EXPLAIN,
  },
  "forget-rates": {
    summary: "have a router forget what it learnt of its targets' rates, and begin with what they tell",
    examples: [
      ["infermesh ctl forget-rates --node gpu-1", "Of one node, whose clocks were held down."],
      ["infermesh ctl forget-rates --model llama-3-8b", "Of one model, wherever it is."],
    ],
    load: async () => (await import("./forget-rates.ts")).FORGET_RATES,
  },
  "subscribe-events": {
    summary: "show what happens in the mesh as it happens: nodes, models, policies, GPUs, routing",
    examples: [
      ["infermesh ctl subscribe-events --type policy,node.failed", "Of these types."],
      ["infermesh ctl subscribe-events --once -o json", "What is kept, for a script."],
    ],
    load: async () => (await import("./subscribe.ts")).SUBSCRIBE,
  },
  members: {
    summary: "list the members of the mesh, as a router or an agent sees it; --watch: and what happens among them",
    load: async () => {
      const { showMembers: run } = await import("./watch.ts");
      return asking({ settings: (await settings()).membersSettings, run });
    },
  },
  leave: {
    summary: "let a router or an agent take leave of the mesh, finish what it has in flight, and end",
    notes: [
      ["Exit code 1", "also: it took leave, but is still there after --timeout, or a supervisor has started it anew"],
    ],
    load: async () => {
      const { leaveMesh: run } = await import("./leave.ts");
      return asking({ settings: (await settings()).leaveSettings, run });
    },
  },
  reload: {
    summary: "have a router load its configuration anew, and show what that changed",
    notes: [["Exit code 1", "also: the new configuration is refused; the old one stays as it is"]],
    load: async () => {
      const { reloadRouter: run } = await import("./operations.ts");
      return asking({ settings: (await settings()).operationSettings, run });
    },
  },
  "restart-workers": {
    summary: "have a router replace its workers, one by one, without a failed request",
    load: async () => {
      const { restartWorkers: run } = await import("./operations.ts");
      return asking({ settings: (await settings()).operationSettings, run });
    },
  },
  upgrade: {
    summary: "have a router of this machine hand over to a new process, without a failed request",
    notes: [["Exit code 1", "also: the new process did not get ready; the old one goes on"]],
    load: async () => {
      const { upgradeRouter: run } = await import("./operations.ts");
      return asking({ settings: (await settings()).upgradeSettings, run });
    },
  },
  config: {
    summary: "show the configuration in force at a router, or one part of it",
    load: async () => (await import("./router-config.ts")).CONFIG,
  },
  stats: {
    summary: "show a router's counts, or an agent's vitals",
    load: async () => {
      const [{ showStats }, { repeating, watchedSettings }] = await Promise.all([import("./commands.ts"), watched()]);
      return asking({
        settings: watchedSettings,
        run: (config, terminal) => repeating(config, terminal, (to) => showStats(config, to)),
      });
    },
  },
  health: {
    summary: "tell whether a router or an agent is well",
    examples: [
      ["infermesh ctl health --live --timeout 3s", "Only whether it answers: for what starts anew what hangs."],
    ],
    notes: [["Exit code 1", "also: it is not well; with --live, it answers and does not say how it is"]],
    load: async () => {
      const [{ section }, { showHealth }, { liveField }, { repeating, watchedSettings }] = await Promise.all([
        import("../base/settings.ts"),
        import("./commands.ts"),
        settings(),
        watched(),
      ]);
      return asking({
        settings: section({ ...watchedSettings.fields, ...liveField }),
        run: (config, terminal) => repeating(config, terminal, (to) => showHealth(config, to)),
      });
    },
  },
};

/** The command of an entry, whose name is all that follows `infermesh`. */
export async function commandOf(name: string, entry: Entry): Promise<Command<Section>> {
  const { summary, notes = [], examples = [] } = entry;
  const own = await entry.load();
  const operands = (own.operands ?? []).map(({ name: word, expected, optional = false, many = false }) => {
    const shown = many ? `${word}...` : word;
    const doc = `${expected.slice(0, 1).toUpperCase()}${expected.slice(1)}.`;
    return { name: optional ? `[${shown}]` : shown, doc };
  });
  return {
    help: {
      command: `infermesh ${name}`,
      summary,
      usage: [[...operands.map((operand) => operand.name), "[flags]"].join(" ")],
      operands,
      examples,
      notes: [...NOTES, ...notes],
    },
    ...own,
  };
}
