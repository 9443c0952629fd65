/**
 * Command lines, read by the settings that a command has: `--name value`, `--name=value`, `--name` for a switch,
 * `--no-name` to turn it off. What takes several values may be given several times; of the others the last one
 * counts. Every fault is reported, not only the first; nothing is guessed and nothing ignored.
 */

import type { Fault } from "./field.ts";
import { nearest } from "./nearest.ts";
import type { Setting, TextValue } from "./settings-reading.ts";
import { shown } from "./shown.ts";

/** A flag that is no setting: `--config FILE`, `--help`. */
export interface ExtraFlag {
  readonly name: string;
  /** One letter, for `-h`. */
  readonly short?: string;
  /** Stands for the value in help; "" for a switch. */
  readonly placeholder: string;
  readonly doc: string;
}

export interface CommandLine {
  readonly values: readonly TextValue[];
  /** Extra flags by name; a switch has "". */
  readonly extras: ReadonlyMap<string, string>;
  /** What is no flag. */
  readonly operands: readonly string[];
  readonly faults: readonly Fault[];
}

interface Known {
  readonly placeholder: string;
  readonly bare: string | undefined;
  take(text: string): void;
}

/** Reads the arguments after a command's name. At most `operandsMax` operands are taken. */
export function parseFlags(
  args: readonly string[],
  settings: readonly Setting[],
  extraFlags: readonly ExtraFlag[] = [],
  operandsMax = 0,
): CommandLine {
  const texts = new Map<Setting, string[]>();
  const extras = new Map<string, string>();
  const operands: string[] = [];
  const faults: Fault[] = [];
  const fault = (path: string, found: string, expected: string, hint = "") =>
    faults.push({ path, source: "", found, expected, hint });

  const known = new Map<string, Known>();
  for (const setting of settings) {
    const { placeholder, bare } = setting.field;
    const take = (text: string) => void texts.set(setting, [...(texts.get(setting) ?? []), text]);
    known.set(`--${setting.flag}`, { placeholder, bare, take });
    if (setting.field.short !== undefined) known.set(`-${setting.field.short}`, { placeholder, bare, take });
    if (setting.field.kind === "flag") {
      known.set(`--no-${setting.flag}`, { placeholder: "", bare: "false", take: () => take("false") });
    }
  }
  for (const { name, short, placeholder } of extraFlags) {
    const bare = placeholder === "" ? "" : undefined;
    const extra = { placeholder, bare, take: (text: string) => void extras.set(name, text) };
    known.set(`--${name}`, extra);
    if (short !== undefined) known.set(`-${short}`, extra);
  }

  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    if (arg === "--") {
      operands.push(...args.slice(at + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      operands.push(arg);
      continue;
    }
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const flag = known.get(name);
    if (flag === undefined) {
      fault(name, shown(arg), "no such flag", nearFlag(name, [...known.keys()]));
      // Its value, if the next argument is one, is not a fault of its own.
      if (equals < 0 && isValue(args[at + 1])) at += 1;
      continue;
    }
    const next = args[at + 1];
    if (equals >= 0) {
      if (flag.placeholder === "" && flag.bare !== "true") fault(name, shown(arg), `${name} without a value`);
      else flag.take(arg.slice(equals + 1));
    } else if (flag.bare !== undefined && (flag.placeholder === "" || !isValue(next))) {
      flag.take(flag.bare);
    } else if (next === undefined || (next.startsWith("--") && next.length > 2)) {
      fault(name, "no value", `${name} ${flag.placeholder}`);
    } else {
      flag.take(next);
      at += 1;
    }
  }
  for (const operand of operands.slice(operandsMax)) fault(shown(operand), "an argument", "only flags here");
  const values = [...texts].map(([setting, raw]): TextValue => {
    return { setting, raw: setting.field.repeatable ? raw : (raw.at(-1) ?? ""), source: `flag --${setting.flag}` };
  });
  return { values, extras, operands: operands.slice(0, operandsMax), faults };
}

function isValue(arg: string | undefined): boolean {
  return arg !== undefined && !arg.startsWith("-");
}

function nearFlag(name: string, known: readonly string[]): string {
  const bare = (flag: string) => flag.replace(/^-+/, "");
  const near = nearest(bare(name), known.filter((flag) => !flag.startsWith("--no-")).map(bare));
  return near === undefined ? "" : `did you mean --${near}?`;
}
