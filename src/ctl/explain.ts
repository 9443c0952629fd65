/** `infermesh ctl explain`: every candidate for a request with each term of its score, and why the winner won. */
import { printable } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { EXIT, type JsonRecord } from "./client.ts";
import { bodyOf, call, listIn, wholeOf } from "./control-plane.ts";
import { localTime } from "./events.ts";
import { asking } from "./part.ts";
import { type Column, figureColumn, isWhole, renderRows, renderWhole, textColumn, wordOf } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { numberOf, optionalNumber } from "./write-settings.ts";

const explainSettings = section({
  model: text({
    default: "",
    lengthMax: 256,
    emptyMeans: "that of the request",
    doc: "The model, for a request as it would be sent now.",
  }),
  promptTokens: optionalNumber({ whole: true, doc: "With --model: how long the prompt is." }),
  tenant: text({
    default: "",
    lengthMax: 253,
    emptyMeans: "access is not looked at",
    doc: "With --model: whose request it would be.",
  }),
  ...ctlSettings.fields,
});

interface Term {
  readonly name?: string;
  readonly seconds?: number;
  readonly detail?: string;
}

interface Candidate {
  readonly node?: string;
  readonly address?: string;
  readonly eligible?: boolean;
  readonly reason?: string;
  readonly seconds?: number;
  readonly terms?: readonly Term[];
  readonly activeRequests?: number;
  readonly queuedTokens?: number;
  readonly capacity?: number;
  readonly chosen?: boolean;
  readonly share?: number;
  readonly rates?: Rates;
}

/** Prompt tokens a second; proto3's JSON leaves out a zero. */
interface Rates {
  readonly prefillUsed?: number;
  readonly prefillTold?: number;
  readonly prefillLearnt?: number;
  readonly confidence?: number;
  readonly requests?: number;
  readonly seenAgoMs?: string | number;
  readonly stepSeconds?: number;
  readonly stepSecondsPerRequest?: number;
  readonly streams?: number;
}

const secondsText = (seconds: number): string =>
  seconds < 1 ? `${(seconds * 1000).toFixed(1)}ms` : `${seconds.toFixed(2)}s`;

async function explain(config: Infer<typeof explainSettings>, terminal: Terminal, requestId: string): Promise<number> {
  const { model, output, tenant } = config;
  const promptTokens = numberOf(config.promptTokens);
  if ((model === "") === (requestId === "") || ((promptTokens !== undefined || tenant !== "") && model === "")) {
    terminal.err(
      "infermesh ctl explain: give either a request's id (its x-request-id) or --model, with --prompt-tokens and --tenant if you like\n",
    );
    return EXIT.usage;
  }
  const request = requestId === "" ? { model, promptTokens, ...(tenant === "" ? {} : { tenant }) } : { requestId };
  const body = bodyOf(await call(config, "ExplainRoute", request), terminal);
  const candidates = typeof body === "number" ? body : listIn(body, "candidates", terminal);
  if (typeof candidates === "number" || typeof body === "number")
    return typeof candidates === "number" ? candidates : EXIT.failed;
  const columns = columnsFor(candidates);
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (output === "text") terminal.out(renderRows<Candidate>(output, candidates, columns, {}));
  else {
    terminal.out(`${headOf(body)}\n\n${renderRows<Candidate>(output, candidates, columns, {}, terminal.color)}`);
    const details = output === "wide" ? detailsOf(candidates) : "";
    if (details !== "") terminal.out(`\n${details}`);
  }
  return EXIT.ok;
}

function headOf(body: JsonRecord): string {
  const { requestId = "", model = "-", winner = "", reason = "", strategy = "score" } = body;
  const isPast = requestId !== "";
  const atMs = wholeOf(body["atMs"]) ?? 0;
  const when = isPast && atMs > 0 ? ` at ${localTime(new Date(atMs).toISOString())}` : "";
  const what = isPast ? `request ${wordOf(requestId)}` : "a request";
  const tokens = wholeOf(body["promptTokens"]) ?? 0;
  const verb = isPast ? "went" : "would go";
  const where = winner === "" ? "nowhere" : `to ${wordOf(winner)}`;
  const why = reason === "" ? "" : `: ${wordOf(reason)}`;
  const way = ["score", "ttft", "late"].includes(String(strategy)) ? "" : ` by ${wordOf(strategy)}`;
  return printable(`${what} for ${wordOf(model)} with ${tokens} prompt tokens ${verb} ${where}${way}${when}${why}`);
}

