/** What an operator may say of the rates that a router learns from its own requests (learnt-rates.ts). */
import { duration, flag, integer, section, type Infer } from "../base/settings.ts";

export const learningSettings = section({
  enabled: flag({
    default: true,
    doc: "Whether rows are written by what first tokens and streams of the router's own requests tell of a target's rates. Off: by what its runtime tells, else by the settings of score.",
  }),
  samplesMin: integer({
    default: 8,
    min: 1,
    max: 10_000,
    doc: "Requests after which what was learnt of a target counts in full, as far as it is certain; of fewer it counts in part.",
  }),
  memory: integer({
    default: 64,
    min: 8,
    max: 100_000,
    doc: "Requests after which what was learnt before counts 1/e. More follow a change more slowly, fewer are led by chance.",
  }),
  halfLifeMs: duration({
    default: "10m",
    min: "1s",
    max: "7d",
    doc: "Time after which what was learnt counts half, without any request: a target that nothing is sent to is thought of as at first again.",
  }),
});

export type LearningConfig = Infer<typeof learningSettings>;
