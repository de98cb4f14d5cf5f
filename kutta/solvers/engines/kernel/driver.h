// The loop over trials. W trajectories are on their way at once, one in each lane of a block; a lane whose
// trajectory has ended takes the next one. Times are double whatever the precision of the state, and count
// forwards along each trajectory, s = direction t.
//
// From the generator: D entries of the state, the first CONTROLLED of which choose the step sizes (the others are
// sensitivities); STAGES of a step and EXTRA ones for its interpolant, which are slopes or increments; ORDER,
// REUSES_LAST, ADAPTIVE, HISTORY, POWERS; `f`, `stages`, `interpolant_stages`, `interpolant_weights`.

static const double STRETCH = 1e-3, TINY = 1e-30, SMALLEST = 4 * 2.220446049250313e-16;
static const real LOWEST_RATIO = 1e-10, HIGHEST_RATIO = 1e10;
enum Code { OK = 0, EVENT = 1, MAX_STEPS = 2, STEP_UNDERFLOW = 3, NON_FINITE = 4 };

extern "C" struct Job {
  const real *y0;                          // (n, D)
  const double *t0, *t1;                   // (n)
  const real *own, *shared;                // parameters: (n, OWN), (SHARED)
  const real *rtol, *atol;                 // (n or 1, CONTROLLED)
  const double *save;                      // output times, (n or 1, T)
  const double *control;                   // safety, smallest and largest factor, smallest and largest step
  const double *first;                     // (n): first step sizes, or zero where they are estimated
  const real *before;                      // (n, EVENTS): conditions at the start
  long long tolerance_stride, save_stride, outputs, max_steps;
  long long estimates, resumes;            // whether to choose first steps, and whether earlier outputs are written
  real *ys, *y1;                           // (T, n, D), (n, D)
  double *end, *size;                      // (n): last time, last step size
  long long *steps, *rejected, *evaluations; // (n): counted on from what is there
  int *codes, *event;                      // (n): how it ended, and at which event, counted from 1
  double *theta, *scale;                   // (n): where in its step, and how large the condition was at the ends
  long long total;                         // n
};

struct Block {
  const Job &job;
  long long trajectory[W], output[W];
  V y[D], own[OWN + 1], k[STAGES + EXTRA][D], rtol[CONTROLLED], atol[CONTROLLED];
  V earlier[HISTORY + 1]; // logarithms of the error ratios of the last accepted steps
  T s = {}, s1 = {}, h = {}, direction = filled(1), floor = {}, save = filled(INFINITY);
  Flags after_rejection = {}, steps = {}, rejected = {}, evaluations = {};
  Watch<Block> watch;
  long long next, stop;
  int busy = 0;
  bool free = true;

  DEVICE Block(const Job &job, long long first, long long last) : job(job), next(first), stop(last) {
    for (int l = 0; l < W; l++) trajectory[l] = -1;
    // Lanes without a trajectory compute too, with numbers that harm nobody.
    for (int d = 0; d < D; d++) y[d] = splat(1);
    for (int d = 0; d < CONTROLLED; d++) rtol[d] = atol[d] = splat(1);
    for (int j = 0; j <= OWN; j++) own[j] = splat(1);
    for (int j = 0; j <= HISTORY; j++) earlier[j] = splat(0);
    for (int i = 0; i < STAGES + EXTRA; i++) for (int d = 0; d < D; d++) k[i][d] = splat(0);
  }

  // Let every free lane take a trajectory; those of no length are ended at once.
  DEVICE void fill() {
    if (!free) return;
    free = false;
    Flags fresh = {};
    for (int l = 0; l < W; l++)
      while (trajectory[l] < 0 && next < stop) {
        load(l, next++);
        if (s[l] < s1[l]) fresh[l] = -1, busy++;
        else finish(l, OK);
      }
    if (any(fresh)) begin(fresh);
  }

  DEVICE void load(int l, long long n) {
    trajectory[l] = n, output[l] = 0;
    direction[l] = job.t1[n] < job.t0[n] ? -1 : 1;
    s[l] = direction[l] * job.t0[n], s1[l] = direction[l] * job.t1[n];
    floor[l] = larger(fabs(s[l]), fabs(s1[l])) * SMALLEST + job.control[3];
    after_rejection[l] = 0, h[l] = job.first[n];
    steps[l] = job.steps[n], rejected[l] = job.rejected[n], evaluations[l] = job.evaluations[n];
    watch.load(l, job.before + n * EVENTS);
    for (int j = 0; j < HISTORY; j++) earlier[j][l] = 0;
    for (int d = 0; d < D; d++) y[d][l] = job.y0[n * D + d];
    for (int d = 0; d < CONTROLLED; d++) {
      rtol[d][l] = job.rtol[n * job.tolerance_stride * CONTROLLED + d];
      atol[d][l] = job.atol[n * job.tolerance_stride * CONTROLLED + d];
    }
    for (int j = 0; j < OWN; j++) own[j][l] = job.own[n * OWN + j];
    look_for_output(l);
    while (save[l] <= s[l]) {
      if (!job.resumes) for (int d = 0; d < D; d++) target(l)[d] = y[d][l];
      output[l]++, look_for_output(l);
    }
  }

