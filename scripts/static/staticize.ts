/**
 * Makes of Bun's runtime for musl one that needs nothing of the system it runs on: no loader, no libstdc++, no libc. How
 * and why is told in native/static/DESIGN.md.
 *
 * All that is assumed of Bun's file is checked here, and what a new version does otherwise is named.
 */

import { FILE_TYPE, FLAG, SEGMENT, TAG } from "../elf/constants.ts";
import { ElfFile, type Segment, hex } from "../elf/file.ts";
import { dynamicEntries, dynamicValue, neededLibraries, setDynamicEntries } from "../elf/tables.ts";
import { type ImportCounts, BUN_IMPORTS, rebindImports } from "./imports.ts";
import { type LoaderImage, loaderImage } from "./loader.ts";
import { type Machine, machineOf, roundUp } from "./machine.ts";

const CXX_LIBRARY = "libstdc++.so.6";
/** Two pointers of std::call_once; also the most that thread-local storage may be aligned to. */
const CALL_ONCE_ROOM = 16;
/** Eight bytes where a compiled program's payload is told; Bun puts the payload behind the segment that they are in. */
const PAYLOAD_SECTION = ".bun";

interface BunSegments {
  readonly readable: Segment;
  readonly text: Segment;
  readonly data: Segment;
  readonly threadLocal: Segment;
}

export interface StaticRuntime {
  readonly bytes: Uint8Array;
  readonly counts: ImportCounts;
  readonly loaderBase: number;
  /** How much longer than Bun's own file. */
  readonly added: number;
}

/** The segments of Bun's file, if they are as they always were. */
function bunSegments(bun: ElfFile, machine: Machine): BunSegments {
  if (bun.type !== FILE_TYPE.fixed) throw bun.fault("it is not an executable for fixed addresses (ET_EXEC)");
  const segments = bun.segments();
  if (!segments.some(({ type }) => type === SEGMENT.interpreter)) {
    throw bun.fault("it names no loader (PT_INTERP): is it static already?");
  }
  if (!segments.some(({ type }) => type === SEGMENT.note)) {
    throw bun.fault("it has no note (PT_NOTE), whose program header is needed for another segment");
  }
  const [readable, text, data, ...more] = segments.filter(({ type }) => type === SEGMENT.load);
  const threadLocal = segments.find(({ type }) => type === SEGMENT.threadLocal);
  if (readable === undefined || text === undefined || data === undefined || more.length > 0) {
    throw bun.fault("it should have three segments: to read, to run, to write");
  }
  const flags = [readable, text, data].map((segment) => segment.flags);
  const wanted = [FLAG.read, FLAG.read | FLAG.execute, FLAG.read | FLAG.write];
  if (readable.offset !== 0 || flags.some((flag, index) => flag !== wanted[index])) {
    throw bun.fault(`its three segments should be to read, to run, to write; their flags are ${flags.join(", ")}`);
  }
  if (readable.offset + readable.fileSize > text.offset) throw bun.fault("its first two segments overlap in the file");
  if (threadLocal?.address !== data.address || threadLocal.offset !== data.offset) {
    throw bun.fault("its thread-local storage (PT_TLS) is not at the start of its writable segment");
  }
  if (threadLocal.align > CALL_ONCE_ROOM) {
    throw bun.fault(`its thread-local storage is aligned to ${threadLocal.align}, at most ${CALL_ONCE_ROOM} will do`);
  }
  if (machine.threadLocalsInFront && data.address % machine.page < CALL_ONCE_ROOM) {
    throw bun.fault("there is no room in front of its thread-local storage");
  }
  const payload = bun.sections().find(({ name }) => name === PAYLOAD_SECTION);
  const isInside =
    payload !== undefined && payload.address >= data.address && payload.address < data.address + data.fileSize;
  if (!isInside) throw bun.fault(`it has no section ${PAYLOAD_SECTION} in its writable segment`);
  return { readable, text, data, threadLocal };
}

/** Takes libstdc++ out of the libraries that are needed. */
function dropCxxLibrary(bun: ElfFile, machine: Machine): void {
  const needed = neededLibraries(bun);
  if (needed.toSorted().join(" ") !== [machine.muslLibrary, CXX_LIBRARY].toSorted().join(" ")) {
    throw bun.fault(`it needs ${needed.join(", ")}, where ${machine.muslLibrary} and ${CXX_LIBRARY} were expected`);
  }
  const strings = bun.offsetOf(dynamicValue(bun, TAG.strings, "DT_STRTAB"));
  const isCxx = (tag: number, value: number): boolean =>
    tag === TAG.needed && bun.text(strings + value) === CXX_LIBRARY;
  setDynamicEntries(
    bun,
    dynamicEntries(bun).filter(({ tag, value }) => !isCxx(tag, value)),
  );
}

