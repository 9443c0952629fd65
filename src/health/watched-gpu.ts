/** One GPU under the rules of health: its conditions, and the verdict that they make. */
import { Condition } from "./condition.ts";
import type { GpuReading } from "./reading.ts";
import { type Rule, UNKNOWN } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";
import { thermalRules } from "./thermal-rules.ts";
import type { HealthReason, Verdict } from "./verdict.ts";

interface Watched {
  readonly rule: Rule;
  readonly condition: Condition;
  text: string;
}

export class WatchedGpu {
  readonly #watched: readonly Watched[];
  #reading: GpuReading | undefined;
  #verdict: Verdict;

  constructor(config: HealthConfig, nowMs: number) {
    this.#watched = thermalRules(config).map((rule) => ({
      rule,
      condition: new Condition({ ...rule.times, forgetMs: config.forgetMs }),
      text: "",
    }));
    this.#verdict = { health: "healthy", sinceMs: nowMs, reasons: [] };
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** The last one that there was. */
  get reading(): GpuReading | undefined {
    return this.#reading;
  }

  get wakeAtMs(): number {
    let atMs = Infinity;
    for (const { rule, condition } of this.#watched) {
      atMs = Math.min(atMs, condition.wakeAtMs, rule.wakeAtMs ?? Infinity);
    }
    return atMs;
  }

  read(reading: GpuReading): void {
    this.#reading = reading;
  }

  /** `isBlind`: what was read last is old by now. */
  judge(isBlind: boolean, nowMs: number): void {
    const reasons: HealthReason[] = [];
    for (const watched of this.#watched) {
      const { rule, condition } = watched;
      const finding = isBlind || this.#reading === undefined ? UNKNOWN : rule.look(this.#reading, nowMs);
      condition.see(finding.is, nowMs);
      if (finding.text !== undefined) watched.text = finding.text;
      if (!condition.isOn) continue;
      const { name, severity, recovery } = rule;
      reasons.push({ rule: name, text: watched.text, severity, sinceMs: condition.sinceMs, recovery });
    }
    reasons.sort(byWeight);
    const health = reasons[0]?.severity ?? "healthy";
    const sinceMs = health === this.#verdict.health ? this.#verdict.sinceMs : nowMs;
    this.#verdict = { health, sinceMs, reasons };
  }

  /** Ends what is ended by hand; answers whether there was any. */
  clear(nowMs: number): boolean {
    let isAny = false;
    for (const { rule, condition } of this.#watched) {
      if (this.#reading !== undefined) rule.accept?.(this.#reading);
      if (rule.recovery === "auto" || !condition.isOn) continue;
      condition.forget();
      isAny = true;
    }
    this.judge(false, nowMs);
    return isAny;
  }
}

function byWeight(a: HealthReason, b: HealthReason): number {
  if (a.severity !== b.severity) return a.severity === "quarantined" ? -1 : 1;
  return a.sinceMs - b.sinceMs || (a.rule < b.rule ? -1 : 1);
}
