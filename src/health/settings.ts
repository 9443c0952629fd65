/** What the rules of GPU health may be told, with the reason for each default; see docs/gpu-health.md. */
import { list } from "../base/settings-collections.ts";
import { type Shape, choice, duration, flag, integer, number, section, type Infer } from "../base/settings.ts";
import { THROTTLE_REASONS } from "./reading.ts";

/** A rule: what every one has, and its own. */
function rule<const S extends Shape>(doc: string, times: { readonly hold: string; readonly clear: string }, own: S) {
  return section(
    {
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
      ...own,
    },
    { doc },
  );
}

const celsius = (preset: number, doc: string) => number({ default: preset, min: 20, max: 150, doc });

function heat(margin: number, limit: number, band: number, threshold: string) {
  return {
    marginCelsius: number({
      default: margin,
      max: 50,
      doc: `Degrees below ${threshold} from which on the rule counts.`,
    }),
    celsiusMax: celsius(limit, "The limit for a card that does not tell its own."),
    bandCelsius: number({
      default: band,
      max: 50,
      doc: "Degrees below the limit down to which it is not cool again. As wide as the temperature swings with the load.",
    }),
  };
}

function growth(count: number, window: string, of: string) {
  return {
    countMax: integer({
      default: count,
      min: 1,
      max: 1_000_000_000,
      doc: `As many ${of} within the window count; it is over when there are half as many.`,
    }),
    windowMs: duration({ default: window, min: "1s", max: "24h", doc: "The window in which they are counted." }),
  };
}

const xidCode = integer({ min: 0, max: 65_535 });

