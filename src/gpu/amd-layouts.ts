/**
 * Where each figure stands in AMD's gpu_metrics: the bytes that amdgpu shows in a file of that name, and the struct that
 * rocm-smi-lib makes of them. Both name a version in their first four bytes (size, format, content).
 *
 * A layout is written as its C struct is: b, h, w and q are 1, 2, 4 and 8 bytes, `*` repeats, each figure stands at a
 * multiple of its size, and what follows `@` at a multiple of eight, as a struct does. Names are the kernel's (kgd_pp_interface.h). A version that is not here, or has another size than
 * here, is not read: a wrong place would be a wrong figure.
 */

export interface Place {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly count: number;
}

export interface Layout {
  readonly bytes: number;
  readonly places: readonly Place[];
}

const WIDTHS = { b: 1, h: 2, w: 4, q: 8 } as const;
const HEADER_BYTES = 4;

/** Places of the figures behind the header, and what the whole of it takes. */
function layout(...parts: readonly string[]): Layout {
  const places: Place[] = [];
  let offset = HEADER_BYTES;
  let widest = 2;
  for (const part of parts.join(" ").trim().split(/\s+/)) {
    if (part === "@") {
      offset = Math.ceil(offset / 8) * 8;
      continue;
    }
    const [, letter, name, times] = /^([bhwq]):([a-z0-9_]+)(?:\*(\d+))?$/.exec(part) ?? [];
    const bytes = WIDTHS[letter as keyof typeof WIDTHS];
    const count = Number(times ?? 1);
    offset = Math.ceil(offset / bytes) * bytes;
    places.push({ name: name as string, offset, bytes, count });
    offset += bytes * count;
    widest = Math.max(widest, bytes);
  }
  return { bytes: Math.ceil(offset / widest) * widest, places };
}

/** indep_throttle_status, of 64 bits, in two halves: a number holds 53. */
const THROTTLERS = "@ w:throttlers_low w:throttlers_high";
const CLOCKS = `h:average_gfxclk_frequency h:average_socclk_frequency h:average_uclk_frequency
  h:average_vclk0_frequency h:average_dclk0_frequency h:average_vclk1_frequency h:average_dclk1_frequency
  h:current_gfxclk h:current_socclk h:current_uclk h:current_vclk0 h:current_dclk0 h:current_vclk1 h:current_dclk1
  w:throttle_status h:current_fan_speed`;
const HEAT = `h:temperature_edge h:temperature_hotspot h:temperature_mem h:temperature_vrgfx h:temperature_vrsoc
  h:temperature_vrmem h:average_gfx_activity h:average_umc_activity h:average_mm_activity h:average_socket_power`;
const V1_0 = `q:system_clock_counter ${HEAT} w:energy_accumulator ${CLOCKS} b:pcie_link_width b:pcie_link_speed`;
const V1_1 = `${HEAT} q:energy_accumulator q:system_clock_counter ${CLOCKS} h:pcie_link_width h:pcie_link_speed h:padding
  w:gfx_activity_acc w:mem_activity_acc h:temperature_hbm*4`;
const V1_2 = `${V1_1} q:firmware_timestamp`;
const V1_3 = `${V1_2} h:voltage_soc h:voltage_gfx h:voltage_mem h:padding1 ${THROTTLERS}`;

const SOCKET = `h:temperature_hotspot h:temperature_mem h:temperature_vrsoc h:curr_socket_power h:average_gfx_activity
  h:average_umc_activity`;
const COUNTED = "q:energy_accumulator q:system_clock_counter";
const RESIDENCY = `w:accumulation_counter w:prochot_residency_acc w:ppt_residency_acc w:socket_thm_residency_acc
  w:vr_thm_residency_acc w:hbm_thm_residency_acc`;
const LINKS = `w:gfxclk_lock_status h:pcie_link_width h:pcie_link_speed h:xgmi_link_width h:xgmi_link_speed
  w:gfx_activity_acc w:mem_activity_acc q:pcie_bandwidth_acc q:pcie_bandwidth_inst q:pcie_l0_to_recov_count_acc
  q:pcie_replay_count_acc q:pcie_replay_rover_count_acc`;
