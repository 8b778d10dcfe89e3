// The special functions of all kernels, once: the language promises exp within 3 + 2|x| units in the last place, log within 2^-21 near 1, tanh within 1e-5,
// and no erf. kernels/gen.mjs puts those that a file names in a line `// uses: …` behind its text, with what they need. `name4` takes four values,
// `name_of` one; asked for `name_elem`, it writes name4 over Elem, ElemU and ElemI, the types of the header. bench/precision.ts measures them over all
// f32 inputs.
//
// NaN in gives NaN out, infinities go where IEEE sends them, -0 stays -0 where the function is odd. Tests for all of these look at the bits: compilers
// may fold x != x, and max and clamp may drop a NaN. Results below 2^-126 are 0 (exp, sigmoid, softplus) or left to the adapter; subnormal
// inputs of exp, log, log1p, sigmoid, softplus, tanh and rsqrt count in full. Nothing rests on fma being fused, nor on (a + b) - a being left alone.
// Coefficients: own minimax fits (Remez), rounded to f32 one after the other.

const LN2_HIGH = 0.693145752; // 15 bits: times a whole number of 8 bits it is exact
const LN2_LOW = 1.42860682e-6;

// e^r and k in t = 1.5 2^23 + k, for x = k ln 2 + r. Rounds by adding 1.5 2^23 and reads k from the bits: no conversion that needs a clamp. The mask
// changes nothing (the lowest bit is 0) and keeps compilers from adding the two parts of ln 2 up.
struct Reduced4 { power: vec4f, t: vec4f }
fn exp_reduced4(x: vec4f) -> Reduced4 {
  let t = x * 1.44269502 + 12582912.0;
  let k = vec4f(bitcast<vec4i>(t) - vec4i(0x4b400000));
  let high = bitcast<vec4f>(bitcast<vec4u>(k * LN2_HIGH) & vec4u(0xfffffffeu));
  let r = (x - high) - k * LN2_LOW;
  let p = (((r * 0.00138382777 + 0.00836929772) * r + 0.0416680872) * r + 0.166665152) * r + 0.499999940;
  return Reduced4((p * r) * r + r + 1.0, t);
}

// e^x. Inf above 88.7228, 0 below -87.3365, where results would be subnormal.
fn exp4(x: vec4f) -> vec4f {
  let e = exp_reduced4(x);
  let u = bitcast<vec4u>(x);
  var y = bitcast<vec4u>(e.power) + (bitcast<vec4u>(e.t) << vec4u(23u));
  y = select(y, vec4u(0x7f800000u), u - vec4u(0x42b17218u) <= vec4u(0x7f800000u - 0x42b17218u));
  y = select(y, vec4u(0u), u - vec4u(0xc2aeac50u) <= vec4u(0xff800000u - 0xc2aeac50u));
  return bitcast<vec4f>(select(y, u, (u & vec4u(0x7fffffffu)) > vec4u(0x7f800000u)));
}
fn exp_of(x: f32) -> f32 { return exp4(vec4f(x)).x; }

// e^x for x ≤ 88, cheaper: what softmaxes need. A NaN comes through the sums and products by itself.
fn exp_neg4(x: vec4f) -> vec4f {
  let e = exp_reduced4(x);
  let y = e.power * bitcast<vec4f>((bitcast<vec4u>(e.t) << vec4u(23u)) + vec4u(0x3f800000u));
  return bitcast<vec4f>(select(bitcast<vec4u>(y), vec4u(0u), bitcast<vec4u>(x) - vec4u(0xc2aeac50u) <= vec4u(0xff800000u - 0xc2aeac50u)));
}
fn exp_neg_of(x: f32) -> f32 { return exp_neg4(vec4f(x)).x; }

// 1 / (1 + e^-x), from e^-|x|: no divisor above 2, no digit lost on either side. 0 below -87.3365.
fn sigmoid4(x: vec4f) -> vec4f {
  let e = exp_neg4(bitcast<vec4f>(bitcast<vec4u>(x) | vec4u(0x80000000u)));
  return select(e, vec4f(1.0), x >= vec4f(0.0)) / (1.0 + e);
}
fn sigmoid_of(x: f32) -> f32 { return sigmoid4(vec4f(x)).x; }

