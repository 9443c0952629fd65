/** Membership events as `GET /events` gives them, for people and scripts. */
import { type Column, type Format, renderJsonLine, renderRow, renderTabs, renderWhole, textColumn } from "./render.ts";

export interface EventRow {
  readonly seq?: number;
  /** ISO 8601. */
  readonly time?: string;
  readonly kind?: string;
  /** `node.joined`: with it, `kind` is the part behind the dot. */
  readonly type?: string;
  readonly id?: string;
  readonly address?: string;
  readonly incarnation?: number;
  readonly cause?: string;
  /** What events can be selected by. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** What the types of events begin with. */
export const EVENT_GROUPS = ["node", "model", "policy", "gpu", "routing", "runtime"] as const;

export const KIND_COLORS: Readonly<Record<string, number>> = {
  joined: 32,
  "alive-again": 32,
  updated: 36,
  suspect: 33,
  left: 90,
  failed: 31,
  conflict: 31,
  refused: 31,
  replaced: 31,
};

export const EVENT_COLUMNS: readonly Column<EventRow>[] = [
  { title: "TIME", cell: ({ time }) => localTime(time), raw: ({ time }) => time ?? "-" },
  { ...textColumn<EventRow>("EVENT", ({ kind }) => kind ?? "-"), color: ({ kind }) => KIND_COLORS[kind ?? ""] },
  textColumn("ID", ({ id }) => id ?? "-"),
  textColumn("ADDRESS", ({ address }) => address ?? "-"),
  textColumn("CAUSE", ({ cause }) => cause ?? "-"),
];

const TIME_WIDTH = "2026-01-02 15:04:05".length;
const KIND_WIDTH = "alive-again".length;
const ADDRESS_WIDTH = "10.100.100.100:7946".length;

/** One event as a line; in YAML a document of its own. `idWidth`: of the ids that are usual here. */
export function renderEvent(format: Format, event: EventRow, idWidth: number, color: boolean): string {
  if (format === "json") return renderJsonLine(event);
  if (format === "yaml") return `---\n${renderWhole("yaml", event)}`;
  if (format === "text") return renderTabs(event, EVENT_COLUMNS);
  return renderRow(event, EVENT_COLUMNS, [TIME_WIDTH, KIND_WIDTH, idWidth, ADDRESS_WIDTH], color);
}

/** The last moment that a Date can hold. */
export const TIME_MS_MAX = 8.64e15;

/** By the clock on this machine's wall. */
export function localTime(time: string | undefined): string {
  const date = new Date(time ?? Number.NaN);
  if (Number.isNaN(date.getTime())) return time ?? "-";
  const two = (figure: number): string => String(figure).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
