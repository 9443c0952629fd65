/**
 * NVIDIA's XIDs: what each means, what it does here, and how that ends.
 *
 * The source of meaning and advice is NVIDIA's catalogue of XIDs (docs.nvidia.com/deploy/xid-errors,
 * analyzing-xid-catalog.html, for Ampere and later); codes that it no longer describes are of the listing for older GPUs
 * (docs.nvidia.com/deploy/xid-errors/archive). `advice` is the immediate action that the catalogue names, in its own
 * words. What an XID does here follows from it:
 *
 *   ignore, or start the program again   an event: the GPU is well, a program was not
 *   reset the GPU, restart the machine   quarantined, until it was reset
 *   something between                    degraded, for a time or until it was reset
 *
 * An XID comes without the details that the kernel log has, so those whose advice hangs on them (NVLink's) count by the
 * mildest that still matters; what they come to is read as the recovery action that the driver asks for.
 */

/**
 *   application   a program's mistake; the GPU is well
 *   driver        driver or firmware stumbled
 *   memory        the GPU's memory
 *   link          NVLink, PCIe, C2C
 *   fatal         the GPU works no more until it was reset
 *   notice        tells of something else that is judged by itself
 */
export const XID_CLASSES = ["application", "driver", "memory", "link", "fatal", "notice"] as const;
export type XidClass = (typeof XID_CLASSES)[number];

export type XidEffect = "event" | "degraded" | "quarantined";

/**
 *   none     there is nothing to recover from
 *   auto     after some time without another
 *   reset    when the GPU was reset or the driver loaded anew; or by hand
 *   manual   by hand
 */
export type XidRecovery = "none" | "auto" | "reset" | "manual";

export interface Xid {
  readonly code: number;
  readonly class: XidClass;
  readonly meaning: string;
  readonly effect: XidEffect;
  readonly recovery: XidRecovery;
  /** What the source says to do at once; "" where it says nothing. */
  readonly advice: string;
  readonly source: "catalogue" | "archive" | "none";
}

type Row = readonly [codes: number | readonly number[], meaning: string, advice: string, source?: "archive"];

const RESTART = "RESTART_APP";
const RESET = "RESET_GPU";
const IGNORE = "IGNORE";

const COPY_ENGINES = [39, 40, 41, 70, 71, 72, 75, 76, 77, 85, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135];
const DECODERS = [68, 83, 84, 88, 89, 96, 97, 98];
const JPEG_ENGINES = [82, 99, 100, 101, 102, 103, 104, 105];

const APPLICATION_EVENTS: readonly Row[] = [
  [8, "a channel was idle for too long and the GPU stopped processing it", RESTART],
  [[11, 25], "invalid or corrupted push buffer stream", RESTART],
  [13, "exception in the graphics engine: mostly an access out of bounds or an illegal instruction", RESTART],
  [31, "memory page fault: a program used an address that is not its own", RESTART],
  [COPY_ENGINES, "exception in a copy engine", RESTART],
  [43, "a program hit a fault of its own and was stopped", IGNORE],
  [45, "a program's channels were removed: it was stopped, or another error came before", "WORKFLOW_XID_45"],
  [60, "exception in a video processor", RESTART],
  [[47, 65, 73], "exception in a video encoder", "", "archive"],
  [142, "exception in a video encoder", "CONTACT_SUPPORT"],
  [DECODERS, "exception in a video decoder", RESTART],
  [69, "class error in the graphics engine", RESTART],
  [JPEG_ENGINES, "exception in a JPEG engine", RESTART],
  [[86, 139], "exception in the optical flow engine", RESTART],
  [[108, 137], "access over NVLink to memory of another GPU that is not allowed", IGNORE],
];

const DRIVER_EVENTS: readonly Row[] = [
  [37, "firmware was asked for a method that it does not have", IGNORE],
  [44, "fault in the graphics engine during a context switch", IGNORE],
  [[66, 67], "illegal access by the driver", IGNORE],
  [78, "a virtual GPU could not be started", "UPDATE_SWFW"],
  [93, "the InfoROM may be written no more within its wear limit", IGNORE],
  [[122, 123, 124], "the flash memory could not be read, written or erased", "", "archive"],
  [141, "error in CUDA's fast path", IGNORE],
  [[152, 153], "error of the deep-learning accelerator", IGNORE],
  [160, "a channel was retired", IGNORE],
];

const NOTICES: readonly Row[] = [
  [14, "an error that a program made up", IGNORE],
  [63, "a memory row or page was marked for replacement; the remapping is judged by itself", IGNORE],
  [[106, 107], "test message of the management controller", IGNORE],
  [121, "corrected errors on the link to the CPU", IGNORE],
  [[147, 148], "an NVLink unit reported an error without consequences", "WORKFLOW_NVLINK5_ERR"],
  // The catalogue wants a reset, and says of when it comes that a link that goes to sleep is enough.
  [155, "an NVLink was taken down on purpose, or sleeps; whether it is up is judged by itself", RESET],
  [162, "power smoothing works again", ""],
  [163, "power smoothing was turned off", ""],
  [164, "the power smoothing circuit is near the end of its life", ""],
  [165, "the power smoothing circuit is at the end of its life", ""],
  [171, "details of an uncorrectable error in DRAM; XID 48 comes with it", ""],
  [172, "details of an uncorrectable error in SRAM; XID 48 comes with it", ""],
];

