/** Rules of a GPU's ways to others: links between GPUs (NVLink, XGMI), and PCIe. */
import type { Growth } from "./growth.ts";
import type { GpuLink, GpuReading } from "./reading.ts";
import { type Finding, GOOD, GrowthRule, type Rule, UNJUDGED, UNKNOWN } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";

export function linkRules(config: HealthConfig): Rule[] {
  const rules: Rule[] = [];
  if (config.nvlinkDown.enabled) rules.push(new LinksDownRule(config.nvlinkDown));
  if (config.nvlinkErrors.enabled) {
    rules.push(new GrowthRule("nvlink_errors", config.nvlinkErrors, "errors on its links to GPUs", linkErrors()));
  }
  if (config.pcieDowngrade.enabled) rules.push(pcieDowngradeRule(config.pcieDowngrade));
  if (config.pcieReplays.enabled) {
    rules.push(
      new GrowthRule("pcie_replays", config.pcieReplays, "packets sent again on PCIe", ({ traffic }, growth, nowMs) => {
        if (traffic?.pcieReplays === undefined) return false;
        growth.stand(traffic.pcieReplays, nowMs);
        return true;
      }),
    );
  }
  return rules;
}

class LinksDownRule implements Rule {
  readonly name = "nvlink_down";
  readonly severity = "degraded";
  readonly recovery = "auto";
  readonly times: Rule["times"];
  /** As many were up before. */
  #peak = 0;

  constructor({ holdMs, clearMs }: HealthConfig["nvlinkDown"]) {
    this.times = { holdMs, clearMs };
  }

  look({ identity, load, traffic }: GpuReading): Finding {
    // A GPU that is cut into MIG slices uses no links. Which of the two is read first tells.
    if (identity.migMode === true || load?.slices !== undefined) return GOOD;
    const links = traffic?.links;
    if (links === undefined) return UNKNOWN;
    const up = links.filter(({ isActive }) => isActive).length;
    this.#peak = Math.max(this.#peak, up);
    if (up >= this.#peak) return GOOD;
    const down = links.filter(({ isActive }) => !isActive).map(({ index }) => index);
    const which = down.length === 0 ? "" : `; down: ${down.join(", ")}`;
    return { is: "bad", text: `${up} of its links to GPUs are up, ${this.#peak} were before${which}` };
  }

  accept(): void {
    this.#peak = 0;
  }
}

/** What is new in all links together, each counted for itself: one that is read anew must not hide another's errors. */
function linkErrors(): (reading: GpuReading, growth: Growth, nowMs: number) => boolean {
  const before = new Map<number, number>();
  return ({ traffic }, growth, nowMs) => {
    let isKnown = false;
    for (const link of traffic?.links ?? []) {
      const count = errorsOf(link);
      if (count === undefined) continue;
      isKnown = true;
      const last = before.get(link.index);
      before.set(link.index, count);
      if (last !== undefined && count > last) growth.add(count - last, nowMs);
    }
    return isKnown;
  };
}

function errorsOf({ crcErrors, replayErrors, recoveryErrors }: GpuLink): number | undefined {
  if (crcErrors === undefined && replayErrors === undefined && recoveryErrors === undefined) return undefined;
  return (crcErrors ?? 0) + (replayErrors ?? 0) + (recoveryErrors ?? 0);
}

function pcieDowngradeRule({ holdMs, clearMs, utilizationMin }: HealthConfig["pcieDowngrade"]): Rule {
  return {
    name: "pcie_downgrade",
    severity: "degraded",
    recovery: "auto",
    times: { holdMs, clearMs },
    look({ identity, load, traffic }) {
      const { pcieGenerationMax, pcieWidthMax } = identity;
      const generation = traffic?.pcieGeneration;
      const width = traffic?.pcieWidth;
      const knowsGeneration = generation !== undefined && pcieGenerationMax !== undefined;
      const knowsWidth = width !== undefined && pcieWidthMax !== undefined;
      if (load?.utilization === undefined || !(knowsGeneration || knowsWidth)) return UNKNOWN;
      if (load.utilization < utilizationMin) return UNJUDGED;
      const faults: string[] = [];
      if (knowsGeneration && generation < pcieGenerationMax)
        faults.push(`generation ${generation} of ${pcieGenerationMax}`);
      if (knowsWidth && width < pcieWidthMax) faults.push(`${width} of ${pcieWidthMax} lanes`);
      return faults.length === 0 ? GOOD : { is: "bad", text: `its PCIe link runs at ${faults.join(" and ")}` };
    },
  };
}
