/**
 * The log of a role: lines for people on a terminal, one JSON object a line otherwise, on standard output.
 *
 * A JSON line is {"time","level","msg",...fields}; a field that would hide one of the three gets a "_" before it.
 * Logging never throws: a field that can't be written as JSON is written as text.
 */

import { createConsola } from "consola/core";
import { escaped, isPrintable } from "../base/printable.ts";
import { choice, section, type Infer } from "../base/settings.ts";

const LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
type Level = Exclude<(typeof LEVELS)[number], "silent">;

export const logSettings = section(
  {
    format: choice(["auto", "text", "json"], {
      default: "auto",
      doc: "How log lines are written. auto is text on a terminal and JSON otherwise, where another program reads them.",
    }),
    level: choice(LEVELS, {
      default: "info",
      doc: "The least important lines that are still written. debug tells of every poll and registration.",
    }),
  },
  { doc: "The log, on standard output." },
);
export type LogConfig = Infer<typeof logSettings>;

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** The same log, with these fields in every line. */
  with(fields: Fields): Log;
}

/** The log of a whole process. */
export interface RootLog extends Log {
  /** Lines are written so from now on, those of `with` too. */
  configure(config: LogConfig): void;
}

/** Where lines go and what is known of it; replaced in tests. */
export interface LogOutput {
  write(line: string): void;
  readonly isTerminal: boolean;
  readonly color: boolean;
  now(): Date;
}

export function standardOutput(): LogOutput {
  const isTerminal = process.stdout.isTTY;
  const env = process.env;
  return {
    write: (line) => void process.stdout.write(line),
    isTerminal,
    color: isTerminal && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb",
    now: () => new Date(),
  };
}

/** Consola's numbers: a line is written when its own is at most this. */
const THRESHOLDS: Readonly<Record<LogConfig["level"], number>> = { silent: -1, error: 0, warn: 1, info: 3, debug: 4 };

export function createLog(config: LogConfig, output: LogOutput = standardOutput()): RootLog {
  const isText = ({ format }: LogConfig): boolean => format === "text" || (format === "auto" && output.isTerminal);
  let asText = isText(config);
  const consola = createConsola({
    level: THRESHOLDS[config.level],
    // Consola holds lines back that repeat within a second; how often one comes is what logs are read for.
    throttle: 0,
    reporters: [
      {
        log({ type, args }) {
          const [message, fields] = args as [string, Fields];
          const level = type as Level;
          const line = asText
            ? textLine(level, message, fields, output)
            : escaped(jsonLine(level, message, fields, output.now()));
          output.write(`${line}\n`);
        },
      },
    ],
  });
  const under = (own: Fields): Log => ({
    debug: (message, fields) => consola.debug(message, { ...own, ...fields }),
    info: (message, fields) => consola.info(message, { ...own, ...fields }),
    warn: (message, fields) => consola.warn(message, { ...own, ...fields }),
    error: (message, fields) => consola.error(message, { ...own, ...fields }),
    with: (fields) => under({ ...own, ...fields }),
  });
  return {
    ...under({}),
    configure(next) {
      asText = isText(next);
      consola.level = THRESHOLDS[next.level];
    },
  };
}

function jsonLine(level: Level, message: string, fields: Fields, time: Date): string {
  const line: Record<string, unknown> = { time: time.toISOString(), level, msg: message };
  for (const [name, value] of Object.entries(fields)) line[name in line ? `_${name}` : name] = value;
  try {
    return JSON.stringify(line, plain);
  } catch {
    // A cycle somewhere: the line still has to come out.
    return JSON.stringify({
      ...line,
      ...Object.fromEntries(Object.keys(fields).map((name) => [name, String(fields[name])])),
    });
  }
}

/** What JSON has no form for. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return errorFields(value);
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

/** A MeshError is an outcome, told by its code and message; any other error is a bug, and its stack is wanted. */
function errorFields(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    ...(name === "MeshError" || stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause }),
  };
}

const COLORS: Readonly<Record<Level, number>> = { debug: 90, info: 36, warn: 33, error: 31 };

function textLine(level: Level, message: string, fields: Fields, output: LogOutput): string {
  const paint = (code: number, text: string) => (output.color ? `\x1b[${code}m${text}\x1b[0m` : text);
  const time = output.now();
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0"));
  const stamp = `${clock.join(":")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${paint(90, `${escaped(name)}=`)}${escaped(textValue(value))}`);
  return [paint(90, stamp), paint(COLORS[level], level.padEnd(5)), escaped(message), ...parts].join(" ");
}

function textValue(value: unknown): string {
  if (typeof value === "string")
    return /^[!-<>-~\u00a1-\uffff]+$/.test(value) && isPrintable(value) && !/["\\]/.test(value)
      ? value
      : JSON.stringify(value);
  if (value instanceof Error) return JSON.stringify(value.message);
  try {
    return JSON.stringify(value, plain) ?? String(value);
  } catch {
    return String(value);
  }
}
