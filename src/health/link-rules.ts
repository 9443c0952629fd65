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
  if (config.pcieDowngrade.enabled) rules.push(new PcieDowngradeRule(config.pcieDowngrade));
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
  /** Links are read seldomer than the rest, and there are many of them: what was found holds for as long. */
  #seen: readonly GpuLink[] | undefined;
  #found: Finding = UNKNOWN;

  constructor({ holdMs, clearMs }: HealthConfig["nvlinkDown"]) {
    this.times = { holdMs, clearMs };
  }

  look({ identity, load, traffic }: GpuReading): Finding {
    // A GPU that is cut into MIG slices uses no links. Which of the two is read first tells.
    if (identity.migMode === true || load?.slices !== undefined) return GOOD;
    const links = traffic?.links;
    if (links === undefined) return UNKNOWN;
    if (links !== this.#seen) this.#found = this.#judge(links);
    this.#seen = links;
    return this.#found;
  }

  #judge(links: readonly GpuLink[]): Finding {
    const up = links.filter(({ isActive }) => isActive).length;
    this.#peak = Math.max(this.#peak, up);
    if (up >= this.#peak) return GOOD;
    const down = links.filter(({ isActive }) => !isActive).map(({ index }) => index);
    const which = down.length === 0 ? "" : `; down: ${down.join(", ")}`;
    return { is: "bad", text: `${up} of its links to GPUs are up, ${this.#peak} were before${which}` };
  }

  accept(): void {
    this.#peak = 0;
    this.#seen = undefined;
  }
}

/** What is new in all links together, each counted for itself: one that is read anew must not hide another's errors. */
function linkErrors(): (reading: GpuReading, growth: Growth, nowMs: number) => boolean {
  const before = new Map<number, number>();
  let seen: readonly GpuLink[] | undefined;
  let isKnown = false;
  return ({ traffic }, growth, nowMs) => {
    if (traffic?.links !== undefined && traffic.links === seen) return isKnown;
    seen = traffic?.links;
    isKnown = false;
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

class PcieDowngradeRule implements Rule {
  readonly name = "pcie_downgrade";
  readonly severity = "degraded";
  readonly recovery = "auto";
  readonly times: Rule["times"];
  readonly #utilizationMin: number;
  /** What it ran at when it was busy last. */
  #seen: Lanes = {};
  /** What is all that there is, by hand: a slot with fewer lanes than its other end tells, as in a virtual machine. */
  #accepted: Lanes = {};

  constructor({ holdMs, clearMs, utilizationMin }: HealthConfig["pcieDowngrade"]) {
    this.times = { holdMs, clearMs };
    this.#utilizationMin = utilizationMin;
  }

  look({ identity, load, traffic }: GpuReading): Finding {
    const { generation, width } = { generation: traffic?.pcieGeneration, width: traffic?.pcieWidth };
    const generationMax = least(identity.pcieGenerationMax, this.#accepted.generation);
    const widthMax = least(identity.pcieWidthMax, this.#accepted.width);
    const knowsGeneration = generation !== undefined && generationMax !== undefined;
    const knowsWidth = width !== undefined && widthMax !== undefined;
    if (load?.utilization === undefined || !(knowsGeneration || knowsWidth)) return UNKNOWN;
    if (load.utilization < this.#utilizationMin) return UNJUDGED;
    this.#seen = { generation, width };
    // More than what was taken for all is all.
    const { generation: had, width: wide } = this.#accepted;
    this.#accepted = { generation: most(had, generation), width: most(wide, width) };
    const faults: string[] = [];
    if (knowsGeneration && generation < generationMax) faults.push(`generation ${generation} of ${generationMax}`);
    if (knowsWidth && width < widthMax) faults.push(`${width} of ${widthMax} lanes`);
    return faults.length === 0 ? GOOD : { is: "bad", text: `its PCIe link runs at ${faults.join(" and ")}` };
  }

  accept(): void {
    this.#accepted = this.#seen;
  }
}

interface Lanes {
  readonly generation?: number | undefined;
  readonly width?: number | undefined;
}

function most(accepted: number | undefined, seen: number | undefined): number | undefined {
  return accepted === undefined || seen === undefined ? accepted : Math.max(accepted, seen);
}

function least(max: number | undefined, accepted: number | undefined): number | undefined {
  return max === undefined || accepted === undefined ? max : Math.min(max, accepted);
}
