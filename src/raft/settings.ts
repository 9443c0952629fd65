/** The consensus' knobs. All members should have the same ones, and with lease reads they must. */
import { bytes, type Complaint, duration, flag, type Infer, integer, section } from "../base/settings.ts";
import { formatBytes, formatDuration } from "../base/units.ts";

const fields = {
  heartbeatIntervalMs: duration({
    default: "100ms",
    min: "5ms",
    max: "10s",
    doc: "Time between two heartbeats of the leader.",
  }),
  electionTimeoutMinMs: duration({
    default: "500ms",
    min: "20ms",
    max: "1m",
    doc: "Members that heard the leader within this time elect no other. At least twice the heartbeat interval.",
  }),
  electionTimeoutMaxMs: duration({
    default: "1s",
    min: "30ms",
    max: "2m",
    doc: "A member that hears no leader stands for election after a random time between the two; a leader that hears no majority for this long steps down.",
  }),
  commitNoticeDelayMs: duration({
    default: "5ms",
    max: "1s",
    doc: "How long news of what is committed wait for entries to go along with, before they are sent to followers by themselves.",
  }),
  leaseReads: flag({
    default: false,
    doc: "The leader answers reads without asking the others while its lease lasts: faster, and wrong where the clock of one member runs more than a tenth faster than another's.",
  }),
  appendBytesMax: bytes({
    default: "256KiB",
    min: "1KiB",
    max: "1MiB",
    doc: "Most bytes of entries in one message, but for a single larger entry.",
  }),
  inflightMessagesMax: integer({
    default: 128,
    min: 1,
    max: 65_536,
    doc: "Messages with entries that are on their way to one follower before the leader waits for an answer.",
  }),
  inflightBytesMax: bytes({
    default: "8MiB",
    min: "1KiB",
    max: "1GiB",
    doc: "Bytes of entries on their way to one follower before the leader waits for an answer.",
  }),
  uncommittedBytesMax: bytes({
    default: "32MiB",
    min: "1KiB",
    max: "1GiB",
    doc: "Bytes of entries that no majority has stored yet; beyond it the leader takes no more.",
  }),
  entryBytesMax: bytes({
    default: "1MiB",
    min: "1KiB",
    max: "1MiB",
    doc: "Most bytes of one entry.",
  }),
  snapshotChunkBytes: bytes({
    default: "256KiB",
    min: "16B",
    max: "2MiB",
    doc: "Bytes of a piece of a snapshot.",
  }),
  snapshotWindowBytes: bytes({
    default: "1MiB",
    min: "16B",
    max: "1GiB",
    doc: "Bytes of a snapshot on their way to one follower before the leader waits for an answer.",
  }),
  trailingEntriesMax: integer({
    default: 2_000,
    min: 0,
    max: 1_000_000,
    doc: "Entries kept behind a snapshot, so that a follower that is a little behind needs no snapshot.",
  }),
  trailingBytesMax: bytes({
    default: "16MiB",
    min: "0B",
    max: "1GiB",
    doc: "Bytes of those entries: they stay in memory.",
  }),
  pendingReadsMax: integer({
    default: 10_000,
    min: 1,
    max: 1_000_000,
    doc: "Reads that wait at one member until the leader has made sure that it still is one.",
  }),
};

export const raftSettings = section(fields, {
  doc: "Consensus on policies: how soon a lost leader is replaced, how much may be on its way.",
  check({ heartbeatIntervalMs, electionTimeoutMinMs, electionTimeoutMaxMs, snapshotChunkBytes, snapshotWindowBytes }) {
    const complaints: Complaint[] = [];
    if (electionTimeoutMinMs < 2 * heartbeatIntervalMs) {
      const expected = `at least twice heartbeatInterval, which is ${formatDuration(heartbeatIntervalMs)}`;
      complaints.push({ path: "electionTimeoutMin", found: formatDuration(electionTimeoutMinMs), expected });
    }
    if (electionTimeoutMaxMs < 1.2 * electionTimeoutMinMs) {
      const expected = `at least 1.2 times electionTimeoutMin, which is ${formatDuration(electionTimeoutMinMs)}`;
      complaints.push({ path: "electionTimeoutMax", found: formatDuration(electionTimeoutMaxMs), expected });
    }
    if (snapshotWindowBytes < snapshotChunkBytes) {
      const expected = `at least snapshotChunk, which is ${formatBytes(snapshotChunkBytes)}`;
      complaints.push({ path: "snapshotWindow", found: formatBytes(snapshotWindowBytes), expected });
    }
    return complaints;
  },
});

export type RaftConfig = Infer<typeof raftSettings>;
