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
import { type ConfigSource, faultReport, loadConfig, openConfig } from "./load-config.ts";
import type { Terminal } from "./terminal.ts";

export interface Command<S extends Section> {
  readonly help: Omit<Help, "settings" | "extras">;
  readonly settings: S;
  /** It reads --config and INFERMESH_CONFIG; the name of a file may also be an operand where that is all it is for. */
  readonly file?: "flag" | "operand";
  /** What must follow the command besides flags, such as `ID`, and what it is; `run` gets it, "" for none. */
  readonly operand?: { readonly name: string; readonly expected: string; readonly optional?: boolean };
  /** The exit code; nothing is 0. `source` is where the config came from. */
  run(
    config: Infer<S>,
    terminal: Terminal,
    operand: string,
    source: ConfigSource<Infer<S>>,
  ): Promise<number | void> | number | void;
}

/** What a command meets. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  readonly columns: number;
  /** Every variable that some command knows. */
  readonly variables: ReadonlySet<string>;
}

const CONFIG_FLAG: ExtraFlag = {
  name: "config",
  placeholder: "FILE",
  doc: "Configuration file, YAML or JSON; flags and environment win over it. Also INFERMESH_CONFIG.",
};
const HELP_FLAG: ExtraFlag = { name: "help", short: "h", placeholder: "", doc: "Show this." };

/** Runs the command; resolves to the exit code. */
export async function runCommandLine<S extends Section>(
  command: Command<S>,
  args: readonly string[],
  { env, terminal, columns, variables }: Surroundings,
): Promise<number> {
  const { settings, file, operand } = command;
  const name = command.help.command;
  const extras = file === undefined ? [HELP_FLAG] : [CONFIG_FLAG, HELP_FLAG];
  const line = parseFlags(args, settingsOf(settings), extras, file === "operand" || operand !== undefined ? 1 : 0);
  if (line.extras.has("help")) {
    terminal.out(renderHelp({ ...command.help, settings, extras }, columns));
    return EXIT.ok;
  }
  const faults = [...line.faults];
  const [given] = line.operands;
  if (operand !== undefined && operand.optional !== true && (given ?? "") === "") {
    faults.push({ path: operand.name, source: "", found: "none", expected: operand.expected, hint: "" });
  }
  const named = line.extras.get("config") ?? (file === "operand" ? given : undefined);
  const path = named ?? (file === undefined ? "" : (env["INFERMESH_CONFIG"] ?? ""));
  const load = () => {
    const opened = path === "" ? undefined : openConfig(path);
    const sources = { env, flags: line.values, faults, variables };
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
    return (await command.run(loaded.value, terminal, given ?? "", { path, load })) ?? EXIT.ok;
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    terminal.err(`${name}: ${error.message}\n`);
    return error.code === "config_invalid" ? EXIT.usage : EXIT.failed;
  }
}
