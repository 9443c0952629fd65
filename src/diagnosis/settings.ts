/** How a check of the machine is told, beside the settings of what it is for. */
import { duration, flag, type Infer, section } from "../base/settings.ts";

export const diagnosisSettings = section({
  json: flag({ default: false, flag: "json", doc: "Print all findings as one JSON object." }),
  strict: flag({ default: false, flag: "strict", doc: "Exit with 1 for what is to be looked at, too." }),
  limitMs: duration({ default: "5s", min: "500ms", max: "5m", flag: "limit", doc: "How long each check may take." }),
});

export type DiagnosisConfig = Infer<typeof diagnosisSettings>;
