// Elementary functions of a block of numbers, without branches and calls, so that every lane takes the same path.
//
// Arguments are reduced as in Cody and Waite, Software Manual for the Elementary Functions, 1980; the
// polynomials are Taylor's or minimax ones, long enough for the precision of `real`.
//
// ELEMENTARY is what many places of a right-hand side may call.

FUNCTION V v_min(V a, V b) { return sel((a < b) | (a != a), a, b); }
FUNCTION V v_max(V a, V b) { return sel((a > b) | (a != a), a, b); }
FUNCTION V v_abs(V x) { return from_bits(as_bits(x) & ~SIGN); }
FUNCTION V v_sign(V x) { return sel(x > 0, splat(1), sel(x < 0, splat(-1), x)); }

// Any function of one number, lane by lane.
#define LANEWISE(mark, name, function) \
  mark V name(V x) { for (int l = 0; l < W; l++) x[l] = function(x[l]); return x; }
LANEWISE(FUNCTION, v_sqrt, sqrt)
LANEWISE(FUNCTION, v_floor, floor)
LANEWISE(FUNCTION, v_ceil, ceil)
LANEWISE(FUNCTION, v_trunc, trunc)
LANEWISE(FUNCTION, v_round, nearbyint)
LANEWISE(ELEMENTARY, v_expm1, expm1)
LANEWISE(ELEMENTARY, v_log1p, log1p)
LANEWISE(ELEMENTARY, v_tan, tan)
LANEWISE(ELEMENTARY, v_asin, asin)
LANEWISE(ELEMENTARY, v_acos, acos)
LANEWISE(ELEMENTARY, v_atan, atan)
LANEWISE(ELEMENTARY, v_sinh, sinh)
LANEWISE(ELEMENTARY, v_cosh, cosh)
LANEWISE(ELEMENTARY, v_erf, erf)
ELEMENTARY V v_atan2(V y, V x) { for (int l = 0; l < W; l++) y[l] = atan2(y[l], x[l]); return y; }
ELEMENTARY V v_fmod(V x, V y) { for (int l = 0; l < W; l++) x[l] = fmod(x[l], y[l]); return x; }

// 2^k for whole k, in two factors so that subnormal results come out right.
FUNCTION V scaled(V x, N k) {
  N half = k >> 1;
  return x * from_bits((half + BIAS) << DIGITS) * from_bits((k - half + BIAS) << DIGITS);
}

// The nearest whole number, as both kinds; |x| must be far below 2^DIGITS.
FUNCTION V nearest(V x, N *k) {
  V shifted = x + MAGIC;
  *k = as_bits(shifted) - as_bits(splat(MAGIC));
  return shifted - MAGIC;
}

// exp x = 2^k exp r, r = x - k log 2, |r| <= log(2) / 2; this is exp r.
FUNCTION V reduced_exp(V x, int terms, N *k) {
  V whole = nearest(x * real(1.4426950408889634074), k);
  V r = (x - whole * LOG2_HIGH) - whole * LOG2_LOW;
  V sum = splat(0);
  for (int i = terms; i >= 0; i--) sum = sum * r + real(EXP_SERIES[i]);
  return sum;
}

ELEMENTARY V v_exp(V x) {
  N k;
  V limited = v_min(v_max(x, splat(EXP_LOWEST)), splat(EXP_HIGHEST));
  V result = scaled(reduced_exp(limited, EXP_TERMS, &k), k);
  result = sel(x > EXP_HIGHEST, splat(INFINITY), result);
  result = sel(x < EXP_LOWEST, splat(0), result);
  return sel(x != x, x, result);
}

// log x = k log 2 + log m, sqrt(1/2) <= m < sqrt 2; with s = (m - 1) / (m + 1), log m = 2 (s + s^3 / 3 + ...).
FUNCTION V log_of_normal(V x, int terms, V offset) {
  N bits = as_bits(x) - as_bits(splat(real(0.70710678118654752440)));
  N k = bits >> DIGITS;
  V m = from_bits(as_bits(x) - (k << DIGITS)), exponent = convert(k) - offset;
  V s = (m - 1) / (m + 1), z = s * s, sum = splat(0);
  for (int i = terms; i >= 1; i--) sum = (sum + real(2.0) / real(2 * i + 1)) * z;
  return exponent * LOG2_HIGH + (2 * s + (s * sum + exponent * LOG2_LOW));
}

