/** `infermesh ctl profiles`: named ways to reach a mesh (see profile-file.ts). */
import { didYouMean } from "../base/nearest.ts";
import { escaped } from "../base/printable.ts";
import { choice, duration, flag, type Infer, section } from "../base/settings.ts";
import { baseUrl } from "../base/settings-urls.ts";
import { shown } from "../base/shown.ts";
import { formatDuration } from "../base/units.ts";
import { EXIT } from "./client.ts";
import type { Operand } from "./command.ts";
import { part } from "./part.ts";
import {
  NAME_EXPECTED,
  PROFILE_NAME,
  type ProfileFile,
  profilePath,
  readProfiles,
  writeProfiles,
} from "./profile-file.ts";
import { type Column, renderFigures, renderRows, textColumn, wordOf } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const AS_IT_IS = "as-it-is";
const showSettings = section({ output: ctlSettings.fields.output });
const setSettings = section({
  endpoint: baseUrl({
    default: "",
    expected: "the URL of a router's or an agent's --api port, such as http://127.0.0.1:50052",
    emptyMeans: "as it is",
    doc: "Whom to ask.",
  }),
  output: choice([AS_IT_IS, "table", "json", "yaml", "text", "wide"], {
    default: AS_IT_IS,
    short: "o",
    doc: "How answers are printed.",
  }),
  timeoutMs: duration({ default: "0s", max: "10m", emptyMeans: "as it is", doc: "How long to wait for an answer." }),
  use: flag({ default: false, doc: "Make it the current one, too." }),
});

const NAME: Operand = { name: "NAME", expected: "a profile's name, as profiles list shows it", completes: "profile" };

interface ProfileRow {
  readonly name: string;
  readonly current: boolean;
  readonly endpoint?: unknown;
  readonly output?: unknown;
  readonly timeout?: unknown;
}

const cell = (value: unknown): string => (value === undefined ? "-" : wordOf(value));
const PROFILE_COLUMNS: readonly Column<ProfileRow>[] = [
  {
    ...textColumn<ProfileRow>("CURRENT", ({ current }) => (current ? "*" : "")),
    raw: ({ current }) => (current ? "*" : "-"),
  },
  textColumn("NAME", ({ name }) => name),
  textColumn("ENDPOINT", ({ endpoint }) => cell(endpoint)),
  textColumn("OUTPUT", ({ output }) => cell(output)),
  textColumn("TIMEOUT", ({ timeout }) => cell(timeout)),
];

const say = (terminal: Terminal, text: string): void => terminal.err(`infermesh ctl profiles: ${escaped(text)}\n`);

function listProfiles({ output }: Infer<typeof showSettings>, terminal: Terminal): number {
  const path = profilePath(process.env);
  const { current, profiles } = readProfiles(path);
  const rows = Object.entries(profiles).map(([name, profile]): ProfileRow => ({
    name,
    current: name === current,
    ...profile,
  }));
  if (rows.length === 0 && (output === "table" || output === "wide")) {
    terminal.err(`no profiles in ${path}; \`infermesh ctl profiles set NAME --endpoint URL\` makes one\n`);
  } else terminal.out(renderRows(output, rows, PROFILE_COLUMNS, { current, profiles: rows }, terminal.color));
  return EXIT.ok;
}

/** The profile of that name, or an exit code after saying that there is none. */
function find({ profiles }: ProfileFile, name: string, terminal: Terminal): Readonly<Record<string, unknown>> | number {
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (found !== undefined) return found;
  const near = didYouMean(name, Object.keys(profiles));
  const hint = near === "" ? "`infermesh ctl profiles list` shows those that there are" : near;
  say(terminal, `there is no profile ${shown(name)}; ${hint}`);
  return EXIT.failed;
}

function useProfile(terminal: Terminal, name: string): number {
  const path = profilePath(process.env);
  const file = readProfiles(path);
  if (name !== "") {
    const found = find(file, name, terminal);
    if (typeof found === "number") return found;
  }
  writeProfiles(path, { ...file, current: name });
  terminal.out(name === "" ? "no profile is current now\n" : `${name} is the current profile now\n`);
  return EXIT.ok;
}

