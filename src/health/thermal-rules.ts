/** Rules of heat and power: how warm a GPU and its memory are, and whether its clocks are held down. */
import { GOOD, type Finding, type Rule, UNKNOWN, above } from "./rule.ts";
import type { GpuReading } from "./reading.ts";
import type { HealthConfig } from "./settings.ts";

const degrees = (celsius: number): string => `${Math.round(celsius * 10) / 10} °C`;

export function thermalRules(config: HealthConfig): Rule[] {
  const rules: Rule[] = [];
  if (config.temperature.enabled) {
    const own = { of: ({ identity }: GpuReading) => identity.slowdownCelsius, does: "it slows down at" };
    rules.push(heatRule("temperature", "degraded", config.temperature, hottest, own));
  }
  if (config.overheating.enabled) {
    const own = { of: ({ identity }: GpuReading) => identity.shutdownCelsius, does: "it turns itself off at" };
    rules.push(heatRule("overheating", "quarantined", config.overheating, hottest, own));
  }
  if (config.memoryTemperature.enabled) {
    const memory = ({ load }: GpuReading): Heat => ({ what: "its memory", celsius: load?.memoryCelsius });
    const own = { of: ({ identity }: GpuReading) => identity.memoryCelsiusMax, does: "it may be at" };
    rules.push(heatRule("memory_temperature", "degraded", config.memoryTemperature, memory, own));
  }
  if (config.throttle.enabled) rules.push(throttleRule(config.throttle));
  if (config.powerBrake.enabled) rules.push(powerBrakeRule(config.powerBrake));
  return rules;
}

interface Heat {
  readonly what: string;
  readonly celsius: number | undefined;
}

function hottest({ load }: GpuReading): Heat {
  return { what: "the GPU", celsius: load?.temperatureCelsius };
}

function heatRule(
  name: string,
  severity: Rule["severity"],
  { holdMs, clearMs, marginCelsius, celsiusMax, bandCelsius }: HealthConfig["temperature"],
  heat: (reading: GpuReading) => Heat,
  own: { readonly of: (reading: GpuReading) => number | undefined; readonly does: string },
): Rule {
  return {
    name,
    severity,
    recovery: "auto",
    times: { holdMs, clearMs },
    look(reading) {
      const { what, celsius } = heat(reading);
      const threshold = own.of(reading);
      const limit = threshold === undefined ? celsiusMax : threshold - marginCelsius;
      return above(celsius, limit, bandCelsius, () => {
        const why = threshold === undefined ? `the limit is ${degrees(limit)}` : `${own.does} ${degrees(threshold)}`;
        return `${what} is at ${degrees(celsius ?? 0)}; ${why}`;
      });
    },
  };
}

function throttleRule({ holdMs, clearMs, reasons }: HealthConfig["throttle"]): Rule {
  return {
    name: "throttle",
    severity: "degraded",
    recovery: "auto",
    times: { holdMs, clearMs },
    look({ load }) {
      return clocksHeldDown(load?.throttleReasons, reasons, "its clocks are held down");
    },
  };
}

function powerBrakeRule({ holdMs, clearMs }: HealthConfig["powerBrake"]): Rule {
  return {
    name: "power_brake",
    severity: "degraded",
    recovery: "auto",
    times: { holdMs, clearMs },
    look({ load }) {
      return clocksHeldDown(load?.throttleReasons, ["power_brake"], "power supply or rack hold its clocks down");
    },
  };
}

function clocksHeldDown(found: readonly string[] | undefined, reasons: readonly string[], text: string): Finding {
  if (found === undefined) return UNKNOWN;
  const counting = found.filter((reason) => reasons.includes(reason));
  return counting.length === 0 ? GOOD : { is: "bad", text: `${text}: ${counting.join(", ")}` };
}
