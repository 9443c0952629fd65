/**
 * The command line: which commands there are and what each is for. Commands are imported when they are run, so that
 * `--version` and mistakes are answered at once.
 */
import { commit, version } from "./base/version.ts";
import type { Section } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import type { Branch } from "./ctl/complete.ts";
import { ctlTree } from "./ctl/tree.ts";
import { GPU_CHILDREN, gpuChild } from "./gpu/child-roles.ts";
import { beThrifty } from "./process.ts";
import { loadBranch } from "./load-branch.ts";
import { simBranch } from "./sim-branch.ts";

/** Between a failure and the end of a process that something still holds up. */
const FAILED_MS = 200;
const SUMMARY = "an inference mesh: finds, watches and routes to the GPU nodes that serve your models";

const ROLE_NOTES: readonly (readonly [string, string])[] = [
  [
    "Configuration",
    "A file (--config), then INFERMESH_* variables, then flags, the later winning. A flag --poll-interval is pollInterval in a file and INFERMESH_POLL_INTERVAL in the environment. Durations: 500ms, 5s, 1m30s. Sizes: 64KiB, 32MiB.",
  ],
  ["Exit codes", "0 after an orderly stop\n1 after a failure\n2 for a wrong command line or configuration"],
];

type Lazy = () => Promise<Command<Section>>;

/** Settings differ from command to command; whoever runs one needs to know only that they fit it. */
function command<S extends Section>(of: Command<S>): Command<Section> {
  return of;
}

const ROLE_COMMANDS = [
  { name: "start", doc: "Start it; what happens when no command is given." },
  { name: "generate-config", doc: "Print a commented configuration file with every default." },
  { name: "validate [FILE]", doc: "Check a configuration and report every fault." },
];

const agentStart: Lazy = async () => {
  const { agentSettings, resolveAgent } = await import("./config.ts");
  return command({
    help: {
      command: "infermesh agent",
      summary: "the node agent: looks after the inference servers of its machine, and tells routers of them",
      usage: ["[start] [flags]", "stop | status | bench-gpu [flags]", "generate-config", "validate [FILE]"],
      commands: [
        ...ROLE_COMMANDS,
        { name: "stop", doc: "Stop an agent that runs on this machine; its requests may end first." },
        { name: "status", doc: "Show what an agent on this machine says of itself." },
        { name: "bench-gpu", doc: "Measure this machine's GPUs, for the rates that the agent tells." },
      ],
      examples: [
        ["infermesh agent", "A node with the inference servers that it finds; a router here finds it by itself."],
        ["infermesh agent --mock", "A mock GPU node."],
        ["infermesh agent --runtime vllm=http://127.0.0.1:8000 --join 10.0.0.5:7947", "One for a router elsewhere."],
      ],
      notes: ROLE_NOTES,
    },
    settings: agentSettings,
    file: "flag",
    run: async (config) => (await import("./agent.ts")).runAgent(resolveAgent(config)),
  });
};

const routerStart: Lazy = async () => {
  const { routerSettings, resolveRouter } = await import("./config.ts");
  return command({
    help: {
      command: "infermesh router",
      summary: "the router: takes OpenAI requests and sends each to the node that will answer it first",
      usage: ["[start] [flags]", "generate-config", "validate [FILE]"],
      commands: ROLE_COMMANDS,
      examples: [
        ["infermesh router --listen :8080", "Agents on this machine register by themselves."],
        [
          "infermesh router --upstream llama-3.1-8b=http://10.0.0.7:8000 --upstream llama-3.1-8b=http://10.0.0.8:8000,2",
          "Two servers without an agent, the second twice as strong.",
        ],
      ],
      notes: ROLE_NOTES,
    },
    settings: routerSettings,
    file: "flag",
    async run(config, _terminal, _operand, source) {
      const load = () => {
        const loaded = source.load();
        return loaded.faults === undefined ? { value: resolveRouter(loaded.value) } : loaded;
      };
      await (await import("./router.ts")).runRouter(resolveRouter(config), { path: source.path, load });
    },
  });
};