export const healthSettings = section({
  forgetMs: duration({
    default: "10m",
    min: "1s",
    max: "24h",
    doc: "How long a rule stays as it is while its figure is not known. After that it counts no more, until the figure is known again.",
  }),
  temperature: rule(
    "A GPU as warm as its clocks allow: degraded.",
    { hold: "10s", clear: "30s" },
    heat(0, 90, 3, "the temperature at which the card slows itself down"),
  ),
  overheating: rule(
    "A GPU about to turn itself off: quarantined.",
    { hold: "2s", clear: "1m" },
    heat(2, 100, 8, "the temperature at which the card turns itself off"),
  ),
  memoryTemperature: rule(
    "Memory as warm as it may be: degraded.",
    { hold: "10s", clear: "30s" },
    heat(0, 100, 3, "the greatest temperature that the card allows its memory"),
  ),
  throttle: rule(
    "Clocks held down by the hardware: degraded.",
    { hold: "5s", clear: "30s" },
    {
      reasons: list(choice(THROTTLE_REASONS, {}), {
        default: ["hw_slowdown", "hw_thermal"],
        lengthMax: THROTTLE_REASONS.length,
        doc: "Which reasons count. Those of idleness, of power caps and of clocks that were asked for are normal; sw_thermal is left out, since dense machines live with it.",
      }),
    },
  ),
  powerBrake: rule(
    "Clocks held down by a signal from the power supply or the rack: degraded.",
    { hold: "5s", clear: "1m" },
    {},
  ),
  eccUncorrected: rule(
    "Uncorrectable memory errors since the driver was loaded: quarantined, until a reset or by hand.",
    { hold: "0s", clear: "0s" },
    {
      countMax: integer({
        default: 0,
        max: 1_000_000,
        doc: "As many are no reason yet. None: one means that some program had wrong data or was stopped.",
      }),
    },
  ),
  eccCorrected: rule(
    "Many corrected memory errors: degraded.",
    { hold: "0s", clear: "1m" },
    growth(1000, "1h", "corrected errors"),
  ),
  retiredPages: rule(
    "Memory pages that wait for a reset to be taken out of use: degraded.",
    { hold: "0s", clear: "0s" },
    {},
  ),
  remapPending: rule("Memory rows that wait for a reset to be replaced: degraded.", { hold: "0s", clear: "0s" }, {}),
  remapFailed: rule(
    "Memory rows that could not be replaced, for the spare ones are used up: quarantined.",
    { hold: "0s", clear: "0s" },
    {},
  ),
  recoveryAction: rule(
    "The driver asks for a reset or a restart of the machine (quarantined), or for it to be drained (degraded).",
    { hold: "0s", clear: "10s" },
    {},
  ),
  vram: rule(
    "Hardly any memory left: degraded.",
    { hold: "1m", clear: "1m" },
    {
      usedShareMax: number({
        default: 0.98,
        min: 0.1,
        max: 1,
        doc: "Used share of the memory from which on the rule counts. Runtimes take nine tenths for themselves by design.",
      }),
      bandShare: number({
        default: 0.02,
        max: 0.5,
        doc: "Share of the memory below the limit down to which it is not over.",
      }),
    },
  ),
  nvlinkDown: rule(
    "Fewer links between GPUs are up than this one has shown before: degraded.",
    { hold: "15s", clear: "30s" },
    {},
  ),
  nvlinkErrors: rule(
    "Errors on links between GPUs: degraded.",
    { hold: "0s", clear: "1m" },
    growth(100, "10m", "errors of all links of a GPU"),
  ),
  pcieDowngrade: rule(
    "A PCIe link that is narrower or slower than card and slot can do: degraded.",
    // Busy all the while: three looks at the link.
    { hold: "15s", clear: "30s" },
    {
      utilizationMin: number({
        default: 0.3,
        min: 0.01,
        max: 1,
        doc: "How busy the GPU must be to be judged: at rest the link slows down by design.",
      }),
    },
  ),
  pcieReplays: rule(
    "Packets sent again on PCIe: degraded.",
    { hold: "0s", clear: "1m" },
    // DCGM's own limit is eight a minute.
    growth(80, "10m", "replays"),
  ),
  xid: section(
    {
      enabled: flag({ default: true, doc: "Whether XIDs count beyond the event that tells of them." }),
      autoMs: duration({
        default: "10m",
        min: "1s",
        max: "24h",
        doc: "How long an XID that degrades for a time does so after the last one of its kind.",
      }),
      eventCodes: list(xidCode, { default: [], doc: "XIDs that are to be nothing but an event." }),
      degradedCodes: list(xidCode, { default: [], doc: "XIDs that are to degrade for a time." }),
      quarantinedCodes: list(xidCode, { default: [], doc: "XIDs that are to quarantine until it is ended by hand." }),
    },
    {
      doc: "Errors that NVIDIA's driver reports, each by the table of docs/gpu-health.md unless it is listed here.",
      check({ eventCodes, degradedCodes, quarantinedCodes }) {
        const lists = { eventCodes, degradedCodes, quarantinedCodes };
        return Object.entries(lists).flatMap(([path, codes]) => {
          const others = Object.entries(lists).flatMap(([name, other]) => (name === path ? [] : other));
          const twice = codes.filter((code) => others.includes(code));
          return twice.length === 0 ? [] : [{ path, found: twice, expected: "codes that are in no other list" }];
        });
      },
    },
  ),
  xidRepeats: rule(
    "Many XIDs that programs cause: degraded. One says nothing of the GPU, a storm does.",
    { hold: "0s", clear: "1m" },
    growth(20, "10m", "XIDs of class application"),
  ),
  gpuLost: rule("A GPU that was there and is not any more: quarantined.", { hold: "2s", clear: "10s" }, {}),
  driver: rule(
    "A driver that does not answer, or fails.",
    { hold: "0s", clear: "10s" },
    {
      severity: choice(["degraded", "quarantined"], {
        default: "degraded",
        doc: "What it makes of the GPUs. Degraded: programs that run already often go on, and one bad driver must not take a whole fleet away.",
      }),
    },
  ),
  duplicateUuid: rule(
    "Several GPUs under one name, which can't be told apart: degraded.",
    { hold: "0s", clear: "0s" },
    {},
  ),
});

export type HealthConfig = Infer<typeof healthSettings>;
