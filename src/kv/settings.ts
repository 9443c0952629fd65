/** What the blocks of KV caches may cost on their way to routers, and there. */
import { bytes, duration, flag, integer, section, type Infer } from "../base/settings.ts";
import { RECEIVER_LIMITS } from "./index-receiver.ts";

export const blockSendingSettings = section({
  find: flag({
    default: true,
    doc: "Hear the KV cache events of runtimes whose API tells where they are; those that are named with kvEvents are heard in any case.",
  }),
  intervalMs: duration({
    default: "100ms",
    min: "10ms",
    max: "10s",
    doc: "Changes of a KV cache are told to routers together, this often at most.",
  }),
  bytesPerSecond: bytes({
    default: "128KiB",
    min: "4KiB",
    max: "16MiB",
    doc: "What the changes of all KV caches of a node may cost each router. What changes more is told seldomer, in the sum.",
  }),
  blocksMax: integer({
    default: 131_072,
    min: 1024,
    max: 1_048_576,
    doc: "Blocks that are known of each engine. Of more, the deepest are left out; 131,072 take some 33 MB.",
  }),
});

export type BlockSendingConfig = Infer<typeof blockSendingSettings>;

export const blockHearingSettings = section({
  enabled: flag({
    default: true,
    doc: "Follow which blocks the engines of all nodes hold, where nodes tell.",
  }),
  blocksMax: integer({
    default: RECEIVER_LIMITS.blocksMax,
    min: 1024,
    max: 1_048_576,
    doc: "Blocks that are known of each engine; what is beyond is not.",
  }),
  blocksTotalMax: integer({
    default: RECEIVER_LIMITS.blocksTotalMax,
    min: 1024,
    max: 67_108_864,
    doc: "Blocks that are known of all engines together, some 50 bytes each.",
  }),
});

export type BlockHearingConfig = Infer<typeof blockHearingSettings>;