const dev: Lazy = async () => {
  const { devSettings } = await import("./config.ts");
  return command({
    help: {
      command: "infermesh dev",
      summary: "a whole mesh on this machine: mock GPU nodes and a router",
      usage: ["[flags]"],
      examples: [
        ["infermesh dev", "Three mock nodes behind a router on port 8080."],
        ["infermesh dev --nodes 8 --traffic 20", "Eight of them, with 20 sample requests a second."],
      ],
      notes: ROLE_NOTES,
    },
    settings: devSettings,
    file: "flag",
    run: async (config) => (await import("./dev.ts")).runDev(config),
  });
};

const member: Lazy = async () => {
  const { memberSettings } = await import("./config.ts");
  return command({
    help: {
      command: "infermesh member",
      summary: "a member of the mesh and nothing else: for measuring what membership costs",
      usage: ["[flags]"],
      notes: [...ROLE_NOTES, ["SIGUSR2", "Makes it log how many members it sees, and how many events it has seen."]],
    },
    settings: memberSettings,
    file: "flag",
    run: async (config) => (await import("./member.ts")).runMember(config),
  });
};

const generateConfig =
  (role: "agent" | "router"): Lazy =>
  async () =>
    command(await (await import("./config-commands.ts")).generateConfig(role));

const validate =
  (role: "agent" | "router"): Lazy =>
  async () =>
    command(await (await import("./config-commands.ts")).validate(role));

const agentStop: Lazy = async () => {
  const [{ stopAgent }, { agentStopSettings }, { stateDirectory }] = await Promise.all([
    import("./ctl/agent-control.ts"),
    import("./ctl/settings.ts"),
    import("./mesh/host.ts"),
  ]);
  return command({
    help: {
      command: "infermesh agent stop",
      summary: "stop an agent that runs on this machine; its requests may end first",
      usage: ["[flags]"],
      notes: [["Exit codes", "0 stopped\n1 still there after the wait\n2 wrong command line\n3 no such agent runs"]],
    },
    settings: agentStopSettings,
    run: (config, terminal) => stopAgent({ ...config, dataDir: config.dataDir || stateDirectory() }, terminal),
  });
};

const agentStatus: Lazy = async () => {
  const [{ showAgentStatus }, { agentStatusSettings }, { stateDirectory }] = await Promise.all([
    import("./ctl/agent-control.ts"),
    import("./ctl/settings.ts"),
    import("./mesh/host.ts"),
  ]);
  return command({
    help: {
      command: "infermesh agent status",
      summary: "show what an agent on this machine says of itself",
      usage: ["[flags]"],
      notes: [["Exit codes", "0 well\n1 not well, or no answer\n2 wrong command line\n3 no such agent runs"]],
    },
    settings: agentStatusSettings,
    run: (config, terminal) => showAgentStatus({ ...config, dataDir: config.dataDir || stateDirectory() }, terminal),
  });
};

const doctor =
  (which: "doctorMachine" | "doctorAgent" | "doctorRouter"): Lazy =>
  async () =>
    // Each fits its own settings, and whoever runs it needs to know no more.
    command((await import("./doctor.ts"))[which] as Command<Section>);

const selfTest: Lazy = async () => command((await import("./self-test.ts")).selfTestCommand);

const benchGpu: Lazy = async () => command((await import("./bench-gpu.ts")).benchGpuCommand);

const inspectStore: Lazy = async () => command((await import("./inspect-store.ts")).inspectStoreCommand);

const roleBranch = (
  name: "agent" | "router",
  doc: string,
  start: Lazy,
  more: Readonly<Record<string, Branch>>,
): Branch => ({
  doc,
  load: start,
  children: {
    start: { doc: "Start it.", load: start },
    ...more,
    "generate-config": { doc: "Print a commented configuration file.", load: generateConfig(name) },
    validate: { doc: "Check a configuration.", load: validate(name) },
  },
});

const snapshotReader = async () => (await import("./store/saved.ts")).decodeSaved;

