/**
 * What cards are called, by the vendor's number of the chip, where the card itself does not tell: what servers are built
 * with, and what is common besides. Of the public PCI ID database, in the vendors' own words.
 */
const AMD: Readonly<Record<string, string>> = {
  "1586": "AMD Radeon 8060S Graphics",
  "66a1": "AMD Radeon Instinct MI50",
  "7388": "AMD Instinct MI100",
  "738c": "AMD Instinct MI100",
  "738e": "AMD Instinct MI100",
  "7408": "AMD Instinct MI250X",
  "740c": "AMD Instinct MI250X / MI250",
  "740f": "AMD Instinct MI210",
  "73bf": "AMD Radeon RX 6800 / 6800 XT / 6900 XT",
  "744c": "AMD Radeon RX 7900 XT / 7900 XTX",
  "74a0": "AMD Instinct MI300A",
  "74a1": "AMD Instinct MI300X",
  "74a2": "AMD Instinct MI308X",
  "74a5": "AMD Instinct MI325X",
  "74a9": "AMD Instinct MI300X HF",
  "74b5": "AMD Instinct MI300X VF",
  "74b9": "AMD Instinct MI325X VF",
  "7550": "AMD Radeon RX 9070 / 9070 XT",
  "7590": "AMD Radeon RX 9060 XT",
};

const INTEL: Readonly<Record<string, string>> = {
  "0bd5": "Intel Data Center GPU Max 1550",
  "0bda": "Intel Data Center GPU Max 1100",
  "56a0": "Intel Arc A770",
  "56a1": "Intel Arc A750",
  "56a2": "Intel Arc A580",
  "56c0": "Intel Data Center GPU Flex 170",
  "56c1": "Intel Data Center GPU Flex 140",
  e20b: "Intel Arc B580",
  e20c: "Intel Arc B570",
};

/** `device` in hexadecimal digits, without 0x. */
export function cardName(vendor: "amd" | "intel", device: string | undefined): string {
  const maker = vendor === "amd" ? "AMD" : "Intel";
  if (device === undefined) return `${maker} GPU`;
  const names = vendor === "amd" ? AMD : INTEL;
  return Object.hasOwn(names, device) ? (names[device] as string) : `${maker} GPU ${device}`;
}
