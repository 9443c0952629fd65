/** `infermesh ctl subscribe-events`: what happens in the mesh, as it happens. */
import { escaped } from "../base/printable.ts";
import { flag, type Infer, section, text } from "../base/settings.ts";
import { list, map } from "../base/settings-collections.ts";
import { ask, EXIT, failureOf, notOurs, recordsIn } from "./client.ts";
import { followEvents } from "./event-stream.ts";
import { EVENT_GROUPS, type EventRow, KIND_COLORS, localTime } from "./events.ts";
import { asking } from "./part.ts";
import {
  type Column,
  columnsOf,
  isWhole,
  renderJsonLine,
  renderRow,
  renderTabs,
  renderWhole,
  textColumn,
} from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { untilEnded } from "./until-ended.ts";
import { optionalNumber } from "./write-settings.ts";

const subscribeSettings = section({
  types: list(
    text({
      lengthMax: 64,
      placeholder: "TYPE,...",
      pattern: new RegExp(`^(${EVENT_GROUPS.join("|")})(\\.[a-z-]+)?$`),
      expected: `one of ${EVENT_GROUPS.join(", ")}, or a type of these such as node.joined`,
    }),
    {
      default: [],
      flag: "type",
      doc: `Only these: node.joined, or node for all that begin with node; there are ${EVENT_GROUPS.join(", ")}. (default: all)`,
    },
  ),
  labels: map(text({ lengthMax: 253 }), {
    default: {},
    flag: "label",
    doc: "Only events with all of these labels, such as zone=a.",
  }),
  since: optionalNumber({
    whole: true,
    emptyMeans: "from now on; with --once all that is kept",
    doc: "Events after the one of this number; 0: all that is still kept.",
  }),
  once: flag({ default: false, doc: "Show what is kept, and end." }),
  ...ctlSettings.fields,
});
type SubscribeConfig = Infer<typeof subscribeSettings>;

const TYPE_WIDTH = "model.unavailable".length;
const TIME_WIDTH = "2026-01-02 15:04:05".length;
const ID_WIDTH_MIN = 16;

const labelsText = (labels: EventRow["labels"]): string =>
  Object.entries(labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join(",") || "-";

const COLUMNS: readonly Column<EventRow>[] = [
  { title: "TIME", cell: ({ time }) => localTime(time), raw: ({ time }) => time ?? "-" },
  {
    ...textColumn<EventRow>("TYPE", ({ type, kind }) => type ?? kind ?? "-"),
    color: ({ kind }) => KIND_COLORS[kind ?? ""],
  },
  textColumn("SUBJECT", ({ id }) => id ?? "-"),
  textColumn("WHAT", ({ cause }) => cause ?? "-"),
  textColumn("NUMBER", ({ seq }) => String(seq ?? "-")),
  { ...textColumn<EventRow>("LABELS", ({ labels }) => labelsText(labels)), wide: true },
];
/** People read on; the number is for scripts and for wide tables. */
const LINE_COLUMNS = COLUMNS.map((column) => (column.title === "NUMBER" ? { ...column, wide: true } : column));

async function subscribe(config: SubscribeConfig, terminal: Terminal): Promise<number> {
  const { since } = config;
  const after = since === "" ? "" : `&after=${since}`;
  const parameters = new URLSearchParams();
  if (config.types.length > 0) parameters.append("type", config.types.join(","));
  for (const [name, value] of Object.entries(config.labels)) parameters.append("label", `${name}=${value}`);
  const query = parameters.toString();
  const filter = `${query === "" ? "" : `&${query}`}${after}`;
  if (config.once) return listEvents(config, terminal, filter);
  return untilEnded(terminal, (ended) => {
    let life: number | undefined;
    let idWidth = ID_WIDTH_MIN;
    return followEvents(config, filter, terminal, ended, (line, endpoint) => {
      if (line.kind === "gap") {
        if (config.output === "json") terminal.out(renderJsonLine({ missed: line.missed, next: line.next }));
        terminal.err(`infermesh ctl: ${line.missed ?? "some"} events were missed\n`);
      } else if (line.kind === "heartbeat") {
        if (life !== undefined && line.first !== life)
          terminal.err(`infermesh ctl: ${escaped(endpoint)} has begun anew\n`);
        life = line.first;
      } else {
        idWidth = Math.max(idWidth, line.id?.length ?? 0);
        show(config, terminal, line, idWidth);
      }
    });
  });
}

async function listEvents(config: SubscribeConfig, terminal: Terminal, filter: string): Promise<number> {
  const answer = await ask(config.endpoint, `/events?watch=0${filter}`, config.timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  const events = recordsIn(answer.body, "events");
  if (events === undefined) return notOurs("events", terminal);
  if (isWhole(config.output)) terminal.out(renderWhole(config.output, answer.body));
  else {
    const rows: readonly EventRow[] = events;
    const idWidth = Math.max(ID_WIDTH_MIN, ...rows.map(({ id }) => (typeof id === "string" ? id.length : 0)));
    for (const event of rows) show(config, terminal, event, idWidth);
    if (rows.length === 0 && config.output !== "text") terminal.err("no such events are kept\n");
  }
  const { missed, first, next } = answer.body as { missed?: unknown; first?: unknown; next?: unknown };
  const since = Number(config.since);
  const isOther = typeof first === "number" && typeof next === "number" && (since < first - 1 || since > next);
  if (since > 0 && isOther) {
    terminal.err(
      `infermesh ctl: number ${since} is none of this life of ${escaped(answer.endpoint)}, which has begun anew; this is all that it keeps\n`,
    );
  }
  if (typeof missed === "number" && missed > 0)
    terminal.err(`infermesh ctl: ${missed} events before these are not kept any more\n`);
  return EXIT.ok;
}

/** `idWidth`: of the subjects so far, so that lines stay below one another. */
function show({ output }: SubscribeConfig, terminal: Terminal, event: EventRow, idWidth = ID_WIDTH_MIN): void {
  const widths = [TIME_WIDTH, TYPE_WIDTH, idWidth];
  if (output === "json") terminal.out(renderJsonLine(event));
  else if (output === "yaml") terminal.out(`---\n${renderWhole("yaml", event)}`);
  else if (output === "text") terminal.out(renderTabs(event, COLUMNS));
  else terminal.out(renderRow(event, columnsOf(output, LINE_COLUMNS), widths, terminal.color));
}

/** The command, without its help. */
export const SUBSCRIBE = asking({ settings: subscribeSettings, run: subscribe });
