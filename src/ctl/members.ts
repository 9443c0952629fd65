/** `infermesh ctl members`: who is in the mesh, as one of its members sees it. */
import { EXIT, ask, failureOf, notOurs, recordsIn } from "./client.ts";
import { type Column, figureColumn, formatAge, formatMs, renderRows, textColumn } from "./render.ts";
import type { CtlConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** A member as `GET /members` shows it; whatever is missing is shown as unknown. */
export interface MemberRow {
  readonly id?: string;
  readonly status?: string;
  readonly role?: string;
  readonly zone?: string;
  readonly address?: string;
  readonly incarnation?: number;
  readonly rttMs?: number | null;
  readonly sinceMs?: number;
  readonly seenAgoMs?: number | null;
  readonly version?: string;
  readonly models?: readonly string[];
}

export const STATUS_COLORS: Readonly<Record<string, number>> = { alive: 32, suspect: 33, failed: 31, left: 90 };

export const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  textColumn("ID", ({ id }) => id ?? "-"),
  {
    ...textColumn<MemberRow>("STATUS", ({ status }) => status ?? "-"),
    color: ({ status }) => STATUS_COLORS[status ?? ""],
  },
  textColumn("ROLE", ({ role }) => role ?? "-"),
  textColumn("ZONE", ({ zone }) => zone || "-"),
  textColumn("ADDRESS", ({ address }) => address ?? "-"),
  figureColumn("INCARNATION", ({ incarnation }) => incarnation),
  figureColumn("RTT", ({ rttMs }) => rttMs, formatMs),
  figureColumn("SINCE", ({ sinceMs }) => sinceMs, formatAge),
];

/** The members, once. */
export async function listMembers({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  const members = await askMembers(endpoint, timeoutMs, terminal);
  if (typeof members === "number") return members;
  terminal.out(renderRows(output, members, MEMBER_COLUMNS, { members }, terminal.color));
  return EXIT.ok;
}

/** The members, or the exit code after saying why there are none. */
export async function askMembers(
  endpoint: string,
  timeoutMs: number,
  terminal: Terminal,
): Promise<readonly MemberRow[] | number> {
  const answer = await ask(endpoint, "/members", timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  return (recordsIn(answer.body, "members") as readonly MemberRow[] | undefined) ?? notOurs("members", terminal);
}