  // The time of a lane's next output.
  DEVICE void look_for_output(int l) {
    const double *times = job.save + trajectory[l] * job.save_stride * job.outputs;
    save[l] = output[l] < job.outputs ? direction[l] * times[output[l]] : INFINITY;
  }

  DEVICE real *target(int l) { return job.ys + (output[l] * job.total + trajectory[l]) * D; }

  // First slopes and step sizes of new lanes; the others keep theirs.
  DEVICE void begin(Flags fresh) {
    V slope[D];
    f(to_real(direction * s), y, own, job.shared, slope);
    M mask = to_mask(fresh);
    for (int d = 0; d < D; d++) k[0][d] = sel(mask, slope[d], k[0][d]);
    if (REUSES_LAST) evaluations -= fresh;
    if (job.estimates) first_step(fresh, slope);
  }

  DEVICE V norm(const V *values, const V *size) const {
    V sum = splat(0);
    for (int d = 0; d < CONTROLLED; d++) {
      V part = values[d] / (atol[d] + rtol[d] * size[d]);
      sum += part * part;
    }
    return v_sqrt(sum * real(1.0 / CONTROLLED));
  }

  // Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.4.
  DEVICE void first_step(Flags fresh, const V *slope) {
    V size[CONTROLLED], ahead[D], bent[D];
    for (int d = 0; d < CONTROLLED; d++) size[d] = v_abs(y[d]);
    V d0 = norm(y, size), d1 = norm(slope, size);
    T guess;
    for (int l = 0; l < W; l++) {
      guess[l] = d0[l] < 1e-5 || d1[l] < 1e-5 ? 1e-6 : 0.01 * double(d0[l]) / double(d1[l]);
      if (!isfinite(guess[l])) guess[l] = 1e-6;
    }
    V move = to_real(direction * guess);
    for (int d = 0; d < D; d++) ahead[d] = y[d] + move * slope[d];
    f(to_real(direction * (s + guess)), ahead, own, job.shared, bent);
    for (int d = 0; d < CONTROLLED; d++) bent[d] -= slope[d];
    V d2 = norm(bent, size);
    evaluations -= fresh, evaluations -= REUSES_LAST ? Flags{} : fresh;
    for (int l = 0; l < W; l++) {
      if (!fresh[l]) continue;
      double largest = larger(double(d1[l]), d2[l] / guess[l]);
      double curved = largest <= 1e-15 ? larger(1e-6, guess[l] * 1e-3) : pow(0.01 / largest, 1.0 / (ORDER + 1));
      if (!isfinite(largest)) curved = guess[l];
      h[l] = smaller(larger(smaller(100 * guess[l], curved), job.control[3]), job.control[4]);
    }
  }

  // One trial of every lane.
  DEVICE void trial() {
    T left = s1 - s;
    Flags lands = left <= h * (1 + STRETCH), running = s < s1;
    T size = sel(lands, left, h), end = sel(lands, s1, s + size);
    V t = to_real(direction * s), move = to_real(direction * size), y1[D], error[D], last[D];
    stages(t, move, y, own, job.shared, k, y1, error);
    V ratio = ratio_of(y1, error);
    Flags accepted = to_flags(ratio <= 1) & running;
    for (int d = 0; d < D; d++) last[d] = y1[d];
    if (EVENTS) stop_at_events(accepted, t, move, end, size, y1, last);
    if (any(accepted & (save <= end))) write_outputs(accepted, t, move, end, size, y1, last);
    settle(accepted, running, ratio, end, size, last);
  }

  // Let lanes that cross an event end there, in the states `last`.
  DEVICE void stop_at_events(Flags accepted, V t, V move, T &end, T size, const V *y1, V *last) {
    V now[EVENTS + 1];
    Flags crossed = watch.crossed(*this, accepted, end, y1, now);
    if (!any(crossed)) return;
    interpolant_stages(t, move, y, own, job.shared, k, y1);
    for (int l = 0; l < W; l++) {
      if (!crossed[l]) continue;
      evaluations[l] += EXTRA;
      watch.locate(*this, l, size, move, now);
      if (watch.theta[l] == 1) continue;
      real state[D];
      between(watch.theta[l], l, move, state);
      for (int d = 0; d < D; d++) last[d][l] = state[d];
      end[l] = s[l] + watch.theta[l] * size[l];
    }
  }

  DEVICE V ratio_of(const V *y1, const V *error) const {
    if (!ADAPTIVE) {
      V sum = splat(0);
      for (int d = 0; d < CONTROLLED; d++) sum += y1[d] - y1[d]; // zero, or NaN
      return sel(sum == 0, splat(0), splat(INFINITY));
    }
    V largest[CONTROLLED];
    for (int d = 0; d < CONTROLLED; d++) largest[d] = v_max(v_abs(y[d]), v_abs(y1[d]));
    return norm(error, largest);
  }

