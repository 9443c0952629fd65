import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { linkRules } from "../../src/health/link-rules.ts";
import { memoryRules } from "../../src/health/memory-rules.ts";
import { presenceRules } from "../../src/health/presence-rules.ts";
import { thermalRules } from "../../src/health/thermal-rules.ts";
import { XidLog } from "../../src/health/xid-log.ts";
import { XIDS } from "../../src/health/xid.ts";
import { DEFAULTS } from "./gpu-bed.ts";

const DOC = readFileSync(join(import.meta.dir, "../../docs/gpu-health.md"), "utf8");

/** The cells of the table under a heading, without its head. */
function tableOf(heading: string): string[][] {
  const part = DOC.slice(DOC.indexOf(`\n## ${heading}\n`) + 4).split("\n## ")[0] ?? "";
  const rows = part.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe("docs/gpu-health.md", () => {
  test("has every rule, as severe and with the end that it has, and its settings", () => {
    const rules = [
      ...thermalRules(DEFAULTS),
      ...memoryRules(DEFAULTS),
      ...linkRules(DEFAULTS),
      new XidLog(DEFAULTS).repeats(DEFAULTS.xidRepeats),
      ...presenceRules(DEFAULTS),
    ];
    const told = tableOf("Rules").map(([name, severity, , settings, ends]) => [name, severity, settings, ends]);
    const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const known = rules.map(({ name, severity, recovery }) => [
      name,
      severity,
      `\`gpuHealth.${camel(name)}\``,
      recovery,
    ]);
    expect(told).toEqual([...known, ["xid", "by the XID", "`gpuHealth.xid`", "by the XID"]]);
    const sections = Object.keys(DEFAULTS).filter((key) => key !== "forgetMs");
    expect(new Set(told.map(([, , settings]) => settings))).toEqual(
      new Set(sections.map((key) => `\`gpuHealth.${key}\``)),
    );
  });

  test("has every XID as it is", () => {
    expect(tableOf("XIDs")).toEqual(
      XIDS.map(({ code, class: kind, meaning, effect, recovery, advice, source }) => [
        String(code),
        kind,
        meaning,
        effect,
        recovery,
        advice,
        source,
      ]),
    );
  });

  test("tells the defaults that the settings have", () => {
    const figures = [
      ["98 % of the memory", DEFAULTS.vram.usedShareMax, 0.98],
      ["1,000 corrected memory errors within an hour", DEFAULTS.eccCorrected.countMax, 1_000],
      ["100 errors of all its links together within 10 minutes", DEFAULTS.nvlinkErrors.countMax, 100],
      ["80 packets sent again within 10 minutes", DEFAULTS.pcieReplays.countMax, 80],
      ["20 XIDs of class application within 10 minutes", DEFAULTS.xidRepeats.countMax, 20],
      ["at least 30 % busy", DEFAULTS.pcieDowngrade.utilizationMin, 0.3],
      ["within 2 degrees", DEFAULTS.overheating.marginCelsius, 2],
      ["`gpuHealth.forget` (10 minutes)", DEFAULTS.forgetMs, 600_000],
      ["`gpuHealth.xid.auto` (10 minutes)", DEFAULTS.xid.autoMs, 600_000],
    ] as const;
    for (const [text, setting, value] of figures) {
      expect(DOC).toContain(text);
      expect([text, setting]).toEqual([text, value]);
    }
    const windows = [DEFAULTS.nvlinkErrors, DEFAULTS.pcieReplays, DEFAULTS.xidRepeats].map(({ windowMs }) => windowMs);
    expect([...windows, DEFAULTS.eccCorrected.windowMs]).toEqual([600_000, 600_000, 600_000, 3_600_000]);
  });
});
