/** What a router may spend on knowing who has which prompt's beginning, and how much it goes by that. */
import { bytes, flag, integer, number, section, type Infer } from "../base/settings.ts";
import { MISS_WEIGHT } from "./expected-seconds.ts";

export const prefixSettings = section({
  enabled: flag({
    default: true,
    doc: "Whether requests are drawn to targets that have computed the beginning of their prompt before. Only prompts of 1 KiB and more have one that counts.",
  }),
  indexBytes: bytes({
    default: "64MiB",
    min: "64KiB",
    max: "64GiB",
    doc: "Most memory for what is known of that, rounded down to a power of two: 32 bytes for each block of 1 KiB, of all prompts of all models. Blocks that were used longest ago make room. Unused memory costs address space only.",
  }),
  capacityTokens: integer({
    default: 262_144,
    min: 1024,
    max: 1_000_000_000,
    doc: "Tokens that the KV cache of a target holds which does not tell it: as much as was sent there last counts as held.",
  }),
  share: flag({
    default: true,
    doc: "Whether routers tell each other which prompts they sent where: then the next turn of a conversation finds its target through any of them.",
  }),
  shareBytesPerSecond: bytes({
    default: "256KiB",
    min: "4KiB",
    max: "64MiB",
    doc: "Most that is told each of the other routers, 8 bytes for each KiB of a prompt. While more would be, only what is new of prompts is told, then only some of that.",
  }),
  missWeight: number({
    default: MISS_WEIGHT,
    max: 100,
    doc: "How many times dearer tokens that a target must compute get where it has a second of work waiting, in proportion to that: whoever comes later waits for them too. 0: no dearer.",
  }),
});

export type PrefixConfig = Infer<typeof prefixSettings>;
