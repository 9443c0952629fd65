/** One GPU under the rules of health: its conditions and its XIDs, and the verdict that they make. */
import { Condition } from "./condition.ts";
import { linkRules } from "./link-rules.ts";
import { memoryRules } from "./memory-rules.ts";
import { type PresenceRule, type Standing, presenceRules } from "./presence-rules.ts";
import type { GpuFault, GpuReading } from "./reading.ts";
import { type Finding, type Rule, UNKNOWN } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";
import { thermalRules } from "./thermal-rules.ts";
import type { HealthReason, Verdict } from "./verdict.ts";
import { XidLog } from "./xid-log.ts";

interface Watched<R> {
  readonly rule: R;
  readonly condition: Condition;
  text: string;
  /** What it is judged by was known at the last judgement. */
  isKnown: boolean;
}

export class WatchedGpu {
  readonly #rules: readonly Watched<Rule>[];
  readonly #presence: readonly Watched<PresenceRule>[];
  readonly #xids: XidLog;
  #reading: GpuReading | undefined;
  #verdict: Verdict;
  #wakeAtMs = Infinity;
  /** It is among the GPUs that there are. */
  isListed = false;
  /** Since when it is not, of one that was; -1: it never was. */
  goneMs = -1;

  constructor(config: HealthConfig, nowMs: number) {
    const { forgetMs } = config;
    const watch = <R extends Pick<Rule, "times">>(rule: R): Watched<R> => ({
      rule,
      condition: new Condition({ ...rule.times, forgetMs }),
      text: "",
      isKnown: false,
    });
    this.#xids = new XidLog(config);
    const repeats = config.xidRepeats.enabled ? [this.#xids.repeats(config.xidRepeats)] : [];
    this.#rules = [...thermalRules(config), ...memoryRules(config), ...linkRules(config), ...repeats].map(watch);
    this.#presence = presenceRules(config).map(watch);
    this.#verdict = { health: "healthy", sinceMs: nowMs, reasons: [] };
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** The last one that there was. */
  get reading(): GpuReading | undefined {
    return this.#reading;
  }

  /** When it has to be judged again though nothing came; as of the last judgement. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  read(reading: GpuReading): void {
    if (this.#reading !== undefined && wasReset(this.#reading, reading)) this.#xids.reset();
    this.#reading = reading;
  }

  fault(fault: GpuFault, nowMs: number): void {
    this.#xids.take(fault, nowMs);
  }

  /** It came back, or its driver was loaded anew. */
  reset(): void {
    this.#xids.reset();
  }

  judge(standing: Standing, nowMs: number): void {
    const reasons = this.#xids.reasons(nowMs);
    this.#wakeAtMs = this.#xids.wakeAtMs;
    const reading = standing.source.state === "ok" && standing.isListed ? this.#reading : undefined;
    for (const watched of this.#rules) {
      const { rule } = watched;
      const finding = reading === undefined ? UNKNOWN : rule.look(reading, nowMs);
      this.#see(watched, finding, standing, reasons, nowMs);
      if (reading !== undefined) this.#wakeAtMs = Math.min(this.#wakeAtMs, rule.wakeAtMs ?? Infinity);
    }
    for (const watched of this.#presence) {
      this.#see(watched, watched.rule.stand(standing), standing, reasons, nowMs);
    }
    this.#conclude(reasons, nowMs);
  }

  #see(
    watched: Watched<Pick<Rule, "name" | "severity" | "recovery">>,
    finding: Finding,
    { source }: Standing,
    reasons: HealthReason[],
    nowMs: number,
  ): void {
    const { rule, condition } = watched;
    watched.isKnown = finding.is !== "unknown";
    // That nobody can look at the GPU is no reason to trust it again.
    const isKept = condition.isOn && rule.severity === "quarantined" && source.state !== "ok";
    condition.see(isKept && !watched.isKnown ? "unjudged" : finding.is, nowMs);
    if (finding.text !== undefined) watched.text = finding.text;
    this.#wakeAtMs = Math.min(this.#wakeAtMs, condition.wakeAtMs);
    if (!condition.isOn) return;
    const { name, severity, recovery } = rule;
    reasons.push({ rule: name, text: watched.text, severity, sinceMs: condition.sinceMs, recovery });
  }

  #conclude(reasons: HealthReason[], nowMs: number): void {
    reasons.sort(byWeight);
    const health = reasons[0]?.severity ?? "healthy";
    if (health === "healthy" && this.#verdict.health === "healthy") return;
    const sinceMs = health === this.#verdict.health ? this.#verdict.sinceMs : nowMs;
    this.#verdict = { health, sinceMs, reasons };
  }

  /** The reasons that `clear` would not end. */
  get left(): readonly HealthReason[] {
    const kept = new Set<string>();
    for (const { rule, condition, isKnown } of [...this.#rules, ...this.#presence]) {
      const { name, severity, recovery } = rule;
      if (condition.isOn && recovery === "auto" && isKnown) kept.add(ruleKey({ rule: name, severity }));
    }
    return this.#verdict.reasons.filter((reason) =>
      reason.rule === "xid" ? reason.recovery === "auto" : kept.has(ruleKey(reason)),
    );
  }

  /**
   * Ends what is ended by hand and what can't be known to be over, and takes what there is for what should be; answers
   * whether there was any.
   */
  clear(): boolean {
    let isAny = this.#xids.clear();
    for (const { rule } of this.#rules) rule.accept?.();
    for (const { rule, condition, isKnown } of [...this.#rules, ...this.#presence]) {
      if (!condition.isOn || (rule.recovery === "auto" && isKnown)) continue;
      condition.forget();
      isAny = true;
    }
    return isAny;
  }
}

function ruleKey({ rule, severity }: Pick<HealthReason, "rule" | "severity">): string {
  return `${rule} ${severity}`;
}

/** Counters that count since the driver was loaded are smaller than before. */
function wasReset(before: GpuReading, after: GpuReading): boolean {
  const fell = (was: number | undefined, is: number | undefined): boolean =>
    was !== undefined && is !== undefined && is < was;
  return (
    fell(before.load?.energyJoules, after.load?.energyJoules) ||
    fell(before.wear?.eccUncorrected, after.wear?.eccUncorrected) ||
    fell(before.wear?.eccCorrected, after.wear?.eccCorrected)
  );
}

function byWeight(a: HealthReason, b: HealthReason): number {
  if (a.severity !== b.severity) return a.severity === "quarantined" ? -1 : 1;
  return a.sinceMs - b.sinceMs || (a.rule < b.rule ? -1 : 1);
}
