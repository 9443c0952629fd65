/*
 * Every name that the double exports, once. The list gives each its number for counting, and tells a scenario's
 * `call.NAME` from a slip of the pen.
 */
#pragma once

#define NVML_FUNCTIONS(X) \
  X(nvmlInit) X(nvmlInit_v2) X(nvmlInitWithFlags) X(nvmlShutdown) X(nvmlErrorString) \
  X(nvmlSystemGetDriverVersion) X(nvmlSystemGetNVMLVersion) X(nvmlSystemGetCudaDriverVersion) \
  X(nvmlSystemGetCudaDriverVersion_v2) X(nvmlSystemGetProcessName) \
  X(nvmlDeviceGetCount) X(nvmlDeviceGetCount_v2) X(nvmlDeviceGetHandleByIndex) X(nvmlDeviceGetHandleByIndex_v2) \
  X(nvmlDeviceGetHandleByUUID) X(nvmlDeviceGetHandleBySerial) X(nvmlDeviceGetHandleByPciBusId_v2) \
  X(nvmlDeviceGetName) X(nvmlDeviceGetUUID) X(nvmlDeviceGetSerial) X(nvmlDeviceGetVbiosVersion) \
  X(nvmlDeviceGetBoardPartNumber) X(nvmlDeviceGetIndex) X(nvmlDeviceGetMinorNumber) X(nvmlDeviceGetBrand) \
  X(nvmlDeviceGetArchitecture) X(nvmlDeviceGetNumGpuCores) X(nvmlDeviceGetMemoryBusWidth) \
  X(nvmlDeviceGetCudaComputeCapability) X(nvmlDeviceGetPciInfo_v3) X(nvmlDeviceGetComputeMode) \
  X(nvmlDeviceGetPowerUsage) X(nvmlDeviceGetEnforcedPowerLimit) X(nvmlDeviceGetPowerManagementLimit) \
  X(nvmlDeviceGetPowerManagementDefaultLimit) X(nvmlDeviceGetPowerManagementLimitConstraints) \
  X(nvmlDeviceGetTotalEnergyConsumption) X(nvmlDeviceGetFanSpeed) X(nvmlDeviceGetFanSpeed_v2) \
  X(nvmlDeviceGetFanSpeedRPM) X(nvmlDeviceGetNumFans) X(nvmlDeviceGetPerformanceState) X(nvmlDeviceGetPowerState) \
  X(nvmlDeviceGetPersistenceMode) X(nvmlDeviceGetTemperature) X(nvmlDeviceGetTemperatureV) \
  X(nvmlDeviceGetMarginTemperature) X(nvmlDeviceGetTemperatureThreshold) X(nvmlDeviceGetClockInfo) \
  X(nvmlDeviceGetMaxClockInfo) X(nvmlDeviceGetCurrentClocksEventReasons) \
  X(nvmlDeviceGetCurrentClocksThrottleReasons) X(nvmlDeviceGetSupportedClocksEventReasons) \
  X(nvmlDeviceGetMemoryInfo) X(nvmlDeviceGetMemoryInfo_v2) X(nvmlDeviceGetUtilizationRates) \
  X(nvmlDeviceGetEncoderUtilization) X(nvmlDeviceGetDecoderUtilization) X(nvmlDeviceGetJpgUtilization) \
  X(nvmlDeviceGetOfaUtilization) X(nvmlDeviceGetEccMode) X(nvmlDeviceGetTotalEccErrors) \
  X(nvmlDeviceGetRetiredPages_v2) X(nvmlDeviceGetRetiredPagesPendingStatus) X(nvmlDeviceGetRemappedRows) \
  X(nvmlDeviceGetCurrPcieLinkGeneration) X(nvmlDeviceGetMaxPcieLinkGeneration) \
  X(nvmlDeviceGetGpuMaxPcieLinkGeneration) X(nvmlDeviceGetCurrPcieLinkWidth) X(nvmlDeviceGetMaxPcieLinkWidth) \
  X(nvmlDeviceGetPcieReplayCounter) X(nvmlDeviceGetPcieThroughput) X(nvmlDeviceGetNvLinkState) \
  X(nvmlDeviceGetNvLinkVersion) X(nvmlDeviceGetNvLinkErrorCounter) X(nvmlDeviceGetGpuFabricInfo) \
  X(nvmlDeviceGetGpuFabricInfoV) X(nvmlDeviceGetFieldValues) X(nvmlDeviceGetComputeRunningProcesses_v3) \
  X(nvmlDeviceGetGraphicsRunningProcesses_v3) X(nvmlDeviceGetMPSComputeRunningProcesses_v3) \
  X(nvmlDeviceGetComputeRunningProcesses_v2) X(nvmlDeviceGetGraphicsRunningProcesses_v2) \
  X(nvmlDeviceGetMPSComputeRunningProcesses_v2) \
  X(nvmlDeviceGetProcessUtilization) X(nvmlDeviceGetProcessesUtilizationInfo) X(nvmlDeviceGetMigMode) \
  X(nvmlDeviceGetMaxMigDeviceCount) X(nvmlDeviceGetMigDeviceHandleByIndex) \
  X(nvmlDeviceGetDeviceHandleFromMigDeviceHandle) X(nvmlDeviceIsMigDeviceHandle) X(nvmlDeviceGetGpuInstanceId) \
  X(nvmlDeviceGetComputeInstanceId) X(nvmlDeviceGetAttributes_v2) X(nvmlDeviceGetGpuInstanceById) \
  X(nvmlGpuInstanceGetInfo) X(nvmlDeviceGetGpuInstanceProfileInfo) X(nvmlDeviceGetGpuInstanceProfileInfoV) \
  X(nvmlEventSetCreate) X(nvmlEventSetFree) X(nvmlEventSetWait) X(nvmlEventSetWait_v2) \
  X(nvmlDeviceRegisterEvents) X(nvmlDeviceGetSupportedEventTypes) X(nvmlGpmQueryDeviceSupport) \
  X(nvmlGpmSampleAlloc) X(nvmlGpmSampleFree) X(nvmlGpmSampleGet) X(nvmlGpmMigSampleGet) X(nvmlGpmMetricsGet)
