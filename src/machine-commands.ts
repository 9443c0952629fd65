/**
 * Commands that run no role: about configurations, and about what is on this machine. They are imported when they are run,
 * as those of the roles are (main.ts).
 */
import { version } from "./base/version.ts";
import type { Section } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";

export type Lazy = () => Promise<Command<Section>>;

/** Settings differ from command to command; whoever runs one needs to know only that they fit it. */
export function command<S extends Section>(of: Command<S>): Command<Section> {
  return of;
}

export const generateConfig =
  (role: "agent" | "router"): Lazy =>
  async () => {
    const [config, { sampleFile }, { section }] = await Promise.all([
      import("./config.ts"),
      import("./base/sample-file.ts"),
      import("./base/settings.ts"),
    ]);
    const title = `Configuration of an infermesh ${role}, version ${version}: every key with its default.\nStart with: infermesh ${role} --config FILE\nCheck with: infermesh ${role} validate FILE`;
    return command({
      help: {
        command: `infermesh ${role} generate-config`,
        summary: "print a commented YAML file with every setting and its default",
        usage: [`> ${role}.yaml`],
      },
      settings: section({}),
      run: (_config, terminal) => terminal.out(sampleFile(config[`${role}Settings`], title)),
    });
  };

export const validate =
  (role: "agent" | "router"): Lazy =>
  async () => {
    const config = await import("./config.ts");
    return command<Section>({
      help: {
        command: `infermesh ${role} validate`,
        summary: "check a configuration file, with the environment and flags as they would be used; report every fault",
        usage: ["[FILE] [flags]"],
        notes: [["Exit codes", "0 valid\n2 not"]],
      },
      settings: config[`${role}Settings`],
      file: "operand",
      run: (_config, terminal) => terminal.out("valid\n"),
    });
  };

export const agentStop: Lazy = async () => {
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

export const agentStatus: Lazy = async () => {
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

export const benchGpu: Lazy = async () => command((await import("./bench-gpu.ts")).benchGpuCommand);

export const inspectStore: Lazy = async () => {
  const { inspectStoreHelp, inspectStoreSettings } = await import("./store/inspect-settings.ts");
  return command({
    help: inspectStoreHelp,
    settings: inspectStoreSettings,
    operands: [{ name: "PATH", expected: "a log's database, such as DATA-DIR/control-ID.sqlite", completes: "file" }],
    async run({ entries: count, output }, terminal, [path = ""]) {
      const { entryLine, inspectLog } = await import("./store/log-inspection.ts");
      const { renderFigures, renderJsonLine } = await import("./ctl/render.ts");
      const { summary, entries, fault } = await inspectLog(path);
      if (count === 0) terminal.out(renderFigures(output, summary));
      else for (const entry of entries.slice(-count)) terminal.out(renderJsonLine(entryLine(entry)));
      if (fault !== null) throw fault;
    },
  });
};