// log(1 + f) + e ln 2 for f in [√½ - 1, √2 - 1].
fn log_reduced4(f: vec4f, e: vec4f) -> vec4f {
  let z = f * f;
  let p = ((((((f * -0.0764220953 + 0.127666071) * f + -0.131595179) * f + 0.142009482) * f + -0.166233346) * f + 0.200012609) * f + -0.250008225) * f + 0.333333313;
  return (f + ((p * f * z + e * LN2_LOW) - 0.5 * z)) + e * LN2_HIGH;
}

// log x; -Inf at ±0, NaN below. A subnormal x is its bits times 2^-149.
fn log4(x: vec4f) -> vec4f {
  let u = bitcast<vec4u>(x);
  let tiny = u < vec4u(0x00800000u);
  let v = select(u, bitcast<vec4u>(vec4f(u)), tiny);
  let e = bitcast<vec4i>(v - vec4u(0x3f3504f3u)) >> vec4u(23u); // mantissa in [√½, √2)
  let f = bitcast<vec4f>(v - (bitcast<vec4u>(e) << vec4u(23u))) - 1.0;
  var y = bitcast<vec4u>(log_reduced4(f, vec4f(e + select(vec4i(0), vec4i(-149), tiny))));
  y = select(y, u, u == vec4u(0x7f800000u));
  y = select(y, vec4u(0x7fc00000u), u > vec4u(0x7f800000u));
  return bitcast<vec4f>(select(y, vec4u(0xff800000u), (u & vec4u(0x7fffffffu)) == vec4u(0u)));
}
fn log_of(x: f32) -> f32 { return log4(vec4f(x)).x; }

// log(1 + x); -Inf at -1, NaN below. With 2^e ≈ 1 + x: f = (1 + x) 2^-e - 1 = x s + (s - 1), s = 2^-e, loses nothing, however 1 + x was rounded.
fn log1p4(x: vec4f) -> vec4f {
  let u = bitcast<vec4u>(x);
  let sum = bitcast<vec4u>(1.0 + x);
  let e = bitcast<vec4i>(sum - vec4u(0x3f3504f3u)) >> vec4u(23u);
  let shift = bitcast<vec4u>(e) << vec4u(23u);
  let s = bitcast<vec4f>(vec4u(0x3f800000u) - shift);
  let f = select(x * s + (s - 1.0), bitcast<vec4f>(sum - shift) - 1.0, e > vec4i(30)); // there 1 + x is x, and s could be subnormal
  var y = bitcast<vec4u>(log_reduced4(f, vec4f(e)));
  y = select(y, u, ((u & vec4u(0x7fffffffu)) < vec4u(0x33000000u)) | (u == vec4u(0x7f800000u))); // |x| < 2^-25, Inf
  y = select(y, vec4u(0xff800000u), u == vec4u(0xbf800000u));
  return bitcast<vec4f>(select(y, vec4u(0x7fc00000u), ((u & vec4u(0x7fffffffu)) > vec4u(0x7f800000u)) | (u > vec4u(0xbf800000u))));
}
fn log1p_of(x: f32) -> f32 { return log1p4(vec4f(x)).x; }

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
fn softplus4(x: vec4f) -> vec4f {
  return max(x, vec4f(0.0)) + log1p4(exp_neg4(bitcast<vec4f>(bitcast<vec4u>(x) | vec4u(0x80000000u))));
}
fn softplus_of(x: f32) -> f32 { return softplus4(vec4f(x)).x; }

// x + x³ P(x²) below 0.55, 1 - 2 / (1 + e^2|x|) above; x itself below 2^-13.
fn tanh4(x: vec4f) -> vec4f {
  let u = bitcast<vec4u>(x) & vec4u(0x7fffffffu);
  let z = x * x;
  let p = (((z * -0.00624284940 + 0.0210507140) * z + -0.0538475476) * z + 0.133325443) * z + -0.333333164;
  let far = 1.0 - 2.0 / (1.0 + exp_neg4(2.0 * min(abs(x), vec4f(10.0))));
  var y = select(bitcast<vec4u>(x + (x * z) * p), bitcast<vec4u>(far) | (bitcast<vec4u>(x) & vec4u(0x80000000u)), u > vec4u(0x3f0ccccdu));
  return bitcast<vec4f>(select(y, bitcast<vec4u>(x), (u < vec4u(0x39000000u)) | (u > vec4u(0x7f800000u))));
}
fn tanh_of(x: f32) -> f32 { return tanh4(vec4f(x)).x; }

