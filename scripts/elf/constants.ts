/** The numbers of the ELF format (64 bits) that are met here, by the format's own names. */

export const FILE_TYPE = { fixed: 2, shared: 3 } as const;

export const MACHINE = { x64: 62, arm64: 183 } as const;

export const SEGMENT = {
  unused: 0,
  load: 1,
  dynamic: 2,
  interpreter: 3,
  note: 4,
  headers: 6,
  threadLocal: 7,
  unwindIndex: 0x6474e550,
  stack: 0x6474e551,
} as const;

export const FLAG = { execute: 1, write: 2, read: 4 } as const;

export const SECTION = { symbols: 2, noBits: 8 } as const;

/** Tags of the dynamic section. */
export const TAG = {
  end: 0,
  needed: 1,
  pltRelocationsSize: 2,
  hash: 4,
  strings: 5,
  symbols: 6,
  relocations: 7,
  relocationsSize: 8,
  stringsSize: 10,
  pltRelocations: 23,
  symbolVersions: 0x6ffffff0,
} as const;

export const BINDING = { local: 0, global: 1, weak: 2 } as const;

/** Sizes of the format's records, in bytes. */
export const SIZE = { header: 64, segment: 56, section: 64, symbol: 24, relocation: 24, dynamic: 16 } as const;