/** A column for each term that any candidate has, in the order of the first. */
function columnsFor(candidates: readonly Candidate[]): readonly Column<Candidate>[] {
  const names = [...new Set(candidates.flatMap(({ terms = [] }) => terms.map(({ name = "-" }) => name)))];
  const seconds = (figure: (row: Candidate) => number | undefined, title: string): Column<Candidate> =>
    figureColumn(title, figure, secondsText);
  return [
    {
      ...textColumn<Candidate>("NODE", ({ node, chosen }) => `${chosen === true ? "* " : "  "}${node ?? "-"}`),
      raw: ({ node }) => node ?? "-",
      color: ({ chosen, eligible }) => (chosen === true ? 32 : eligible === true ? undefined : 90),
    },
    seconds((row) => (row.eligible === true || (row.terms ?? []).length > 0 ? (row.seconds ?? 0) : undefined), "TOTAL"),
    ...(candidates.some(({ share = 0 }) => share > 0 && share < 1)
      ? [
          figureColumn<Candidate>(
            "SHARE",
            ({ share = 0 }) => share,
            (share) => `${(share * 100).toFixed(1)}%`,
          ),
        ]
      : []),
    ...names.map((name) => seconds(({ terms = [] }) => termOf(terms, name), name.toUpperCase())),
    figureColumn("RUNNING", ({ activeRequests }) => activeRequests ?? 0),
    figureColumn("OF", ({ capacity }) => capacity),
    figureColumn("QUEUED TOKENS", ({ queuedTokens }) => queuedTokens ?? 0),
    textColumn("WHY NOT", ({ eligible, reason }) => (eligible === true ? "-" : (reason ?? "-"))),
    { ...textColumn<Candidate>("ADDRESS", ({ address }) => address ?? "-"), wide: true },
    ...rateColumns(candidates),
    { ...textColumn<Candidate>("CHOSEN", ({ chosen }) => (chosen === true ? "yes" : "no")), wide: true },
  ];
}

/** How fast each is taken to be, and how that is known; none where nobody tells. */
function rateColumns(candidates: readonly Candidate[]): readonly Column<Candidate>[] {
  if (!candidates.some(({ rates }) => rates !== undefined)) return [];
  const whole = (rate: number): string => String(Math.round(rate));
  const rate = (title: string, read: (rates: Rates) => number | undefined, shown = whole): Column<Candidate> => ({
    ...figureColumn<Candidate>(title, ({ rates }) => (rates === undefined ? undefined : read(rates)), shown),
    wide: true,
  });
  const learnt = (title: string, read: (rates: Rates) => number | undefined, shown = whole): Column<Candidate> =>
    rate(title, (rates) => ((rates.requests ?? 0) > 0 ? (read(rates) ?? 0) : undefined), shown);
  return [
    rate("TOKENS/S", ({ prefillUsed }) => prefillUsed),
    rate("TOLD", ({ prefillTold }) => prefillTold),
    learnt("LEARNT", ({ prefillLearnt }) => prefillLearnt),
    learnt("FROM", ({ requests }) => requests),
    learnt(
      "CONFIDENCE",
      ({ confidence }) => confidence,
      (confidence) => confidence.toFixed(2),
    ),
    learnt("LAST", ({ seenAgoMs }) => (seenAgoMs === undefined ? undefined : Number(seenAgoMs) / 1000), secondsText),
    rate("STEP", ({ streams = 0, stepSeconds = 0 }) => (streams > 0 ? stepSeconds : undefined), secondsText),
  ];
}

/** proto3's JSON leaves out a zero. */
function termOf(terms: readonly Term[], name: string): number | undefined {
  const term = terms.find((one) => one.name === name);
  return term === undefined ? undefined : (term.seconds ?? 0);
}

function detailsOf(candidates: readonly Candidate[]): string {
  return candidates
    .flatMap(({ node = "-", terms = [] }) =>
      terms
        .filter(({ detail = "" }) => detail !== "")
        .map(({ name, detail }) => `${printable(`${node} ${name ?? "-"}: ${detail ?? ""}`)}\n`),
    )
    .join("");
}

/** The command, without its help. */
export const EXPLAIN = asking({
  settings: explainSettings,
  operands: [{ name: "REQUEST_ID", expected: "a request's x-request-id", optional: true }],
  run: (config, terminal, [requestId = ""]) => explain(config, terminal, requestId),
});
