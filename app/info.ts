import { openDevice } from '../engine/device.ts';

/** `vl-jepa info`: prints the adapter and what it can do. @param json print nothing, only return @returns adapter, features, limits */
export async function info(json: boolean): Promise<object> {
  const device = await openDevice();
  const { maxBufferSize, maxStorageBufferBindingSize, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize, maxStorageBuffersPerShaderStage } = device.limits;
  const report = {
    adapter: device.adapter, features: [...device.features].sort(), memory: device.memory(),
    limits: { maxBufferSize, maxStorageBufferBindingSize, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize, maxStorageBuffersPerShaderStage },
  };
  if (!json) {
    console.log(`adapter   ${device.adapter.notice}`);
    console.log(`profile   ${device.adapter.profile} (${device.adapter.class})`);
    console.log(`features  ${report.features.join(', ') || 'none'}`);
    for (const [name, value] of Object.entries(report.limits)) console.log(`limit     ${name} ${value}`);
  }
  return report;
}
