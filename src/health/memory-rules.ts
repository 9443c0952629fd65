/** Rules of a GPU's memory: its errors, what was or should be replaced, what the driver asks for, how much is used. */
import type { Growth } from "./growth.ts";
import type { GpuReading } from "./reading.ts";
import { type Finding, GOOD, GrowthRule, type Rule, UNKNOWN, above, isSo } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";

export function memoryRules(config: HealthConfig): Rule[] {
  const rules: Rule[] = [];
  if (config.eccUncorrected.enabled) rules.push(new UncorrectedRule(config.eccUncorrected));
  if (config.eccCorrected.enabled) {
    rules.push(new GrowthRule("ecc_corrected", config.eccCorrected, "corrected memory errors", countCorrected));
  }
  if (config.retiredPages.enabled) {
    rules.push(
      flagRule("retired_pages", "degraded", config.retiredPages, ({ wear }) =>
        isSo(wear?.retiredPagesPending, () => "memory pages wait for a reset to be taken out of use"),
      ),
    );
  }
  if (config.remapPending.enabled) {
    rules.push(
      flagRule("remap_pending", "degraded", config.remapPending, ({ wear }) =>
        isSo(wear?.remapPending, () => "memory rows wait for a reset to be replaced"),
      ),
    );
  }
  if (config.remapFailed.enabled) {
    rules.push(
      flagRule("remap_failed", "quarantined", config.remapFailed, ({ wear }) =>
        isSo(wear?.remapFailed, () => "memory rows could not be replaced: the card's spare ones are used up"),
      ),
    );
  }
  if (config.recoveryAction.enabled) rules.push(...recoveryActionRules(config.recoveryAction));
  if (config.vram.enabled) rules.push(vramRule(config.vram));
  return rules;
}

function countCorrected({ wear }: GpuReading, growth: Growth, nowMs: number): boolean {
  if (wear?.eccCorrected === undefined) return false;
  growth.stand(wear.eccCorrected, nowMs);
  return true;
}

/**
 * The count is since the driver was loaded or the GPU reset: that it is smaller than before ends the reason. By hand
 * what is there now is taken as known.
 */
class UncorrectedRule implements Rule {
  readonly name = "ecc_uncorrected";
  readonly severity = "quarantined";
  readonly recovery = "manual";
  readonly times: Rule["times"];
  readonly #countMax: number;
  #accepted = 0;
  #count = 0;

  constructor({ holdMs, clearMs, countMax }: HealthConfig["eccUncorrected"]) {
    this.times = { holdMs, clearMs };
    this.#countMax = countMax;
  }

  look({ wear }: GpuReading): Finding {
    const count = wear?.eccUncorrected;
    if (count === undefined) return UNKNOWN;
    if (count < this.#count) this.#accepted = 0;
    this.#count = count;
    if (count - this.#accepted <= this.#countMax) return GOOD;
    const known = this.#accepted === 0 ? "" : `, ${this.#accepted} of them known before`;
    const errors = count === 1 ? "error" : "errors";
    return { is: "bad", text: `${count} uncorrectable memory ${errors} since the driver was loaded${known}` };
  }

  accept(): void {
    this.#accepted = this.#count;
  }
}

function flagRule(
  name: string,
  severity: Rule["severity"],
  { holdMs, clearMs }: HealthConfig["remapPending"],
  look: (reading: GpuReading) => Finding,
): Rule {
  return { name, severity, recovery: "auto", times: { holdMs, clearMs }, look };
}

const ACTIONS: Readonly<Record<string, { readonly severity: Rule["severity"]; readonly text: string }>> = {
  reset: { severity: "quarantined", text: "the driver asks for a reset of the GPU" },
  reboot: { severity: "quarantined", text: "the driver asks for a restart of the machine" },
  drain_p2p: { severity: "degraded", text: "the driver asks for an end of traffic between GPUs" },
  drain_reset: { severity: "degraded", text: "the driver asks for the GPU to be drained and reset" },
  other: { severity: "degraded", text: "the driver asks for a recovery action that this version does not know" },
};

/** One for each severity, so that what becomes worse or better is told. */
function recoveryActionRules(config: HealthConfig["recoveryAction"]): Rule[] {
  return (["quarantined", "degraded"] as const).map((severity) =>
    flagRule("recovery_action", severity, config, ({ wear }) => {
      if (wear?.recoveryAction === undefined) return UNKNOWN;
      const asked = ACTIONS[wear.recoveryAction];
      return asked?.severity === severity ? { is: "bad", text: asked.text } : GOOD;
    }),
  );
}

function vramRule({ holdMs, clearMs, usedShareMax, bandShare }: HealthConfig["vram"]): Rule {
  const percent = (share: number): string => `${Math.round(share * 1_000) / 10} %`;
  return {
    name: "vram",
    severity: "degraded",
    recovery: "auto",
    times: { holdMs, clearMs },
    look({ identity, load }) {
      // What was set aside for it may well be full: it goes on in the machine's.
      if (identity.isIntegrated === true) return GOOD;
      const used = load?.memoryUsedBytes;
      const total = identity.memoryTotalBytes;
      if (used === undefined || total === undefined || total === 0) return UNKNOWN;
      return above(
        used / total,
        usedShareMax,
        bandShare,
        () => `${percent(used / total)} of its memory is used; the limit is ${percent(usedShareMax)}`,
      );
    },
  };
}