/** Gives a segment its new place: room in front, or at its end, for call_once; what lies behind the images moves. */
function moved(segment: Segment, of: BunSegments, machine: Machine, shift: number): Segment {
  const isThreadLocal = segment.type === SEGMENT.threadLocal;
  const isData = segment.type === SEGMENT.load && segment.address === of.data.address;
  let { offset, address, fileSize, memorySize } = segment;
  if (machine.threadLocalsInFront && (isThreadLocal || isData)) {
    address -= CALL_ONCE_ROOM;
    offset -= CALL_ONCE_ROOM;
    fileSize += CALL_ONCE_ROOM;
    memorySize += CALL_ONCE_ROOM;
  } else if (isThreadLocal) {
    memorySize = roundUp(memorySize, 8) + CALL_ONCE_ROOM;
  }
  if (offset >= of.text.offset) offset += shift;
  return { ...segment, offset, address, fileSize, memorySize };
}

/** Bun's file with the images between its first segment and its text: what lies behind the writable one must not move. */
function insertImages(bun: ElfFile, machine: Machine, segments: BunSegments, image: LoaderImage): Uint8Array {
  const { page } = machine;
  const end = segments.readable.fileSize;
  const textAt = roundUp(end, page);
  const dataAt = textAt + image.text.length;
  const behind = segments.text.offset;
  const shift = roundUp(dataAt + image.data.length - behind + (behind % page), page);
  const bytes = new Uint8Array(bun.bytes.length + shift);
  bytes.set(bun.bytes.subarray(0, end));
  bytes.set(image.text, textAt);
  bytes.set(image.data, dataAt);
  bytes.set(bun.bytes.subarray(behind), behind + shift);

  const out = new ElfFile(bun.name, bytes);
  out.entry = image.entry;
  out.sectionsAt = bun.sectionsAt + shift;
  for (const [index, { offset }] of bun.sections().entries()) {
    if (offset >= behind) out.setSectionOffset(index, offset + shift);
  }
  const isKept = ({ type }: Segment): boolean => type !== SEGMENT.interpreter && type !== SEGMENT.note;
  const kept = bun
    .segments()
    .filter(isKept)
    .map((segment) => moved(segment, segments, machine, shift));
  const text: Segment = {
    type: SEGMENT.load,
    flags: FLAG.read | FLAG.execute,
    offset: textAt,
    address: image.textAddress,
    fileSize: image.text.length,
    memorySize: image.text.length,
    align: page,
  };
  const data: Segment = {
    type: SEGMENT.load,
    flags: FLAG.read | FLAG.write,
    offset: dataAt,
    address: image.dataAddress,
    fileSize: image.data.length,
    memorySize: image.dataMemory,
    align: page,
  };
  // The kernel wants them by rising addresses, and PT_PHDR in front of all.
  const first = kept.findIndex(({ type }) => type === SEGMENT.load);
  out.setSegments(kept.toSpliced(first, 0, text, data));
  return bytes;
}

/** The three files are left as they are. */
export function staticize(
  files: { readonly bun: ElfFile; readonly musl: ElfFile; readonly shim: ElfFile },
  expected: ImportCounts = BUN_IMPORTS,
): StaticRuntime {
  const { musl, shim } = files;
  const bun = new ElfFile(files.bun.name, new Uint8Array(files.bun.bytes));
  const machine = machineOf(bun);
  for (const other of [musl, shim]) {
    if (other.machine !== machine.number) throw other.fault(`it is not made for ${machine.name}, as ${bun.name} is`);
  }
  const segments = bunSegments(bun, machine);
  const roomAt = machine.threadLocalsInFront ? 0 : roundUp(segments.threadLocal.memorySize, 8);
  const { counts, addresses } = rebindImports({ bun, musl, shim }, machine, roomAt, expected);
  dropCxxLibrary(bun, machine);
  const app = {
    ...addresses,
    appEntry: bun.entry,
    appHeaders: segments.readable.address + bun.segmentsAt,
    appHeaderCount: bun.segmentCount,
  };
  const image = loaderImage(shim, musl, machine, app, segments.readable.address);
  const bytes = insertImages(bun, machine, segments, image);
  return { bytes, counts, loaderBase: image.loaderBase, added: bytes.length - bun.bytes.length };
}

/** What a finished executable may not have; the first such thing found, "" for none. */
export function standsAloneFault(executable: ElfFile): string {
  const { muslLibrary } = machineOf(executable);
  if (executable.segments().some(({ type }) => type === SEGMENT.interpreter)) return "it names a loader (PT_INTERP)";
  const needed = neededLibraries(executable).filter((name) => name !== muslLibrary);
  if (needed.length > 0) return `it needs ${needed.join(", ")}`;
  const loads = executable.segments().filter(({ type }) => type === SEGMENT.load);
  const { page } = machineOf(executable);
  const crooked = loads.find(({ offset, address }) => offset % page !== address % page);
  if (crooked !== undefined)
    return `its segment at ${hex(crooked.address)} can't be mapped from ${hex(crooked.offset)}`;
  return "";
}
