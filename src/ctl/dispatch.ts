/**
 * From arguments to a command: walks citty's tree of commands by their names. A word that names none is refused with
 * the nearest that does; a group without a default shows what is in it.
 */
import { type CommandDef, defineCommand, runCommand } from "citty";
import { renderHelp } from "../base/help.ts";
import { didYouMean } from "../base/nearest.ts";
import { EXIT } from "./client.ts";
import type { Branch } from "./complete.ts";
import type { Terminal } from "./terminal.ts";

/** A word that names no command may be an operand of the default one. */
interface Grown extends CommandDef {
  readonly takesOperands?: boolean;
}

/**
 * The tree as citty describes commands. A command hands its arguments to our own reader by `run`, which refuses what it
 * doesn't know; one without code, which tells the version, is `bare`.
 */
export function grown(
  name: string,
  { doc: description, hidden = false, load, children, takesOperands = false }: Branch,
  bare: () => void,
  run: (load: NonNullable<Branch["load"]>, rawArgs: readonly string[]) => Promise<void>,
): Grown {
  const meta = { name, description, hidden };
  if (children !== undefined) {
    const subCommands = Object.fromEntries(
      Object.entries(children).map(([word, branch]) => [word, grown(word, branch, bare, run)]),
    );
    const group = defineCommand({
      meta,
      subCommands,
      ...(load === undefined ? {} : { default: Object.keys(children)[0] ?? "" }),
    });
    return { ...group, takesOperands };
  }
  if (load === undefined) return defineCommand({ meta, run: bare });
  return defineCommand({ meta, run: ({ rawArgs }) => run(load, rawArgs) });
}

/** Runs the command that the arguments name, or answers with an exit code that says why there is none. */
export async function dispatch(
  root: CommandDef,
  args: readonly string[],
  terminal: Terminal,
  columns: number,
): Promise<number | undefined> {
  let at: Grown = root;
  let name = await nameOf(root);
  // `infermesh help router` is what many try first.
  let rest = args[0] === "help" ? [...args.slice(1), "--help"] : [...args];
  for (;;) {
    const children = ((await resolved(at.subCommands)) ?? {}) as Record<string, CommandDef>;
    if (Object.keys(children).length === 0) break;
    const [first] = rest;
    const fallback = await resolved(at.default);
    const isWord = first !== undefined && !first.startsWith("-");
    const named = isWord && !(at.takesOperands === true && !Object.hasOwn(children, first));
    if (named && !Object.hasOwn(children, first)) {
      const hint = didYouMean(first, Object.keys(children));
      const shownName = JSON.stringify(first.slice(0, 64));
      terminal.err(`${name}: no command ${shownName}${hint === "" ? "" : `; ${hint}`}\nsee ${name} --help\n`);
      return EXIT.usage;
    }
    if (!named && fallback === undefined) return groupHelp(at, name, children, rest, terminal, columns);
    const chosen = named ? first : (fallback ?? "");
    const child = children[chosen];
    if (child === undefined) break;
    at = child;
    if (named) {
      name = `${name} ${first}`;
      rest = rest.slice(1);
    }
  }
  await runCommand(at, { rawArgs: rest });
  return undefined;
}

async function groupHelp(
  group: CommandDef,
  name: string,
  children: Readonly<Record<string, CommandDef>>,
  rest: readonly string[],
  terminal: Terminal,
  columns: number,
): Promise<number> {
  const asked = rest.includes("--help") || rest.includes("-h");
  const [unknown] = rest.filter((arg) => arg !== "--help" && arg !== "-h");
  if (!asked && unknown !== undefined) {
    terminal.err(
      `${name}: no such flag ${JSON.stringify(unknown.slice(0, 64))} before a command\nsee ${name} --help\n`,
    );
    return EXIT.usage;
  }
  const meta = await resolved(group.meta);
  const commands = await Promise.all(
    Object.entries(children).map(async ([child, def]) => ({
      name: child,
      doc: (await resolved(def.meta))?.description ?? "",
      hidden: (await resolved(def.meta))?.hidden === true,
    })),
  );
  const summary = meta?.description ?? "";
  const help = renderHelp(
    {
      command: name,
      summary,
      usage: ["COMMAND [flags]"],
      commands: commands.filter(({ hidden }) => !hidden),
      notes: [["More", `${name} COMMAND --help`]],
    },
    columns,
  );
  // Asked for, it is the answer; otherwise something was missing.
  if (asked) terminal.out(help);
  else terminal.err(help);
  return asked ? EXIT.ok : EXIT.usage;
}

async function nameOf(command: CommandDef): Promise<string> {
  return (await resolved(command.meta))?.name ?? "";
}

/** citty lets every part of a command be a value, a promise or a function. */
async function resolved<T>(part: T | Promise<T> | (() => T) | (() => Promise<T>)): Promise<T> {
  return typeof part === "function" ? (part as () => T | Promise<T>)() : part;
}