ELEMENTARY V v_log(V x) {
  M small = x < SMALLEST_NORMAL;
  V result = log_of_normal(sel(small, x * LIFT, x), LOG_TERMS, sel(small, splat(LIFTED), splat(0)));
  result = sel(x == INFINITY, x, result);
  result = sel(x == 0, splat(-INFINITY), result);
  return sel((x < 0) | (x != x), splat(NAN), result);
}

// Six digits, for moderate numbers: plenty where only a step size depends on them.
FUNCTION V rough_exp(V x) {
  N k;
  V sum = reduced_exp(x, 6, &k);
  return sum * from_bits((k + BIAS) << DIGITS);
}
FUNCTION V rough_log(V x) { return log_of_normal(x, 3, splat(0)); }

// x = k pi/2 + r, |r| <= pi/4; quadrant k mod 4. Far out, where the three parts of pi/2 no longer do, libm.
FUNCTION V sine_like(V x, int quadrant) {
  N k;
  V whole = nearest(x * real(0.63661977236758134308), &k);
  V r = ((x - whole * HALF_PI_1) - whole * HALF_PI_2) - whole * HALF_PI_3;
  V z = r * r, sine = splat(0), cosine = splat(0);
  for (int i = SINE_TERMS; i >= 1; i--) {
    sine = (sine + real(1)) * z * real(-1.0 / ((2 * i) * (2 * i + 1)));
    cosine = (cosine + real(1)) * z * real(-1.0 / ((2 * i) * (2 * i - 1)));
  }
  k += quadrant;
  V value = sel((k & 1) == 0, r + r * sine, 1 + cosine);
  V result = sel((k & 2) == 0, value, -value);
  bool far = false;
  for (int l = 0; l < W; l++) far |= !(fabs(x[l]) < FARTHEST);
  if (far) for (int l = 0; l < W; l++) result[l] = quadrant ? cos(x[l]) : sin(x[l]);
  return result;
}
ELEMENTARY V v_sin(V x) { return sine_like(x, 0); }
ELEMENTARY V v_cos(V x) { return sine_like(x, 1); }

// A quotient of two polynomials, where it is precise enough.
FUNCTION V tanh_quotient(V x) {
  V limited = sel(x > TANH_FARTHEST, splat(TANH_FARTHEST), sel(x < -TANH_FARTHEST, splat(-TANH_FARTHEST), x));
  V z = limited * limited, odd = splat(0), even = splat(0);
  for (int i = TANH_ODD_TERMS - 1; i >= 0; i--) odd = odd * z + TANH_ODD[i];
  for (int i = TANH_EVEN_TERMS - 1; i >= 0; i--) even = even * z + TANH_EVEN[i];
  return limited * (odd / even); // in this order tiny numbers keep their digits
}

// tanh x = 1 - 2 / (exp 2x + 1), and for small x a continued fraction, where that would cancel.
FUNCTION V tanh_by_exp(V x) {
  V size = v_abs(x), z = x * x;
  V far = 1 - 2 / (v_exp(2 * v_min(size, splat(20))) + 1);
  V fraction = splat(real(2 * TANH_TERMS + 1));
  for (int i = TANH_TERMS - 1; i >= 0; i--) fraction = real(2 * i + 1) + z / fraction;
  V near = size / fraction;
  V result = sel(size < real(0.6), near, far);
  result = sel(x < 0, -result, result);
  return sel(x != x, x, result);
}

ELEMENTARY V v_tanh(V x) { return TANH_QUOTIENT ? tanh_quotient(x) : tanh_by_exp(x); }

ELEMENTARY V v_pow(V x, V y) { for (int l = 0; l < W; l++) x[l] = pow(x[l], y[l]); return x; }
