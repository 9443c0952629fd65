/**
 * What may come next on a command line: for shells, which ask by the hidden `infermesh ctl complete` whenever somebody
 * presses Tab. All that is known of a command is declared once, so completion can't fall behind.
 *
 * Names of nodes and models are asked for; the one who is asked is given a short time, and without an answer there are
 * none: nobody waits for a Tab.
 */
import { settingsOf } from "../base/settings-reading.ts";
import type { Section } from "../base/settings.ts";
import { KINDS } from "../policy/spec.ts";
import type { Command, Completes } from "./command.ts";
import { CONFIG_FLAG, HELP_FLAG, PROFILE_FLAG } from "./command.ts";

/** A command, or a group of them. */
export interface Branch {
  readonly doc: string;
  readonly hidden?: boolean;
  /** With children: what runs when none of them is named, as the first of them. */
  readonly load?: () => Promise<Command<Section>>;
  /** A word that names no child is an operand of what runs when none is named. */
  readonly takesOperands?: boolean;
  readonly children?: Readonly<Record<string, Branch>>;
}

export interface Candidate {
  /** What the word would be, whole. */
  readonly word: string;
  readonly doc: string;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** The shell's own completion of files is wanted. */
  readonly files: boolean;
}

/** Names of a kind that the mesh knows; `words` are the command line, which may say whom to ask. */
export type Names = (kind: Named, words: readonly string[]) => Promise<readonly string[]>;
type Named = Exclude<Completes, "kind" | "file">;

interface Flag {
  readonly word: string;
  readonly doc: string;
  /** It takes no value, or may be without one. */
  readonly bare: boolean;
  readonly values: readonly string[];
  readonly completes: Completes | undefined;
}

const NOTHING: Candidates = { candidates: [], files: false };

/** By a flag's name: what its value names. */
const FLAG_NAMES: Readonly<Record<string, Completes>> = {
  node: "node",
  nodes: "node",
  model: "model",
  profile: "profile",
  kind: "kind",
  kinds: "kind",
  prune: "kind",
  file: "file",
  config: "file",
  executable: "file",
  "data-dir": "file",
};

/** Of commands that ask a running process; an agent's `--gpu` says what reads its GPUs. */
const CLIENT_FLAG_NAMES: Readonly<Record<string, Completes>> = { ...FLAG_NAMES, gpu: "gpu" };

/** What the last of the words, which are all that follows the program's name, may become. */
export async function complete(root: Branch, words: readonly string[], names: Names): Promise<Candidates> {
  let at = root;
  let rest = words.slice(0, -1);
  const last = words.at(-1) ?? "";
  while (rest.length > 0) {
    const child = Object.hasOwn(at.children ?? {}, rest[0] ?? "") ? at.children?.[rest[0] ?? ""] : undefined;
    if (child === undefined) break;
    at = child;
    rest = rest.slice(1);
  }
  if (at.children !== undefined && rest.length === 0 && !last.startsWith("-")) return fitting(childrenOf(at), last);
  const command = await at.load?.();
  if (command === undefined) {
    return rest.length === 0 ? fitting([{ word: "--help", doc: HELP_FLAG.doc }], last) : NOTHING;
  }
  return withinCommand(command, rest, last, (kind) => names(kind, words));
}

async function withinCommand(
  command: Command<Section>,
  given: readonly string[],
  last: string,
  names: (kind: Named) => Promise<readonly string[]>,
): Promise<Candidates> {
  const flags = flagsOf(command);
  const { operands = [] } = command;
  let operand = 0;
  let waiting: Flag | undefined;
  let onlyOperands = false;
  for (const word of given) {
    if (waiting !== undefined) waiting = undefined;
    else if (!onlyOperands && word === "--") onlyOperands = true;
    else if (!onlyOperands && word.startsWith("-") && word !== "-") {
      const flag = flags.find((known) => known.word === word);
      waiting = flag?.bare === false ? flag : undefined;
    } else operand += 1;
  }
  if (waiting !== undefined) return valuesOf(waiting, last, "", names);
  if (!onlyOperands && last.startsWith("-")) {
    const equals = last.indexOf("=");
    if (equals < 0)
      return fitting(
        flags.filter(({ word }) => word.startsWith("--")),
        last,
      );
    const flag = flags.find(({ word }) => word === last.slice(0, equals));
    return flag === undefined ? NOTHING : valuesOf(flag, last.slice(equals + 1), last.slice(0, equals + 1), names);
  }
  const final = operands.at(-1);
  const wanted = operands[operand] ?? (final?.many === true ? final : undefined);
  if (wanted?.completes !== undefined) return ofKind(wanted.completes, last, "", names);
  // Where nothing is wanted but flags, they are shown.
  return wanted === undefined && last === ""
    ? fitting(
        flags.filter(({ word }) => word.startsWith("--")),
        last,
      )
    : NOTHING;
}

function childrenOf({ children = {} }: Branch): Candidate[] {
  return Object.entries(children).flatMap(([word, { doc, hidden = false }]) => (hidden ? [] : [{ word, doc }]));
}

function flagsOf({ settings, file, client = false }: Command<Section>): Flag[] {
  const own = settingsOf(settings).flatMap(({ flag, field }): Flag[] => {
    const choices = /^one of (.+)$/.exec(field.expected)?.[1];
    const of = {
      doc: field.doc,
      bare: field.bare !== undefined,
      values: field.kind === "choice" && choices !== undefined ? choices.split(", ") : [],
      completes: (client ? CLIENT_FLAG_NAMES : FLAG_NAMES)[flag],
    };
    return [{ word: `--${flag}`, ...of }, ...(field.short === undefined ? [] : [{ word: `-${field.short}`, ...of }])];
  });
  const extras = [...(file === undefined ? [] : [CONFIG_FLAG]), ...(client ? [PROFILE_FLAG] : []), HELP_FLAG];
  return [
    ...own,
    ...extras.map(({ name, doc, placeholder }) => {
      return { word: `--${name}`, doc, bare: placeholder === "", values: [], completes: FLAG_NAMES[name] };
    }),
  ];
}

async function valuesOf(
  { values, completes }: Flag,
  given: string,
  before: string,
  names: (kind: Named) => Promise<readonly string[]>,
): Promise<Candidates> {
  if (values.length > 0)
    return fitting(
      values.map((word) => ({ word: before + word, doc: "" })),
      before + given,
    );
  if (completes === undefined) return NOTHING;
  // The last of several, with commas between.
  const comma = given.lastIndexOf(",") + 1;
  return ofKind(completes, given.slice(comma), before + given.slice(0, comma), names);
}

async function ofKind(
  kind: Completes,
  given: string,
  before: string,
  names: (kind: Named) => Promise<readonly string[]>,
): Promise<Candidates> {
  if (kind === "file") return { candidates: [], files: true };
  const known = kind === "kind" ? KINDS : (await names(kind)).toSorted();
  return fitting(
    known.map((word) => ({ word: before + word, doc: "" })),
    before + given,
  );
}

function fitting(candidates: readonly Candidate[], begun: string): Candidates {
  return { candidates: candidates.filter(({ word }) => word.startsWith(begun)), files: false };
}
