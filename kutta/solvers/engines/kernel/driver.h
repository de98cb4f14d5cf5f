// The loop over trials. W trajectories are on their way at once, one in each lane of a block; a lane whose
// trajectory has ended takes the next one. Times are double whatever the precision of the state, and count
// forwards along each trajectory, s = direction t; step sizes have the precision of the state.
//
// From the generator: D entries of the state, the first CONTROLLED of which choose the step sizes (the others are
// sensitivities); STAGES of a step and EXTRA ones for its interpolant, which are slopes or increments; ORDER,
// REUSES_LAST, ADAPTIVE, HISTORY, POWERS; `f`, `stages`, `interpolant_stages`, `interpolant_weights`.

static const double TINY = 1e-30, SMALLEST = 4 * 2.220446049250313e-16;
// A step is stretched by up to this part of itself to land on the end.
static const real STRETCHED = 1 + 1e-3;
// Squares of error ratios are kept within these.
static const real LOWEST_SQUARE = 1e-20, HIGHEST_SQUARE = 1e20;
enum Code { OK = 0, EVENT = 1, MAX_STEPS = 2, STEP_UNDERFLOW = 3, NON_FINITE = 4 };

extern "C" struct Job {
  const real *y0;                            // (n, D)
  const double *t0, *t1;                     // (n)
  const real *own, *shared;                  // parameters: (n, OWN), (SHARED)
  const real *rtol, *atol;                   // (n or 1, CONTROLLED)
  const double *save;                        // output times, (n or 1, T)
  const double *control;                     // safety, smallest and largest factor, smallest and largest step
  const double *first;                       // (n): first step sizes, or zero where they are estimated
  const real *before;                        // (n, EVENTS): conditions at the start
  long long tolerance_stride, save_stride, outputs, max_steps;
  long long estimates, resumes;              // whether to choose first steps, and whether earlier outputs are written
  real *ys, *y1;                             // (T, n, D), (n, D)
  double *end, *size;                        // (n): last time, last step size
  long long *steps, *rejected, *evaluations; // (n): counted on from what is there
  int *codes, *event;                        // (n): how it ended, and at which event, counted from 1
  double *theta, *scale;                     // (n): where in its step, and how large the condition was at the ends
  long long total;                           // n
};

