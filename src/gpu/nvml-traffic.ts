/** A GPU's ways to the others: PCIe and NVLink, read every five seconds. */
import type { GpuLink, GpuTraffic } from "../health/reading.ts";
import { longOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import { ALL_LINKS, FIELD, NvmlFields, ofDevice } from "./nvml-fields.ts";
import type { GpmFigures } from "./nvml-gpm.ts";
import { flagOf } from "./nvml-identity.ts";
import { Rate } from "./rate.ts";

const LINKS_MAX = 64;
const KIB = 1024;
const KB = 1000;
const DIRECTION = { tx: 0, rx: 1 } as const;
/** Of nvmlDeviceGetNvLinkErrorCounter. */
const ERROR = { replay: 0, recovery: 1, crcData: 3 } as const;
const OF_LINK = [
  FIELD.linkState,
  FIELD.linkReplays,
  FIELD.linkRecoveries,
  FIELD.linkCrcErrors,
  FIELD.linkRecoveryEvents,
  FIELD.linkTxBytes,
  FIELD.linkRxBytes,
] as const;

interface LinkSums {
  readonly links: GpuLink[];
  /** Of all links; undefined where one that is up does not tell. */
  readonly txBytes: number | undefined;
  readonly rxBytes: number | undefined;
}

export class NvmlTraffic {
  readonly #device: NvmlDevice;
  readonly #fields: NvmlFields;
  #links: NvmlFields | undefined;
  #linkCount = 0;
  readonly #pcieTx = new Rate();
  readonly #pcieRx = new Rate();
  readonly #allLinksTx = new Rate();
  readonly #allLinksRx = new Rate();
  /** Of the links that are up, and which ones those are: one that comes up brings all that it ever sent. */
  #linksTx = new Rate();
  #linksRx = new Rate();
  #linksUp = "";

  constructor(device: NvmlDevice) {
    this.#device = device;
    this.#fields = new NvmlFields(device, [
      ...ofDevice(FIELD.pcieReplays, FIELD.pcieTxBytes, FIELD.pcieRxBytes, FIELD.linkCount),
      { id: FIELD.linkTxKib, scope: ALL_LINKS },
      { id: FIELD.linkRxKib, scope: ALL_LINKS },
    ]);
  }

  /** `gpm`: what the last look at the load had, for what no counter tells. */
  read(gpm: GpmFigures | undefined): GpuTraffic {
    const device = this.#device;
    const [replays, pcieTx, pcieRx, linkCount, txKib, rxKib] = this.#fields.look();
    const { links, txBytes, rxBytes } = this.#eachLink(Math.min(linkCount ?? 0, LINKS_MAX));
    const allTx = timesOf(this.#allLinksTx.take(txKib, device.nowMs), KIB);
    const allRx = timesOf(this.#allLinksRx.take(rxKib, device.nowMs), KIB);
    const sumTx = this.#linksTx.take(txBytes, device.nowMs);
    const sumRx = this.#linksRx.take(rxBytes, device.nowMs);
    return {
      pcieGeneration: device.word("nvmlDeviceGetCurrPcieLinkGeneration"),
      pcieWidth: device.word("nvmlDeviceGetCurrPcieLinkWidth"),
      pcieTxBytesPerSecond: this.#pcieRate(this.#pcieTx, pcieTx, 1, gpm?.pcieTxBytesPerSecond, DIRECTION.tx),
      pcieRxBytesPerSecond: this.#pcieRate(this.#pcieRx, pcieRx, 2, gpm?.pcieRxBytesPerSecond, DIRECTION.rx),
      pcieReplays: replays ?? device.word("nvmlDeviceGetPcieReplayCounter"),
      linkTxBytesPerSecond: allTx ?? sumTx ?? gpm?.linkTxBytesPerSecond,
      linkRxBytesPerSecond: allRx ?? sumRx ?? gpm?.linkRxBytesPerSecond,
      links: links.length === 0 ? undefined : links,
    };
  }

  /**
   * By a counter of 64 bits; else by GPM; else by a counter of 32 bits, which a busy link fills several times between two
   * looks; else by the call that counts for 20 ms, and blocks for as long.
   */
  #pcieRate(
    rate: Rate,
    counter: number | undefined,
    field: number,
    byGpm: number | undefined,
    direction: number,
  ): number | undefined {
    const counted = rate.take(counter, this.#device.nowMs);
    if (counter !== undefined && (byGpm === undefined || this.#fields.isLong(field))) return counted;
    if (byGpm !== undefined) return byGpm;
    return timesOf(this.#device.choice("nvmlDeviceGetPcieThroughput", direction), KB);
  }

  #eachLink(count: number): LinkSums {
    if (count !== this.#linkCount || this.#links === undefined) {
      this.#linkCount = count;
      const wanted = Array.from({ length: count }, (_, scope) => OF_LINK.map((id) => ({ id, scope }))).flat();
      this.#links = new NvmlFields(this.#device, wanted);
    }
    const values = this.#links.look();
    const links: GpuLink[] = [];
    let txBytes: number | undefined = count === 0 ? undefined : 0;
    let rxBytes = txBytes;
    for (let index = 0; index < count; index += 1) {
      const at = index * OF_LINK.length;
      const isActive = isUp(values[at] ?? this.#device.choice("nvmlDeviceGetNvLinkState", index));
      if (isActive === undefined) continue;
      links.push({
        index,
        isActive,
        replayErrors: values[at + 1] ?? this.#errors(index, ERROR.replay),
        recoveryErrors: values[at + 2] ?? values[at + 4] ?? this.#errors(index, ERROR.recovery),
        crcErrors: values[at + 3] ?? this.#errors(index, ERROR.crcData),
      });
      if (!isActive) continue;
      txBytes = sumOf(txBytes, values[at + 5]);
      rxBytes = sumOf(rxBytes, values[at + 6]);
    }
    const linksUp = links.map(({ index, isActive }) => (isActive ? index : "")).join();
    if (linksUp !== this.#linksUp) {
      this.#linksUp = linksUp;
      this.#linksTx = new Rate();
      this.#linksRx = new Rate();
    }
    return { links, txBytes, rxBytes };
  }

  #errors(link: number, counter: number): number | undefined {
    const device = this.#device;
    const name = "nvmlDeviceGetNvLinkErrorCounter";
    const call = device.session.calls[name];
    const key = `${name} ${link} ${counter}`;
    if (call === undefined || device.isQuiet(key)) return undefined;
    const words = device.session.blank();
    return device.heard(name, call(device.handle, link, counter, words), key) ? longOf(words, 0) : undefined;
  }
}

/** 2 is a link that sleeps: it is trained, and wakes up by itself. */
function isUp(state: number | undefined): boolean | undefined {
  return state === 2 ? true : flagOf(state);
}

function timesOf(value: number | undefined, unit: number): number | undefined {
  return value === undefined ? undefined : value * unit;
}

function sumOf(sum: number | undefined, value: number | undefined): number | undefined {
  return sum === undefined || value === undefined ? undefined : sum + value;
}
