/**
 * `infermesh man`: manual pages of all commands, one for the whole and one for each that stands behind `infermesh`. They
 * are made when they are asked for, of what the commands declare, so that they are of the executable that prints them.
 */
import { MeshError } from "../base/errors.ts";
import { type Chapter, manualPage } from "../base/manual.ts";
import { didYouMean } from "../base/nearest.ts";
import { flag, type Section, section } from "../base/settings.ts";
import { version } from "../base/version.ts";
import { CONFIG_FLAG, type Command, HELP_FLAG, PROFILE_FLAG } from "./command.ts";
import type { Branch } from "./complete.ts";

const NAME = "infermesh";

const FILES = `INFERMESH_CONFIG names a configuration file, as --config does; every flag has a variable, and wins over it.
INFERMESH_ENDPOINT and INFERMESH_PROFILE say whom infermesh ctl asks.`;

export function manualCommand(root: () => Branch): Command<Section> {
  const settings = section({ list: flag({ default: false, doc: "Print the names of all pages." }) });
  const command: Command<typeof settings> = {
    help: {
      command: "infermesh man",
      summary: "print a manual page, for man and whatever else reads roff",
      usage: ["[PAGE]", "--list"],
      operands: [{ name: "[PAGE]", doc: "The page: infermesh by default, infermesh-router, infermesh-ctl and so on." }],
      examples: [
        ["infermesh man router | man -l -", "Read a page."],
        ["infermesh man > ~/.local/share/man/man1/infermesh.1", "Put one where man finds it."],
      ],
    },
    settings,
    operands: [{ name: "PAGE", expected: "a page's name", optional: true }],
    async run({ list }, terminal, [asked = NAME]) {
      const names = pageNames(root());
      if (list) return terminal.out(names.map((name) => `${name}\n`).join(""));
      const name = names.find((one) => one === asked || one === `${NAME}-${asked}`);
      if (name === undefined) {
        const hint = didYouMean(asked, [...names, ...names.map((one) => one.slice(NAME.length + 1))]);
        throw new MeshError(
          "config_invalid",
          `there is no page ${JSON.stringify(asked.slice(0, 64))}${hint === "" ? "" : `; ${hint}`}; infermesh man --list names them`,
        );
      }
      terminal.out(await page(root(), name));
    },
  };
  return command;
}

/** Of the whole, and of each command that has flags or others below it. */
export function pageNames(root: Branch): string[] {
  const pages = visible(root).filter(([, branch]) => branch.load !== undefined || branch.children !== undefined);
  return [NAME, ...pages.map(([name]) => `${NAME}-${name}`)];
}

/** The page of that name, which is one of `pageNames`. */
export async function page(root: Branch, name: string): Promise<string> {
  const seeAlso = pageNames(root).filter((other) => other !== name);
  const rest = { name, version, seeAlso };
  if (name === NAME) {
    const commands = visible(root).map(([word, { doc }]) => ({ name: word, doc }));
    const help = { command: NAME, summary: root.doc, usage: ["COMMAND [flags]"], commands };
    return manualPage({ ...rest, chapter: { help, below: [] }, sections: [["Environment", FILES]] });
  }
  const word = name.slice(NAME.length + 1);
  const branch = root.children?.[word];
  if (branch === undefined) throw new MeshError("config_invalid", `there is no page ${name}`);
  return manualPage({
    ...rest,
    chapter: await chapterOf(`${NAME} ${word}`, branch),
    sections: [["Environment", FILES]],
  });
}

async function chapterOf(command: string, branch: Branch): Promise<Chapter> {
  const loaded = await branch.load?.();
  const below: Chapter[] = [];
  for (const [name, child] of visible(branch)) {
    // What runs when none is named is the chapter's own.
    if (child.load !== undefined && child.load === branch.load) continue;
    const chapter = await chapterOf(`${command} ${name}`, child);
    // Flags of the chapter's own are not told again.
    const isSame = chapter.help.settings !== undefined && chapter.help.settings === loaded?.settings;
    below.push(isSame ? { ...chapter, help: { ...chapter.help, settings: undefined, extras: [] } } : chapter);
  }
  if (loaded === undefined) return group(command, branch.doc, below);
  const { help, settings, file, client = false } = loaded;
  const extras = [...(file === undefined ? [] : [CONFIG_FLAG]), ...(client ? [PROFILE_FLAG] : []), HELP_FLAG];
  return { help: { ...help, settings, extras }, below };
}

/** Commands that have no flags in common: what most of them note is noted once, for all. */
function group(command: string, summary: string, below: readonly Chapter[]): Chapter {
  const told = below.flatMap(({ help }) => help.notes ?? []);
  const isShared = (note: Note): boolean =>
    2 * told.filter((other) => other.join() === note.join()).length > below.length;
  const shared = told.filter(
    (note, at) => isShared(note) && told.findIndex((other) => other.join() === note.join()) === at,
  );
  const own = below.map(({ help, below: further }): Chapter => {
    return { help: { ...help, notes: (help.notes ?? []).filter((note) => !isShared(note)) }, below: further };
  });
  return { help: { command, summary, usage: ["COMMAND [flags]"], notes: shared }, below: own };
}

type Note = NonNullable<Chapter["help"]["notes"]>[number];

function visible({ children = {} }: Branch): [string, Branch][] {
  return Object.entries(children).filter(([, { hidden = false }]) => !hidden);
}
