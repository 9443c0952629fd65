/** Rules of heat: how warm a GPU and its memory are, and whether its clocks are held down for it. */
import { type Rule, above } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";

const degrees = (celsius: number): string => `${Math.round(celsius * 10) / 10} °C`;

export function thermalRules(config: HealthConfig): Rule[] {
  return config.temperature.enabled ? [temperatureRule(config.temperature)] : [];
}

function temperatureRule({
  holdMs,
  clearMs,
  marginCelsius,
  celsiusMax,
  bandCelsius,
}: HealthConfig["temperature"]): Rule {
  return {
    name: "temperature",
    severity: "degraded",
    recovery: "auto",
    times: { holdMs, clearMs },
    look({ identity, load }) {
      const celsius = load?.temperatureCelsius;
      const own = identity.slowdownCelsius;
      const limit = own === undefined ? celsiusMax : own - marginCelsius;
      return above(celsius, limit, bandCelsius, () => {
        const why = own === undefined ? `the limit is ${degrees(limit)}` : `it slows down at ${degrees(own)}`;
        return `the GPU is at ${degrees(celsius ?? 0)}; ${why}`;
      });
    },
  };
}
