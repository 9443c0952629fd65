/** How each backend is opened. Imported where it is wanted: a probe has but one in memory. */
import type { Openers } from "./probe.ts";

export const OPENERS: Openers = {
  async nvml({ nvmlLibrary, root }) {
    const { openNvml } = await import("./nvml.ts");
    const libraryPath = nvmlLibrary === "" ? undefined : nvmlLibrary;
    return openNvml({ libraryPath, root: root === "/" ? "" : root });
  },
  async rocm({ rocmLibrary, root }) {
    const { openRocm } = await import("./rocm.ts");
    const libraryPath = rocmLibrary === "" ? undefined : rocmLibrary;
    return openRocm({ libraryPath, root: root === "/" ? "" : root });
  },
  async sysfs({ vendors, root }) {
    const { openSysfs } = await import("./sysfs.ts");
    return openSysfs({ vendors, root: root === "/" ? "" : root });
  },
};
