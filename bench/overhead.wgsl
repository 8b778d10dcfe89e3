// Three tensors and a uniform field: what a dispatch of the bare loop in overhead.ts binds. It never runs, the null backend computes nothing.
@group(0) @binding(0) var<uniform> scale: vec4f;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn forward(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] * scale.x + w[id.x]; }