const NAKS = "w:pcie_nak_sent_count_acc w:pcie_nak_rcvd_count_acc";
const XGMI = "q:xgmi_read_data_acc*8 q:xgmi_write_data_acc*8";
const CURRENT = `q:firmware_timestamp h:current_gfxclk*8 h:current_socclk*4 h:current_vclk0*4 h:current_dclk0*4
  h:current_uclk`;

/** One for each partition of the chip, eight of them. */
function partitions(jpegs: number, accumulators: number): string {
  return `@ w:gfx_busy_inst*8 h:jpeg_busy*${jpegs} h:vcn_busy*4 q:partition_acc*${accumulators * 8} `.repeat(8);
}

const V1_4 = `${SOCKET} h:vcn_activity*4 ${COUNTED} w:throttle_status ${LINKS} ${XGMI} ${CURRENT} h:padding`;
const V1_5 = `${SOCKET} h:vcn_activity*4 h:jpeg_activity*32 ${COUNTED} w:throttle_status ${LINKS} ${NAKS} ${XGMI}
  ${CURRENT} h:padding`;
const V1_6_EARLY = `${SOCKET} h:vcn_activity*4 h:jpeg_activity*32 ${COUNTED} ${RESIDENCY} w:throttle_status ${LINKS}
  ${NAKS} ${XGMI} ${CURRENT} h:padding`;
const V1_6 = `${SOCKET} ${COUNTED} ${RESIDENCY} ${LINKS} ${NAKS} ${XGMI} ${CURRENT} h:num_partition ${partitions(32, 1)}
  w:pcie_lc_perf_other_end_recovery`;
const V1_7_BODY = `${SOCKET} q:mem_max_bandwidth ${COUNTED} ${RESIDENCY} ${LINKS} ${NAKS} ${XGMI} h:xgmi_link_status*8
  h:padding ${CURRENT} h:num_partition`;
const V1_7 = `${V1_7_BODY} ${partitions(32, 2)} w:pcie_lc_perf_other_end_recovery`;
const V1_8 = `${V1_7_BODY} ${partitions(40, 5)} w:pcie_lc_perf_other_end_recovery`;

const APU_HEAT = `h:temperature_gfx h:temperature_soc h:temperature_core*8 h:temperature_l3*2 h:average_gfx_activity
  h:average_mm_activity`;
const APU_REST = `h:average_socket_power h:average_cpu_power h:average_soc_power h:average_gfx_power
  h:average_core_power*8 h:average_gfxclk_frequency h:average_socclk_frequency h:average_uclk_frequency
  h:average_fclk_frequency h:average_vclk_frequency h:average_dclk_frequency h:current_gfxclk h:current_socclk
  h:current_uclk h:current_fclk h:current_vclk0 h:current_dclk0 h:current_coreclk*8 h:current_l3clk*2 w:throttle_status
  h:fan_pwm`;
const V2_0 = `q:system_clock_counter ${APU_HEAT} ${APU_REST} h:padding`;
const V2_1 = `${APU_HEAT} q:system_clock_counter ${APU_REST} h:padding*3`;
const V2_2 = `${V2_1} ${THROTTLERS}`;
const V2_3 = `${V2_2} h:average_temperature_gfx h:average_temperature_soc h:average_temperature_core*8
  h:average_temperature_l3*2`;
/** The power of this one is known to be milliwatts, that of those before is watts or milliwatts by the chip. */
const V2_4 = `${V2_3.replace("h:average_socket_power", "h:average_socket_milliwatts")} h:average_cpu_voltage
  h:average_soc_voltage h:average_gfx_voltage h:average_cpu_current h:average_soc_current h:average_gfx_current`;
const V3_0 = `h:temperature_gfx h:temperature_soc h:temperature_core*16 h:temperature_skin h:average_gfx_activity
  h:average_vcn_activity h:average_ipu_activity*8 h:average_core_c0_activity*16 h:average_dram_reads
  h:average_dram_writes h:average_ipu_reads h:average_ipu_writes q:system_clock_counter w:average_socket_milliwatts
  h:average_ipu_power w:average_apu_power w:average_gfx_power w:average_dgpu_power w:average_all_core_power
  h:average_core_power*16 h:average_sys_power h:stapm_power_limit h:current_stapm_power_limit
  h:average_gfxclk_frequency h:average_socclk_frequency h:average_vpeclk_frequency h:average_ipuclk_frequency
  h:average_fclk_frequency h:average_vclk_frequency h:average_uclk_frequency h:average_mpipu_frequency
  h:current_coreclk*16 h:current_core_maxfreq h:current_gfx_maxfreq w:throttle_residency_prochot
  w:throttle_residency_spl w:throttle_residency_fppt w:throttle_residency_sppt w:throttle_residency_thm_core
  w:throttle_residency_thm_gfx w:throttle_residency_thm_soc w:time_filter_alphavalue`;

