/** What `infermesh agent inspect-store` may be told. */
import { choice, integer, section } from "../base/settings.ts";

export const inspectStoreSettings = section({
  entries: integer({
    default: 0,
    max: 10_000_000,
    doc: "Print the last N entries, one JSON object on each line, instead of the summary.",
  }),
  output: choice(["table", "json", "yaml", "text"], {
    default: "table",
    short: "o",
    doc: "How the summary is printed. table is for people, json and yaml for programs, text is a line for each figure, with a tab.",
  }),
});
