/**
 * What a check of the machine comes to, and how that is shown: a line for people, the same for programs as JSON. What is
 * judged here was found by others (src/doctor-*.ts); nothing is looked at.
 */

import { formatBytes } from "../base/units.ts";

export const GRADES = ["ok", "warn", "fail"] as const;
export type Grade = (typeof GRADES)[number];

export interface Finding {
  /** What was checked, in one word. */
  readonly check: string;
  readonly grade: Grade;
  /** What is the case. */
  readonly found: string;
  /** Why that matters; "" where all is well. */
  readonly why: string;
  /** What to do; "" where all is well. */
  readonly advice: string;
}

export function ok(check: string, found: string): Finding {
  return { check, grade: "ok", found, why: "", advice: "" };
}

/** It works, but not as well or not as safely as it should. */
export function warn(check: string, found: string, why: string, advice: string): Finding {
  return { check, grade: "warn", found, why, advice };
}

/** It will not work. */
export function fail(check: string, found: string, why: string, advice: string): Finding {
  return { check, grade: "fail", found, why, advice };
}

export interface Verdict {
  readonly counts: Readonly<Record<Grade, number>>;
  /** The exit code: 0 when all is well enough. */
  readonly code: 0 | 1;
}

/** A failed check makes it 1; with `isStrict` a warning does so too. */
export function verdictOf(findings: readonly Finding[], isStrict: boolean): Verdict {
  const count = (grade: Grade): number => findings.filter((one) => one.grade === grade).length;
  const counts = { ok: count("ok"), warn: count("warn"), fail: count("fail") };
  return { counts, code: counts.fail > 0 || (isStrict && counts.warn > 0) ? 1 : 0 };
}

const COLORS = { ok: 32, warn: 33, fail: 31 } as const;
const GRADE_WIDTH = 4;

/** A line for each, and one for all. `printable` makes a text safe for a terminal. */
export function report(findings: readonly Finding[], printable: (text: string) => string, hasColor: boolean): string {
  const width = Math.max(...findings.map(({ check }) => check.length), 0);
  const lines = findings.map(({ check, grade, found, why, advice }) => {
    const word = grade.padEnd(GRADE_WIDTH);
    const shown = hasColor ? `\u001b[${COLORS[grade]}m${word}\u001b[0m` : word;
    const more = [why, advice].filter((text) => text !== "").map((text) => `; ${text}`);
    return `${shown}  ${check.padEnd(width)}  ${printable(found + more.join(""))}\n`;
  });
  const { counts } = verdictOf(findings, false);
  return `${lines.join("")}${findings.length} checks: ${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} failed\n`;
}

/** For people. */
export function sizeOf(bytes: number): string {
  if (bytes === Number.POSITIVE_INFINITY) return "any size";
  if (bytes >= 1024 ** 3) return `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
  return bytes >= 1024 ** 2 ? `${Math.round(bytes / 1024 ** 2)} MiB` : formatBytes(bytes);
}