// Q(a) exp(a²/2) for a in [0, 14], Q the upper tail of the normal law: s P(s), s = 1 / (1 + 0.35 a).
fn scaled_tail4(a: vec4f) -> vec4f {
  let s = 1.0 / (1.0 + 0.35 * a);
  let p = ((((s * -0.0291459151 + 0.143971637) * s + -0.255714148) * s + 0.159174040) * s + -0.0231097490) * s + 0.105507970;
  return (((p * s + 0.119832873) * s + 0.139861867) * s + 0.139621407) * s;
}

// x + x P(x²) below 1, 1 - 2 Q(√2 |x|) above, 2 x / √π below 2^-30, where a part of the sum could be subnormal.
fn erf4(x: vec4f) -> vec4f {
  let u = bitcast<vec4u>(x) & vec4u(0x7fffffffu);
  let z = x * x;
  let p = (((((z * 0.0000780690389 + -0.000799785310) * z + 0.00518716220) * z + -0.0268533472) * z + 0.112835787) * z + -0.376126260) * z + 0.128379166;
  let a = min(abs(x), vec4f(5.0));
  let far = 1.0 - 2.0 * exp_neg4(-a * a) * scaled_tail4(1.41421356 * a);
  let y = select(bitcast<vec4u>(x + x * p), bitcast<vec4u>(far) | (bitcast<vec4u>(x) & vec4u(0x80000000u)), u > vec4u(0x3f800000u));
  let near = select(y, bitcast<vec4u>(x * 1.12837917), u < vec4u(0x30800000u));
  return bitcast<vec4f>(select(near, bitcast<vec4u>(x), u > vec4u(0x7f800000u)));
}
fn erf_of(x: f32) -> f32 { return erf4(vec4f(x)).x; }

// GELU x Φ(x), with the small one of Φ(x) and 1 - Φ(x) from the tail: no cancellation on either side. NaN at -Inf, as the formula says.
fn gelu4(x: vec4f) -> vec4f {
  let a = min(abs(x), vec4f(14.0));
  let tail = exp_neg4(-0.5 * a * a) * scaled_tail4(a);
  return x * select(1.0 - tail, tail, x < vec4f(0.0));
}

// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) = x σ(2 √(2/π) (x + 0.044715 x³)). σ saturates long before |x| = 30; the clamp keeps x³ finite.
fn gelu_tanh4(x: vec4f) -> vec4f {
  let t = clamp(x, vec4f(-30.0), vec4f(30.0));
  return x * sigmoid4(1.59576912 * t * (1.0 + 0.044715 * t * t));
}

// SiLU x σ(x)
fn silu4(x: vec4f) -> vec4f {
  return x * sigmoid4(x);
}

// 1 / √x with one Newton step, Inf at ±0, NaN below. x = m 4^j with m in [1, 4), so that nothing over- or underflows in whatever order it is multiplied; a
// subnormal x is its bits times 2^-149.
fn rsqrt4(x: vec4f) -> vec4f {
  let u = bitcast<vec4u>(x);
  let tiny = u < vec4u(0x00800000u);
  let v = select(u, bitcast<vec4u>(2.0 * vec4f(u)), tiny); // times 2^150
  let j = bitcast<vec4u>(bitcast<vec4i>(v - vec4u(0x3f800000u)) >> vec4u(24u));
  let m = bitcast<vec4f>(v - (j << vec4u(24u)));
  let y0 = inverseSqrt(m);
  let y1 = y0 + (0.5 * y0) * (1.0 - (m * y0) * y0);
  var y = bitcast<vec4u>(y1) + ((select(vec4u(0u), vec4u(75u), tiny) - j) << vec4u(23u));
  y = select(y, vec4u(0u), u == vec4u(0x7f800000u));
  y = select(y, vec4u(0x7fc00000u), u > vec4u(0x7f800000u));
  return bitcast<vec4f>(select(y, vec4u(0x7f800000u) | u, (u & vec4u(0x7fffffffu)) == vec4u(0u)));
}
fn rsqrt_of(x: f32) -> f32 { return rsqrt4(vec4f(x)).x; }
