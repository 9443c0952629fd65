/** `generate-config` and `validate` of agents and routers: commands about a configuration, which start nothing. */
import { sampleFile } from "./base/sample-file.ts";
import { type Section, section } from "./base/settings.ts";
import { version } from "./base/version.ts";
import type { Command } from "./ctl/command.ts";

type Role = "agent" | "router";

/** The settings of a role: those of every room, so that they are loaded for who asks for them alone. */
async function settingsOf(role: Role): Promise<Section> {
  const { agentSettings, routerSettings } = await import("./config.ts");
  return { agent: agentSettings, router: routerSettings }[role];
}

export async function generateConfig(role: Role): Promise<Command<Section>> {
  const settings = await settingsOf(role);
  const title = `Configuration of an infermesh ${role}, version ${version}: every key with its default.\nStart with: infermesh ${role} --config FILE\nCheck with: infermesh ${role} validate FILE`;
  return {
    help: {
      command: `infermesh ${role} generate-config`,
      summary: "print a commented YAML file with every setting and its default",
      usage: [`> ${role}.yaml`],
    },
    settings: section({}),
    run: (_config, terminal) => terminal.out(sampleFile(settings, title)),
  };
}

export async function validate(role: Role): Promise<Command<Section>> {
  return {
    help: {
      command: `infermesh ${role} validate`,
      summary: "check a configuration file, with the environment and flags as they would be used; report every fault",
      usage: ["[FILE] [flags]"],
      notes: [["Exit codes", "0 valid\n2 not"]],
    },
    settings: await settingsOf(role),
    file: "operand",
    run: (_config, terminal) => terminal.out("valid\n"),
  };
}
