/** What the rules of GPU health may be told, with the reason for each default; see docs/gpu-health.md. */
import { duration, flag, number, section, type Infer } from "../base/settings.ts";

/** What every rule has. */
function ruleFields(times: { readonly hold: string; readonly clear: string }) {
  return {
    enabled: flag({ default: true, doc: "Whether the rule is looked at." }),
    holdMs: duration({
      default: times.hold,
      max: "1h",
      doc: "How long it must be so, on end, before the rule counts. One bad figure is no fault.",
    }),
    clearMs: duration({
      default: times.clear,
      max: "24h",
      doc: "How long it must be over, on end, before the rule counts no more.",
    }),
  };
}

export const healthSettings = section({
  forgetMs: duration({
    default: "10m",
    min: "1s",
    max: "24h",
    doc: "How long a rule stays as it is while its figure is not known. After that it counts no more, until the figure is known again.",
  }),
  temperature: section(
    {
      ...ruleFields({ hold: "10s", clear: "30s" }),
      marginCelsius: number({
        default: 0,
        max: 50,
        doc: "Degrees below the temperature at which the card slows itself down from which a GPU counts as too warm.",
      }),
      celsiusMax: number({
        default: 90,
        min: 20,
        max: 150,
        doc: "The limit for a card that does not say at which temperature it slows down.",
      }),
      bandCelsius: number({
        default: 3,
        max: 50,
        doc: "Degrees that a GPU must be below the limit before it counts as cool again.",
      }),
    },
    { doc: "A GPU that is as warm as its clocks allow: degraded." },
  ),
});

export type HealthConfig = Infer<typeof healthSettings>;