const TREE: Branch = {
  doc: SUMMARY,
  children: {
    dev: { doc: "A whole mesh on this machine: mock GPU nodes and a router.", load: dev },
    router: roleBranch("router", "The router: sends each OpenAI request to the best node.", routerStart, {}),
    agent: roleBranch("agent", "The node agent: inference servers, vitals, registration.", agentStart, {
      stop: { doc: "Stop an agent of this machine.", load: agentStop },
      status: { doc: "Show an agent of this machine.", load: agentStatus },
      "bench-gpu": { doc: "Measure this machine's GPUs: memory bandwidth, matrix throughput.", load: benchGpu },
      "inspect-store": { doc: "Show what a control node's log holds, and check it.", load: inspectStore },
    }),
    sim: simBranch,
    load: loadBranch,
    doctor: {
      doc: "Check this machine: limits, ports, clock, GPUs, the way to the mesh.",
      load: doctor("doctorMachine"),
      children: {
        machine: { doc: "Check what either needs.", load: doctor("doctorMachine") },
        agent: { doc: "Check what an agent of these settings needs.", load: doctor("doctorAgent") },
        router: { doc: "Check what a router of these settings needs.", load: doctor("doctorRouter") },
      },
    },
    member: { doc: "Membership alone.", load: member, hidden: true },
    "self-test": { doc: "Try what this executable needs of the machine.", load: selfTest, hidden: true },
    ctl: ctlTree(() => TREE, snapshotReader),
    man: {
      doc: "Print a manual page.",
      load: async () => (await import("./ctl/manual.ts")).manualCommand(() => TREE),
    },
    version: { doc: "Show the version; also --version." },
  },
};

/**
 * An agent or a member is to be started, which leave their machine to others. Not an agent that is told to be a control node,
 * whose speed is wanted; where a file tells so, it is thrifty all the same.
 */
function isThriftyRole(args: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const [role, what = "start"] = args;
  if (role === "member" || role === "gpu-probe" || (role === "exec-runtime" && args.length === 1)) return true;
  if (role !== "agent" || (what !== "start" && !what.startsWith("--"))) return false;
  const given = args.findLastIndex((arg) => arg === "--control" || arg.startsWith("--control="));
  const mode = given < 0 ? env["INFERMESH_CONTROL"] : (args[given]?.split("=")[1] ?? args[given + 1]);
  return mode !== "bootstrap" && mode !== "join";
}

function showVersion(): void {
  process.stdout.write(`infermesh ${version} (${commit}, bun ${Bun.version})\n`);
}

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && ["--version", "-V", "version"].includes(args[0] ?? "")) return showVersion();
  if (isThriftyRole(args, process.env)) beThrifty(process.env);
  // An agent's own child, with as little in memory as it can do with.
  const child = GPU_CHILDREN.find((name) => name === args[0]);
  if (child !== undefined) return gpuChild(child, args.slice(1));
  if (args[0] === "exec-runtime") {
    const { keeperProcess } = await import("./keeper/keeper-process.ts");
    return keeperProcess(args.slice(1));
  }
  if (args[0] === "self-test-child") return (await import("./trial/child.ts")).trialChild(args.slice(1));
  const { standardTerminal } = await import("./ctl/terminal.ts");
  const terminal = standardTerminal();
  const columns = process.stdout.columns || 100;
  const { dispatch, grown } = await import("./ctl/dispatch.ts");
  const root = grown("infermesh", TREE, showVersion, async (load, rawArgs) => {
    const { runCommandLine } = await import("./ctl/command.ts");
    // Every setting of every role: most commands do without.
    const variables = async () => (await import("./variables.ts")).variables();
    const surroundings = { env: process.env, terminal, columns, variables };
    process.exitCode = await runCommandLine(await load(), rawArgs, surroundings);
  });
  const code = await dispatch(root, args, terminal, columns);
  if (code !== undefined) process.exitCode = code;
  // A role that could not start has ports open already; what it said gets out first.
  if (process.exitCode !== 0 && process.exitCode !== undefined) setTimeout(() => process.exit(), FAILED_MS).unref();
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  // A bug. A role that has begun to wait for its end takes the process's uncaught errors, and would wait on in silence.
  console.error(error);
  process.exit(1);
}