function setProfile(
  { endpoint, output, timeoutMs, use }: Infer<typeof setSettings>,
  terminal: Terminal,
  name: string,
): number {
  if (!PROFILE_NAME.test(name)) {
    say(terminal, `the name is ${shown(name)}; expected ${NAME_EXPECTED}`);
    return EXIT.usage;
  }
  if (endpoint === "" && output === AS_IT_IS && timeoutMs === 0 && !use) {
    say(terminal, "say what to set: --endpoint, --output, --timeout or --use");
    return EXIT.usage;
  }
  const path = profilePath(process.env);
  const file = readProfiles(path);
  const before = Object.hasOwn(file.profiles, name) ? file.profiles[name] : undefined;
  const profile = {
    ...before,
    ...(endpoint === "" ? {} : { endpoint }),
    ...(output === AS_IT_IS ? {} : { output }),
    ...(timeoutMs === 0 ? {} : { timeout: formatDuration(timeoutMs) }),
  };
  writeProfiles(path, { current: use ? name : file.current, profiles: { ...file.profiles, [name]: profile } });
  terminal.out(
    `profile ${name} ${before === undefined ? "made" : "changed"}${use ? ", and the current one now" : ""}\n`,
  );
  // Who sets a first one likely means it to count.
  if (!use && file.current === "") {
    say(terminal, `no profile is current; \`infermesh ctl profiles use ${name}\` makes it so, or name it by --profile`);
  }
  return EXIT.ok;
}

function deleteProfile(terminal: Terminal, name: string): number {
  const path = profilePath(process.env);
  const file = readProfiles(path);
  const found = find(file, name, terminal);
  if (typeof found === "number") return found;
  const { [name]: _, ...profiles } = file.profiles;
  writeProfiles(path, { current: file.current === name ? "" : file.current, profiles });
  terminal.out(`profile ${name} deleted${file.current === name ? "; it was the current one, and none is now" : ""}\n`);
  return EXIT.ok;
}

function showProfile({ output }: Infer<typeof showSettings>, terminal: Terminal, given: string): number {
  const file = readProfiles(profilePath(process.env));
  const name = given === "" ? file.current : given;
  if (name === "") {
    say(terminal, "no profile is current; name one, or choose one by `infermesh ctl profiles use NAME`");
    return EXIT.failed;
  }
  const found = find(file, name, terminal);
  if (typeof found === "number") return found;
  terminal.out(renderFigures(output, { name, ...found }));
  return EXIT.ok;
}

/** The current one's name, alone on a line: for scripts and prompts. */
function tellCurrent(terminal: Terminal): number {
  const { current, profiles } = readProfiles(profilePath(process.env));
  if (current === "") {
    say(terminal, "no profile is current; choose one by `infermesh ctl profiles use NAME`");
    return EXIT.failed;
  }
  terminal.out(`${current}\n`);
  if (Object.hasOwn(profiles, current)) return EXIT.ok;
  say(
    terminal,
    `there is no profile ${shown(current)} any more; choose another by \`infermesh ctl profiles use NAME\``,
  );
  return EXIT.failed;
}

/** The commands, without their help. */
export const PROFILES = {
  list: part({ settings: showSettings, run: listProfiles }),
  current: part({ settings: section({}), run: (_config, terminal) => tellCurrent(terminal) }),
  use: part({
    settings: section({}),
    operands: [{ ...NAME, optional: true }],
    run: (_config, terminal, [name = ""]) => useProfile(terminal, name),
  }),
  set: part({
    settings: setSettings,
    operands: [NAME],
    run: (config, terminal, [name = ""]) => setProfile(config, terminal, name),
  }),
  delete: part({
    settings: section({}),
    operands: [NAME],
    run: (_config, terminal, [name = ""]) => deleteProfile(terminal, name),
  }),
  show: part({
    settings: showSettings,
    operands: [{ ...NAME, optional: true }],
    run: (config, terminal, [name = ""]) => showProfile(config, terminal, name),
  }),
};
