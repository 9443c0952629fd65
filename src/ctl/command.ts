/**
 * One command of the command line: from its arguments to its config, its help or a report of every fault, and from
 * its outcome to an exit code.
 */
import { MeshError } from "../base/errors.ts";
import { type ExtraFlag, parseFlags } from "../base/flags.ts";
import { type Help, renderHelp } from "../base/help.ts";
import { settingsOf } from "../base/settings-reading.ts";
import type { Infer, Section } from "../base/settings.ts";
import { EXIT } from "./client.ts";
import { type ConfigSource, faultReport, sufficientVariables, loadConfig, openConfig } from "./load-config.ts";
import { profileTree } from "./profile-file.ts";
import type { Terminal } from "./terminal.ts";

/** What follows a command besides flags. */
export interface Operand {
  /** As usage shows it: `ID`. */
  readonly name: string;
  readonly expected: string;
  readonly optional?: boolean;
  /** The last one may stand for several. */
  readonly many?: boolean;
  /** What a shell completes it by. */
  readonly completes?: Completes;
}

/** Names that the mesh knows, for completion. */
export type Completes = "node" | "gpu" | "model" | "policy" | "profile" | "kind" | "file";

export interface Command<S extends Section> {
  readonly help: Omit<Help, "settings" | "extras">;
  readonly settings: S;
  /** It reads --config and INFERMESH_CONFIG; the name of a file may also be an operand where that is all it is for. */
  readonly file?: "flag" | "operand";
  /** What may or must follow the command besides flags; `run` gets what was given. */
  readonly operands?: readonly Operand[];
  /** It asks a running process: whom and how, a profile may say (see profile-file.ts). */
  readonly client?: boolean;
  /** The exit code; nothing is 0. `source` is where the config came from. */
  run(
    config: Infer<S>,
    terminal: Terminal,
    operands: readonly string[],
    source: ConfigSource<Infer<S>>,
  ): Promise<number | void> | number | void;
}

/** What a command meets. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  readonly columns: number;
  /** Every variable that some command knows; asked for only where there is one that the command itself doesn't know. */
  readonly variables: () => Promise<ReadonlySet<string>>;
}

export const CONFIG_FLAG: ExtraFlag = {
  name: "config",
  placeholder: "FILE",
  doc: "Configuration file, YAML or JSON; flags and environment win over it. Also INFERMESH_CONFIG.",
};
export const PROFILE_FLAG: ExtraFlag = {
  name: "profile",
  placeholder: "NAME",
  doc: "Whom to ask and how, as `infermesh ctl profiles` has it. Also INFERMESH_PROFILE. (default: the current profile, if there is one)",
};
export const HELP_FLAG: ExtraFlag = { name: "help", short: "h", placeholder: "", doc: "Show this." };

/** Runs the command; resolves to the exit code. */
export async function runCommandLine<S extends Section>(
  command: Command<S>,
  args: readonly string[],
  { env, terminal, columns, variables: allVariables }: Surroundings,
): Promise<number> {
  const { settings, file, operands = [], client = false } = command;
  const name = command.help.command;
  const extras = [...(file === undefined ? [] : [CONFIG_FLAG]), ...(client ? [PROFILE_FLAG] : []), HELP_FLAG];
  const many = operands.at(-1)?.many === true;
  const operandsMax = many ? Number.POSITIVE_INFINITY : Math.max(operands.length, file === "operand" ? 1 : 0);
  const line = parseFlags(args, settingsOf(settings), extras, operandsMax);
  if (line.extras.has("help")) {
    terminal.out(renderHelp({ ...command.help, settings, extras }, columns));
    return EXIT.ok;
  }
  const faults = [...line.faults];
  for (const [at, { name: path, expected, optional = false }] of operands.entries()) {
    if (optional || (line.operands[at] ?? "") !== "") continue;
    faults.push({ path, source: "", found: "none", expected, hint: "" });
  }
  const named = line.extras.get("config") ?? (file === "operand" ? line.operands[0] : undefined);
  const path = named ?? (file === undefined ? "" : (env["INFERMESH_CONFIG"] ?? ""));
  const variables = sufficientVariables(settings, env, client) ?? (await allVariables());
  const load = () => {
    const opened = path === "" ? undefined : openConfig(path);
    const sources = { env, flags: line.values, faults, variables, client };
    if (client) {
      const profile = profileTree(env, line.extras.get("profile"));
      if (profile !== undefined && "faults" in profile)
        return loadConfig(settings, { ...sources, faults: [...faults, ...profile.faults] });
      return loadConfig(settings, profile === undefined ? sources : { ...sources, profile });
    }
    if (opened === undefined) return loadConfig(settings, sources);
    if ("text" in opened) return loadConfig(settings, { ...sources, file: opened });
    return loadConfig(settings, { ...sources, faults: [...faults, opened] });
  };
  const loaded = load();
  if (loaded.faults !== undefined) {
    terminal.err(`${faultReport(name, loaded.faults)}see ${name} --help\n`);
    return EXIT.usage;
  }
  try {
    return (await command.run(loaded.value, terminal, line.operands, { path, load })) ?? EXIT.ok;
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    terminal.err(`${name}: ${error.message}\n`);
    return error.code === "config_invalid" ? EXIT.usage : EXIT.failed;
  }
}