const DEGRADED_FOR_A_TIME: Readonly<Partial<Record<XidClass, readonly Row[]>>> = {
  driver: [
    [38, "the firmware's watchdog ran out", IGNORE],
    [61, "an internal microcontroller stopped at a breakpoint", "", "archive"],
    [154, "the driver asks for another recovery action than before", "XID_154"],
    [161, "a channel could not be retired", IGNORE],
    [[166, 170], "NVLink error in confidential computing", ""],
  ],
  memory: [
    [92, "corrected memory errors at a high rate", IGNORE],
    [125, "the InfoROM's file system is damaged", "", "archive"],
  ],
  link: [
    [32, "corrupted push buffer stream: mostly a bad PCIe link", RESTART],
    [80, "corrupted data arrived at the GPU", RESTART],
    [[144, 145, 146], "an NVLink unit reported an error", "WORKFLOW_NVLINK5_ERR"],
    [149, "an NVLink went down, or has many bit errors; whether it is up is judged by itself", "WORKFLOW_NVLINK5_ERR"],
    [159, "error on the link to the CPU", "CHECK_UVM"],
  ],
};

const DEGRADED_UNTIL_RESET: Readonly<Partial<Record<XidClass, readonly Row[]>>> = {
  memory: [
    [94, "uncorrectable memory error, contained to one program; a reset is wanted", RESTART],
    [156, "a part of the GPU was retired; a reset is wanted", RESET],
  ],
  link: [[74, "NVLink error: of the link, or of the device at its other end", "WORKFLOW_NVLINK_ERR"]],
};

const DEGRADED_UNTIL_HAND: Readonly<Partial<Record<XidClass, readonly Row[]>>> = {
  memory: [
    [157, "a part of the GPU should be retired and could not be, for want of spare ones", IGNORE],
    [168, "less memory than the card has: errors in a protected region", ""],
  ],
};

const QUARANTINED_UNTIL_RESET: Readonly<Partial<Record<XidClass, readonly Row[]>>> = {
  memory: [
    [48, "uncorrectable memory error", "WORKFLOW_XID_48"],
    [64, "a memory row or page could not be replaced", RESET],
    [95, "uncorrectable memory error, not contained: any program may have wrong data", RESET],
    [140, "uncorrectable memory error that could not be attributed to a page", RESET],
  ],
  link: [
    [136, "an NVLink could not be trained", RESET],
    [150, "the NVLink management engine failed", RESET],
    [167, "fatal timeout on PCIe", ""],
  ],
  fatal: [
    [46, "the GPU stopped processing", RESET],
    [[62, 169], "an internal microcontroller halted", RESET],
    [109, "a context switch did not end in time", RESET],
    [110, "security fault", RESET],
    [119, "the GPU's system processor did not answer in time", RESET],
    [120, "error in the GPU's system processor", RESET],
    [143, "the GPU could not be initialised", RESET],
    [158, "fatal timeout in the GPU", RESET],
  ],
};

const QUARANTINED_UNTIL_HAND: Readonly<Partial<Record<XidClass, readonly Row[]>>> = {
  driver: [[151, "keys of confidential computing could not be exchanged for new ones", "RESTART_VM"]],
  fatal: [
    [54, "the card's power cable is not connected", "CHECK_MECHANICALS"],
    [79, "the GPU has fallen off the bus", "RESTART_BM"],
  ],
};

const byCode = new Map<number, Xid>();

function add(kind: XidClass, effect: XidEffect, recovery: XidRecovery, rows: readonly Row[]): void {
  for (const [codes, meaning, advice, source = "catalogue"] of rows) {
    for (const code of [codes].flat())
      byCode.set(code, { code, class: kind, meaning, effect, recovery, advice, source });
  }
}

function addAll(
  effect: XidEffect,
  recovery: XidRecovery,
  of: Readonly<Partial<Record<XidClass, readonly Row[]>>>,
): void {
  for (const kind of XID_CLASSES) add(kind, effect, recovery, of[kind] ?? []);
}

add("application", "event", "none", APPLICATION_EVENTS);
add("driver", "event", "none", DRIVER_EVENTS);
add("notice", "event", "none", NOTICES);
addAll("degraded", "auto", DEGRADED_FOR_A_TIME);
addAll("degraded", "reset", DEGRADED_UNTIL_RESET);
addAll("degraded", "manual", DEGRADED_UNTIL_HAND);
addAll("quarantined", "reset", QUARANTINED_UNTIL_RESET);
addAll("quarantined", "manual", QUARANTINED_UNTIL_HAND);

/** In the order of their codes. */
export const XIDS: readonly Xid[] = [...byCode.values()].sort((a, b) => a.code - b.code);

/** What an XID is; of one that nobody described, that it is unknown. */
export function xidOf(code: number): Xid {
  return (
    byCode.get(code) ?? {
      code,
      class: "driver",
      meaning: "unknown: it is in no list of NVIDIA's that this version knows",
      effect: "degraded",
      recovery: "auto",
      advice: "",
      source: "none",
    }
  );
}