  // safety * r_0^p_0 * r_1^p_1 ..., from the logarithms of the error ratios.
  DEVICE T factor_of(V logarithm_of_ratio) const {
    V sum = logarithm_of_ratio * POWERS[0];
    for (int j = 0; j < HISTORY; j++) sum += earlier[j] * POWERS[j + 1];
    T value = to_time(rough_exp(sum)) * job.control[0];
    return t_min(t_max(value, filled(job.control[1])), filled(job.control[2]));
  }

  // Move the accepted lanes on, choose the next step sizes, and see to those that have ended.
  DEVICE void settle(Flags accepted, Flags running, V ratio, T end, T size, const V *y1) {
    M mask = to_mask(accepted);
    for (int d = 0; d < D; d++) y[d] = sel(mask, y1[d], y[d]);
    if (REUSES_LAST) for (int d = 0; d < D; d++) k[0][d] = sel(mask, k[STAGES - 1][d], k[0][d]);
    s = sel(accepted, end, s);
    steps -= running, rejected -= running & ~accepted;
    evaluations += running & (REUSES_LAST ? STAGES - 1 : STAGES);
    if (ADAPTIVE) adapt(mask, ratio, size);
    after_rejection = ~accepted;
    Flags stuck = running & ~accepted & (ADAPTIVE ? h <= floor : s == s);
    Flags over = running & ((s >= s1) | stuck | (steps >= job.max_steps));
    if (EVENTS) for (int l = 0; l < W; l++) if (watch.event[l]) over[l] = running[l];
    if (any(over)) for (int l = 0; l < W; l++) if (over[l]) look_at(l, stuck[l], ratio[l], size[l]);
  }

  DEVICE void adapt(M accepted, V ratio, T size) {
    V tamed = sel(ratio != ratio, splat(HIGHEST_RATIO), ratio);
    tamed = v_min(v_max(tamed, splat(LOWEST_RATIO)), splat(HIGHEST_RATIO));
    V logarithm_of_ratio = rough_log(tamed);
    T factor = factor_of(logarithm_of_ratio);
    factor = sel(after_rejection, t_min(factor, filled(1)), factor);
    h = t_min(t_max(size * factor, filled(job.control[3])), filled(job.control[4]));
    for (int j = HISTORY - 1; j > 0; j--) earlier[j] = sel(accepted, earlier[j - 1], earlier[j]);
    if (HISTORY) earlier[0] = sel(accepted, logarithm_of_ratio, earlier[0]);
  }

  // A lane that may have ended.
  DEVICE void look_at(int l, bool stuck, real ratio, double size) {
    double smallest = larger(fabs(s[l]) * SMALLEST, larger(fabs(s1[l] - s[l]) * TINY, job.control[3]));
    if (EVENTS && watch.event[l]) finish(l, EVENT), busy--;
    else if (s[l] >= s1[l]) finish(l, OK), busy--;
    else if (stuck && (!ADAPTIVE || size <= smallest)) finish(l, isfinite(ratio) ? STEP_UNDERFLOW : NON_FINITE), busy--;
    else if (steps[l] >= job.max_steps) finish(l, MAX_STEPS), busy--;
  }

  // Write down what has become of a lane, which is then free and stands still.
  DEVICE void finish(int l, Code code) {
    long long n = trajectory[l];
    for (int d = 0; d < D; d++) job.y1[n * D + d] = y[d][l];
    job.end[n] = direction[l] * s[l], job.size[n] = h[l], job.codes[n] = code;
    job.steps[n] = steps[l], job.rejected[n] = rejected[l], job.evaluations[n] = evaluations[l];
    job.event[n] = watch.event[l], job.theta[n] = watch.theta[l], job.scale[n] = watch.scale[l];
    watch.event[l] = 0;
    for (; code != EVENT && output[l] < job.outputs; output[l]++)
      for (int d = 0; d < D; d++) target(l)[d] = code == OK ? y[d][l] : real(NAN);
    trajectory[l] = -1, s1[l] = s[l], save[l] = INFINITY;
    free = true;
  }

  // The state of a lane at a position in its step.
  DEVICE void between(double theta, int l, V move, real *out) const {
    double p[STAGES + EXTRA], scale = STAGES_ARE_SLOPES ? double(move[l]) : 1.0;
    interpolant_weights(theta, p);
    for (int d = 0; d < D; d++) {
      double sum = 0;
      for (int i = 0; i < STAGES + EXTRA; i++) sum += p[i] * k[i][d][l];
      out[d] = real(y[d][l] + scale * sum);
    }
  }

  DEVICE void write_outputs(Flags accepted, V t, V move, T end, T size, const V *y1, const V *last) {
    interpolant_stages(t, move, y, own, job.shared, k, y1);
    for (int l = 0; l < W; l++) {
      bool extra = false;
      while (accepted[l] && save[l] <= end[l]) {
        if (save[l] == end[l]) for (int d = 0; d < D; d++) target(l)[d] = last[d][l];
        else between((save[l] - s[l]) / size[l], l, move, target(l)), extra = true;
        output[l]++, look_for_output(l);
      }
      evaluations[l] += extra * EXTRA;
    }
  }
};

