/** Rules of whether a GPU is there and can be read at all. They look at its standing, not at figures. */
import { type Finding, GOOD, type Rule, UNKNOWN } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";
import type { SourceState } from "./source-state.ts";

export interface Standing {
  readonly source: Pick<SourceState, "state" | "message">;
  /** It is among the GPUs that there are. */
  readonly isListed: boolean;
  /** It was once. */
  readonly wasListed: boolean;
  /** Others have the same name. */
  readonly isAmbiguous: boolean;
}

export interface PresenceRule extends Omit<Rule, "look"> {
  stand(standing: Standing): Finding;
}

export function presenceRules({ gpuLost, driver, duplicateUuid }: HealthConfig): PresenceRule[] {
  const rules: PresenceRule[] = [];
  if (gpuLost.enabled) {
    const { holdMs, clearMs } = gpuLost;
    const rule = { name: "gpu_lost", severity: "quarantined", recovery: "auto", times: { holdMs, clearMs } } as const;
    rules.push({ ...rule, stand: lost });
  }
  if (driver.enabled) {
    const { holdMs, clearMs, severity } = driver;
    const rule = { name: "driver", severity, recovery: "auto", times: { holdMs, clearMs } } as const;
    rules.push({ ...rule, stand: failing });
  }
  if (duplicateUuid.enabled) {
    const { holdMs, clearMs } = duplicateUuid;
    const rule = {
      name: "duplicate_uuid",
      severity: "degraded",
      recovery: "auto",
      times: { holdMs, clearMs },
    } as const;
    rules.push({ ...rule, stand: ambiguous });
  }
  return rules;
}

function lost({ source, isListed, wasListed }: Standing): Finding {
  if (!wasListed) return GOOD;
  switch (source.state) {
    case "ok":
      return isListed ? GOOD : { is: "bad", text: "the GPU was there and is not any more" };
    case "lost":
    case "absent":
      return { is: "bad", text: said("no GPU can be reached", source.message) };
    default:
      return UNKNOWN;
  }
}

function failing({ source }: Standing): Finding {
  switch (source.state) {
    case "ok":
      return GOOD;
    case "unresponsive":
      return { is: "bad", text: said("the driver does not answer", source.message) };
    case "broken":
      return { is: "bad", text: said("the GPU can't be read", source.message) };
    default:
      return UNKNOWN;
  }
}

function ambiguous({ source, isAmbiguous }: Standing): Finding {
  if (source.state !== "ok") return UNKNOWN;
  return isAmbiguous ? { is: "bad", text: "several GPUs have its name and can't be told apart" } : GOOD;
}

function said(what: string, message: string): string {
  return message === "" ? what : `${what}: ${message}`;
}