/** By "format.content". */
export const LAYOUTS: ReadonlyMap<string, readonly Layout[]> = new Map([
  ["1.0", [layout(V1_0)]],
  ["1.1", [layout(V1_1)]],
  ["1.2", [layout(V1_2)]],
  ["1.3", [layout(V1_3)]],
  ["1.4", [layout(V1_4)]],
  ["1.5", [layout(V1_5)]],
  ["1.6", [layout(V1_6), layout(V1_6_EARLY)]],
  ["1.7", [layout(V1_7)]],
  ["1.8", [layout(V1_8)]],
  ["2.0", [layout(V2_0)]],
  ["2.1", [layout(V2_1)]],
  ["2.2", [layout(V2_2)]],
  ["2.3", [layout(V2_3)]],
  ["2.4", [layout(V2_4)]],
  ["3.0", [layout(V3_0)]],
]);

/** rocm-smi-lib's own struct up to 5.x: whatever the card told, in the places of version 1.1. */
export const ROCM5_LAYOUT = layout(V1_1);

/**
 * From 6.0 on: version 1.3, and behind it what later versions added, up to where the partitions begin: those have 168 bytes
 * each by 6.3, 232 by 6.4 and 504 by 7.0, and nothing in the struct tells by which it was written. What is behind them is
 * in the card's own bytes.
 */
export const ROCM6_LAYOUT = layout(
  `${HEAT} q:energy_accumulator q:system_clock_counter ${CLOCKS} h:pcie_link_width h:pcie_link_speed w:gfx_activity_acc
  w:mem_activity_acc h:temperature_hbm*4 q:firmware_timestamp h:voltage_soc h:voltage_gfx h:voltage_mem
  ${THROTTLERS} h:curr_socket_power h:vcn_activity*4 w:gfxclk_lock_status h:xgmi_link_width
  h:xgmi_link_speed q:pcie_bandwidth_acc q:pcie_bandwidth_inst q:pcie_l0_to_recov_count_acc q:pcie_replay_count_acc
  q:pcie_replay_rover_count_acc ${XGMI} h:current_gfxclk*8 h:current_socclk*4 h:current_vclk0*4 h:current_dclk0*4
  h:jpeg_activity*32 ${NAKS} q:accumulation_counter q:prochot_residency_acc q:ppt_residency_acc
  q:socket_thm_residency_acc q:vr_thm_residency_acc q:hbm_thm_residency_acc h:num_partition`,
);

/** Version 1.9 writes before each figure which one it is: these, by their numbers. */
export const ATTRIBUTES: readonly string[] = `temperature_hotspot temperature_mem temperature_vrsoc curr_socket_power
  average_gfx_activity average_umc_activity mem_max_bandwidth energy_accumulator system_clock_counter
  accumulation_counter prochot_residency_acc ppt_residency_acc socket_thm_residency_acc vr_thm_residency_acc
  hbm_thm_residency_acc gfxclk_lock_status pcie_link_width pcie_link_speed xgmi_link_width xgmi_link_speed
  gfx_activity_acc mem_activity_acc pcie_bandwidth_acc pcie_bandwidth_inst pcie_l0_to_recov_count_acc
  pcie_replay_count_acc pcie_replay_rover_count_acc pcie_nak_sent_count_acc pcie_nak_rcvd_count_acc
  xgmi_read_data_acc xgmi_write_data_acc xgmi_link_status firmware_timestamp current_gfxclk current_socclk
  current_vclk0 current_dclk0 current_uclk num_partition pcie_lc_perf_other_end_recovery gfx_busy_inst jpeg_busy
  vcn_busy`
  .trim()
  .split(/\s+/);