struct Block {
  const Job &job;
  long long trajectory[W], output[W], evaluations[W];
  V y[D], own[OWN + 1], k[STAGES + EXTRA][D], rtol[CONTROLLED], atol[CONTROLLED];
  V earlier[HISTORY + 1]; // logarithms of the error ratios of the last accepted steps
  T s = {}, s1 = {}, fixed = {}, save = filled(INFINITY);
  V h = {}, direction = splat(1), floor = {};
  M active = {}, after_rejection = {}; // lanes with a trajectory, and those whose last trial failed
  N steps = {}, begun = {}, rejected = {};
  Watch<Block> watch;
  Scratch scratch; // what a step needs besides, too large for a stack
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
    M fresh = {};
    for (int l = 0; l < W; l++)
      while (trajectory[l] < 0 && next < stop) {
        load(l, next++);
        if (s[l] < s1[l]) fresh[l] = -1, busy++;
        else finish(l, OK);
      }
    active |= fresh;
    if (any(fresh)) begin(fresh);
  }

  DEVICE void load(int l, long long n) {
    trajectory[l] = n, output[l] = 0;
    double sign = job.t1[n] < job.t0[n] ? -1 : 1;
    direction[l] = sign, s[l] = sign * job.t0[n], s1[l] = sign * job.t1[n];
    floor[l] = larger(fabs(s[l]), fabs(s1[l])) * SMALLEST + job.control[3];
    after_rejection[l] = 0, h[l] = fixed[l] = job.first[n];
    steps[l] = begun[l] = job.steps[n], rejected[l] = job.rejected[n], evaluations[l] = job.evaluations[n];
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
  DEVICE void begin(M fresh) {
    V slope[D];
    f(direction * to_real(s), y, own, job.shared, slope);
    for (int d = 0; d < D; d++) k[0][d] = sel(fresh, slope[d], k[0][d]);
    for (int l = 0; l < W; l++) evaluations[l] += fresh[l] ? REUSES_LAST : 0;
    if (job.estimates) first_step(fresh, slope);
  }

  // The mean square of values relative to the tolerances.
  DEVICE V square(const V *values, const V *size) const {
    V sum = splat(0);
    for (int d = 0; d < CONTROLLED; d++) {
      V part = values[d] / (atol[d] + rtol[d] * size[d]);
      sum += part * part;
    }
    return sum * real(1.0 / CONTROLLED);
  }

  // Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.4.
  DEVICE void first_step(M fresh, const V *slope) {
    V size[CONTROLLED], ahead[D], bent[D], guess;
    for (int d = 0; d < CONTROLLED; d++) size[d] = v_abs(y[d]);
    V d0 = v_sqrt(square(y, size)), d1 = v_sqrt(square(slope, size));
    guess = splat(1e-6);
    for (int l = 0; l < W; l++) {
      if (!fresh[l]) continue;
      guess[l] = d0[l] < 1e-5 || d1[l] < 1e-5 ? 1e-6 : 0.01 * double(d0[l]) / double(d1[l]);
      if (!isfinite(guess[l])) guess[l] = 1e-6;
    }
    V move = direction * guess;
    for (int d = 0; d < D; d++) ahead[d] = y[d] + move * slope[d];
    f(direction * to_real(s) + move, ahead, own, job.shared, bent);
    for (int d = 0; d < CONTROLLED; d++) bent[d] -= slope[d];
    V d2 = v_sqrt(square(bent, size));
    for (int l = 0; l < W; l++) {
      if (!fresh[l]) continue;
      evaluations[l] += REUSES_LAST ? 1 : 2;
      double first = guess[l], largest = larger(double(d1[l]), d2[l] / first);
      double curved = largest <= 1e-15 ? larger(1e-6, first * 1e-3) : pow(0.01 / largest, 1.0 / (ORDER + 1));
      if (!isfinite(largest)) curved = first;
      h[l] = smaller(larger(smaller(100 * first, curved), job.control[3]), job.control[4]);
    }
  }

  // One trial of every lane.
  DEVICE void trial() {
    V left = to_real(s1 - s);
    M lands = left <= h * STRETCHED;
    V size = sel(lands, left, h), t = direction * to_real(s), move = direction * size, y1[D], error[D], last[D];
    T end = sel(to_flags(lands), s1, s + (ADAPTIVE ? to_time(size) : fixed));
    stages(t, move, y, own, job.shared, k, y1, error, scratch);
    V square_ratio = square_of_ratio(y1, error);
    M accepted = (square_ratio <= 1) & active;
    for (int d = 0; d < D; d++) last[d] = y1[d];
    if (EVENTS) stop_at_events(accepted, t, move, end, size, y1, last);
    if (job.outputs && any(to_flags(accepted) & (save <= end))) write_outputs(accepted, t, move, end, size, y1, last);
    settle(accepted, lands, square_ratio, end, size, last);
  }

  // Let lanes that cross an event end there, in the states `last`.
  DEVICE void stop_at_events(M accepted, V t, V move, T &end, V size, const V *y1, V *last) {
    V now[EVENTS + 1];
    M crossed = watch.crossed(*this, accepted, end, y1, now);
    if (!any(crossed)) return;
    interpolant_stages(t, move, y, own, job.shared, k, y1);
    for (int l = 0; l < W; l++) {
      if (!crossed[l]) continue;
      evaluations[l] += EXTRA;
      watch.locate(*this, l, end[l] - s[l], move, now);
      if (watch.theta[l] == 1) continue;
      real state[D];
      between(watch.theta[l], l, move, state);
      for (int d = 0; d < D; d++) last[d][l] = state[d];
      end[l] = s[l] + watch.theta[l] * (end[l] - s[l]);
    }
  }

  // The square of the error ratio; with fixed steps zero, or infinity where a state is not finite.
  DEVICE V square_of_ratio(const V *y1, const V *error) const {
    if (!ADAPTIVE) {
      V sum = splat(0);
      for (int d = 0; d < CONTROLLED; d++) sum += y1[d] - y1[d]; // zero, or NaN
      return sel(sum == 0, splat(0), splat(INFINITY));
    }
    V largest[CONTROLLED];
    for (int d = 0; d < CONTROLLED; d++) largest[d] = v_max(v_abs(y[d]), v_abs(y1[d]));
    return square(error, largest);
  }

  // Move the accepted lanes on, choose the next step sizes, and see to those that have ended.
  DEVICE void settle(M accepted, M lands, V square_ratio, T end, V size, const V *last) {
    for (int d = 0; d < D; d++) y[d] = sel(accepted, last[d], y[d]);
    if (REUSES_LAST) for (int d = 0; d < D; d++) k[0][d] = sel(accepted, k[STAGES - 1][d], k[0][d]);
    s = sel(to_flags(accepted), end, s);
    steps -= active, rejected -= active & ~accepted;
    if (ADAPTIVE) adapt(accepted, square_ratio, size);
    after_rejection = ~accepted;
    M stuck = ADAPTIVE ? ~accepted & (h <= floor) : ~accepted;
    M over = active & ((accepted & lands) | stuck | (steps >= whole(job.max_steps)));
    if (EVENTS) over |= active & watch.stopped();
    if (any(over)) for (int l = 0; l < W; l++) if (over[l]) look_at(l, stuck[l], square_ratio[l], size[l]);
  }

  // The next step sizes, safety * r_0^p_0 * r_1^p_1 * ... times those of now, from the logarithms of the ratios.
  DEVICE void adapt(M accepted, V square_ratio, V size) {
    V tamed = sel(square_ratio < HIGHEST_SQUARE, square_ratio, splat(HIGHEST_SQUARE)); // NaN too
    V logarithm = real(0.5) * rough_log(sel(tamed > LOWEST_SQUARE, tamed, splat(LOWEST_SQUARE)));
    V sum = logarithm * POWERS[0];
    for (int j = 0; j < HISTORY; j++) sum += earlier[j] * POWERS[j + 1];
    V factor = rough_exp(sum) * real(job.control[0]);
    factor = limited(factor, job.control[1], job.control[2]);
    factor = sel(after_rejection & (factor > 1), splat(1), factor);
    h = limited(size * factor, job.control[3], job.control[4]);
    for (int j = HISTORY - 1; j > 0; j--) earlier[j] = sel(accepted, earlier[j - 1], earlier[j]);
    if (HISTORY) earlier[0] = sel(accepted, logarithm, earlier[0]);
  }

  DEVICE static V limited(V x, real low, real high) {
    x = sel(x > low, x, splat(low));
    return sel(x < high, x, splat(high));
  }

  // A lane that may have ended.
  DEVICE void look_at(int l, bool stuck, real square_ratio, real size) {
    double smallest = larger(fabs(s[l]) * SMALLEST, larger(fabs(s1[l] - s[l]) * TINY, job.control[3]));
    if (EVENTS && watch.event[l]) finish(l, EVENT), busy--;
    else if (s[l] >= s1[l]) finish(l, OK), busy--;
    else if (stuck && (!ADAPTIVE || size <= real(smallest) * STRETCHED)) finish(l, isfinite(square_ratio) ? STEP_UNDERFLOW : NON_FINITE), busy--;
    else if (steps[l] >= job.max_steps) finish(l, MAX_STEPS), busy--;
  }

  // Write down what has become of a lane, which is then free and stands still.
  DEVICE void finish(int l, Code code) {
    long long n = trajectory[l];
    for (int d = 0; d < D; d++) job.y1[n * D + d] = y[d][l];
    job.end[n] = direction[l] * s[l], job.size[n] = h[l], job.codes[n] = code;
    job.steps[n] = steps[l], job.rejected[n] = rejected[l];
    job.evaluations[n] = evaluations[l] + (steps[l] - begun[l]) * (REUSES_LAST ? STAGES - 1 : STAGES);
    job.event[n] = watch.event[l], job.theta[n] = watch.theta[l], job.scale[n] = watch.scale[l];
    watch.event[l] = 0;
    for (; code != EVENT && output[l] < job.outputs; output[l]++)
      for (int d = 0; d < D; d++) target(l)[d] = code == OK ? y[d][l] : real(NAN);
    trajectory[l] = -1, s1[l] = s[l], save[l] = INFINITY, active[l] = 0;
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

  DEVICE void write_outputs(M accepted, V t, V move, T end, V size, const V *y1, const V *last) {
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
