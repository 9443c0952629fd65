/** `infermesh ctl policy recommendations`: how many replicas models should have, for whoever starts and stops nodes. */
import { type Infer, section } from "../base/settings.ts";
import { EXIT } from "./client.ts";
import { bodyOf, call, listIn, wholeOf } from "./control-plane.ts";
import { asking } from "./part.ts";
import { type Column, figureColumn, renderRows, textColumn } from "./render.ts";
import { repeating, watchFields } from "./repeat.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const settings = section({ ...ctlSettings.fields, ...watchFields });

interface Recommendation {
  readonly model?: string;
  readonly replicas?: number;
  readonly wanted?: number;
  readonly policy?: string;
  readonly why?: string;
}

const COLUMNS: readonly Column<Recommendation>[] = [
  textColumn("MODEL", ({ model }) => model ?? "-"),
  figureColumn("REPLICAS", ({ replicas }) => replicas ?? 0),
  {
    ...figureColumn<Recommendation>("WANTED", ({ wanted }) => wanted ?? 0),
    color: ({ replicas = 0, wanted = 0 }) => (wanted === replicas ? undefined : 33),
  },
  textColumn("POLICY", ({ policy }) => policy ?? "-"),
  textColumn("WHY", ({ why }) => why ?? "-"),
];

async function show(config: Infer<typeof settings>, terminal: Terminal, model: string): Promise<number> {
  const { output } = config;
  const body = bodyOf(await call(config, "GetRecommendations", model === "" ? {} : { model }), terminal);
  const rows = typeof body === "number" ? body : listIn(body, "recommendations", terminal);
  if (typeof rows === "number" || typeof body === "number") return typeof rows === "number" ? rows : EXIT.failed;
  const recommendations: readonly Recommendation[] = rows;
  const whole = { recommendations, revision: wholeOf(body["revision"]) ?? 0 };
  if (rows.length === 0 && (output === "table" || output === "wide")) {
    terminal.err("nothing is recommended: no scaling policy, and every pin has its replicas\n");
  } else {
    terminal.out(renderRows(output, recommendations, COLUMNS, whole, terminal.color));
  }
  return EXIT.ok;
}

/** The command, without its help. */
export const RECOMMENDATIONS = asking({
  settings,
  operands: [
    { name: "MODEL", expected: "a model's name, as list-models shows it", completes: "model", optional: true },
  ],
  run: (config, terminal, [model = ""]) => repeating(config, terminal, (to) => show(config, to, model)),
});
